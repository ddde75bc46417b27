"""Where the platform's own issuer and page are reached: each announces itself when it starts."""

from __future__ import annotations

from datetime import datetime

import asyncpg

ISSUER, TOWER = "issuer", "tower"


async def announce(connection: asyncpg.Connection, name: str, url: str, *, now: datetime) -> None:
    """Say where ``name`` is reached from now on."""
    await connection.execute(
        """INSERT INTO hilum.identity_place (name, url, updated_at) VALUES ($1, $2, $3)
           ON CONFLICT (name) DO UPDATE SET url = excluded.url, updated_at = excluded.updated_at""",
        name, url, now,
    )  # fmt: skip


async def place(connection: asyncpg.Connection, name: str) -> str | None:
    """Where it is reached; None when it has never said so."""
    found: str | None = await connection.fetchval("SELECT url FROM hilum.identity_place WHERE name = $1", name)
    return found
