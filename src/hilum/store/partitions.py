"""Daily partitions of messages and events, made ahead; `runtime.retention` drops them when their days are over.

What a wrong clock dates outside them rests in the default partitions, by the name of its table and ``_default``.
"""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta

import asyncpg

log = logging.getLogger(__name__)

TABLES = ("message", "event")
COLUMN = {"message": "received_at", "event": "at"}
"""By what a table is partitioned."""
DEFAULTS = frozenset(f"{table}_default" for table in TABLES)
"""The partitions of no day of their own."""
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
    stray = f"SELECT EXISTS (SELECT FROM hilum.{table}_default WHERE {COLUMN[table]} >= $1 AND {COLUMN[table]} < $2)"
    if await connection.fetchval(stray, start, end):
        # A clock that ran ahead dated rows on this day: PostgreSQL refuses a partition for what the default one holds. The
        # day's other rows join them there, and leave with them when their time has come.
        log.warning("%s of %s stay in the default partition, where a wrong clock put some of them", table, day)
        return
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


async def default_days(connection: asyncpg.Connection, before: date) -> list[tuple[str, str, date]]:
    """The days before ``before`` (UTC) of which the default partitions hold rows, as (table, partition's name, day)."""
    found = []
    for table in TABLES:
        days = await connection.fetch(
            f"""SELECT DISTINCT ({COLUMN[table]} AT TIME ZONE 'UTC')::date AS day FROM hilum.{table}_default
                 WHERE {COLUMN[table]} < $1 ORDER BY day""",
            datetime(before.year, before.month, before.day, tzinfo=UTC),
        )
        found += [(table, f"{table}_default", row["day"]) for row in days]
    return found
