"""Files that are expected by a time: received, late or missing, with one alert for each day and none that nobody needs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import ValidationError
from tests.sealing_parts import protection_for

from hilum.authoring.estate import Estate, SystemSpec
from hilum.authoring.estate_transfer import Expect, weekdays
from hilum.runtime import stored_messages, work_items
from hilum.runtime.expected_files import ExpectedFiles, expected_days, open_days, received_files
from hilum.runtime.intake import Intake
from hilum.runtime.reception import PreparedEvent, Problem, Reception
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock

HHP = Expect(
    name="hhp01", title="The 835 of Harbor Health Plan", message="835", where={"payer": "HHP01"}, by="07:30",
    grace_minutes=15, queue="cash-posting",
)  # fmt: skip
MONDAY = date(2026, 3, 2)


def chicago(day: int, hour: int, minute: int = 0) -> datetime:
    """A time of March 2026 in Chicago, which is UTC-6 until the 8th."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC) + timedelta(hours=6)


@dataclass
class Watch:
    """A platform that watches for files, and what its clock says."""

    pool: asyncpg.Pool
    intake: Intake
    protection: Protection
    clock: StoppedClock
    expect: Expect
    number: int = 0

    @property
    def estate(self) -> Estate:
        estate = Estate(
            Path("estate"), "lakeshore", time_zone="America/Chicago", queues={"cash-posting": "revenue-cycle"}
        )
        estate.systems["clearinghouse"] = SystemSpec(name="clearinghouse", expect=(self.expect,))
        return estate

    async def looks(self, at: datetime | None = None) -> None:
        """A new process looks, as long as it finds something."""
        if at is not None:
            self.clock.at = at
        files = ExpectedFiles(self.pool, self.estate, self.protection, clock=self.clock)
        while await files.run_once():
            pass

    async def comes(self, at: datetime, payer: str = "HHP01", *, fact: str = "", problem: str = "") -> None:
        """A remittance of a payer is taken in."""
        self.clock.at = at
        self.number += 1
        raw = f"835 {self.number}".encode()
        reception = Reception("clearinghouse", "folder", f"file:x#{self.number}", raw, sha256(raw).digest(), type="835")
        known = fact or f"{payer}/{self.number}"
        if problem:
            reception.problem = Problem("207", problem)
        else:
            payload = f'{{"payer":"{payer}"}}'.encode()
            reception.events = [
                PreparedEvent(
                    "RemittanceAdvised", 1, known, "", "r@1", payload, [sha256(known.encode()).digest()[:16]], None, []
                )
            ]
        await self.intake.submit(reception, lambda receipt: receipt)

    async def days(self) -> dict[int, str]:
        """Day of the month to state."""
        async with self.pool.acquire() as connection:
            found = await expected_days(connection, first=date(2026, 2, 1), last=date(2026, 3, 31))
        return {each.day.day: each.state for each in sorted(found, key=lambda each: each.day)}

    async def items(self) -> list[tuple[str, str]]:
        rows = await self.pool.fetch("SELECT cause, state FROM work_item ORDER BY id")
        return [(row["cause"].rpartition("-")[2], row["state"]) for row in rows]


def watch(url: str, story: Callable[[Watch], Coroutine[Any, Any, None]], expect: Expect = HHP) -> None:
    async def run() -> None:
        clock = StoppedClock(chicago(1, 12))  # Sunday.
        pool = await open_pool(url, min_size=1, max_size=4, application_name="test")
        for days in range(0, 32, 3):
            async with pool.acquire() as connection:
                await ensure_partitions(connection, date(2026, 2, 27) + timedelta(days=days))
        protection = await protection_for(pool, None, clock)
        taker = Intake(pool, protection, name="intake-1", clock=clock)
        await taker.start()
        try:
            await story(Watch(pool, taker, protection, clock, expect))
        finally:
            await taker.stop()
            await pool.close()

    asyncio.run(run())


