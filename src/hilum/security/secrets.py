"""Secrets by reference: ``file:PATH``, ``env:NAME`` or ``vault:PATH#FIELD`` in the estate, the value only in memory."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.security.logs import keep_out_of_logs

if TYPE_CHECKING:
    from hilum.security.vault import Vault, VaultAccess

_REFERENCE = re.compile(
    r"file:\S.*|env:[A-Za-z_][A-Za-z0-9_]*"
    r"|vault:(?P<path>[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+)#(?P<field>[A-Za-z0-9_.-]+)"
)
_OTHERS_READ_OR_WRITE = stat.S_IROTH | stat.S_IWOTH


_one_at_a_time = threading.Lock()
_vaults: dict[VaultAccess, Vault] = {}


class SecretUnusable(ValueError):
    """A secret that cannot be used as it is kept; the text names the reference, never the value."""


class SecretMissing(SecretUnusable):
    """There is nothing where a reference points."""


def is_reference(text: str) -> bool:
    """Whether a setting refers to a secret instead of being one."""
    return _REFERENCE.fullmatch(text) is not None


def resolve_secret(
    reference: str, base: Path, environment: Mapping[str, str] = os.environ, *, fresh: bool = False
) -> str:
    """The value behind ``file:PATH`` (relative to ``base``), ``env:NAME`` or ``vault:MOUNT/PATH#FIELD``, without one
    trailing newline.

    ``SecretMissing`` when there is none; ``SecretUnusable`` when it is empty, is no text, lies in a file that every user
    of the machine can read or change, or in a Vault that does not give it to us. From then on it is masked in logs. ``fresh``
    asks Vault also for what was read a moment ago.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        # Whatever stands there may be the secret itself, so it is not repeated.
        raise SecretUnusable(
            "a secret is written in plain text; refer to it with file:PATH, env:NAME or vault:PATH#FIELD"
        )
    kind, _, rest = reference.partition(":")
    if kind == "env":
        found = environment.get(rest)
        if found is None:
            raise SecretMissing(f"{reference}: the environment variable is not set; set it for this process")
        value = found
    elif kind == "vault":
        value = _ask_vault(reference, match["path"], match["field"], environment, fresh)
    else:
        value = _read(reference, base / rest)
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise SecretUnusable(f"{reference}: the secret is empty; write its value there")
    keep_out_of_logs(value)
    return value


def _ask_vault(reference: str, path: str, field: str, environment: Mapping[str, str], fresh: bool) -> str:
    """From Vault; one client for each way of access, which keeps what it read for a while."""
    # Imported where it is used: most installations have no Vault, and an HTTP client takes a terminal command its time.
    from hilum.security.vault import Vault, VaultAccess, VaultMissing, VaultUnusable

    try:
        access = VaultAccess.of(environment)
        with _one_at_a_time:
            vault = _vaults.get(access)
            if vault is None:
                vault = _vaults[access] = Vault(access)
        return vault.read(path, field, fresh=fresh)
    except VaultMissing as missing:
        raise SecretMissing(f"{reference}: {missing}") from None
    except VaultUnusable as unusable:
        raise SecretUnusable(f"{reference}: {unusable}") from None


def _read(reference: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & _OTHERS_READ_OR_WRITE:
                raise SecretUnusable(
                    f"{reference}: every user of this machine can read or change it; run chmod 600 {path}"
                )
            return file.read().decode()
    except FileNotFoundError:
        raise SecretMissing(f"{reference}: there is no file {path}; write the secret there with mode 600") from None
    except UnicodeDecodeError:
        raise SecretUnusable(f"{reference}: the file is not UTF-8 text") from None
    except OSError as error:
        raise SecretUnusable(f"{reference}: {path} cannot be read: {error.strerror}") from None
