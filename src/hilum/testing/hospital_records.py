"""What the hospital's platform has stored, opened with its own keys: for assertions about content."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from hilum.security.sealing.choice import wrapper_of
from hilum.security.sealing.sealer import Sealer, open_sealer
from hilum.store import sealed_places


async def sealer_of(pool: asyncpg.Pool, data: Path) -> Sealer:
    """The sealer of a platform with a key file in its data directory."""
    return await open_sealer(pool, await wrapper_of(pool, "file", {}, data), lambda: datetime.now(UTC))


async def stored_messages(pool: asyncpg.Pool, data: Path) -> list[dict[str, Any]]:
    """Every message in the order of receipt, ``raw`` in clear."""
    sealer = await sealer_of(pool, data)
    rows = await pool.fetch("SELECT * FROM hilum.message ORDER BY received_at, shard, seq")
    await sealer.load(*(r["raw"] for r in rows))
    return [{**r, "raw": sealer.read(r["raw"], sealed_places.message_raw(r["shard"], r["seq"]))} for r in rows]


async def stored_events(pool: asyncpg.Pool, data: Path) -> list[dict[str, Any]]:
    """Every event in order of its shard, ``payload`` in clear."""
    sealer = await sealer_of(pool, data)
    rows = await pool.fetch("SELECT * FROM hilum.event ORDER BY shard, seq")
    await sealer.load(*(r["payload"] for r in rows))
    return [
        {**r, "payload": sealer.read(r["payload"], sealed_places.event_payload(r["shard"], r["seq"]))} for r in rows
    ]


async def stored_requests(pool: asyncpg.Pool, data: Path, operation: str) -> list[dict[str, Any]]:
    """Every delivery of an operation by its key, ``request`` in clear."""
    sealer = await sealer_of(pool, data)
    rows = await pool.fetch("SELECT * FROM hilum.delivery WHERE operation = $1 ORDER BY key", operation)
    await sealer.load(*(r["request"] for r in rows))
    return [{**r, "request": sealer.read(r["request"], sealed_places.delivery_request(r["key"]))} for r in rows]
