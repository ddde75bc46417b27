"""Admission: under more load than can be borne the critical keep their answers and their speed, and the low wait outside."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from statistics import median
from typing import Any

import pytest

from hilum.gateway.admission import LEAST, MOST, PATIENCE_SECONDS, Admission, TooManyAtOnce, Turn
from hilum.gateway.ports import Overloaded

LEVELS = ("critical", "high", "normal", "low")


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def admission(**settings: Any) -> Admission:
    return Admission(**{"monotonic": time.monotonic, "rng": random.Random(7), **settings})


class System:
    """A system that does ``width`` things at once; what comes on top waits, so its answers get slower the more are asked."""

    def __init__(self, width: int, seconds: float) -> None:
        self._room = asyncio.Semaphore(width)
        self._seconds = seconds

    async def answer(self) -> None:
        async with self._room:
            await asyncio.sleep(self._seconds)


async def under_load(door: Admission, system: System, *, each_seconds: float, number: int) -> dict[str, Any]:
    """Requests of all four levels, evenly mixed and evenly spaced: how many were answered, and how fast."""
    answered: Counter[str] = Counter()
    took: dict[str, list[float]] = {level: [] for level in LEVELS}

    async def request(level: str) -> None:
        begun = time.monotonic()
        try:
            with await door.admit("erp", "erp.list_orders", f"erp:service:{level}", 10_000, level) as turn:
                await system.answer()
                turn.answered()
        except Overloaded as refused:
            assert refused.retry_after_seconds > 0
        else:
            answered[level] += 1
            took[level].append(time.monotonic() - begun)

    tasks = []
    begun = time.monotonic()
    for n in range(number):
        tasks.append(asyncio.ensure_future(request(LEVELS[n % 4])))
        await asyncio.sleep(max(begun + (n + 1) * each_seconds - time.monotonic(), 0))
    await asyncio.gather(*tasks)
    each = number / 4
    return {"share": {level: answered[level] / each for level in LEVELS}, "took": took}


def test_under_three_times_the_load_critical_requests_are_answered_and_low_ones_shed() -> None:
    async def story() -> None:
        system = System(width=8, seconds=0.04)  # Two hundred a second.
        quiet = await under_load(admission(), system, each_seconds=0.01, number=100)
        assert min(quiet["share"].values()) >= 0.95, "below its capacity nobody is sent away"

        busy = await under_load(admission(first=12), system, each_seconds=1 / 600, number=900)
        share = busy["share"]
        assert share["critical"] >= 0.95
        assert share["low"] <= 0.4 * share["critical"]
        assert share["critical"] >= share["high"] >= share["normal"] >= share["low"]
        # Twice the latency of quiet times and a little of the queue, where a system without a door would drown.
        assert median(busy["took"]["critical"]) <= 4 * median(quiet["took"]["critical"])

        drowned = await under_load(Wide(), system, each_seconds=1 / 600, number=900)
        assert median(drowned["took"]["critical"]) > 3 * median(busy["took"]["critical"])

    run(story)


class Wide(Admission):
    """A door that lets everybody in."""

    def __init__(self) -> None:
        super().__init__(monotonic=time.monotonic, rng=random.Random(7))

    def _takes(self, limit: Any, criticality: str) -> bool:
        limit.enter()
        self._all.enter()
        return True


def test_a_limit_finds_what_a_system_can_do_and_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated time: a system for four at once, offered eight, then one for sixty-four."""

    async def story() -> None:
        now = [0.0]
        door = Admission(monotonic=lambda: now[0], rng=random.Random(7), first=16)

        async def round_of(width: int, offered: int) -> None:
            turns = []
            for _ in range(offered):
                try:
                    async with asyncio.timeout(0.0005):
                        turns.append(await door.admit("erp", "erp.list_orders", "erp:service:ap-bot", 999, "critical"))
                except (TimeoutError, Overloaded):
                    break
            # They wait for each other where there are more of them than the system does at once.
            now[0] += 0.05 * max(len(turns) / width, 1)
            for turn in turns:
                with turn:
                    turn.answered()

        for _ in range(4):
            await round_of(4, 2)  # How long it takes in quiet.
        for _ in range(120):
            await round_of(1, 24)
        low = door.standing()["limit.erp"]
        assert low < 16, "answers got slower, so fewer are asked for at once"
        for _ in range(300):
            await round_of(64, 40)
        assert door.standing()["limit.erp"] > low, "it got room again"
        assert LEAST <= low <= MOST

    run(story)


def test_the_low_are_sent_away_while_there_is_room_for_the_critical() -> None:
    async def story() -> None:
        door = admission(first=8)
        turns = []
        for _ in range(4):
            turns.append(await door.admit("erp", "erp.list_orders", "erp:service:dashboards", 99, "low"))
        with pytest.raises(Overloaded):
            await door.admit("erp", "erp.list_orders", "erp:service:dashboards", 99, "low")
        for level, more in (("normal", 2), ("high", 2)):
            for _ in range(more):
                turns.append(await door.admit("erp", "erp.list_orders", "erp:service:ap-bot", 99, level))
        with pytest.raises(Overloaded):
            await door.admit("erp", "erp.list_orders", "erp:service:ap-bot", 99, "normal")
        for turn in turns:
            turn.__exit__(None, None, None)
        assert door.standing()["in_flight"] == 0
        assert not door._of_consumer

    run(story)


