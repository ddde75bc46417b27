"""Evidence travels as a case of its own: asked for, assembled once, kept in the archive, recorded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.sealing_parts import protection_for
from tests.tower.lakeshore_day import PATIENT, lakeshore, until, wall
from tests.tower.morning_fixtures import morning_template, morning_url

from hilum.audit.evidence.package import Package
from hilum.audit.evidence.scope import Scope
from hilum.audit.evidence.shelf import UnknownKey, ask_for, packages, scope_of_key
from hilum.audit.evidence.verifying import verify_package
from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.authoring.estate import Policy
from hilum.connectors.archive_folder import ArchiveFolder
from hilum.processes.evidence_requests import EvidenceClerk
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.evidence_desk import EvidenceDesk, sources_of
from hilum.runtime.intake import Intake
from hilum.runtime.worker import Worker, WorkerSettings
from hilum.store.pool import open_pool

__all__ = ["morning_template", "morning_url"]
Story = Callable[["Office"], Awaitable[None]]


class Office:
    """The worker on a played morning, with an archive in a folder."""

    def __init__(
        self, pool: asyncpg.Pool, clerk: EvidenceClerk, archive: Path, signer: Signer, protection: Any
    ) -> None:
        self.pool = pool
        self.clerk = clerk
        self.archive = archive
        self.signer = signer
        self.protection = protection

    async def archives(self, key: str) -> str:
        async with self.pool.acquire() as connection:
            scope = await scope_of_key(connection, key, self.protection)
            number = await ask_for(connection, scope, actor="person:ana", reason="claim 2026-118", now=wall())
        await self.clerk.run_once()
        return f"archive_evidence/EV-{number}"

    async def rests(self, case: str, *states: str) -> None:
        await until(lambda: self.pool.fetchval("SELECT state FROM flow_case WHERE id = $1", case), states, seconds=60)

    def kept(self) -> list[Path]:
        return sorted(self.archive.rglob("*.zip"))


@pytest.fixture
def tell(morning_url: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Callable[[Story], None]:
    (original,) = tmp_path_factory.getbasetemp().glob("morning-audit[0-9]")
    keys = tmp_path / "audit"
    keys.mkdir(mode=0o700)
    for name in ("signing-key.pem", "public-key.pem", "heads.jsonl"):
        (keys / name).write_bytes((original / name).read_bytes())
        (keys / name).chmod(0o600)

    def told(story: Story) -> None:
        async def work() -> None:
            estate = lakeshore()
            signer = Signer.open(keys)
            async with await open_pool(morning_url, min_size=2, max_size=16) as pool:
                await pool.execute("DELETE FROM executor")
                protection = await protection_for(pool, estate, wall)
                desk = EvidenceDesk(pool, sources_of(estate, signer, protection), clock=wall)
                archive = ArchiveFolder(tmp_path / "archive", desk.content, clock=wall)
                policy = Policy(timeout_seconds=30, attempts=2, backoff_seconds=0.01)

                async def at_once() -> None:
                    return None

                def ended(why: str) -> None:
                    raise AssertionError(why)

                reach = {
                    "evidence": Connection("evidence", desk, policy, at_once),
                    "archive": Connection("archive", archive, policy, at_once),
                }
                sequencer = Sequencer(pool, signer, wall, heads_file=keys / "heads.jsonl")
                intake = Intake(pool, protection, name="evidence:worker-1", clock=wall, actor="system:evidence")
                worker = Worker(
                    pool, estate, protection, Connections(reach), WorkerSettings("worker-1", 4711, "office", morning_url, slots=2),
                    clock=wall, rng=random.Random(7), sequence=sequencer.run_once, end=ended,
                )  # fmt: skip
                clerk = EvidenceClerk(pool, estate, intake, clock=wall)
                await intake.start()
                try:
                    await worker.start()
                    await story(Office(pool, clerk, tmp_path / "archive", signer, protection))
                finally:
                    await worker.stop()
                    await intake.stop()

        asyncio.run(work())

    return told


def test_what_is_asked_for_is_assembled_kept_and_recorded(tell: Callable[[Story], None]) -> None:
    async def story(office: Office) -> None:
        case = await office.archives("U-1")
        await office.rests(case, "done")
        (kept,) = office.kept()
        report = verify_package(Package.open(kept), public_key=office.signer.public_key, name=kept.stem)
        assert report.problems == [] and report.threads == 1
        async with office.pool.acquire() as connection:
            (shelved,) = await packages(connection)
        assert (shelved.digest, shelved.kept_in, shelved.kept_as) == (kept.stem, "archive", kept.stem)
        actions = await office.pool.fetch(
            "SELECT entry FROM audit_entry WHERE subject LIKE 'evidence/%' ORDER BY shard, seq"
        )
        assert [bytes(r[0]).split(b'"')[3] for r in actions] == [
            b"evidence.requested", b"evidence.made", b"evidence.archived",
        ]  # fmt: skip
        documents = await office.pool.fetch(
            "SELECT system, document FROM delivery WHERE case_id = $1 ORDER BY system", case
        )
        assert [r["system"] for r in documents] == ["archive", "evidence", "evidence"]

    tell(story)


def test_a_request_taken_up_twice_is_one_case_and_one_package(tell: Callable[[Story], None]) -> None:
    async def story(office: Office) -> None:
        case = await office.archives("U-8")
        await office.pool.execute(
            "UPDATE evidence_request SET taken_at = NULL"
        )  # As a crash before the note leaves it.
        await office.clerk.run_once()
        await office.rests(case, "done")
        assert await office.pool.fetchval("SELECT count(*) FROM flow_case WHERE flow = 'archive_evidence'") == 1
        assert len(office.kept()) == 1

    tell(story)


def test_a_patients_evidence_is_asked_for_without_their_number_anywhere(tell: Callable[[Story], None]) -> None:
    async def story(office: Office) -> None:
        case = await office.archives(PATIENT["account"])
        await office.rests(case, "done")
        (kept,) = office.kept()
        assert PATIENT["account"].encode() not in kept.read_bytes()
        rows = await office.pool.fetch("SELECT subject, scope FROM evidence_request")
        assert not any(PATIENT["account"] in r["subject"] + r["scope"] for r in rows)
        assert rows[0]["subject"].startswith("key/~")

    tell(story)


def test_nothing_to_archive_waits_for_a_person(tell: Callable[[Story], None]) -> None:
    async def story(office: Office) -> None:
        async with office.pool.acquire() as connection:
            with pytest.raises(UnknownKey):
                await scope_of_key(connection, "U-404", office.protection)
            scope = Scope.of_period("2001-01", "ST-MARY")
            number = await ask_for(connection, scope, actor="person:ana", reason="audit", now=wall())
        await office.clerk.run_once()
        await office.rests(f"archive_evidence/EV-{number}", "waiting")
        item = await office.pool.fetchrow("SELECT queue, title FROM work_item ORDER BY id DESC LIMIT 1")
        assert item["queue"] == "compliance" and "period/2001-01/ST-MARY" in item["title"]

    tell(story)


def test_the_calendar_asks_once_for_each_facility_with_cases(tell: Callable[[Story], None]) -> None:
    async def story(office: Office) -> None:
        await office.pool.execute("UPDATE flow_case SET created_at = date_trunc('month', now()) - interval '10 days'")
        await office.clerk.ask_by_calendar()
        await office.clerk.ask_by_calendar()
        rows = await office.pool.fetch("SELECT subject, scheduled, actor FROM evidence_request")
        assert len(rows) == 1 and rows[0]["scheduled"] and rows[0]["subject"].endswith("/ST-MARY")
        await office.clerk.run_once()
        await office.rests("archive_evidence/EV-1", "done")
        (kept,) = office.kept()
        assert verify_package(Package.open(kept), public_key=office.signer.public_key).threads >= 7

    tell(story)
