"""Feeds: every event to its system, in order for each key; one account's trouble is nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.runtime.feed_parts import POLICY, World, feeding

from hilum.runtime import feeds, work_items
from hilum.testing.clock import StoppedClock
from hilum.testing.faults import Injected, failing

Story = Callable[[World], Coroutine[Any, Any, None]]


def play(url: str, story: Story, **world: Any) -> None:
    async def whole() -> None:
        async with feeding(url, **world) as w:
            await story(w)

    asyncio.run(asyncio.wait_for(whole(), 60))


async def item(w: World) -> int:
    number: int = await w.pool.fetchval("SELECT id FROM work_item WHERE state = 'open'")
    return number


async def decide(w: World, how: str, subject: str | None = None) -> list[str]:
    number = await item(w)
    async with w.pool.acquire() as connection, connection.transaction():
        if how == "release":
            return await work_items.release(connection, number, now=w.clock(), actor="person:ann", subject=subject)
        return await work_items.skip(
            connection, number, now=w.clock(), actor="person:ann", subject=subject, reason="the account was merged"
        )


def test_an_accounts_moves_arrive_in_order_and_once(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.moves("A1", "B1", "A2", "B2", "A3")
        lanes = w.lanes()
        while await lanes.run_once():
            pass
        await lanes.run_once()
        assert w.billing.of("A") == ["A1", "A2", "A3"]
        assert w.billing.of("B") == ["B1", "B2"]
        assert len(w.billing.calls) == 5
        assert await w.pool.fetchval("SELECT count(*) FROM feed_result") == 5

    play(database_url, story)


def test_accounts_are_sent_side_by_side_up_to_the_systems_concurrency(database_url: str) -> None:
    async def story(w: World) -> None:
        w.billing.seconds = 0.03
        await w.moves(*(f"{account}{n}" for n in (1, 2) for account in ("A", "B", "C", "D", "E", "F")))
        await w.lanes().run_once()
        assert w.billing.most_inside == POLICY.concurrency
        assert all(w.billing.of(account) == [f"{account}1", f"{account}2"] for account in "ABCDEF")

    play(database_url, story)


def test_a_refused_move_parks_its_account_and_no_other(database_url: str) -> None:
    async def story(w: World) -> None:
        w.billing.refuses = {"A2"}
        await w.moves("A1", "A2", "A3", "B1")
        lanes = w.lanes()
        await lanes.run_once()
        await w.moves("A4", "B2")
        await lanes.run_once()
        assert w.billing.taken == ["A1", "B1", "B2"]
        assert await w.parked() == {"A2": "dead", "A3": "behind", "A4": "behind"}
        waiting = await w.pool.fetchrow("SELECT * FROM work_item")
        assert waiting["title"] == "billing refused an event of feed accounts: account closed"
        assert await w.pool.fetchval("SELECT count(*) FROM work_item_case") == 1

    play(database_url, story)


def test_a_released_account_goes_on_in_order_where_it_stopped(database_url: str) -> None:
    async def story(w: World) -> None:
        w.billing.refuses = {"A2"}
        lanes = w.lanes()
        await w.moves("A1", "A2", "A3", "A4")
        await lanes.run_once()
        w.billing.refuses = set()
        assert await decide(w, "release") == ["f/accounts/1/2"]
        await w.moves("A5")
        while await lanes.run_once():
            pass
        assert w.billing.of("A") == ["A1", "A2", "A3", "A4", "A5"]
        assert await w.parked() == {}

    play(database_url, story)


def test_an_account_refused_again_waits_again_and_keeps_its_order(database_url: str) -> None:
    async def story(w: World) -> None:
        w.billing.refuses = {"A1", "A2"}
        lanes = w.lanes()
        await w.moves("A1", "A2", "A3")
        await lanes.run_once()
        await decide(w, "release")
        await lanes.run_once()
        assert await w.parked() == {"A1": "dead", "A2": "behind", "A3": "behind"}
        w.billing.refuses = {"A2"}
        await decide(w, "release")
        await lanes.run_once()
        assert await w.parked() == {"A2": "dead", "A3": "behind"}
        w.billing.refuses = set()
        await decide(w, "release")
        await lanes.run_once()
        assert w.billing.of("A") == ["A1", "A2", "A3"]
        assert await w.pool.fetchval("SELECT count(*) FROM work_item WHERE state = 'released'") == 3

    play(database_url, story)


def test_what_a_person_skips_is_not_sent_and_what_follows_is(database_url: str) -> None:
    async def story(w: World) -> None:
        w.billing.refuses = {"A1"}
        lanes = w.lanes()
        await w.moves("A1", "A2")
        await lanes.run_once()
        await decide(w, "skip")
        await lanes.run_once()
        await lanes.run_once()
        assert w.billing.taken == ["A2"]
        assert [move for move, _ in w.billing.calls] == ["A1", "A2"]
        assert await w.parked() == {}

    play(database_url, story)


def test_what_was_skipped_while_another_account_held_the_cursor_back_is_not_sent_after_all(database_url: str) -> None:
    async def story(w: World) -> None:
        w.billing.refuses, w.billing.away = {"B1"}, {"A1"}
        lanes = w.lanes()
        await w.moves("A1", "B1")
        await lanes.run_once()
        assert (await w.cursor(), await w.parked()) == (0, {"B1": "dead"})
        await decide(w, "skip")
        await lanes.run_once()
        w.billing.refuses, w.billing.away = set(), set()
        await w.breakers.close("billing")
        while await lanes.run_once():
            pass
        assert w.billing.taken == ["A1"]
        assert (await w.cursor(), await w.parked()) == (2, {})

    play(database_url, story)


def test_a_system_that_is_away_misses_nothing(database_url: str) -> None:
    async def story(w: World) -> None:
        w.billing.away = {"A2", "B1"}
        lanes = w.lanes()
        await w.moves("A1", "A2", "A3", "B1", "C1")
        await lanes.run_once()
        assert await w.cursor() == 1, "the cursor stays before the first move that was not taken"
        assert await w.parked() == {}
        w.billing.away = set()
        await w.breakers.close("billing")
        while await lanes.run_once():
            pass
        assert w.billing.of("A") == ["A1", "A2", "A3"]
        assert sorted(w.billing.taken) == ["A1", "A2", "A3", "B1", "C1"]
        sent_again = [move for move, _ in w.billing.calls if move == "A1"]
        assert sent_again == ["A1"], "what was taken before is not sent again"

    play(database_url, story)


def test_a_system_that_stays_away_opens_its_circuit_and_is_not_knocked_at(database_url: str) -> None:
    async def story(w: World) -> None:
        w.billing.away = {"A1"}
        lanes = w.lanes()
        await w.moves("A1")
        for _ in range(6):
            await lanes.run_once()
        knocks = len(w.billing.calls)
        assert knocks == POLICY.breaker_failures * POLICY.attempts
        await w.breakers.close("billing")
        w.billing.away = set()
        await lanes.run_once()
        assert w.billing.taken == ["A1"]

    play(database_url, story)


def test_a_released_account_of_a_system_that_went_away_waits_behind_its_circuit(database_url: str) -> None:
    async def story(w: World) -> None:
        w.billing.refuses = {"A1"}
        lanes = w.lanes()
        await w.moves("A1", "A2")
        await lanes.run_once()
        w.billing.refuses, w.billing.away = set(), {"A1"}
        await decide(w, "release")
        for _ in range(6):
            await lanes.run_once()
        knocks = [move for move, _ in w.billing.calls].count("A1")
        assert knocks == 1 + POLICY.breaker_failures * POLICY.attempts
        assert await w.parked() == {"A1": "ready", "A2": "behind"}
        w.billing.away = set()
        await w.breakers.close("billing")
        await lanes.run_once()
        assert w.billing.of("A") == ["A1", "A2"]

    play(database_url, story)


def test_a_crash_before_the_commit_repeats_the_batch_under_the_same_keys(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.moves("A1", "B1", "A2")
        with failing("feed.before_commit"), pytest.raises(Injected):
            await w.lanes().run_once()
        w.clock.passes(minutes=2)  # type: ignore[attr-defined] - The dead worker's lease ends.
        await w.lanes("worker-2").run_once()
        keys: dict[str, set[str]] = {}
        for move, key in w.billing.calls:
            keys.setdefault(move, set()).add(key)
        assert len(w.billing.calls) == 6
        assert keys == {"A1": {"accounts/1/1"}, "B1": {"accounts/1/2"}, "A2": {"accounts/1/3"}}
        assert sorted(w.billing.taken) == ["A1", "A2", "B1"]

    play(database_url, story)


def test_a_worker_that_lost_its_lane_meanwhile_does_not_move_the_cursor(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.moves("A1", "A2")
        clock = cast(StoppedClock, w.clock)
        other = w.lanes("worker-2")

        async def hang(move: str) -> None:
            w.billing.on_send = None
            w.billing.inside["A"] -= 1  # Only the hanging worker is inside; it sleeps while the other takes over.
            clock.passes(minutes=2)
            await other.run_once()
            w.billing.inside["A"] += 1

        w.billing.on_send = hang
        await w.lanes("worker-1").run_once()
        owner = await w.pool.fetchrow("SELECT owner, seq FROM consumer_cursor")
        assert (owner["owner"], owner["seq"]) == ("worker-2", 2)
        assert sorted(w.billing.taken) == ["A1", "A2"]
        assert await w.pool.fetchval("SELECT count(*) FROM feed_result") == 2

    play(database_url, story)


def test_two_workers_never_run_one_lane(database_url: str) -> None:
    """The billing system notices when an account is sent to twice at once; here two workers try all the time."""

    async def story(w: World) -> None:
        w.billing.seconds = 0.001
        workers = [w.lanes("worker-1"), w.lanes("worker-2")]
        for turn in range(5):
            await w.moves(*(f"{account}{turn * 10 + n}" for n in range(10) for account in "ABC"))
            await asyncio.gather(*(worker.run_once() for worker in workers for _ in range(1)))
            cast(StoppedClock, w.clock).passes(minutes=2 if turn % 2 else 0)
        for worker in workers:
            await worker.run_once()
        assert all(w.billing.of(a) == [f"{a}{n}" for n in range(50)] for a in "ABC")
        assert len(w.billing.calls) == 150

    play(database_url, story)


def test_a_batch_that_takes_longer_than_a_lease_keeps_its_lane(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "LEASE_SECONDS", 0.3)

    async def story(w: World) -> None:
        w.billing.seconds = 0.05
        await w.moves(*(f"A{n}" for n in range(20)))
        first = asyncio.create_task(w.lanes("worker-1").run_once())
        await asyncio.sleep(0.1)
        others = 0
        while not first.done():
            others += await w.lanes("worker-2").run_once()
            await asyncio.sleep(0.05)
        assert (first.result(), others) == (20, 0)
        assert w.billing.of("A") == [f"A{n}" for n in range(20)]
        await asyncio.sleep(0.35)
        await w.moves("A20")
        assert await w.lanes("worker-2").run_once() == 1, "a lane whose worker is gone is taken over"

    play(database_url, story, clock=lambda: datetime.now(UTC))


def test_a_defect_in_the_feed_stops_the_account_that_meets_it(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.moves("A1", "BROKEN1", "A2", "BROKEN2", "B1")
        await w.lanes().run_once()
        assert sorted(w.billing.taken) == ["A1", "A2", "B1"]
        assert await w.parked() == {"BROKEN1": "dead", "BROKEN2": "behind"}
        waiting = await w.pool.fetchrow("SELECT queue, cause FROM work_item")
        assert waiting["queue"] == "integration"
        assert "KeyError" in waiting["cause"]

    play(database_url, story)


def test_a_defect_in_the_connector_stops_the_account_that_meets_it(database_url: str) -> None:
    async def story(w: World) -> None:
        async def trip(move: str) -> None:
            if move == "A1":
                raise ZeroDivisionError

        w.billing.on_send = trip
        await w.moves("A1", "A2", "B1")
        await w.lanes().run_once()
        assert w.billing.taken == ["B1"]
        assert await w.parked() == {"A1": "dead", "A2": "behind"}
        w.billing.on_send = None
        await decide(w, "release")
        await w.lanes().run_once()
        assert w.billing.taken == ["B1", "A1", "A2"]

    play(database_url, story)


def test_a_day_of_silence_is_no_reason_to_lose_a_lane(database_url: str) -> None:
    async def story(w: World) -> None:
        lanes = w.lanes()
        await w.moves("A1")
        await lanes.run_once()
        cast(StoppedClock, w.clock).at += timedelta(days=1)
        await w.moves("A2")
        assert await lanes.run_once() == 1
        assert w.billing.of("A") == ["A1", "A2"]

    play(database_url, story)
