"""From events to cases to runs: whose turn it is, who runs what, and what becomes of work that lost its worker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.runtime.case_parts import Office, desk, now, office

from hilum.runtime import work_items
from hilum.runtime.claims import Claims
from hilum.runtime.dispatch import days_in_use
from hilum.runtime.journal import Journal
from hilum.testing.faults import Injected, environment, failing

Story = Callable[[Office], Coroutine[Any, Any, None]]


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    return tmp_path / "diary"


def play(url: str, diary: Path, story: Story, **settings: Any) -> None:
    async def whole() -> None:
        async with office(url, diary, **settings) as o:
            await story(o)
            assert o.ended == []

    asyncio.run(asyncio.wait_for(whole(), 60))


async def decide(o: Office, *, skip: bool = False) -> None:
    number = await o.pool.fetchval("SELECT id FROM work_item WHERE state = 'open'")
    async with o.pool.acquire() as connection, connection.transaction():
        if skip:
            await work_items.skip(connection, number, now=now(), actor="person:ann", reason="withdrawn")
        else:
            await work_items.release(connection, number, now=now(), actor="person:ann")


def test_an_event_opens_one_case_however_often_it_is_read(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        await o.asks("N-1", "N-2")
        with failing("dispatch.before_commit"), pytest.raises(Injected):
            await o.dispatcher.run_once()
        assert await o.states() == {}
        assert await o.dispatcher.run_once() == 2
        await o.pool.execute("UPDATE consumer_cursor SET seq = 0")
        assert await o.dispatcher.run_once() == 2
        assert await o.works() == {"N-1": "done", "N-2": "done"}
        assert sorted(desk.lines()) == ["N-1", "N-2"]

    play(database_url, diary, story)


def test_two_dispatchers_open_each_case_once(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        await o.asks(*(f"N-{n}" for n in range(40)))
        read = await asyncio.gather(*(o.dispatcher.run_once() for _ in range(6)))
        assert sum(read) == 40
        assert await o.pool.fetchval("SELECT count(*) FROM audit_entry WHERE subject LIKE 'c/%'") == 40

    play(database_url, diary, story)


def test_an_event_that_cannot_become_a_case_is_a_persons_and_stops_no_other(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        await o.asks("N-1", "N-2", "N-3")
        await o.pool.execute("""UPDATE event SET payload = '{"number": "N-2"}' WHERE seq = 2""")
        assert await o.works() == {"N-1": "done", "N-3": "done"}
        item = await o.pool.fetchrow("SELECT queue, title FROM work_item")
        assert item["queue"] == "integration"
        assert await o.pool.fetchval("SELECT subject FROM work_item_case") == "e/1/2"

    play(database_url, diary, story)


def test_a_second_case_of_a_patient_waits_for_the_first(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        desk.declines.add("N-1")
        await o.asks("N-1", "N-2", patient="MORGAN")
        await o.asks("N-3", patient="RILEY")
        assert await o.works() == {"N-1": "waiting", "N-2": "ready", "N-3": "done"}
        desk.declines.clear()
        await decide(o)
        assert await o.works() == {"N-1": "done", "N-2": "done", "N-3": "done"}
        assert sorted(desk.lines("act")[:2]) == ["N-1", "N-3"]
        assert desk.lines("act")[2:] == ["N-1", "N-2"]
        assert desk.lines("look").count("N-1") == 1, "what was done before the refusal is not done again"

    play(database_url, diary, story)


def test_a_case_that_a_person_skips_lets_the_next_of_its_patient_go(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        desk.declines.add("N-1")
        await o.asks("N-1", "N-2", patient="MORGAN")
        await o.works()
        await decide(o, skip=True)
        assert await o.works() == {"N-1": "skipped", "N-2": "done"}
        assert desk.lines("close") == ["N-2"]

    play(database_url, diary, story)


def test_a_defect_stops_its_patient_and_nobody_else(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        desk.breaks.add("N-1")
        await o.asks("N-1", "N-2", patient="MORGAN")
        await o.asks(*(f"M-{n}" for n in range(20)), patient="RILEY")
        states = await o.works()
        assert (states.pop("N-1"), states.pop("N-2"), set(states.values())) == ("stopped", "ready", {"done"})
        assert desk.lines("close") == [f"M-{n}" for n in range(20)], "one patient's cases run in order"
        item = await o.pool.fetchrow("SELECT queue, title, owner FROM work_item")
        assert tuple(item) == ("integration", "Defect in routine, step act: ZeroDivisionError", "it")
        desk.breaks.clear()
        await decide(o)
        assert set((await o.works()).values()) == {"done"}

    play(database_url, diary, story)


def test_an_event_that_this_release_cannot_read_stops_its_case_and_nobody_else(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        await o.asks("N-1", "N-2")
        await o.dispatcher.run_once()
        await o.pool.execute("UPDATE event SET payload = '{}' WHERE seq = 1")
        assert await o.works() == {"N-1": "stopped", "N-2": "done"}
        assert await o.pool.fetchval("SELECT title FROM work_item") == "Defect in routine, step (flow): ValidationError"

    play(database_url, diary, story)


def test_a_day_is_in_use_while_a_case_of_it_waits_or_nobody_has_read_its_events(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        async def in_use() -> int:
            async with o.pool.acquire() as connection:
                return len(await days_in_use(connection))

        desk.declines.add("N-1")
        await o.asks("N-1")
        await o.dispatcher.run_once()
        assert await in_use() == 1
        await o.works()
        assert await in_use() == 1, "it waits for a person, who may take longer than the retention"
        desk.declines.clear()
        await decide(o)
        await o.works()
        assert await in_use() == 0
        await o.asks("N-2")
        assert await in_use() == 1

    play(database_url, diary, story)


def test_after_reading_what_is_there_the_next_event_is_still_read(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        for number in ("N-1", "N-2", "N-3"):
            await o.asks(number)
            assert await o.dispatcher.run_once() == 1
        assert await o.works() == {"N-1": "done", "N-2": "done", "N-3": "done"}

    play(database_url, diary, story)


def test_what_is_critical_is_taken_up_first_then_what_is_oldest(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        await o.asks("N-1", "N-2", "N-3")
        await o.asks("X-1", "X-2", urgent=True)
        await o.works()
        assert desk.lines() == ["X-1", "X-2", "N-1", "N-2", "N-3"]

    play(database_url, diary, story, slots=1)


class Paper(Journal):
    """A journal that only notes what it is told to run: claiming can be looked at without running."""

    def start(self, case_id: str) -> None:
        taken.append((self.executor, case_id))


taken: list[tuple[str, str]] = []


def test_two_workers_never_claim_one_case(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        taken.clear()
        await o.asks(*(f"N-{n}" for n in range(60)))
        await o.dispatcher.run_once()
        loop = asyncio.get_running_loop()
        workers = [Claims(o.pool, Paper("", f"worker-{n}", "1", 4), slots=30, clock=now, lane=loop) for n in range(4)]
        claimed = await asyncio.gather(*(w.run_once() for w in workers))
        assert sum(claimed) == 60
        assert len({case for _, case in taken}) == len(taken) == 60
        assert max(claimed) <= 30

    play(database_url, diary, story)


def test_a_case_that_the_journal_would_not_start_is_claimed_again_and_its_neighbours_run(
    database_url: str, diary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(o: Office) -> None:
        await o.asks("N-1", "N-2", "N-3")
        await o.dispatcher.run_once()
        start, refused = o.journal.start, []

        def once_refused(case_id: str) -> None:
            if not refused:
                refused.append(case_id)
                raise RuntimeError("the journal is busy")
            start(case_id)

        monkeypatch.setattr(o.journal, "start", once_refused)
        assert await o.works() == {"N-1": "done", "N-2": "done", "N-3": "done"}
        assert refused == ["routine/N-1"]

    play(database_url, diary, story)


def test_no_worker_claims_more_than_it_has_room_for(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        taken.clear()
        await o.asks(*(f"N-{n}" for n in range(9)))
        await o.dispatcher.run_once()
        claims = Claims(o.pool, Paper("", "worker-9", "1", 4), slots=4, clock=now, lane=asyncio.get_running_loop())
        assert [await claims.run_once(), await claims.run_once()] == [4, 0]
        assert [case for _, case in taken] == [f"routine/N-{n}" for n in range(4)]

    play(database_url, diary, story)


def killed_at(url: str, diary: Path, point: str, *, executor: str = "worker-1", version: str = "1") -> None:
    """Work in a process of its own until it is killed at a point."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.case_parts", url, str(diary), executor, version],
        env={**os.environ, **environment(point)}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


