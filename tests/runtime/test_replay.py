"""Replay: read again or acted upon again, with an effect only where the first time had none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.sealing_parts import protection_for, raw_messages

from hilum.authoring import Contract, Hl7, System
from hilum.authoring.estate import Estate, SystemSpec
from hilum.authoring.failures import InvalidData
from hilum.authoring.flow import Flow, Mapping
from hilum.runtime import fault_points
from hilum.runtime.dispatch import Dispatcher
from hilum.runtime.intake import Intake
from hilum.runtime.reception import Reader
from hilum.runtime.replay import EmptySelection, Replayer, Selection, cancel, request
from hilum.runtime.replay_jobs import JobDetail, read_job
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock
from hilum.testing.faults import Injected


class Used(Contract, version=1, identities=["usage"], owner="supply-chain"):
    """One implant was used."""

    usage: str
    quantity: int


class Mishap:
    """What the mapping cannot do yet; correcting it is emptying the set."""

    unreadable: set[str] = set()


def implants_charged(message: Hl7) -> Used:
    usage = message["FT1-2"]
    if usage in Mishap.unreadable:
        raise InvalidData("FT1-10 is missing")
    return Used(usage=usage, quantity=int(message["FT1-10"]))


def nothing(used: Used) -> None:
    """A flow that is only opened in these tests."""


ehr = System("ehr")


def estate(*flows: str) -> Estate:
    return Estate(
        Path("estate"), "replayed", systems={"ehr": SystemSpec(name="ehr")}, contracts={"Used": Used},
        mappings=[Mapping(implants_charged, ehr, "DFT^P03", "implants_charged", (Used,))],
        flows={name: Flow(nothing, Used, name, "usage", "normal", "o", "r", "usage") for name in flows},
    )  # fmt: skip


def charge(usage: str) -> bytes:
    return f"MSH|^~\\&|EHR|STM|HILUM||20260302||DFT^P03|C-{usage}|P|2.5.1\rFT1|1|{usage}||||||||1\r".encode()


@dataclass
class World:
    pool: asyncpg.Pool
    intake: Intake
    own_intake: Intake
    clock: StoppedClock
    estate: Estate
    protection: Protection
    addresses: dict[str, str] = field(default_factory=dict)

    async def arrives(self, *usages: str) -> list[str]:
        """Charges arrive, one after the other; what became of each."""
        reader, statuses = Reader(self.estate), []
        for usage in usages:
            reception, _ = reader.hl7("ehr", "mllp", "peer", charge(usage))
            receipt = await self.intake.submit(reception, lambda r: r)
            self.addresses[usage] = receipt.subject
            statuses.append(receipt.status)
            self.clock.passes(seconds=1)
        return statuses

    def replayer(self, *flows: str) -> Replayer:
        known = estate(*flows) if flows else self.estate
        protection = Protection(self.protection.sealer, known)
        return Replayer(self.pool, known, protection, self.own_intake, clock=self.clock)

    async def ask(self, dry_run: bool = False, rate: float = 1000.0, **selection: Any) -> int:
        async with self.pool.acquire() as connection:
            return await request(
                connection, Selection(**selection), dry_run=dry_run, rate_per_second=rate, actor="person:ann",
                reason="the mapping was corrected", now=self.clock(),
            )  # fmt: skip

    async def job(self, number: int) -> JobDetail:
        async with self.pool.acquire() as connection:
            found = await read_job(connection, number)
        assert found is not None
        return found

    async def everything(self) -> dict[str, int]:
        """How many rows each table holds but those of replay itself and of the audit log."""
        tables = ("message", "event", "fact", "business_key", "flow_case", "work_item", "delivery")
        return {t: await self.pool.fetchval(f"SELECT count(*) FROM {t}") for t in tables}


@asynccontextmanager
async def replaying(url: str, *flows: str) -> AsyncIterator[World]:
    Mishap.unreadable = set()
    clock = StoppedClock()
    pool = await open_pool(url, min_size=1, max_size=8, application_name="test")
    async with pool.acquire() as connection:
        await ensure_partitions(connection, clock().date())
    protection = await protection_for(pool, estate(*flows), clock)
    intakes = [Intake(pool, protection, name=name, clock=clock) for name in ("intake-1", "replay:worker-1")]
    for intake in intakes:
        await intake.start()
    try:
        yield World(pool, intakes[0], intakes[1], clock, estate(*flows), protection)
    finally:
        for intake in intakes:
            await intake.stop()
        await pool.close()


def play(url: str, story: Callable[[World], Awaitable[None]], *flows: str) -> None:
    async def whole() -> None:
        async with replaying(url, *flows) as w:
            await story(w)

    asyncio.run(asyncio.wait_for(whole(), 60))


@contextmanager
def failing_at(name: str, *, nth: int) -> Iterator[None]:
    """Raise ``Injected`` the n-th time the point is passed."""
    passed = 0

    def act() -> None:
        nonlocal passed
        passed += 1
        if passed == nth:
            raise Injected(name)

    fault_points.arm(name, act)
    try:
        yield
    finally:
        fault_points.disarm()


def changes(detail: JobDetail) -> list[str]:
    return sorted(result.change for result in detail.results)


def test_a_dry_run_says_what_would_change_and_changes_nothing(database_url: str) -> None:
    async def story(w: World) -> None:
        Mishap.unreadable = {"U-2"}
        assert await w.arrives("U-1", "U-2") == ["accepted", "refused"]
        Mishap.unreadable = set()
        before = await w.everything()
        number = await w.ask(dry_run=True, system="ehr")
        assert await w.replayer().run_once() == 2
        assert await w.everything() == before
        detail = await w.job(number)
        assert (detail.job.state, detail.job.summary) == ("done", "1 new_event, 1 none")
        assert [(r.original, r.copy, r.detail) for r in detail.results] == [
            (w.addresses["U-2"], None, "would make Used"),
            (w.addresses["U-1"], None, "every fact is known"),
        ]

    play(database_url, story)


def test_a_refused_message_has_its_effect_once_the_mapping_is_corrected(database_url: str) -> None:
    async def story(w: World) -> None:
        Mishap.unreadable = {"U-1"}
        await w.arrives("U-1")
        Mishap.unreadable = set()
        for expected in ("new_event", "none"):
            number = await w.ask(subject=w.addresses["U-1"])
            await w.replayer().run_once()
            assert changes(await w.job(number)) == [expected]
        assert await w.pool.fetchval("SELECT count(*) FROM event") == 1

    play(database_url, story)


def test_the_copy_names_its_original_and_carries_the_same_bytes(database_url: str) -> None:
    async def story(w: World) -> None:
        Mishap.unreadable = {"U-1"}
        await w.arrives("U-1")
        Mishap.unreadable = set()
        number = await w.ask(subject=w.addresses["U-1"])
        await w.replayer().run_once()
        [result] = (await w.job(number)).results
        copy = await w.pool.fetchrow(
            "SELECT 'm/' || shard || '/' || seq AS address, copy_of FROM message WHERE transport = 'replay'"
        )
        assert copy["copy_of"] == result.original
        assert await raw_messages(w.pool, w.protection.sealer, "transport = 'replay'") == [charge("U-1")]
        assert result.copy == copy["address"]

    play(database_url, story)


def test_what_is_still_refused_says_so_and_is_not_stored_again(database_url: str) -> None:
    async def story(w: World) -> None:
        Mishap.unreadable = {"U-1"}
        await w.arrives("U-1")
        number = await w.ask(status="refused")
        await w.replayer().run_once()
        [result] = (await w.job(number)).results
        assert (result.change, result.detail) == ("refused", "207: FT1-10 is missing")
        assert await w.pool.fetchval("SELECT count(*) FROM message") == 1

    play(database_url, story)


def test_an_event_opens_the_cases_of_flows_that_came_later(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.arrives("U-1")
        await Dispatcher(w.pool, w.estate, w.protection, clock=w.clock).run_once()
        for flows, expected in (
            (("first",), ["none"]),
            (("first", "second"), ["new_case"]),
            (("first", "second"), ["none"]),
        ):
            number = await w.ask(subject="e/1/1")
            await w.replayer(*flows).run_once()
            assert changes(await w.job(number)) == expected
        rows = await w.pool.fetch("SELECT id FROM flow_case ORDER BY id")
        assert [r["id"] for r in rows] == ["first/U-1", "second/U-1"]

    play(database_url, story, "first")


def test_an_event_in_a_dry_run_opens_nothing(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.arrives("U-1")
        number = await w.ask(subject="e/1/1", dry_run=True)
        await w.replayer("late").run_once()
        [result] = (await w.job(number)).results
        assert (result.change, result.detail) == ("new_case", "would open late/U-1")
        assert await w.pool.fetchval("SELECT count(*) FROM flow_case") == 0

    play(database_url, story)


def test_a_selection_takes_what_it_names(database_url: str) -> None:
    async def story(w: World) -> None:
        Mishap.unreadable = {"U-2", "U-4"}
        begin = w.clock()
        await w.arrives("U-1", "U-2", "U-3", "U-4")
        chosen = {
            "status": await w.ask(dry_run=True, status="refused"),
            "since": await w.ask(dry_run=True, since=begin + timedelta(seconds=2)),
            "until": await w.ask(dry_run=True, until=begin + timedelta(seconds=2)),
            "type": await w.ask(dry_run=True, type="ADT^A04"),
        }
        replayer = w.replayer()
        while await replayer.run_once():
            pass
        originals = {name: sorted(r.original for r in (await w.job(number)).results) for name, number in chosen.items()}
        a = w.addresses
        assert originals == {
            "status": [a["U-2"], a["U-4"]],
            "since": [a["U-3"], a["U-4"]],
            "until": [a["U-1"], a["U-2"]],
            "type": [],
        }

    play(database_url, story)


def test_a_selection_ends_when_it_was_asked_for(database_url: str) -> None:
    """A resumed job goes on by position, so what arrives meanwhile must not move what it has not reached."""

    async def story(w: World) -> None:
        await w.arrives("U-1", "U-2")
        number = await w.ask(system="ehr")
        w.clock.passes(seconds=1)
        await w.arrives("U-3")
        await w.replayer().run_once()
        assert (await w.job(number)).job.total == 2

    play(database_url, story)


def test_a_job_whose_worker_died_goes_on_where_it_was(database_url: str) -> None:
    async def story(w: World) -> None:
        usages = [f"U-{n}" for n in range(6)]
        Mishap.unreadable = set(usages)
        await w.arrives(*usages)
        Mishap.unreadable = set()
        number = await w.ask(status="refused")
        with failing_at("replay.taken", nth=3), pytest.raises(Injected):
            await w.replayer().run_once()
        assert (await w.job(number)).job.done == 2
        assert await w.replayer().run_once() == 0, "its lease has not ended"
        w.clock.passes(minutes=2)
        assert await w.replayer().run_once() == 4
        detail = await w.job(number)
        assert (detail.job.state, detail.job.done, detail.job.summary) == ("done", 6, "6 new_event")
        assert await w.pool.fetchval("SELECT count(*) FROM message WHERE transport = 'replay'") == 6, (
            "each was taken in once"
        )
        assert sorted(str(r.copy) for r in detail.results) == sorted(
            r["a"]
            for r in await w.pool.fetch(
                "SELECT 'm/' || shard || '/' || seq AS a FROM message WHERE transport = 'replay'"
            )
        )

    play(database_url, story)


def test_a_job_is_no_faster_than_it_was_asked_to_be(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.arrives(*(f"U-{n}" for n in range(5)))
        await w.ask(system="ehr", rate=20.0)
        begun = time.monotonic()
        await w.replayer().run_once()
        assert time.monotonic() - begun >= 4 / 20

    play(database_url, story)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_at_which_nothing_would_happen_is_refused(database_url: str, rate: float) -> None:
    async def story(w: World) -> None:
        with pytest.raises(ValueError, match="rate"):
            await w.ask(system="ehr", rate=rate)

    play(database_url, story)


def test_a_cancelled_job_does_nothing_more_and_what_it_did_stays(database_url: str) -> None:
    async def story(w: World) -> None:
        usages = [f"U-{n}" for n in range(6)]
        Mishap.unreadable = set(usages)
        await w.arrives(*usages)
        Mishap.unreadable = set()
        number = await w.ask(status="refused", rate=5.0)
        running = asyncio.create_task(w.replayer().run_once())
        while (await w.job(number)).job.done < 2:  # noqa: ASYNC110 - The job's own word is waited for.
            await asyncio.sleep(0.01)
        async with w.pool.acquire() as connection:
            assert await cancel(connection, number, actor="person:ann", now=w.clock())
            assert not await cancel(connection, number, actor="person:ann", now=w.clock())
        assert await running == 2
        assert await w.pool.fetchval("SELECT count(*) FROM event") == 2
        detail = await w.job(number)
        assert (detail.job.state, detail.job.done) == ("cancelled", 2)
        w.clock.passes(hours=1)
        assert await w.replayer().run_once() == 0

    play(database_url, story)


def test_a_slow_job_is_not_taken_for_a_dead_one(database_url: str) -> None:
    """At one message in two minutes a job is quiet for longer than the lease of one that sends every second."""

    async def story(w: World) -> None:
        Mishap.unreadable = {"U-1", "U-2"}
        await w.arrives("U-1", "U-2")
        Mishap.unreadable = set()
        number = await w.ask(status="refused", rate=1 / 120)
        slow = asyncio.create_task(w.replayer().run_once())
        while (await w.job(number)).job.done < 1:  # noqa: ASYNC110 - The job's own word is waited for.
            await asyncio.sleep(0.01)
        w.clock.passes(seconds=100)
        assert await w.replayer().run_once() == 0
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)

    play(database_url, story)


def test_two_workers_run_a_job_once(database_url: str) -> None:
    async def story(w: World) -> None:
        usages = [f"U-{n}" for n in range(10)]
        Mishap.unreadable = set(usages)
        await w.arrives(*usages)
        Mishap.unreadable = set()
        number = await w.ask(status="refused")
        handled = await asyncio.gather(*(w.replayer().run_once() for _ in range(4)))
        assert sorted(handled) == [0, 0, 0, 10]
        assert (await w.job(number)).job.summary == "10 new_event"

    play(database_url, story)


def test_nothing_is_not_everything(database_url: str) -> None:
    async def story(w: World) -> None:
        with pytest.raises(EmptySelection):
            await w.ask()

    play(database_url, story)


@pytest.mark.parametrize(
    "subject", ["m/1/x", "m/1", "c/implant_usage/U-1", "nonsense", "e/1/999", "m/9/9", "e/1/99999999999999999999"]
)
def test_an_address_that_names_nothing_ends_the_job_with_a_sentence(database_url: str, subject: str) -> None:
    async def story(w: World) -> None:
        number = await w.ask(subject=subject)
        await w.replayer().run_once()
        detail = await w.job(number)
        assert (detail.job.state, changes(detail)) == ("done", ["refused"])

    play(database_url, story)


def test_an_event_that_its_flow_cannot_read_ends_with_a_sentence(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.arrives("U-1")
        await w.pool.execute("UPDATE event SET payload = '{}'")
        number = await w.ask(subject="e/1/1")
        await w.replayer("late").run_once()
        detail = await w.job(number)
        assert (detail.job.state, changes(detail)) == ("done", ["refused"])

    play(database_url, story)
