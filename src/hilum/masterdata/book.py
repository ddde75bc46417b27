"""The crosswalks a platform process works with: a snapshot in memory that follows the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, tzinfo

import asyncpg

from hilum.masterdata.crosswalks import CHANNEL
from hilum.masterdata.entries import CrosswalkEntry, Snapshot

log = logging.getLogger(__name__)

MAX_AGE_SECONDS = 2.0
"""A notification brings a change at once; should it get lost with its connection, this is how long it takes."""


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
        self._changed = asyncio.Event()

    def lookup(self, name: str, value: str, facility: str, on: datetime | None) -> str | None:
        """The target code, or None without an entry in force; ``UnknownCrosswalk`` when no estate declares ``name``."""
        return self._snapshot.lookup(name, value, facility, self._clock() if on is None else on)

    async def refresh(self) -> bool:
        """Read the database when it changed since the last time; whether it had. Call once before the first look-up."""
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
        # One assignment: a thread sees the old snapshot or the new one, never half of either.
        self._snapshot, self._version = snapshot, version
        return True

    async def follow(self) -> None:
        """Keep the snapshot current until cancelled. Holds one connection of the pool to be notified on.

        While the database is away, look-ups go on answering from the last snapshot.
        """
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await connection.add_listener(CHANNEL, self._notified)
                    try:
                        while not connection.is_closed():
                            self._changed.clear()
                            await self.refresh()
                            try:
                                await asyncio.wait_for(self._changed.wait(), MAX_AGE_SECONDS)
                            except TimeoutError:
                                pass
                    finally:
                        if not connection.is_closed():
                            await connection.remove_listener(CHANNEL, self._notified)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning(
                    "crosswalks are as of the last refresh: the database cannot be read (%s)", type(error).__name__
                )
            await asyncio.sleep(MAX_AGE_SECONDS / 2)

    def _notified(self, *_: object) -> None:
        self._changed.set()
