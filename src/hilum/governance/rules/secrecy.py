"""Secrets are referred to, never written: an estate lives in version control."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem
from hilum.security.secrets import is_reference

_SECRET_NAMES = re.compile(r"secret|passw|token|credential|api_?key|private_?key|passphrase", re.IGNORECASE)
_DO = "Move it out and refer to it: `file:secrets/NAME`, `env:NAME` or `vault:PATH#FIELD`."


def secrecy_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    """Reads the TOML anew: a file that was refused for another reason may hold a secret too."""
    files = sorted((loaded.estate.root / "systems").glob("*.toml"))
    for path in [loaded.estate.root / ESTATE_FILE, *files]:
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            continue  # The loader has said so.
        file = path.relative_to(loaded.estate.root).as_posix()
        for setting, value in _texts(document, ()):
            where, name = loaded.places.toml(file, *setting), ".".join(setting)
            if _SECRET_NAMES.search(setting[-1]):
                if not is_reference(value):
                    yield EstateProblem(where, f"`{name}` is a secret in plain text.", _DO)
            elif "://" in value and urlsplit(value).password is not None:
                yield EstateProblem(where, f"`{name}` is an address with a password in it.", _DO)


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path)
    elif isinstance(value, str) and path:
        yield path, value
