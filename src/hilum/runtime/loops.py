"""The platform's standing work: done when woken, done now and then anyway, and never ended by one failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import asyncpg

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 10.0


class Bell:
    """Wakes the loops that wait for it; ringing while one works makes it work once more."""

    def __init__(self) -> None:
        self._events: list[asyncio.Event] = []

    def ring(self) -> None:
        for event in self._events:
            event.set()

    def listener(self) -> asyncio.Event:
        event = asyncio.Event()
        self._events.append(event)
        return event


async def standing(
    name: str,
    work: Callable[[], Awaitable[int]],
    *,
    every_seconds: float,
    woken: asyncio.Event | None = None,
    fatal: tuple[type[Exception], ...] = (),
) -> None:
    """Run ``work`` for ever: again at once while it finds something to do, else when woken or after ``every_seconds``.

    An exception is logged and the work tried again after a growing pause: the database may be restarting. One of
    ``fatal`` ends the loop and comes out of it.
    """
    woken = woken if woken is not None else asyncio.Event()
    passing: tuple[type[BaseException], ...] = (asyncio.CancelledError, *fatal)
    failures = 0
    while True:
        woken.clear()
        try:
            found = await work()
            failures = 0
        except passing:
            raise
        except Exception as error:
            failures += 1
            level = (
                logging.WARNING
                if isinstance(error, OSError | asyncpg.PostgresError | asyncpg.InterfaceError)
                else logging.ERROR
            )
            log.log(level, "%s failed (%s), trying again", name, type(error).__name__, exc_info=level == logging.ERROR)
            await asyncio.sleep(min(0.2 * 2**failures, MAX_BACKOFF_SECONDS))
            continue
        if found:
            await asyncio.sleep(0)
            continue
        try:
            async with asyncio.timeout(every_seconds):
                await woken.wait()
        except TimeoutError:
            pass


async def listen(pool: asyncpg.Pool, bells: dict[str, Bell]) -> None:
    """Ring bells on PostgreSQL notifications; listens again after a lost connection, ringing all once."""
    while True:
        try:
            connection = await pool.acquire()
            try:
                lost = asyncio.Event()
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                for channel, bell in bells.items():
                    await connection.add_listener(channel, lambda *_, bell=bell: bell.ring())
                for bell in bells.values():
                    bell.ring()
                await lost.wait()
            finally:
                connection.terminate()  # Its listeners must not go on in whoever gets the connection next.
                await pool.release(connection)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("the notification connection is lost (%s), connecting again", type(error).__name__)
            await asyncio.sleep(0.5)
