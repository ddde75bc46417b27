"""A sealer for tests: real keys in a real database, wrapped by a key file that a test and the processes it starts share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import asyncpg

from hilum.authoring.estate import Estate
from hilum.security.sealing.key_file import FILE, LocalKeyFile
from hilum.security.sealing.protected import Protection
from hilum.security.sealing.sealer import Sealer, open_sealer
from hilum.store import sealed_places

_FOLDER = Path(os.environ.setdefault("HILUM_TEST_KEYS", tempfile.mkdtemp(prefix="hilum-test-keys-")))


def key_file(path: Path | None = None) -> LocalKeyFile:
    """The key file of this test session, or the one at ``path``; made when there is none."""
    place = path if path is not None else _FOLDER / "master.json"
    return LocalKeyFile.open(place) if place.exists() else LocalKeyFile.make(place)


def data_with_keys(data: Path) -> Path:
    """A data directory whose key file is that of this test session, as a terminal beside the platform has it."""
    place = data / FILE
    place.parent.mkdir(parents=True, exist_ok=True)
    key_file()
    place.write_bytes((_FOLDER / "master.json").read_bytes())
    place.chmod(0o600)
    return data


async def sealer_for(pool: asyncpg.Pool, clock: Callable[[], datetime]) -> Sealer:
    return await open_sealer(pool, key_file(), clock)


async def protection_for(pool: asyncpg.Pool, estate: Estate | None, clock: Callable[[], datetime]) -> Protection:
    """What seals in a test; without an estate every event may hold anything."""
    return Protection(await sealer_for(pool, clock), estate if estate is not None else Estate(Path("estate"), "test"))


async def raw_messages(pool: asyncpg.Pool, sealer: Sealer, where: str = "true") -> list[bytes]:
    """The bytes of stored messages, opened, in the order in which they were stored."""
    rows = await pool.fetch(f"SELECT shard, seq, raw FROM hilum.message WHERE {where} ORDER BY received_at, shard, seq")
    return [await sealer.opened(r["raw"], sealed_places.message_raw(r["shard"], r["seq"])) for r in rows]


async def stored_payload(sealer: Sealer, shard: int, seq: int, payload: bytes, at: datetime) -> bytes:
    """A payload as it would have been stored: for tests that put one into the table behind the platform's back."""
    return await sealer.sealed(payload, "event", sealed_places.event_payload(shard, seq), at)
