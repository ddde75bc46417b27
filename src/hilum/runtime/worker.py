"""The worker: one process that dispatches events, runs cases and feeds, recovers, replays and keeps the house."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from hilum.authoring.estate import Estate
from hilum.masterdata.book import CrosswalkBook
from hilum.runtime.breakers import CHANNEL as BREAKER_CHANNEL
from hilum.runtime.breakers import Breakers
from hilum.runtime.cases import CaseRunner, Surroundings
from hilum.runtime.claims import HEARTBEAT_SECONDS, Claims, ExecutorLost, Heartbeat
from hilum.runtime.collecting import Collector
from hilum.runtime.connections import Connections
from hilum.runtime.deliveries import Deliveries
from hilum.runtime.dispatch import Dispatcher
from hilum.runtime.feeds import FeedLanes
from hilum.runtime.intake import Intake
from hilum.runtime.journal import Journal
from hilum.runtime.loops import Bell, listen, standing
from hilum.runtime.recovery import Recovery
from hilum.runtime.replay import Replayer
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions

log = logging.getLogger(__name__)

STOP_SECONDS = 4.0


@dataclass(frozen=True)
class WorkerSettings:
    """Who this worker is and how much it does at once."""

    executor: str
    pid: int
    host: str
    database_url: str
    slots: int = 8


class Worker:
    """Everything after the commit of a message. ``started`` is set once cases can run.

    ``end`` must end the process at once, from any thread: this worker lost its name or its database. It is then as if it
    had been killed, which is what recovery is made for; going on would be to act beside whoever took over.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        estate: Estate,
        protection: Protection,
        connections: Connections,
        settings: WorkerSettings,
        *,
        clock: Callable[[], datetime],
        rng: random.Random,
        sequence: Callable[[], Awaitable[int]],
        end: Callable[[str], None],
        duties: Mapping[str, tuple[Callable[[], Awaitable[int]], float]] | None = None,
        intakes: Sequence[Intake] = (),
    ) -> None:
        """``duties``: more standing work by its name, each with the seconds between two rounds of it.

        ``intakes`` are those that duties write by. They take their shards over with this worker's name and not before: a
        worker that still has it writes by them.
        """
        self._pool = pool
        self._estate = estate
        self._protection = protection
        self._connections = connections
        self._settings = settings
        self._clock = clock
        self._sequence = sequence
        self._end = end
        self._duties = dict(duties) if duties is not None else {}
        channels = ("hilum_events", "hilum_cases", "hilum_crosswalk", "hilum_replay", BREAKER_CHANNEL)
        self._bells = {name: Bell() for name in channels}
        self._breakers = Breakers(pool, clock=clock, rng=rng)
        self._deliveries = Deliveries(
            pool, connections, self._breakers, protection, executor=settings.executor, clock=clock, rng=rng
        )
        self._book = CrosswalkBook(pool, clock, ZoneInfo(estate.time_zone))
        self._journal = Journal(settings.database_url, settings.executor, estate.flows_version, settings.slots)
        self._heartbeat = Heartbeat(
            pool, executor=settings.executor, role="worker", pid=settings.pid, host=settings.host,
            flows_version=estate.flows_version, clock=clock, lost=end,
        )  # fmt: skip
        self._feeds = FeedLanes(
            pool, estate, connections, self._breakers, protection, executor=settings.executor, clock=clock, rng=rng
        )
        self._dispatcher = Dispatcher(pool, estate, protection, clock=clock)
        self._collector = Collector(pool, estate, protection, self._book, clock=clock)
        self._recovery = Recovery(pool, connections, self._breakers, clock=clock)
        self._replay_intake = Intake(
            pool, protection, name=f"replay:{settings.executor}", clock=clock, actor="system:replay"
        )
        self._replayer = Replayer(pool, estate, protection, self._replay_intake, clock=clock)
        self._intakes = (self._replay_intake, *intakes)
        self._claims: Claims | None = None
        self._runner: CaseRunner | None = None
        self._dead: set[str] = set()
        self._found_dead = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.started = asyncio.Event()

    async def start(self) -> None:
        """Take up work: first what a predecessor of this name left behind."""
        loop = asyncio.get_running_loop()
        await self._heartbeat.start()
        self._stand("heartbeat", self._beat, HEARTBEAT_SECONDS, fatal=(ExecutorLost,))
        await self._book.refresh()
        for intake in self._intakes:
            await intake.start()
        claims = Claims(self._pool, self._journal, slots=self._settings.slots, clock=self._clock, lane=loop)
        self._claims = claims
        around = Surroundings(
            self._pool,
            loop,
            self._estate,
            self._protection,
            self._deliveries,
            self._book,
            self._clock,
            self._settings.executor,
            self._end,
        )
        await claims.reset([self._settings.executor])
        self._runner = runner = CaseRunner(around, claims.rested)
        await asyncio.to_thread(self._journal.open, runner.run)
        events, cases = self._bells["hilum_events"], self._bells["hilum_cases"]
        claims.freed = cases.listener()
        self._stand("dispatch", self._dispatcher.run_once, 0.5, events.listener())
        self._stand("feeds", self._feeds.run_once, 0.5, events.listener())
        self._stand("collecting", self._collector.run_once, 0.5, events.listener())
        self._stand("claims", claims.run_once, 0.2, claims.freed)
        self._stand("take-over", self._take_over, HEARTBEAT_SECONDS, self._found_dead)
        self._stand("breakers", self._refresh_breakers, 1.0, self._bells[BREAKER_CHANNEL].listener())
        self._stand("recovery", self._recovery.run_once, 0.5)
        self._stand("replay", self._replayer.run_once, 1.0, self._bells["hilum_replay"].listener())
        self._stand("audit sequencing", self._sequence, 0.5)
        self._stand("crosswalks", self._refresh_book, 2.0, self._bells["hilum_crosswalk"].listener())
        self._stand("data keys", self._protection.sealer.keyring.refresh, 10.0)
        self._stand("partitions", self._keep_house, 3600.0)
        for name, (work, every_seconds) in self._duties.items():
            self._stand(name, work, every_seconds)
        self._tasks.append(loop.create_task(listen(self._pool, self._bells)))
        self.started.set()

    def _stand(
        self,
        name: str,
        work: Callable[[], Awaitable[int]],
        every_seconds: float,
        woken: asyncio.Event | None = None,
        *,
        fatal: tuple[type[Exception], ...] = (),
    ) -> None:
        loop = standing(name, work, every_seconds=every_seconds, woken=woken, fatal=fatal)
        task = asyncio.get_running_loop().create_task(loop, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (why := task.exception()) is not None:
            self._end(str(why))

    async def stop(self) -> None:
        """Stop taking up work, let what runs come to rest, say goodbye."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._come_to_rest()
        await asyncio.to_thread(self._journal.close)
        for intake in self._intakes:
            await intake.stop()
        await self._heartbeat.stop()
        await self._connections.close()

    async def _come_to_rest(self) -> None:
        """Wait for the cases that run now; for those that hang on a slow system not longer than an operator would."""
        if self._runner is None or self._claims is None:
            return
        self._runner.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                while self._runner.running:
                    self._claims.freed.clear()
                    await self._claims.freed.wait()
        except TimeoutError:
            self._end(f"stopped with {len(self._runner.running)} cases running; the next process goes on with them")

    async def _beat(self) -> int:
        self._dead.update(await self._heartbeat.beat())
        if self._dead:
            self._found_dead.set()
        return 0

    async def _take_over(self) -> int:
        """Beside the heartbeat, which must not wait for it."""
        dead, self._dead = sorted(self._dead), set()
        if self._claims is not None:
            await self._claims.reclaim(dead)
        return 0

    async def _refresh_breakers(self) -> int:
        await self._breakers.refresh()
        return 0

    async def _refresh_book(self) -> int:
        await self._book.refresh()
        return 0

    async def _keep_house(self) -> int:
        """Partitions ahead of the days to come; what is past its days is purged by ``runtime.retention``."""
        async with self._pool.acquire() as connection:
            await ensure_partitions(connection, self._clock().date())
        return 0

    def busy(self) -> dict[str, Any]:
        """What this worker is doing now, for its own health page."""
        return {"executor": self._settings.executor, "tasks": sum(not t.done() for t in self._tasks)}