async def asked_before(url: str, diary: Path, *numbers: str) -> None:
    async with office(url, diary, executor="reception") as o:
        await o.asks(*numbers)


@pytest.mark.parametrize(
    ("point", "successor"),
    [
        ("case.claimed", "worker-1"),
        ("case.claimed", "worker-2"),
        ("step.before:act", "worker-2"),
        ("step.after:act", "worker-1"),
    ],
)
def test_a_case_whose_worker_was_killed_goes_on_after_its_last_finished_step(
    database_url: str, diary: Path, point: str, successor: str
) -> None:
    asyncio.run(asked_before(database_url, diary, "N-1"))
    killed_at(database_url, diary, point)

    async def story(o: Office) -> None:
        if successor != "worker-1":
            await o.claims.reclaim(["worker-1"])
        assert await o.works() == {"N-1": "done"}
        assert [desk.lines(name) for name in ("look", "act", "close")] == [["N-1"]] * 3

    play(database_url, diary, story, executor=successor)


@pytest.mark.parametrize("successor", ["worker-1", "worker-2"])
def test_cases_in_flight_under_an_older_version_of_the_flows_begin_again_under_the_new(
    database_url: str, diary: Path, successor: str
) -> None:
    """Their journal speaks of steps that the new flow may not have; their deliveries are known by their keys."""
    asyncio.run(asked_before(database_url, diary, "N-1"))
    killed_at(database_url, diary, "step.after:act", version="1")

    async def story(o: Office) -> None:
        if successor != "worker-1":
            await o.claims.reclaim(["worker-1"])
        assert await o.works() == {"N-1": "done"}
        assert [desk.lines(name) for name in ("look", "act", "close")] == [["N-1"] * 2, ["N-1"] * 2, ["N-1"]]

    play(database_url, diary, story, executor=successor, version="2")


