"""Allowances: whatever the number of processes, and whichever of them die, nobody gets more than was agreed."""

from __future__ import annotations

import asyncio
import bisect
import json
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hilum.runtime.allowances import KEPT_KEYS, Allowances, Lease, Leases, Taken, rate_headers
from hilum.runtime.rate import SharedPace
from hilum.store.pool import open_pool

PROCESS = Path(__file__).with_name("hammering_process.py")
AP_BOT = "api:erp:service:ap-bot"
Span = Sequence[float]


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


@asynccontextmanager
async def allowances(url: str, **settings: Any) -> Any:
    pool = await open_pool(url, min_size=1, max_size=4, application_name="test")
    try:
        yield Allowances(pool, **{"time_zone": "America/Chicago", "monotonic": time.monotonic, **settings})
    finally:
        await pool.close()


def hammered(url: str, *told: tuple[str, str, Sequence[float]]) -> list[list[Span]]:
    """Let one real process for each line of ``told`` hammer at the same time; when each was allowed."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROCESS), work, url, key, *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for work, key, numbers in told
    ]
    try:
        for process in processes:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def worst_excess(spans: Sequence[Span], rate_per_second: float, burst: int) -> float:
    """By how many requests the fullest window of all holds more than ``burst + rate * seconds``; never above 0 when kept.

    A request counts for a window when it surely lies within: it was asked for after its begin and answered before its end.
    """
    worst = -float("inf")
    answers: list[float] = []
    # For every begin (latest first), the requests that were asked for since then, by their answers.
    for asked, answered in sorted(spans, key=lambda span: -span[0]):
        bisect.insort(answers, answered)
        within = [rank - burst - rate_per_second * (end - asked) for rank, end in enumerate(answers, start=1)]
        worst = max(worst, *within)
    return worst


@pytest.mark.parametrize(
    ("per_minute", "burst", "pauses"),
    [
        pytest.param(3000, 40, (0.0, 0.0, 0.0), id="three at full speed"),
        pytest.param(3000, 40, (0.0, 0.03, 0.11), id="one fast, two that let leases go bad"),
        pytest.param(600, 5, (0.0, 0.0, 0.01), id="a burst too small to lease from"),
        pytest.param(6000, 64, (0.02, 0.02, 0.02), id="all just below their share"),
    ],
)
def test_several_processes_never_get_more_than_the_limit_in_any_window(
    database_url: str, per_minute: float, burst: int, pauses: Sequence[float]
) -> None:
    seconds = 2.0
    each = hammered(database_url, *(("take", AP_BOT, (per_minute, burst, 0, seconds, pause)) for pause in pauses))
    spans = [span for allowed in each for span in allowed]
    rate = per_minute / 60
    assert worst_excess(spans, rate, burst) <= 0
    # And it is a limit, not a wall: they got most of what was theirs, where they asked for it.
    wanted = sum(seconds / pause if pause else float("inf") for pause in pauses)
    assert len(spans) >= min(0.75 * (rate * seconds + burst / 2), 0.6 * wanted)


def test_the_measure_sees_one_request_too_many() -> None:
    at_once = [(0.0, 0.0)] * 10
    assert worst_excess(at_once, 5.0, 10) == 0
    assert worst_excess([*at_once, (0.1, 0.1)], 5.0, 10) == 0.5
    assert worst_excess([*at_once, (0.2, 0.2)], 5.0, 10) == 0


def test_turns_of_several_processes_come_no_faster_than_one_system_allows(database_url: str) -> None:
    rate, burst, seconds = 80.0, 8, 2.0
    each = hammered(database_url, *(("turns", "system:erp", (rate, burst, seconds, callers)) for callers in (6, 2, 1)))
    spans = [span for begun in each for span in begun]
    assert worst_excess(spans, rate, burst) <= 0
    assert len(spans) >= 0.75 * rate * seconds
    assert all(each), "a process with one caller is not starved by one with six"


@pytest.mark.parametrize("waits_seconds", [pytest.param(0.6, id="nearly bad"), pytest.param(2.0, id="long bad")])
def test_tokens_that_are_used_late_do_not_add_to_what_others_take_then(database_url: str, waits_seconds: float) -> None:
    async def story() -> None:
        async with allowances(database_url) as slow, allowances(database_url) as quick:
            rate, burst = 10.0, 64
            slow._purse(AP_BOT).want = 8  # As if it had been busy a moment ago.
            assert (await slow.take(AP_BOT, rate * 60, burst)).allowed
            assert slow._purses[AP_BOT].lease.granted == 8
            await asyncio.sleep(waits_seconds)
            spans = []
            while True:
                asked = time.monotonic()
                one = await quick.leases.lease(AP_BOT, period_us=100_000, burst=burst, want=1, life_us=0)
                if not one.granted:
                    break
                spans.append((asked, time.monotonic()))
            for _ in range(20):
                asked = time.monotonic()
                if (await slow.take(AP_BOT, rate * 60, burst)).allowed:
                    spans.append((asked, time.monotonic()))
            assert worst_excess(spans, rate, burst) <= 0
            assert len(spans) >= burst - 10

    run(story)


def test_a_turn_that_a_process_was_too_slow_for_is_not_taken() -> None:
    times = iter([0.0, 0.0, 5.0, 5.0, 5.0, 5.0, 5.0])
    booked = []

    class Slow(Leases):
        async def lease(self, key: str, **settings: Any) -> Lease:
            at = 0.0 if not booked else 5.0
            booked.append(at)
            return Lease(1, at + 0.05, at, 0.01, 0.0, "", 9, 0.0, date(2026, 3, 2), 1e9, 0)

    async def story() -> None:
        leases = Slow(None, time_zone="UTC", monotonic=lambda: next(times))
        assert await SharedPace(leases, "system:erp", 100).turn() == 5.0
        assert booked == [0.0, 5.0]

    run(story)


def test_a_process_that_is_killed_takes_no_more_with_it_than_it_had_leased(database_url: str) -> None:
    died = subprocess.run(
        [sys.executable, str(PROCESS), "die", database_url, AP_BOT, "60", "64"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    last = json.loads(died.stdout)

    async def story() -> None:
        async with allowances(database_url) as others:
            left = 0
            while (await others.take(AP_BOT, 60, 64)).allowed:
                left += 1
            # One token comes back each second; nobody waited that long, or hardly so.
            assert 64 - last["used"] - last["in_hand"] - 8 <= left <= 64 - last["used"] - last["in_hand"] + 5

    run(story)


def test_most_requests_cost_no_round_trip(database_url: str) -> None:
    async def story() -> None:
        async with allowances(database_url) as here:
            asked = 0
            lease = here.leases.lease

            async def counted(*args: Any, **settings: Any) -> Any:
                nonlocal asked
                asked += 1
                return await lease(*args, **settings)

            here.leases.lease = counted
            taken = [await here.take(AP_BOT, 6000, 200) for _ in range(150)]
            assert all(t.allowed for t in taken)
            assert asked <= 15
            refusals = 0
            for _ in range(500):
                refusals += not (await here.take(AP_BOT, 6000, 200)).allowed
            assert refusals and asked < 150, "who is refused is refused from memory until there is something again"

    run(story)


def test_many_at_once_ask_the_database_together(database_url: str) -> None:
    async def story() -> None:
        async with allowances(database_url) as here:
            taken = await asyncio.gather(*(here.take(AP_BOT, 60, 80) for _ in range(200)))
            assert sum(t.allowed for t in taken) in range(70, 82)

    run(story)


def test_logins_are_counted_one_by_one_and_wait_as_long_as_they_are_told(database_url: str) -> None:
    async def story() -> None:
        async with allowances(database_url) as one, allowances(database_url) as other:
            tries = [await door.take("login:ana", 5, 5) for door in (one, other, one, other, one)]
            assert [t.allowed for t in tries] == [True] * 5
            refused = await other.take("login:ana", 5, 5)
            assert (refused.allowed, refused.refused) == (False, "rate")
            assert 11 < refused.retry_after_seconds <= 12
            assert (await one.take("login:ben", 5, 5)).allowed

    run(story)


def test_a_days_quota_is_shared_to_the_last_request(database_url: str) -> None:
    async def story() -> None:
        async with allowances(database_url) as one, allowances(database_url) as other:
            allowed = 0
            for number in range(300):
                allowed += (await (one, other)[number % 2].take(AP_BOT, 600_000, 1000, 137)).allowed
            assert allowed == 137
            last = await one.take(AP_BOT, 600_000, 1000, 137)
            assert (last.refused, last.quota_remaining) == ("quota", 0)
            assert 0 < last.retry_after_seconds <= 25 * 3600

    run(story)


def test_a_quota_is_not_used_up_by_leases_that_went_bad(database_url: str) -> None:
    now = [1000.0]

    async def story() -> None:
        async with allowances(database_url, monotonic=lambda: now[0]) as here:
            allowed = 0
            for _ in range(400):
                allowed += (await here.take(AP_BOT, 6_000_000, 1000, 60)).allowed
                now[0] += 30.0  # Whatever was leased is bad by the next request.
            assert allowed == 60

    run(story)


def test_a_new_day_begins_at_the_estates_midnight(database_url: str) -> None:
    async def story() -> None:
        async with allowances(database_url) as here, open_connection(database_url) as connection:
            assert (await here.take(AP_BOT, 6000, 5, 1)).allowed
            assert not (await here.take(AP_BOT, 6000, 5, 1)).allowed
            day = await connection.fetchval("SELECT day FROM allowance")
            assert day == await connection.fetchval("SELECT (now() AT TIME ZONE 'America/Chicago')::date")
            await connection.execute("UPDATE allowance SET day = day - 1")
        async with allowances(database_url) as tomorrow:
            assert (await tomorrow.take(AP_BOT, 6000, 5, 1)).allowed

    run(story)


def test_a_process_whose_clock_runs_wild_gets_no_more(database_url: str) -> None:
    """Its monotonic clock jumps: leases seem over at once, or refusals seem long gone. The database counts."""
    wild = [0.0]

    def jumping() -> float:
        wild[0] += 3600.0
        return wild[0]

    async def story() -> None:
        async with allowances(database_url, monotonic=jumping) as here, allowances(database_url) as sane:
            begun = time.monotonic()
            allowed = 0
            for _ in range(200):
                allowed += (await here.take(AP_BOT, 60, 24)).allowed
                allowed += (await sane.take(AP_BOT, 60, 24)).allowed
            assert allowed <= 24 + (time.monotonic() - begun) * 1.0

    run(story)


def test_without_its_database_a_limit_stays_a_limit(database_url: str) -> None:
    async def story() -> None:
        async with allowances(database_url) as here:
            assert (await here.take(AP_BOT, 6000, 200)).allowed
            for _ in range(40):
                await here.take(AP_BOT, 6000, 200)
            in_hand = here._purses[AP_BOT].lease.granted - here._purses[AP_BOT].spent
            await here.leases._pool.close()
            after = [await here.take(AP_BOT, 6000, 200) for _ in range(in_hand + 3)]
            assert [t.allowed for t in after] == [True] * in_hand + [False] * 3
            assert after[-1].refused == "store"
            assert after[-1].retry_after_seconds >= 1

    run(story)


def test_an_attacker_with_many_addresses_fills_neither_memory_nor_the_table_for_long(database_url: str) -> None:
    async def story() -> None:
        async with allowances(database_url) as here, open_connection(database_url) as connection:
            for number in range(50):
                await here.take(f"peer:10.0.0.{number}", 60, 5)
            here._purses.update({f"peer:{n}": here._purse("peer:10.0.0.1") for n in range(KEPT_KEYS)})
            await here.take("peer:10.9.9.9", 60, 5)
            assert len(here._purses) <= KEPT_KEYS + 51
            assert await here.forget_idle() == 0, "what was used today is remembered"
            await connection.execute("UPDATE allowance SET spent_until_us = 0, day = day - 2")
            assert await here.forget_idle() == 51

    run(story)


def test_headers_tell_a_client_what_it_may_do_next() -> None:
    allowed = Taken(True, 60, 59, 0.1, 0.0, 6.0, "", 10_000, 9_999, 3600.4)
    assert rate_headers(allowed) == {
        "RateLimit-Policy": '"rate";q=60;w=6, "day";q=10000;w=86400',
        "RateLimit": '"rate";r=59;t=1, "day";r=9999;t=3601',
    }
    refused = rate_headers(Taken(False, 5, 0, 59.2, 11.3, 60.0, "rate"))
    assert refused["Retry-After"] == "12"
    assert refused["RateLimit"] == '"rate";r=0;t=60'


@asynccontextmanager
async def open_connection(url: str) -> Any:
    connection = await asyncpg.connect(url, server_settings={"search_path": "hilum, public"})
    try:
        yield connection
    finally:
        await connection.close()
