"""An office that works cases on the real journal: two flows, a diary of what their steps did, and people's moods.

Also a process of its own, to be killed: ``python -m tests.runtime.case_parts URL DIARY EXECUTOR VERSION`` works until
it dies; ``HILUM_FAULT`` says where.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import asyncpg
from tests.sealing_parts import protection_for

from hilum.authoring import AtRisk, Contract, Rejected, flow, step
from hilum.authoring.estate import Estate
from hilum.masterdata.book import CrosswalkBook
from hilum.runtime import fault_points
from hilum.runtime.breakers import Breakers
from hilum.runtime.cases import CaseRunner, Surroundings
from hilum.runtime.claims import Claims
from hilum.runtime.connections import Connections
from hilum.runtime.deliveries import Deliveries
from hilum.runtime.dispatch import Dispatcher
from hilum.runtime.intake import Intake
from hilum.runtime.journal import Journal
from hilum.runtime.reception import PreparedEvent, Reception
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool


class Asked(Contract, version=1, identities=["number"], owner="office"):
    """Somebody asked for something for a patient; what is asked for one patient is done in order."""

    number: str
    patient: str
    worth_usd: Annotated[Decimal, AtRisk] | None = None


class AskedUrgently(Asked, version=1, identities=["number"], owner="office"):
    """The same, and everything else can wait."""


class Declined(Rejected, queue="desk", due_hours=8):
    """Ask the patient again, then release."""


@dataclass
class Desk:
    """Where the steps do their work: a diary in a file, because processes die."""

    diary: Path = Path(os.devnull)
    declines: set[str] = field(default_factory=set)
    breaks: set[str] = field(default_factory=set)

    def note(self, step_name: str, number: str) -> None:
        with self.diary.open("a") as out:
            out.write(f"{step_name} {number}\n")

    def lines(self, step_name: str = "act") -> list[str]:
        """The numbers for which a step was done, in order."""
        if not self.diary.is_file():
            return []
        pairs = [line.split(" ") for line in self.diary.read_text().splitlines()]
        return [number for name, number in pairs if name == step_name]


desk = Desk()


@step
def look(asked: Asked) -> str:
    desk.note("look", asked.number)
    return asked.number


@step
def act(asked: Asked) -> str:
    desk.note("act", asked.number)
    if asked.number in desk.declines:
        raise Declined(f"desk of {asked.patient}")
    if asked.number in desk.breaks:
        raise ZeroDivisionError
    return asked.number


@step
def close(asked: Asked) -> str:
    desk.note("close", asked.number)
    return asked.number


@flow(on=Asked, key="number", ordering="patient", criticality="normal", owner="office", recovery="Release it.")
def routine(asked: Asked) -> None:
    look(asked)
    act(asked)
    close(asked)


@flow(
    on=AskedUrgently, key="number", ordering="patient", criticality="critical", owner="office", recovery="Release it."
)
def urgent(asked: AskedUrgently) -> None:
    act(asked)


def office_estate(version: str = "1") -> Estate:
    return Estate(
        Path("estate"), "office", flows_version=version, flows={"routine": routine, "urgent": urgent},
        contracts={"Asked": Asked, "AskedUrgently": AskedUrgently}, queues={"desk": "office", "integration": "it"},
    )  # fmt: skip


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Office:
    """One worker's parts, driven by the test."""

    pool: asyncpg.Pool
    intake: Intake
    dispatcher: Dispatcher
    claims: Claims
    journal: Journal
    ended: list[str]
    runner: CaseRunner

    async def asks(
        self, *numbers: str, patient: str | None = None, urgent: bool = False, worth_usd: str | None = None
    ) -> None:
        """Store what is asked; without a ``patient`` each number has a patient of its own."""
        receptions = []
        for number in numbers:
            kind = AskedUrgently if urgent else Asked
            asked = kind(
                number=number, patient=patient or f"P-{number}", worth_usd=Decimal(worth_usd) if worth_usd else None
            )
            raw = number.encode()
            reception = Reception("ehr", "mllp", "peer", raw, sha256(raw).digest(), "ORM^O01", f"C-{number}")
            reception.events = [
                PreparedEvent(
                    kind.type_name(), 1, asked.patient, "", "asked@1", asked.model_dump_json().encode(),
                    [sha256(raw).digest()[:16]], None, [(number, "number")],
                )
            ]  # fmt: skip
            receptions.append(reception)
        await asyncio.gather(*(self.intake.submit(r, lambda receipt: receipt) for r in receptions))

    async def works(self, *, seconds: float = 20.0) -> dict[str, str]:
        """Work until nothing can move; the state of each case."""
        async with asyncio.timeout(seconds):
            while True:
                # In this order: what ended before the claim below has let go whatever waited for it.
                running = await self.pool.fetchval(
                    """SELECT (SELECT count(*) FROM flow_case WHERE state = 'running')
                            + (SELECT count(*) FROM dbos.workflow_status WHERE status IN ('PENDING', 'ENQUEUED', 'DELAYED'))"""
                )
                moved = await self.dispatcher.run_once() + await self.claims.run_once()
                if not moved and not running:
                    return await self.states()
                await asyncio.sleep(0.01)

    async def states(self) -> dict[str, str]:
        rows = await self.pool.fetch("SELECT id, state FROM flow_case ORDER BY position")
        return {r["id"].partition("/")[2]: r["state"] for r in rows}


@asynccontextmanager
async def office(
    url: str,
    diary: Path,
    *,
    executor: str = "worker-1",
    version: str = "1",
    slots: int = 4,
    clock: Callable[[], datetime] = now,
) -> AsyncIterator[Office]:
    desk.diary = diary
    desk.declines.clear()
    desk.breaks.clear()
    pool = await open_pool(url, min_size=2, max_size=10, application_name="office")
    async with pool.acquire() as connection:
        await ensure_partitions(connection, clock().date())
    estate, connections, ended = office_estate(version), Connections({}), list[str]()
    breakers = Breakers(pool, clock=clock, rng=random.Random(7))
    protection = await protection_for(pool, estate, clock)
    deliveries = Deliveries(
        pool, connections, breakers, protection, executor=executor, clock=clock, rng=random.Random(7)
    )
    book = CrosswalkBook(pool, clock, ZoneInfo("UTC"))
    await book.refresh()
    loop = asyncio.get_running_loop()
    journal = Journal(url, executor, version, slots)
    claims = Claims(pool, journal, slots=slots, clock=clock, lane=loop)
    around = Surroundings(pool, loop, estate, protection, deliveries, book, clock, executor, ended.append)
    intake = Intake(pool, protection, name=f"intake of {executor}", clock=clock)
    await intake.start()
    await claims.reset([executor])
    runner = CaseRunner(around, claims.rested)
    await asyncio.to_thread(journal.open, runner.run)
    try:
        yield Office(pool, intake, Dispatcher(pool, estate, protection, clock=clock), claims, journal, ended, runner)
    finally:
        await asyncio.to_thread(journal.close)
        await intake.stop()
        await pool.close()


async def _work_until_killed(url: str, diary: str, executor: str, version: str) -> None:
    async with office(url, Path(diary), executor=executor, version=version) as here:
        while True:
            await here.dispatcher.run_once()
            await here.claims.run_once()
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    fault_points.obey(os.environ)
    asyncio.run(_work_until_killed(*sys.argv[1:]))
