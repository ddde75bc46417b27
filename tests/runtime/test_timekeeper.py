"""Time as a source of facts: once for each moment, late rather than never, whatever dies in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import orjson
import pytest
from tests.sealing_parts import protection_for
from tests.tower.lakeshore_day import lakeshore

from hilum.authoring import Contract, Moment, schedule
from hilum.authoring.schedules import Schedule
from hilum.runtime import timekeeper
from hilum.runtime.intake import Intake
from hilum.runtime.timekeeper import NoSuchSchedule, Timekeeper, moments, standings
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock

CHICAGO = ZoneInfo("America/Chicago")
MONDAY = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class ShelvesCounted(Contract, version=1, identities=[("facility", "day")], owner="supply-chain"):
    """The shelves of a facility are to be counted."""

    raised_by_platform = True

    facility: str
    day: date


@schedule(cron="30 2 * * *", owner="supply-chain")
def count_shelves(moment: Moment) -> list[ShelvesCounted]:
    return [ShelvesCounted(facility=code, day=moment.day) for code in moment.facilities]


@schedule(cron="30 2 * * *", owner="supply-chain", catch_up="latest")
def count_once(moment: Moment) -> list[ShelvesCounted]:
    return [ShelvesCounted(facility="ST-MARY", day=moment.day)]


@schedule(cron="0 3 * * *", owner="supply-chain")
def broken(moment: Moment) -> list[ShelvesCounted]:
    raise ZeroDivisionError


class Nights:
    def __init__(self, pool: asyncpg.Pool, *schedules: Schedule) -> None:
        self.pool = pool
        self.clock = StoppedClock(MONDAY)
        self.intakes: list[Intake] = []
        self.estate = replace(
            lakeshore(),
            schedules={each.name: each for each in schedules},
            contracts={**lakeshore().contracts, "ShelvesCounted": ShelvesCounted},
        )

    async def keeper(self, name: str = "clock:one") -> Timekeeper:
        protection = await protection_for(self.pool, self.estate, self.clock)
        intake = Intake(self.pool, protection, name=name, clock=self.clock, actor=timekeeper.CLOCK)
        await intake.start()
        self.intakes.append(intake)
        return Timekeeper(self.pool, self.estate, intake, clock=self.clock)

    async def facts(self) -> int:
        found: int = await self.pool.fetchval("SELECT count(*) FROM event WHERE type = 'ShelvesCounted'")
        return found


Story = Callable[[Nights], Awaitable[None]]


@pytest.fixture
def told(database_url: str) -> Callable[..., None]:
    def tell(story: Story, *schedules: Schedule) -> None:
        async def work() -> None:
            async with await open_pool(database_url, min_size=1, max_size=6) as pool:
                nights = Nights(pool, *schedules)
                try:
                    await story(nights)
                finally:
                    for intake in nights.intakes:
                        await intake.stop()

        asyncio.run(work())

    return tell


def test_a_night_states_its_facts_once_for_each_facility_and_what_was_before_is_nobodys_debt(told):
    async def story(nights: Nights) -> None:
        keeper = await nights.keeper()
        assert await keeper.run_once() == 0
        nights.clock.passes(hours=23)
        assert await keeper.run_once() == 1
        assert await keeper.run_once() == 0
        assert await nights.facts() == 3

    told(story, count_shelves)


def test_three_nights_away_are_made_up_for_and_where_only_the_latest_counts_it_alone(told):
    async def story(nights: Nights) -> None:
        keeper = await nights.keeper()
        await keeper.run_once()
        nights.clock.passes(hours=72)
        await keeper.run_once()
        rows = await nights.pool.fetch(
            "SELECT name, count(*), sum(facts) FROM schedule_moment GROUP BY name ORDER BY name"
        )
        # The fourth fact of both together is one that the other schedule had stated before.
        assert [tuple(row) for row in rows] == [("count_once", 1, 1), ("count_shelves", 3, 9)]
        assert await nights.facts() == 9

    told(story, count_shelves, count_once)


def test_a_moment_half_taken_when_the_process_died_is_taken_whole_by_the_next_and_nothing_twice(told):
    async def story(nights: Nights) -> None:
        keeper = await nights.keeper()
        await keeper.run_once()
        nights.clock.passes(hours=24)
        await keeper.run_once()
        # As if the process had died after its facts were stored and before the moment was closed.
        await nights.pool.execute("UPDATE schedule_moment SET taken_at = NULL, facts = NULL")
        successor = await nights.keeper("clock:two")
        assert await successor.run_once() == 1
        assert await nights.facts() == 3

    told(story, count_shelves)


def test_two_keepers_of_one_night_state_its_facts_once(told):
    async def story(nights: Nights) -> None:
        one, two = await nights.keeper("clock:one"), await nights.keeper("clock:two")
        await one.run_once()
        nights.clock.passes(hours=24)
        await asyncio.gather(one.run_once(), two.run_once())
        assert await nights.facts() == 3

    told(story, count_shelves)


def test_a_defect_of_one_schedule_holds_up_no_other_is_one_work_item_and_is_made_up_for_when_mended(told):
    async def story(nights: Nights) -> None:
        keeper = await nights.keeper()
        await keeper.run_once()
        nights.clock.passes(hours=48)
        await keeper.run_once()
        await keeper.run_once()
        assert await nights.facts() == 6
        item = await nights.pool.fetchrow("SELECT * FROM work_item")
        assert (item["title"], item["state"]) == ("The schedule broken fails", "open")
        mended = schedule(cron="0 3 * * *", owner="supply-chain")(count_shelves.function)
        nights.estate.schedules["broken"] = replace(mended, name="broken")
        assert await keeper.run_once() == 2
        assert await nights.pool.fetchval("SELECT state FROM work_item") == "resolved"
        assert await nights.facts() == 6

    told(story, count_shelves, broken)


def test_somebody_may_have_a_moment_done_and_the_audit_log_says_who(told):
    async def story(nights: Nights) -> None:
        keeper = await nights.keeper()
        night = datetime(2026, 2, 27, 2, 30, tzinfo=CHICAGO)
        asked: dict[str, Any] = {"actor": "person:ana", "now": nights.clock()}
        async with nights.pool.acquire() as connection:
            assert await timekeeper.ask(connection, nights.estate, "count_shelves", night, **asked)
            assert not await timekeeper.ask(connection, nights.estate, "count_shelves", night, **asked)
            with pytest.raises(NoSuchSchedule, match="count_shelves"):
                await timekeeper.ask(connection, nights.estate, "count_stars", night, **asked)
            assert await keeper.run_once() == 1
            (standing,) = await standings(connection, nights.estate, now=nights.clock())
        assert await nights.facts() == 3
        assert (standing.last, standing.facts, standing.waiting) == (night, 3, 0)
        assert standing.next == datetime(2026, 3, 3, 2, 30, tzinfo=CHICAGO)
        rows = await nights.pool.fetch("SELECT entry FROM audit_entry WHERE subject = 'schedule/count_shelves'")
        entries = [orjson.loads(row["entry"]) for row in rows]
        assert [(entry["action"], entry["actor"]) for entry in entries] == [("schedule.asked", "person:ana")]

    told(story, count_shelves)


def test_a_schedule_that_left_the_estate_owes_nothing(told):
    async def story(nights: Nights) -> None:
        keeper = await nights.keeper()
        await keeper.run_once()
        nights.clock.passes(hours=24)
        await nights.pool.execute(
            "INSERT INTO schedule_moment (name, at, asked_by) VALUES ('gone', $1, 'system:clock')", MONDAY
        )
        await keeper.run_once()
        assert await nights.pool.fetchval("SELECT facts FROM schedule_moment WHERE name = 'gone'") == 0

    told(story, count_shelves)


@pytest.mark.parametrize(
    "after, until, expected",
    [
        # 02:30 does not exist on the night the clock is put forward, and exists twice when it is put back.
        (datetime(2026, 3, 7, 12, tzinfo=CHICAGO), datetime(2026, 3, 8, 12, tzinfo=CHICAGO), 1),
        (datetime(2026, 10, 31, 12, tzinfo=CHICAGO), datetime(2026, 11, 1, 12, tzinfo=CHICAGO), 1),
        (datetime(2026, 3, 2, 2, 30, tzinfo=CHICAGO), datetime(2026, 3, 3, 2, 29, tzinfo=CHICAGO), 0),
        (datetime(2024, 1, 1, tzinfo=CHICAGO), datetime(2026, 1, 1, tzinfo=CHICAGO), timekeeper.MAX_MADE_UP),
    ],
    ids=["put forward", "put back", "not yet", "two years away"],
)
def test_every_night_is_due_once_also_when_the_clock_is_changed(after, until, expected):
    found = moments(count_shelves, after, until)
    assert len(found) == expected
    assert len({each.date() for each in found}) == expected
