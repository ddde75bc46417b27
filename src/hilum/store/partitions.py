"""Daily partitions of messages and events, made ahead; `runtime.retention` drops them when their days are over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import asyncpg

TABLES = ("message", "event")
_LOCK = 0x48_4C_50  # An advisory lock: two processes that start together do not make the same partition.


async def ensure_partitions(connection: asyncpg.Connection, today: date, *, days_ahead: int = 7) -> None:
    """Make the partitions from yesterday to ``days_ahead`` days from ``today`` (UTC)."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        for offset in range(-1, days_ahead + 1):
            day = today + timedelta(days=offset)
            for table in TABLES:
                name = f"{table}_{day:%Y%m%d}"
                if await connection.fetchval("SELECT to_regclass($1)", f"hilum.{name}") is None:
                    await _make(connection, table, name, day)


async def _make(connection: asyncpg.Connection, table: str, name: str, day: date) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = start + timedelta(days=1)
    await connection.execute(
        f"""CREATE TABLE hilum.{name} PARTITION OF hilum.{table}
            FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}') WITH (toast_tuple_target = 8160)"""
    )


async def partitions(connection: asyncpg.Connection) -> list[tuple[str, str, date]]:
    """Every daily partition as (table, its own name, day), by day; the default partitions have none."""
    rows = await connection.fetch(
        """SELECT p.relname AS parent, c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace n ON n.oid = p.relnamespace
            WHERE n.nspname = 'hilum' AND p.relname = ANY($1)""",
        list(TABLES),
    )
    found = []
    for row in rows:
        day = row["name"].rpartition("_")[2]
        if day.isdigit():
            of = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date()
            found.append((row["parent"], row["name"], of))
    return sorted(found, key=lambda partition: (partition[2], partition[1]))
