"""A worker that cannot prove that it is itself ends; what a peer began to take over is taken over to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import asyncpg
import pytest

from hilum.runtime.claims import DEAD_AFTER_SECONDS, HEARTBEAT_SECONDS, ExecutorLost, Heartbeat
from hilum.runtime.loops import standing
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock

SILENT_SECONDS = DEAD_AFTER_SECONDS + 1


@asynccontextmanager
async def workers(url: str, clock: StoppedClock, *names: str) -> AsyncIterator[list[tuple[Heartbeat, list[str]]]]:
    """Heartbeats on connections of their own, each with the reasons for which its process would have ended."""
    pools = [await open_pool(url, min_size=1, max_size=3, application_name=name) for name in names]
    hearts: list[tuple[Heartbeat, list[str]]] = []
    for pool, name in zip(pools, names, strict=True):
        ended: list[str] = []
        heart = Heartbeat(
            pool, executor=name, role="worker", pid=1, host="here", flows_version="1", clock=clock, lost=ended.append
        )
        await heart.start()
        hearts.append((heart, ended))
    try:
        yield hearts
    finally:
        for pool in pools:
            pool.terminate()


def story(told: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(asyncio.wait_for(told(), 30))


async def cut(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", name)
    await connection.close()


def test_a_worker_whose_lock_is_lost_is_told_at_once(database_url: str) -> None:
    @story
    async def _() -> None:
        async with workers(database_url, StoppedClock(), "worker-1") as [(heart, ended)]:
            assert await heart.beat() == []
            await cut(database_url, "worker-1")
            begun = time.monotonic()
            while not ended:
                assert time.monotonic() - begun < HEARTBEAT_SECONDS
                await asyncio.sleep(0.01)
            with pytest.raises(ExecutorLost, match="worker-1"):
                await heart.beat()


def test_a_worker_that_was_declared_dead_does_not_rise_again(database_url: str) -> None:
    @story
    async def _() -> None:
        clock = StoppedClock()
        async with workers(database_url, clock, "worker-1", "worker-2") as [(sleeper, _), (peer, _)]:
            clock.passes(seconds=SILENT_SECONDS)
            assert await peer.beat() == ["worker-1"]
            with pytest.raises(ExecutorLost, match="took its work over"):
                await sleeper.beat()


def test_a_worker_that_is_only_late_lives(database_url: str) -> None:
    @story
    async def _() -> None:
        clock = StoppedClock()
        async with workers(database_url, clock, "worker-1", "worker-2") as [(late, _), (peer, _)]:
            clock.passes(seconds=3 * HEARTBEAT_SECONDS)  # Long enough for one whose lock is free.
            assert await peer.beat() == []
            assert await late.beat() == []


def test_a_take_over_that_failed_half_way_is_begun_again(database_url: str) -> None:
    @story
    async def _() -> None:
        clock = StoppedClock()
        async with workers(database_url, clock, "worker-1", "worker-2") as [_, (peer, _)]:
            clock.passes(seconds=SILENT_SECONDS)
            assert await peer.beat() == ["worker-1"]
            assert await peer.beat() == ["worker-1"]  # Nobody has said that it is done.


def test_a_process_started_again_under_its_name_is_not_the_dead_one(database_url: str) -> None:
    @story
    async def _() -> None:
        clock = StoppedClock()
        async with workers(database_url, clock, "worker-1") as [(first, _)]:
            await first.stop()
            clock.passes(seconds=1)
            async with workers(database_url, clock, "worker-1") as [(second, _)]:
                assert await second.beat() == []


def test_a_loop_ends_on_what_is_fatal_and_on_nothing_else() -> None:
    @story
    async def _() -> None:
        outcomes: list[Exception] = [ConnectionError("away"), ExecutorLost("worker-1 was taken over")]

        async def work() -> int:
            raise outcomes.pop(0)

        with pytest.raises(ExecutorLost):
            await standing("heartbeat", work, every_seconds=0.01, fatal=(ExecutorLost,))
        assert outcomes == []