def test_a_file_in_time_is_received_and_nobody_is_alarmed(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks()
        assert await platform.days() == {2: "expected"}
        await platform.comes(chicago(2, 6, 50))
        await platform.looks(chicago(2, 9))
        assert (await platform.days())[2] == "received" and await platform.items() == []

    watch(database_url, story)


def test_a_missing_file_is_one_item_and_closes_by_itself_when_it_comes(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks()
        await platform.looks(chicago(2, 7, 45))
        assert await platform.items() == [], "its grace has not passed"
        await platform.looks(chicago(2, 7, 46))
        await asyncio.gather(platform.looks(), platform.looks())
        assert await platform.items() == [("02", "open")]
        [item] = await platform.pool.fetch("SELECT queue, owner, title, at_risk_usd, due_at FROM work_item")
        assert (item["queue"], item["owner"]) == ("cash-posting", "revenue-cycle")
        assert item["title"] == "The 835 of Harbor Health Plan was expected by 07:30 on 2026-03-02 and did not come"
        assert item["due_at"] == chicago(2, 11, 46)
        async with platform.pool.acquire() as connection:
            waiting = [(each.day.day, each.state) for each in await open_days(connection, platform.clock())]
            assert waiting == [(2, "missing"), (3, "expected")]
        await platform.comes(chicago(2, 10))
        await platform.looks(chicago(2, 10, 1))
        async with platform.pool.acquire() as connection:
            [came] = await received_files(connection, first=MONDAY, last=MONDAY, zone="America/Chicago")
            assert (came.system, came.transport, came.files, came.accepted) == ("clearinghouse", "folder", 1, 1)
        assert (await platform.days())[2] == "late" and await platform.items() == [("02", "resolved")]

    watch(database_url, story)


def test_only_what_was_asked_for_counts(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks()
        await platform.comes(chicago(2, 6, 0), fact="HHP01/EFT-7")
        await platform.looks()
        assert (await platform.days())[2] == "received"
        await platform.comes(chicago(3, 6, 0), "OTHER")
        await platform.comes(chicago(3, 6, 1), problem="it does not say")
        await platform.comes(chicago(3, 6, 2), fact="HHP01/EFT-7")  # Monday's again.
        await platform.looks(chicago(3, 8))
        assert (await platform.days())[3] == "missing"

    watch(database_url, story)


def test_of_several_missing_days_the_oldest_is_answered_first(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks()
        await platform.looks(chicago(3, 12))
        await platform.comes(chicago(4, 6))
        await platform.comes(chicago(4, 6, 5))
        await platform.looks()
        days = await platform.days()
        assert (days[2], days[3], days[4]) == ("late", "missing", "received")

    watch(database_url, story)


def test_nobody_is_alarmed_before_everything_that_came_was_seen(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_messages, "BATCH_MESSAGES", 1)

    async def story(platform: Watch) -> None:
        await platform.looks()
        await platform.comes(chicago(2, 6, 0), "OTHER")
        await platform.comes(chicago(2, 6, 1))
        await platform.looks(chicago(2, 9))
        assert (await platform.days())[2] == "received" and await platform.items() == []

    watch(database_url, story)


def test_a_repetition_is_no_new_file_also_where_only_its_type_is_asked_for(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks()
        await platform.comes(chicago(2, 6), fact="HHP01/EFT-7")
        await platform.comes(chicago(3, 6), fact="HHP01/EFT-7")
        await platform.looks(chicago(3, 8))
        days = await platform.days()
        assert (days[2], days[3]) == ("received", "missing")

    watch(database_url, story, HHP.model_copy(update={"where": {}}))


def test_weekends_and_holidays_have_no_file(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks()
        for day in range(2, 11):
            await platform.looks(chicago(day, 12))
        days = await platform.days()
        assert [day for day, state in days.items() if state == "missing"] == [2, 3, 5, 6, 9, 10]

    watch(database_url, story, HHP.model_copy(update={"holidays": (date(2026, 3, 4),)}))


def test_a_platform_that_was_down_alarms_for_each_day_once_when_it_is_back(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks()
        await platform.looks(chicago(4, 12))
        assert await platform.items() == [("02", "open"), ("03", "open"), ("04", "open")]
        await platform.looks(chicago(4, 13))
        assert len(await platform.items()) == 3

    watch(database_url, story)


def test_what_was_due_before_anybody_expected_it_is_nobodys_debt(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks(chicago(3, 12))
        await platform.looks(chicago(4, 12))
        assert await platform.items() == [("04", "open")]

    watch(database_url, story)


def test_a_file_that_came_before_the_time_was_declared_counts_for_its_day(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.comes(chicago(2, 5))
        await platform.looks(chicago(2, 6))
        assert (await platform.days())[2] == "received"

    watch(database_url, story)


def test_an_evening_file_is_the_next_days_and_a_second_one_answers_the_oldest_that_is_missing(
    database_url: str,
) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks()
        await platform.looks(chicago(2, 12))
        await platform.comes(chicago(2, 20))  # For Tuesday.
        await platform.looks()
        assert await platform.days() == {2: "missing", 3: "received"}
        await platform.comes(chicago(3, 6))  # Tuesday has its own: this is Monday's.
        await platform.looks(chicago(3, 8))
        assert {day: state for day, state in (await platform.days()).items() if day < 4} == {2: "late", 3: "received"}
        assert await platform.items() == [("02", "resolved")]
        await platform.comes(chicago(3, 6, 30))
        await platform.looks(chicago(3, 9))
        assert await platform.items() == [("02", "resolved")], "one more than expected alarms nobody"

    watch(database_url, story)


def test_an_item_that_a_person_closed_stays_closed_when_the_file_comes_after_all(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks()
        await platform.looks(chicago(2, 12))
        async with platform.pool.acquire() as connection, connection.transaction():
            item = await connection.fetchval("SELECT id FROM work_item")
            await work_items.skip(
                connection, item, now=platform.clock(), actor="person:rita", reason="bank holiday there"
            )
        await platform.looks(chicago(2, 13))
        assert await platform.items() == [("02", "skipped")]
        async with platform.pool.acquire() as connection:
            waiting = [each.state for each in await open_days(connection, platform.clock())]
            assert waiting == ["expected"], "Monday is nobody's work any more, Tuesday is still to come"
        await platform.comes(chicago(2, 14))
        await platform.looks()
        assert await platform.items() == [("02", "skipped")] and (await platform.days())[2] == "late"

    watch(database_url, story)


def test_the_days_do_not_depend_on_when_the_platform_looked(database_url: str) -> None:
    """The same files and the same hours, looked at more or less often: the same days are answered."""
    rng = random.Random(5)
    arrivals = sorted(chicago(2, 0) + timedelta(minutes=rng.randrange(5 * 24 * 60)) for _ in range(6))

    async def story(platform: Watch) -> None:
        await platform.looks()
        found: list[dict[int, str]] = []
        for every in (1, 6):
            await platform.pool.execute("TRUNCATE expected_file, message_cursor")
            await platform.pool.execute("UPDATE expected_since SET since = $1", chicago(1, 12))
            hour = chicago(1, 13)
            due = list(arrivals) if not found else []
            while hour < chicago(7, 12):
                while due and due[0] <= hour:
                    await platform.comes(due.pop(0))
                if not found:
                    await platform.looks(hour)
                hour += timedelta(hours=every)
            if found:
                await platform.pool.execute(
                    "INSERT INTO message_cursor (reader, shard, seq) VALUES ('expected-files', 1, 0)"
                )
                await platform.looks(hour)
            rows = await platform.pool.fetch(
                "SELECT day, message, received_at FROM expected_file WHERE day < '2026-03-07'"
            )
            found.append({row["day"].day: str(row["received_at"]) for row in rows})
        assert found[0] == found[1] and any(said != "None" for said in found[0].values())

    watch(database_url, story)


def test_daylight_saving_moves_the_hour_and_not_the_time_of_day(database_url: str) -> None:
    async def story(platform: Watch) -> None:
        await platform.looks(chicago(6, 12))
        await platform.looks(chicago(9, 6, 40))  # 07:40 there: the clock went forward on the 8th.
        assert (await platform.days())[9] == "expected"
        await platform.looks(chicago(9, 6, 46))
        assert (await platform.days())[9] == "missing"

    watch(database_url, story)


@pytest.mark.parametrize(
    ("text", "days"), [("mon-fri", {0, 1, 2, 3, 4}), ("mon,wed", {0, 2}), ("sat-sun,tue", {1, 5, 6})]
)
def test_days_are_written_as_people_write_them(text: str, days: set[int]) -> None:
    assert weekdays(text) == days


@pytest.mark.parametrize("text", ["", "fri-mon", "monday", "mon-", "1-5"])
def test_days_that_nobody_could_read_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Expect(name="x", title="X", message="835", by="07:30", days=text, queue="q")
