"""The crosswalks a platform process works with: a snapshot in memory that follows the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo

import asyncpg

from hilum.masterdata.entries import CrosswalkEntry, Snapshot


class CrosswalkBook:
    """``lookup`` is synchronous and safe from any thread: flow steps run in threads and must not wait for a query.

    ``clock`` dates look-ups that name no instant; ``zone`` is the estate's time zone, in which days begin.
    """

    def __init__(self, pool: asyncpg.Pool, clock: Callable[[], datetime], zone: tzinfo) -> None:
        self._pool = pool
        self._clock = clock
        self._zone = zone
        self._snapshot = Snapshot((), (), zone)
        self._version: int | None = None

    def lookup(self, name: str, value: str, facility: str, on: datetime | None) -> str | None:
        """The target code, or None without an entry in force; ``UnknownCrosswalk`` when no estate declares ``name``."""
        return self._snapshot.lookup(name, value, facility, self._clock() if on is None else on)

    async def refresh(self) -> bool:
        """Read the database when it changed since the last time; whether it had.

        Called before the first look-up, on every notification of ``crosswalks.CHANNEL`` and every two seconds in case
        one gets lost. It fails when the database is away; look-ups then go on answering from the last snapshot.
        """
        async with self._pool.acquire() as connection:
            version: int = await connection.fetchval("SELECT version FROM hilum.crosswalk_version")
            if version == self._version:
                return False
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                version = await connection.fetchval("SELECT version FROM hilum.crosswalk_version")
                names = [row["name"] for row in await connection.fetch("SELECT name FROM hilum.crosswalk")]
                rows = await connection.fetch(
                    """SELECT crosswalk, code, target, facility, valid_from, valid_to, origin
                         FROM hilum.crosswalk_entry WHERE crosswalk = ANY($1)""",
                    names,
                )
        snapshot = Snapshot(names, (CrosswalkEntry(*row) for row in rows), self._zone)
        if self._version is not None and version < self._version:
            return False  # A second refresh that began later has finished first, with newer entries.
        # One assignment: a thread sees the old snapshot or the new one, never half of either.
        self._snapshot, self._version = snapshot, version
        return True
