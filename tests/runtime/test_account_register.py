"""The register on a real database: facts in bulk and once, accounts folded, merges followed, whatever the order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.sealing_parts import protection_for

from hilum.authoring import Contract
from hilum.authoring.estate import Estate
from hilum.authoring.registration import CoverageOutcome
from hilum.model import AccountNumber, FacilityCode, Mrn
from hilum.processes.patient_access.clerk import GIVE_UP_HOURS, RegisterClerk
from hilum.processes.patient_account import (
    AdmissionCancelled,
    CoverageReported,
    DischargeCancelled,
    PatientDischarged,
    PatientRegistered,
    PatientsMerged,
    PatientTransferred,
    PatientUpdated,
)
from hilum.runtime import account_register as register
from hilum.runtime.intake import Intake
from hilum.runtime.reception import Reception, prepare
from hilum.runtime.registration_desk import RegistrationDesk
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock

NINE = datetime(2026, 11, 21, 9, tzinfo=UTC)
CONTRACTS: tuple[type[Contract], ...] = (
    PatientRegistered, PatientTransferred, PatientDischarged, PatientUpdated, AdmissionCancelled, DischargeCancelled,
    PatientsMerged, CoverageReported,
)  # fmt: skip


@dataclass
class World:
    pool: asyncpg.Pool
    clock: StoppedClock
    intake: Intake
    protection: Protection
    clerk: RegisterClerk
    desk: RegistrationDesk

    async def told(self, *events: Contract) -> None:
        """Events arrive in this order."""
        for number, event in enumerate(events):
            raw = f"{number}/{event.model_dump_json()}".encode()
            reception = Reception("ehr", "mllp", "peer", raw, sha256(raw).digest(), type="ADT", control_id="C1")
            reception.events = [prepare(event, event.identities[0][0], "told@1")]
            await self.intake.submit(reception, lambda receipt: receipt)

    async def registered(self) -> None:
        while await self.clerk.run_once():
            pass

    async def status(self, number: str) -> str | None:
        """By the list, which must always be what the desk folds from the facts."""
        token = register.token(self.protection.sealer, account(number))
        listed: str | None = await self.pool.fetchval("SELECT status FROM patient_account WHERE account = $1", token)
        standing = await self.desk.standing(account(number))
        assert listed == (standing.status if standing is not None else None)
        return listed

    async def survivor(self, number: str) -> bool:
        """Whether the account stands for itself."""
        standing = await self.desk.standing(account(number))
        assert standing is not None
        return not standing.merged

    async def mrn_of(self, mrn: str) -> str:
        async with self.pool.acquire() as connection:
            return await register.survivor_of(connection, Mrn.kind, self.token(mrn))

    def token(self, mrn: str) -> str:
        return register.token(self.protection.sealer, Mrn(value=mrn, authority="ST-MARY"))

    async def items(self) -> list[tuple[str, str]]:
        rows = await self.pool.fetch("SELECT queue, cause FROM work_item WHERE state = 'open' ORDER BY id")
        return [(row["queue"], row["cause"]) for row in rows]


def account(number: str) -> AccountNumber:
    return AccountNumber(value=number, authority="ST-MARY")


def about(number: str, minute: int, message: str = "", mrn: str = "CASEY") -> dict[str, Any]:
    return {
        "message_id": message or f"M-{number}-{minute}", "account": account(number),
        "mrn": Mrn(value=mrn, authority="ST-MARY"), "facility": FacilityCode(value="ST-MARY"),
        "occurred_at": NINE + timedelta(minutes=minute),
    }  # fmt: skip


def merge(gone: str, kept: str, minute: int) -> PatientsMerged:
    return PatientsMerged(
        message_id=f"MRG-{minute}", line=1, facility=FacilityCode(value="ST-MARY"),
        occurred_at=NINE + timedelta(minutes=minute), mrn=Mrn(value=kept, authority="ST-MARY"),
        merged_mrn=Mrn(value=gone, authority="ST-MARY"),
    )  # fmt: skip


def reported(number: str, day: int = 21) -> CoverageReported:
    return CoverageReported(
        inquiry=f"{number}/HARBOR/W-1/{day}", account=account(number), mrn=Mrn(value="CASEY", authority="ST-MARY"),
        facility=FacilityCode(value="ST-MARY"), insurer="HARBOR", member_number="W-1", on=date(2026, 11, day),
        occurred_at=NINE,
    )  # fmt: skip


def outcome(number: str, attempt: int, status: str, day: int = 21) -> CoverageOutcome:
    return CoverageOutcome(
        inquiry=f"{number}/HARBOR/W-1/{day}", account=account(number), facility=FacilityCode(value="ST-MARY"),
        insurer="HARBOR", payer="HHP01", on=date(2026, 11, day), attempt=attempt, status=status,
    )  # fmt: skip


Story = Callable[[World], Coroutine[Any, Any, None]]


def play(url: str, story: Story) -> None:
    async def whole() -> None:
        async with registering(url) as w:
            await story(w)

    asyncio.run(asyncio.wait_for(whole(), 60))


@asynccontextmanager
async def registering(url: str) -> AsyncIterator[World]:
    pool = await open_pool(url, min_size=1, max_size=6, application_name="test")
    clock = StoppedClock()
    estate = Estate(
        Path("estate"), "test", contracts={c.type_name(): c for c in CONTRACTS},
        queues={"patient-access": "patient-access", "integration": "integration"},
    )  # fmt: skip
    async with pool.acquire() as connection:
        await ensure_partitions(connection, clock().date())
    protection = await protection_for(pool, estate, clock)
    intake = Intake(pool, protection, name="intake-1", clock=clock)
    await intake.start()
    clerk = RegisterClerk(pool, estate, protection, clock=clock)
    desk = RegistrationDesk(pool, estate, protection.sealer, clock=clock)
    try:
        yield World(pool, clock, intake, protection, clerk, desk)
    finally:
        await intake.stop()
        await pool.close()


LIFE: list[Contract] = [
    PatientRegistered(**about("A", 0), patient_class="E", pre_admission=True),
    PatientRegistered(**about("A", 1), patient_class="I", location="4W"),
    PatientTransferred(**about("A", 2), location="ICU"),
    PatientDischarged(**about("A", 3)),
    DischargeCancelled(**about("A", 4)),
    PatientUpdated(**about("A", 5)),
    PatientRegistered(**about("B", 0, mrn="JAMIE"), patient_class="O"),
    AdmissionCancelled(**about("B", 6, mrn="JAMIE")),
    merge("JAMIE", "CASEY", 7),
    merge("CASEY", "ALEX", 8),
    merge("ALEX", "JAMIE", 9),
]


@pytest.mark.parametrize("seed", range(4))
def test_the_register_is_the_same_in_any_order_of_arrival_and_however_often_it_is_told(
    database_url: str, seed: int
) -> None:
    arrived = [*LIFE, *LIFE[::3]]
    random.Random(seed).shuffle(arrived)

    async def story(w: World) -> None:
        for event in arrived:
            await w.told(event)
            await w.registered()
        assert await w.status("A") == "open"
        assert await w.status("B") == "cancelled"
        assert await w.pool.fetchval("SELECT count(*) FROM account_fact") == 8
        row = await w.pool.fetchrow("SELECT * FROM patient_account WHERE status = 'open'")
        assert (row["location"], row["patient_class"], row["facts"], row["waiting"]) == ("ICU", "I", 6, [])
        # Three merges in a circle: the latest cannot stand, whenever it came.
        assert await w.mrn_of("JAMIE") == await w.mrn_of("CASEY") == w.token("ALEX")
        [(queue, cause)] = [i for i in await w.items() if i[1].startswith("MergeRefused")][-1:]
        assert queue == "patient-access" and cause.startswith("MergeRefused:e/1/")

    play(database_url, story)


def test_thousands_of_registrations_are_facts_in_seconds_and_no_case_is_opened(database_url: str) -> None:
    async def story(w: World) -> None:
        events = [PatientRegistered(**about(f"N{n}", n % 60), patient_class="O") for n in range(2500)]
        receptions = []
        for event in events:
            raw = event.model_dump_json().encode()
            reception = Reception("ehr", "mllp", "peer", raw, sha256(raw).digest(), type="ADT", control_id="C1")
            reception.events = [prepare(event, "account", "told@1")]
            receptions.append(reception)
        await asyncio.gather(*(w.intake.submit(r, lambda receipt: receipt) for r in receptions))
        await w.registered()
        assert await w.pool.fetchval("SELECT count(*) FROM patient_account WHERE status = 'open'") == 2500
        assert await w.pool.fetchval("SELECT count(*) FROM flow_case") == 0

    play(database_url, story)


def test_numbers_stand_in_the_register_as_tokens_only(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.told(*LIFE, reported("A"))
        await w.registered()
        await w.desk.note_coverage(outcome("A", 1, "active"), key="k")
        for table in (
            "account_fact",
            "patient_account",
            "merge_fact",
            "merged_identifier",
            "coverage_answer",
            "audit_entry",
        ):
            text = "\n".join(str(row) for row in await w.pool.fetch(f"SELECT t::text FROM {table} t"))
            assert text and not any(name in text for name in ("CASEY", "JAMIE", "W-1", "A@ST-MARY")), table

    play(database_url, story)


@pytest.mark.parametrize("table", ["account_fact", "merge_fact", "coverage_answer"])
def test_what_was_told_is_never_rewritten(database_url: str, table: str) -> None:
    async def story(w: World) -> None:
        await w.told(*LIFE, reported("A"))
        await w.registered()
        for attempt in (f"DELETE FROM {table}", f"UPDATE {table} SET facility = ''", f"TRUNCATE {table}"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await w.pool.execute(attempt)

    play(database_url, story)


def test_merged_numbers_are_found_by_any_of_them(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.told(merge("JAMIE", "CASEY", 1), merge("CASEY", "ALEX", 2), merge("ROBIN", "SAM", 3))
        await w.registered()
        async with w.pool.acquire() as connection:
            family = await register.merged_with(connection, Mrn.kind, w.token("CASEY"))
            assert family == sorted(w.token(each) for each in ("JAMIE", "CASEY", "ALEX"))
            assert await register.merged_with(connection, Mrn.kind, w.token("PAT")) == [w.token("PAT")]
            bare = [w.protection.sealer.search_token("mrn", each) for each in ("JAMIE", "CASEY", "ALEX")]
            assert await register.numbers_with(connection, Mrn.kind, bare[0]) == sorted(bare)

    play(database_url, story)


def test_an_answer_is_written_down_once_for_each_attempt_and_the_latest_counts(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.told(reported("A"))
        await w.registered()
        assert (await w.desk.inquiry("A/HARBOR/W-1/21")).status == "to-verify"
        for attempt, status in ((1, "not-verified"), (1, "not-verified"), (2, "active")):
            await w.desk.note_coverage(outcome("A", attempt, status), key=f"{attempt}")
        known = await w.desk.inquiry("A/HARBOR/W-1/21")
        assert (known.status, known.attempts) == ("active", 2)
        assert await w.pool.fetchval("SELECT count(*) FROM coverage_answer") == 3

    play(database_url, story)


def test_what_no_payer_answers_for_a_day_is_a_persons_until_it_is_answered(database_url: str) -> None:
    async def story(w: World) -> None:
        await w.told(reported("A"), reported("B"), PatientRegistered(**about("B", 0), patient_class="O"))
        await w.registered()
        await w.desk.note_coverage(outcome("A", 1, "not-verified"), key="1")
        await w.clerk.watch_once()
        assert await w.items() == []
        w.clock.passes(hours=GIVE_UP_HOURS + 1)
        await w.told(AdmissionCancelled(**about("B", 1)))
        await w.registered()
        await w.clerk.watch_once()
        await w.clerk.watch_once()
        # Of a cancelled account nobody has to know.
        assert await w.items() == [("patient-access", "CoverageNotVerified:HHP01")]
        [waiting] = await w.pool.fetch("SELECT detail FROM work_item_case")
        assert waiting["detail"] == "at ST-MARY for 2026-11-21: asked 1 times without an answer"
        await w.desk.note_coverage(outcome("A", 2, "inactive"), key="2")
        assert await w.items() == []

    play(database_url, story)
