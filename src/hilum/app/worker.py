"""The worker process: dispatch, cases, feeds, recovery, replay, the audit sequencer."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from typing import Any

import asyncpg

from hilum.app.answers import outboxes
from hilum.app.archive import Home, Watch, publisher_of
from hilum.app.certificates import configured_certificates
from hilum.app.connectors import connect
from hilum.app.contract_tests import EVERY_SECONDS, scheduled
from hilum.app.sealing import protection_of
from hilum.app.told import Serve, now, ready
from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.authoring.estate import Estate
from hilum.processes.evidence_requests import EvidenceClerk
from hilum.processes.patient_access.clerk import RegisterClerk
from hilum.processes.patient_to_cash.denial_clerk import DenialClerk
from hilum.processes.settlement_clerk import SettlementClerk
from hilum.runtime import stewardship
from hilum.runtime.allowances import Leases
from hilum.runtime.approval_desk import ApprovalDesk
from hilum.runtime.cash_desk import CashDesk
from hilum.runtime.certificates import CertificateWatch
from hilum.runtime.claims_desk import ClaimsDesk
from hilum.runtime.control_desk import ControlDesk
from hilum.runtime.evidence_desk import EvidenceDesk, sources_of
from hilum.runtime.expected_files import ExpectedFiles
from hilum.runtime.intake import Intake
from hilum.runtime.master_desk import MasterDesk
from hilum.runtime.registration_desk import RegistrationDesk
from hilum.runtime.retention import Retention
from hilum.runtime.revenue_desk import RevenueDesk
from hilum.runtime.timekeeper import CLOCK, Timekeeper
from hilum.runtime.x12_answers import X12Answers
from hilum.security.policies.engine import digest as policies_digest
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions

log = logging.getLogger(__name__)


async def serve_worker(told: Serve, estate: Estate, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Do everything that follows a commit."""
    # Imported where it is used: the journal's library costs a second that no other process should pay.
    from hilum.runtime.worker import Worker, WorkerSettings

    async with pool.acquire() as connection:
        await ensure_partitions(connection, now().date())
    audit = told.data / "audit"
    signer = Signer.open(audit)
    watch = Watch(pool, estate)
    sequencer = Sequencer(pool, signer, now, heads_file=audit / "heads.jsonl")
    settings = WorkerSettings(
        executor=told.name, pid=os.getpid(), host=socket.gethostname(), database_url=told.database_url
    )
    protection = await protection_of(told, estate, pool)
    certificates = CertificateWatch(
        pool, clock=now, configured=lambda: configured_certificates(estate, told.data, os.environ),
        owner=estate.queues.get("integration", ""),
    )  # fmt: skip
    publisher = publisher_of(pool, estate, told.data, signer, watch, certificates.presented)
    leases = Leases(pool, time_zone=estate.time_zone, monotonic=time.monotonic)
    desk = EvidenceDesk(pool, sources_of(estate, signer, protection, policies_digest(estate.policies)), clock=now)
    connections = connect(
        estate,
        told.data,
        certificates.presented,
        leases=leases,
        home=Home(told.data, desk, _desks(estate, pool, protection, desk), certificates.presented),
    )
    evidence_intake = Intake(pool, protection, name=f"evidence:{told.name}", clock=now, actor="system:evidence")
    clock_intake = Intake(pool, protection, name=f"clock:{told.name}", clock=now, actor=CLOCK)
    timekeeper = Timekeeper(pool, estate, clock_intake, clock=now)
    settlements = SettlementClerk(pool, estate, clock_intake, clock=now)
    retention = Retention(pool, estate, signer, protection.sealer.keyring, clock=now)
    register = RegisterClerk(pool, estate, protection, clock=now)
    clerk = EvidenceClerk(pool, estate, evidence_intake, clock=now)
    expected = ExpectedFiles(pool, estate, protection, clock=now)
    answers = X12Answers(pool, estate, protection, outboxes(estate, told.data), clock=now)
    contract_tests = scheduled(pool, estate, told.data, connections)
    worker = Worker(
        pool, estate, protection, connections, settings, clock=now, rng=random.Random(), sequence=watch.over(sequencer),
        end=_end_at_once, intakes=(evidence_intake, clock_intake),
        duties={
            "contract tests": (contract_tests.run_due, EVERY_SECONDS),
            "certificates": (certificates.run_once, 60.0),
            "idle allowances": (leases.forget_idle, 3600.0),
            "retention": (retention.run_once, 3600.0),
            "expected files": (expected.run_once, 5.0),
            "x12 answers": (answers.run_once, 1.0),
            "published heads": (publisher.run_once, estate.evidence.publish_every_seconds),
            "evidence requests": (clerk.run_once, 2.0),
            "patient accounts": (register.run_once, 0.5),
            "late verifications": (register.watch_once, 60.0),
            "schedules": (timekeeper.run_once, 2.0),
            "settlements": (settlements.run_once, 2.0),
            "master data": (stewardship.Watch(pool, estate, clock=now).run_once, 5.0),
            "denial decisions": (DenialClerk(pool, estate, clock_intake, clock=now).run_once, 2.0),
            "evidence by calendar": (clerk.ask_by_calendar, 3600.0),
        },
    )  # fmt: skip
    await worker.start()
    ready(told, {})
    await stop.wait()
    await worker.stop()
    await sequencer.run_once()


def _desks(estate: Estate, pool: asyncpg.Pool, protection: Protection, evidence: EvidenceDesk) -> dict[str, Any]:
    """The platform's own systems, by the name of their kind of connector."""
    return {
        "approval_desk": ApprovalDesk(pool, estate, clock=now),
        "cash_desk": CashDesk(pool, estate, clock=now),
        "claims_desk": ClaimsDesk(pool, estate, protection.sealer, clock=now),
        "control_desk": ControlDesk(pool, estate, clock=now),
        "evidence_desk": evidence,
        "master_desk": MasterDesk(pool, estate, clock=now),
        "registration_desk": RegistrationDesk(pool, estate, protection.sealer, clock=now),
        "revenue_desk": RevenueDesk(pool, estate, protection.sealer, clock=now),
    }


def _end_at_once(why: str) -> None:
    """As if killed, but with a word: nothing more is written or sent by this process."""
    log.critical("%s; this process ends", why)
    os._exit(70)
