"""A sealer for tests: real keys in a real database, wrapped by a key file of the test's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import asyncpg

from hilum.security.sealing.key_file import LocalKeyFile
from hilum.security.sealing.sealer import Sealer, open_sealer

_FOLDER = Path(tempfile.mkdtemp(prefix="hilum-test-keys-"))


def key_file(path: Path | None = None) -> LocalKeyFile:
    """The key file of this test session, or the one at ``path``; made when there is none."""
    place = path if path is not None else _FOLDER / "master.json"
    return LocalKeyFile.open(place) if place.exists() else LocalKeyFile.make(place)


async def sealer_for(pool: asyncpg.Pool, clock: Callable[[], datetime]) -> Sealer:
    return await open_sealer(pool, key_file(), clock)
