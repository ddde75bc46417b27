"""The worker: one process that dispatches events, runs cases and feeds, recovers, replays and keeps the house."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from hilum.audit.entry import MESSAGE_EXPIRED, Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.masterdata.book import CrosswalkBook
from hilum.runtime.breakers import Breakers
from hilum.runtime.cases import CaseRunner, Surroundings
from hilum.runtime.claims import HEARTBEAT_SECONDS, Claims, Heartbeat
from hilum.runtime.connections import Connections
from hilum.runtime.deliveries import Deliveries
from hilum.runtime.dispatch import Dispatcher
from hilum.runtime.feeds import FeedLanes
from hilum.runtime.intake import Intake
from hilum.runtime.journal import Journal
from hilum.runtime.loops import Bell, listen, standing
from hilum.runtime.recovery import Recovery
from hilum.runtime.replay import Replayer
from hilum.store.partitions import drop_partitions, ensure_partitions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerSettings:
    """Who this worker is and how much it does at once."""

    executor: str
    pid: int
    host: str
    database_url: str
    slots: int = 8


class Worker:
    """Everything after the commit of a message. ``started`` is set once cases can run."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        estate: Estate,
        connections: Connections,
        settings: WorkerSettings,
        *,
        clock: Callable[[], datetime],
        rng: random.Random,
        sequence: Callable[[], Awaitable[int]],
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._connections = connections
        self._settings = settings
        self._clock = clock
        self._sequence = sequence
        self._bells = {name: Bell() for name in ("hilum_events", "hilum_cases", "hilum_crosswalk", "hilum_replay")}
        self._breakers = Breakers(pool, clock=clock, rng=rng)
        self._deliveries = Deliveries(
            pool, connections, self._breakers, executor=settings.executor, clock=clock, rng=rng
        )
        self._book = CrosswalkBook(pool, clock, ZoneInfo(estate.time_zone))
        self._journal = Journal(settings.database_url, settings.executor, estate.flows_version, settings.slots)
        self._heartbeat = Heartbeat(
            pool, executor=settings.executor, role="worker", pid=settings.pid, host=settings.host,
            flows_version=estate.flows_version, clock=clock,
        )  # fmt: skip
        self._feeds = FeedLanes(
            pool, estate, connections, self._breakers, executor=settings.executor, clock=clock, rng=rng
        )
        self._dispatcher = Dispatcher(pool, estate, clock=clock)
        self._recovery = Recovery(pool, connections, self._breakers, clock=clock)
        self._replay_intake = Intake(pool, name=f"replay:{settings.executor}", clock=clock, actor="system:replay")
        self._replayer = Replayer(pool, estate, self._replay_intake, clock=clock)
        self._claims: Claims | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.started = asyncio.Event()

    async def start(self) -> None:
        """Take up work: first what a predecessor of this name left behind."""
        loop = asyncio.get_running_loop()
        await self._heartbeat.start()
        await self._book.refresh()
        await self._replay_intake.start()
        claims = Claims(self._pool, self._journal, slots=self._settings.slots, clock=self._clock, lane=loop)
        self._claims = claims
        around = Surroundings(
            self._pool, loop, self._estate, self._deliveries, self._book.lookup, self._clock, self._settings.executor
        )
        await claims.reset([self._settings.executor])
        runner = CaseRunner(around, claims.rested)
        await asyncio.to_thread(self._journal.open, runner.run)
        events, cases = self._bells["hilum_events"], self._bells["hilum_cases"]
        claims.freed = cases.listener()
        self._stand("dispatch", self._dispatcher.run_once, 0.5, events.listener())
        self._stand("feeds", self._feeds.run_once, 0.5, events.listener())
        self._stand("claims", claims.run_once, 0.2, claims.freed)
        self._stand("heartbeat", self._beat, HEARTBEAT_SECONDS)
        self._stand("recovery", self._recovery.run_once, 0.5)
        self._stand("replay", self._replayer.run_once, 1.0, self._bells["hilum_replay"].listener())
        self._stand("audit sequencing", self._sequence, 0.5)
        self._stand("crosswalks", self._refresh_book, 2.0, self._bells["hilum_crosswalk"].listener())
        self._stand("retention", self._keep_house, 3600.0)
        self._tasks.append(loop.create_task(listen(self._pool, self._bells)))
        self.started.set()

    def _stand(
        self, name: str, work: Callable[[], Awaitable[int]], every_seconds: float, woken: asyncio.Event | None = None
    ) -> None:
        task = asyncio.get_running_loop().create_task(
            standing(name, work, every_seconds=every_seconds, woken=woken), name=name
        )
        self._tasks.append(task)

    async def stop(self) -> None:
        """Stop taking up work, let what runs come to rest, say goodbye."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._journal.close)
        await self._replay_intake.stop()
        await self._heartbeat.stop()
        await self._connections.close()

    async def _beat(self) -> int:
        dead = await self._heartbeat.beat()
        if dead and self._claims is not None:
            await self._claims.reclaim(dead)
        return 0

    async def _refresh_book(self) -> int:
        await self._book.refresh()
        return 0

    async def _keep_house(self) -> int:
        now = self._clock()
        async with self._pool.acquire() as connection:
            await ensure_partitions(connection, now.date())
            before = (now - timedelta(days=self._estate.retention_days)).date()
            async with connection.transaction():
                expired = await connection.fetch(
                    "SELECT shard, max(seq) AS seq FROM message WHERE received_at < $1 GROUP BY shard",
                    datetime(before.year, before.month, before.day, tzinfo=now.tzinfo),
                )
                dropped = await drop_partitions(connection, before)
                if dropped:
                    entries = [
                        Entry(now, "system:retention", MESSAGE_EXPIRED, f"m/{r['shard']}", {"through_seq": r["seq"]})
                        for r in expired
                    ]
                    await append(connection, entries)
                    log.info("retention dropped %s", ", ".join(dropped))
        return 0

    def busy(self) -> dict[str, Any]:
        """What this worker is doing now, for its own health page."""
        return {"executor": self._settings.executor, "tasks": sum(not t.done() for t in self._tasks)}
