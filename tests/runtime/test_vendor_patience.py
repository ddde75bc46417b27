"""A vendor's 429: everybody waits as long as it said, nobody counts it as a failure, and people see it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
from tests.runtime.platform_parts import POLICY, Parts, journal_command, parts
from tests.runtime.test_deliveries import JOURNAL

from hilum.authoring.failures import Throttled, Unavailable
from hilum.authoring.roles import Erp
from hilum.runtime.breakers import CHANNEL, MOST_THROTTLED_SECONDS, Breakers, follow
from hilum.runtime.overview import read_overview
from hilum.runtime.recovery import Recovery


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def busy(p: Parts, *waits: float | None) -> None:
    """The next calls are answered 429, each with what the vendor says of waiting."""
    answers = list(waits)
    post = p.ledger.post_journal

    async def post_journal(journal: Any, *, key: str) -> Any:
        if answers:
            raise Throttled("erp", "answered 429", answers.pop(0))
        return await post(journal, key=key)

    p.ledger.post_journal = post_journal  # type: ignore[method-assign]


def test_all_processes_wait_for_a_vendor_that_told_one_of_them(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            busy(p, 30.0)
            with pytest.raises(Throttled):
                await p.deliveries("worker-1").command(journal_command(JOURNAL, key="K-1"))
            other = Breakers(p.pool, clock=p.clock, rng=random.Random(9))
            standing = await other.of("erp")
            assert (standing.state, standing.failures) == ("closed", 0), "patience is no failure"
            assert 30 <= standing.throttled_seconds(p.clock()) <= 33
            with pytest.raises(Throttled, match="asked everybody to wait"):
                await p.deliveries("worker-2").command(journal_command(JOURNAL, key="K-2"))
            assert await p.pool.fetchval("SELECT state FROM delivery WHERE key = 'K-2'") == "pending"
            assert await p.pool.fetchval("SELECT count(*) FROM delivery_attempt WHERE key = 'K-2'") == 0
            p.clock.passes(seconds=34)
            assert (await p.deliveries("worker-2").command(journal_command(JOURNAL, key="K-2"))).number == "J-1"

    run(story)


def test_they_are_told_at_once_and_not_when_they_next_look(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            told = asyncio.Event()
            listening = await p.pool.acquire()
            await listening.add_listener(CHANNEL, lambda *what: told.set() if what[-1] == "erp" else None)
            await p.breakers.throttled("erp", "answered 429", POLICY, 30.0)
            async with asyncio.timeout(5):
                await told.wait()
            await listening.reset()
            await p.pool.release(listening)

    run(story)


class Gateway(Breakers):
    """The breakers of another process, as it knows them: its clock stands still, so it never looks by itself."""

    def __init__(self, p: Parts) -> None:
        super().__init__(p.pool, clock=p.clock, rng=random.Random(2))
        self.readings: asyncio.Queue[str] = asyncio.Queue()

    async def refresh(self) -> Any:
        found = await super().refresh()
        self.readings.put_nowait("read")
        return found

    async def knows(self, system: str) -> bool:
        """Whether it has heard that the system asked for patience; waits for the next reading until it has."""
        async with asyncio.timeout(5):
            while not (await self.of(system)).throttled_seconds(self._clock()):
                await self.readings.get()
        return True


def test_the_gateway_knows_of_a_429_that_another_process_was_answered(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.runtime.breakers.STALE_SECONDS", 3600.0)

    async def story() -> None:
        async with parts(database_url) as p:
            gateway = Gateway(p)
            following = asyncio.ensure_future(follow(p.pool, gateway))
            try:
                async with asyncio.timeout(5):
                    for _ in ("when it starts", "when it listens"):
                        await gateway.readings.get()
                assert not (await gateway.of("erp")).throttled_seconds(p.clock())
                listening = (
                    "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
                pid = await p.pool.fetchval(listening)
                await p.breakers.throttled("erp", "answered 429", POLICY, 30.0)
                assert await gateway.knows("erp")

                # Its connection is lost, and what is told meanwhile is read when it is back.
                await p.pool.execute("SELECT pg_terminate_backend($1)", pid)
                await p.breakers.throttled("stock", "answered 429", POLICY, 30.0)
                assert await gateway.knows("stock")
            finally:
                following.cancel()  # Before the pool is closed, which waits for its connection.
                await asyncio.gather(following, return_exceptions=True)

    run(story)


def test_a_429_is_no_attempt_and_a_short_wait_is_waited_in_place(database_url: str) -> None:
    async def story() -> None:
        policy = POLICY.model_copy(update={"attempts": 1, "breaker_failures": 1})
        async with parts(database_url, policy=policy) as p:
            busy(p, 0.0, 0.0, 0.0)
            deliveries = p.deliveries()
            waited = asyncio.ensure_future(deliveries.command(journal_command(JOURNAL)))
            while not waited.done():
                await asyncio.sleep(0.02)
                p.clock.passes(seconds=1)
            assert (await waited).number == "J-1"
            outcomes = [
                r["outcome"] for r in await p.pool.fetch("SELECT outcome FROM delivery_attempt ORDER BY attempt")
            ]
            assert outcomes[:3] == ["throttled"] * 3
            assert (await p.breakers.of("erp")).state == "closed"
            assert p.ledger.booked == ["implant_usage/U-1/attribute_cost"]

    run(story)


def test_who_is_told_again_and_again_frees_the_thread(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            busy(p, *[0.0] * 50)
            waited = asyncio.ensure_future(
                p.deliveries().ask(Erp("erp"), "post_journal", {"journal": JOURNAL, "key": "K"})
            )
            while not waited.done():
                await asyncio.sleep(0.02)
                p.clock.passes(seconds=1)
            with pytest.raises(Throttled):
                await waited

    run(story)


def test_a_vendor_that_does_not_say_how_long_is_given_what_its_policy_holds_a_circuit_open(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            standing = await p.breakers.throttled("erp", "answered 429", POLICY, None)
            assert standing.throttled_until is not None
            assert standing.throttled_until - p.clock() >= timedelta(seconds=POLICY.breaker_open_seconds)

    run(story)


def test_the_longest_wait_counts_and_nonsense_does_not(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            await p.breakers.throttled("erp", "answered 429", POLICY, 60.0)
            after = await p.breakers.throttled("erp", "answered 429", POLICY, 1.0)
            assert after.throttled_seconds(p.clock()) >= 60
            wild = await p.breakers.throttled("erp", "answered 429", POLICY, 1e15)
            assert wild.throttled_seconds(p.clock()) <= MOST_THROTTLED_SECONDS * 1.1

    run(story)


def test_a_probe_that_is_told_to_wait_has_found_the_system_well(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url, *["away"] * 6) as p:
            for number in range(2):
                with pytest.raises(Unavailable):
                    await p.deliveries().command(journal_command(JOURNAL, key=f"K-{number}"))

            async def ping() -> None:
                raise Throttled("erp", "answered 429", 20.0)

            p.ledger.ping = ping  # type: ignore[method-assign]
            p.clock.passes(seconds=15)
            recovery = Recovery(p.pool, p.connections, p.breakers, clock=p.clock)
            await recovery.run_once()
            standing = (await p.breakers.refresh())["erp"]
            assert standing.state == "closed"
            assert standing.throttled_seconds(p.clock()) >= 20

    run(story)


def test_parked_cases_stay_parked_until_the_vendor_is_ready(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            await p.pool.execute(
                """INSERT INTO flow_case (id, flow, flow_version, ordering_key, criticality, facility, event_shard, event_seq,
                          event_at, state, parked_on, created_at, updated_at)
                   VALUES ('f/U-1', 'f', 1, 'U-1', 1, 'ST-MARY', 1, 1, $1, 'parked', 'erp', $1, $1)""",
                p.clock(),
            )
            recovery = Recovery(p.pool, p.connections, p.breakers, clock=p.clock)
            await p.breakers.throttled("erp", "answered 429", POLICY, 60.0)
            p.clock.passes(seconds=30)
            assert await recovery.run_once() == 0
            p.clock.passes(seconds=40)
            assert await recovery.run_once() == 1

    run(story)


def test_people_see_who_waits_and_for_how_long_and_may_end_it(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            await p.breakers.throttled("erp", "answered 429", POLICY, 600.0)
            async with p.pool.acquire() as connection:
                seen = await read_overview(connection, None, p.clock)
            [erp] = seen.systems
            assert (erp.state, erp.throttled_why) == ("throttled", "answered 429")
            assert erp.throttled_until is not None and erp.throttled_until > p.clock()
            assert seen.verdict in ("waiting", "broken")
            await p.breakers.hold("erp", False, actor="person:operator")
            assert not (await p.breakers.of("erp")).throttled_seconds(p.clock())
            entries = await p.pool.fetch(
                "SELECT convert_from(entry, 'UTF8') AS e FROM audit_entry WHERE subject = 's/erp'"
            )
            assert any("system.throttled" in row["e"] for row in entries)

    run(story)