def test_a_case_that_waited_while_the_flows_were_changed_begins_again_when_it_is_released(
    database_url: str, diary: Path
) -> None:
    async def before(o: Office) -> None:
        desk.declines.add("N-1")
        await o.asks("N-1")
        assert await o.works() == {"N-1": "waiting"}

    async def after(o: Office) -> None:
        await decide(o)
        assert await o.works() == {"N-1": "done"}
        assert desk.lines("look") == ["N-1", "N-1"]

    play(database_url, diary, before, version="1")
    play(database_url, diary, after, version="2")


def test_a_case_taken_up_in_a_worker_s_last_moment_is_left_to_the_next_and_is_no_defect(
    database_url: str, diary: Path
) -> None:
    async def left(o: Office) -> None:
        await o.asks("N-1")
        await o.dispatcher.run_once()
        o.runner.close()
        await o.claims.run_once()
        assert await o.pool.fetchval("SELECT count(*) FROM dbos.workflow_status") == 1
        await asyncio.to_thread(o.journal.close)  # As a worker that stops: what was begun has come to rest before.
        assert (await o.states(), o.runner.running) == ({"N-1": "running"}, set())

    async def goes_on(o: Office) -> None:
        assert await o.works() == {"N-1": "done"}
        assert desk.lines() == ["N-1"]
        assert await o.pool.fetchval("SELECT count(*) FROM work_item") == 0

    play(database_url, diary, left)
    play(database_url, diary, goes_on)


def test_the_version_of_the_flows_is_written_with_every_executor(database_url: str, diary: Path) -> None:
    async def story(o: Office) -> None:
        await o.asks("N-1")
        await o.works()
        connection: asyncpg.Connection
        async with o.pool.acquire() as connection:
            row = await connection.fetchrow("SELECT application_version, executor_id FROM dbos.workflow_status")
        assert tuple(row) == ("2026-03", "worker-7")

    play(database_url, diary, story, executor="worker-7", version="2026-03")
