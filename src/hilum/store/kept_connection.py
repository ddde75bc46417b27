"""A connection that a single writer keeps between its statements.

To take a connection out of the pool and to give it back cost more processor time than a small statement: giving back
resets the session, which is a round trip of its own. Whoever writes often and leaves nothing behind in the session (no
setting, no lock, no LISTEN) keeps one. It goes back by itself when it was not used for a while, so that nobody who
forgets to close keeps the pool from closing.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType

import asyncpg

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.25


class KeptConnection:
    """One connection of ``pool`` for one user at a time: ``async with kept as connection``.

    After an error inside the block the connection goes back at once: the pool resets it, or replaces it when it broke.
    """

    def __init__(self, pool: asyncpg.Pool, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._pool = pool
        self._idle_seconds = idle_seconds
        self._connection: asyncpg.Connection | None = None
        self._used = False
        self._rest: asyncio.TimerHandle | None = None
        self._going_back: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> asyncpg.Connection:
        if self._used:
            raise RuntimeError("a kept connection has one user at a time")
        self._used = True
        try:
            if self._rest is not None:
                self._rest.cancel()
                self._rest = None
            if self._connection is not None and is_lost(self._connection):
                await self._give_back()
            if self._connection is None:
                self._connection = await self._pool.acquire()
        except BaseException:
            self._used = False
            raise
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._used = False
        if kind is not None:
            await self._give_back()
        else:
            self._rest = asyncio.get_running_loop().call_later(self._idle_seconds, self._rested)

    async def close(self) -> None:
        """Give the connection back now, when nobody uses it; the next use takes another."""
        if not self._used:
            if self._rest is not None:
                self._rest.cancel()
                self._rest = None
            await self._give_back()
        if self._going_back:
            await asyncio.wait(self._going_back)

    def _rested(self) -> None:
        self._rest = None
        # Taken away at once: whoever comes before it is back takes another.
        connection, self._connection = self._connection, None
        task = asyncio.get_running_loop().create_task(self._pool.release(connection))
        self._going_back.add(task)
        task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._going_back.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The pool has replaced it; nobody waits for it any more.
            log.info("a kept connection broke while it rested: %s", type(task.exception()).__name__)

    async def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.release(connection)


def is_lost(connection: asyncpg.Connection) -> bool:
    """Whether nothing can be said on this connection any more."""
    try:
        closed: bool = connection.is_closed()
    except asyncpg.InterfaceError:
        return True  # The pool took it back when it was cut.
    return closed