def test_one_slow_system_leaves_the_others_alone() -> None:
    async def story() -> None:
        door = admission(first=8)
        for _ in range(8):
            await door.admit("erp", "erp.list_orders", "erp:service:ap-bot", 99, "critical")
        with pytest.raises(Overloaded):
            await door.admit("erp", "erp.list_orders", "erp:service:ap-bot", 99, "low")
        with await door.admit("stock", "stock.list_positions", "stock:service:ap-bot", 99, "normal"):
            pass

    run(story)


def test_the_critical_go_before_those_who_waited_longer() -> None:
    async def story() -> None:
        door = admission(first=4)
        turns = [await door.admit("erp", "erp.read", "erp:service:x", 99, "critical") for _ in range(4)]
        order: list[str] = []

        async def wants(level: str) -> None:
            with await door.admit("erp", "erp.read", f"erp:service:{level}", 99, level):
                order.append(level)

        waiting = [asyncio.ensure_future(wants(level)) for level in ("normal", "high", "critical")]
        await asyncio.sleep(0)
        for turn in turns:
            turn.__exit__(None, None, None)
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        assert order == ["critical", "high", "normal"]

    run(story)


def test_a_full_queue_has_no_place_for_the_less_critical_and_gives_theirs_to_the_more_critical() -> None:
    async def story() -> None:
        door = admission(first=4, places=2)
        held = [await door.admit("erp", "erp.read", "erp:service:x", 99, "critical") for _ in range(4)]
        low = [asyncio.ensure_future(door.admit("erp", "erp.read", "erp:service:l", 99, "low")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await door.admit("erp", "erp.read", "erp:service:l", 99, "low")
        with pytest.raises(Overloaded):
            door.knock("low")
        door.knock("critical")
        critical = asyncio.ensure_future(door.admit("erp", "erp.read", "erp:service:c", 99, "critical"))
        for _ in range(3):
            await asyncio.sleep(0)
        assert [task.done() for task in low] == [False, True], "the last of the least critical gave its place"
        held.pop().__exit__(None, None, None)
        with await critical:
            pass
        for turn in held:
            turn.__exit__(None, None, None)
        ends = await asyncio.gather(*low, return_exceptions=True)
        assert isinstance(ends[1], Overloaded)
        assert isinstance(ends[0], Turn), "the one who kept its place was let in at last"
        ends[0].__exit__(None, None, None)
        assert door.standing()["waiting"] == 0

    run(story)


def test_who_goes_away_while_waiting_leaves_nothing_behind() -> None:
    async def story() -> None:
        door = admission(first=4)
        turns = [await door.admit("erp", "erp.read", "erp:service:x", 99, "critical") for _ in range(4)]
        gone = asyncio.ensure_future(door.admit("erp", "erp.read", "erp:service:gone", 99, "critical"))
        let_in = asyncio.ensure_future(door.admit("erp", "erp.read", "erp:service:late", 99, "critical"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        turns.pop().__exit__(None, None, None)  # The next one is let in ...
        let_in.cancel()  # ... and goes away in the same instant.
        await asyncio.gather(gone, let_in, return_exceptions=True)
        for turn in turns:
            turn.__exit__(None, None, None)
        assert door.standing()["in_flight"] == 0
        assert door.standing()["waiting"] == 0
        assert not door._of_consumer

    run(story)


def test_a_consumer_has_no_more_under_way_than_was_agreed() -> None:
    async def story() -> None:
        door = admission()
        first = await door.admit("erp", "erp.read", "erp:service:ap-bot", 2, "normal")
        second = await door.admit("erp", "erp.read", "erp:service:ap-bot", 2, "normal")
        with pytest.raises(TooManyAtOnce):
            await door.admit("erp", "erp.read", "erp:service:ap-bot", 2, "normal")
        with await door.admit("erp", "erp.read", "erp:person:ana", 2, "normal"):
            pass
        for turn in (first, second):
            turn.__exit__(None, None, None)
        with await door.admit("erp", "erp.read", "erp:service:ap-bot", 2, "normal"):
            pass

    run(story)


def test_refusals_are_quick_and_say_nothing_of_how_fast_a_system_is() -> None:
    async def story() -> None:
        now = [0.0]
        door = Admission(monotonic=lambda: now[0], rng=random.Random(7))
        for _ in range(200):
            with await door.admit("erp", "erp.read", "erp:service:ap-bot", 9, "normal"):
                now[0] += 0.0001  # Refused for a malformed query.
            with await door.admit("erp", "erp.read", "erp:service:ap-bot", 9, "normal") as turn:
                now[0] += 0.05
                turn.answered()
        assert door.standing()["limit.erp"] >= 24

    run(story)


def test_a_loop_that_is_late_lets_fewer_in() -> None:
    async def story() -> None:
        door = admission()
        before = door.standing()["limit"]
        watching = asyncio.ensure_future(door.watch())
        for _ in range(8):
            await asyncio.sleep(0)
            time.sleep(0.15)  # noqa: ASYNC251 - This is what hogging the loop means.
            await asyncio.sleep(0.06)
        watching.cancel()
        assert door.standing()["lag_seconds"] > 0.05
        assert door.standing()["limit"] < before

    run(story)


def test_nobody_waits_longer_than_its_patience() -> None:
    async def story() -> None:
        door = admission(first=4)
        held = [await door.admit("erp", "erp.read", "erp:service:x", 99, "critical") for _ in range(4)]
        begun = time.monotonic()
        with pytest.raises(Overloaded) as refused:
            await door.admit("erp", "erp.read", "erp:service:d", 99, "low")
        assert time.monotonic() - begun >= PATIENCE_SECONDS["low"] * 0.9
        assert 5 <= refused.value.retry_after_seconds <= 10
        assert door.standing()["waiting"] == 0
        for turn in held:
            turn.__exit__(None, None, None)

    run(story)
