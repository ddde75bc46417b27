"""Secrets by reference: ``file:PATH`` or ``env:NAME`` in the estate, the value only in memory."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from hilum.security.logs import keep_out_of_logs

_REFERENCE = re.compile(r"file:\S.*|env:[A-Za-z_][A-Za-z0-9_]*")
_OTHERS_READ_OR_WRITE = stat.S_IROTH | stat.S_IWOTH


class SecretUnusable(ValueError):
    """A secret that cannot be used as it is kept; the text names the reference, never the value."""


class SecretMissing(SecretUnusable):
    """There is nothing where a reference points."""


def is_reference(text: str) -> bool:
    """Whether a setting refers to a secret instead of being one."""
    return _REFERENCE.fullmatch(text) is not None


def resolve_secret(reference: str, base: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The value behind ``file:PATH`` (relative to ``base``) or ``env:NAME``, without one trailing newline.

    ``SecretMissing`` when there is none; ``SecretUnusable`` when it is empty, is no text, or lies in a file that
    every user of the machine can read or change. From then on the value is masked in logs.
    """
    if not is_reference(reference):
        # Whatever stands there may be the secret itself, so it is not repeated.
        raise SecretUnusable("a secret is written in plain text; refer to it with file:PATH or env:NAME")
    kind, _, rest = reference.partition(":")
    if kind == "env":
        found = environment.get(rest)
        if found is None:
            raise SecretMissing(f"{reference}: the environment variable is not set; set it for this process")
        value = found
    else:
        value = _read(reference, base / rest)
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise SecretUnusable(f"{reference}: the secret is empty; write its value there")
    keep_out_of_logs(value)
    return value


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
