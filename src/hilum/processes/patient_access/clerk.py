"""The clerk of the register: events of accounts become facts, merges and inquiries, in bulk and each exactly once.

No case is started for an ADT: the clerk reads each shard in order, and what it adds commits with how far it has read. After that it
does what the new state asks for: a cancelled account's verifications wait no longer, and merges that cannot stand are a person's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import asyncpg
from pydantic import ValidationError

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.contract import Contract
from hilum.authoring.estate import Estate
from hilum.model.identifiers import AccountNumber, Identifier, Mrn
from hilum.model.patient_account import AccountFact, Change, Merge
from hilum.processes.patient_access.verification import CoverageNotVerified
from hilum.processes.patient_account import (
    AccountEvent,
    AdmissionCancelled,
    CoverageReported,
    DischargeCancelled,
    PatientClassChanged,
    PatientDischarged,
    PatientRegistered,
    PatientsMerged,
    PatientTransferred,
    PatientUpdated,
    TransferCancelled,
)
from hilum.runtime import account_register as register
from hilum.runtime import work_items
from hilum.runtime.account_register import At, CoverageAnswer, RegisteredFact, RegisteredMerge
from hilum.runtime.fault_points import point
from hilum.runtime.registration_desk import reference_of
from hilum.security.sealing.protected import Protection
from hilum.security.sealing.sealer import Sealer
from hilum.store import sealed_places
from hilum.store.sealed import NotOurs, Shredded

CONSUMER = "patient-accounts"
BATCH_EVENTS = 2000
GIVE_UP_HOURS = 24.0
"""A coverage that no payer has answered for so long is a person's; it goes on being asked for beside that."""
QUEUE = "patient-access"
_ACTOR = "system:registration"

_CHANGES: dict[type[AccountEvent], Change] = {
    PatientRegistered: "admitted",
    PatientClassChanged: "class-changed",
    PatientTransferred: "transferred",
    PatientUpdated: "updated",
    PatientDischarged: "discharged",
    TransferCancelled: "transfer-cancelled",
    DischargeCancelled: "discharge-cancelled",
    AdmissionCancelled: "admission-cancelled",
}
_READS: tuple[type[Contract], ...] = (*_CHANGES, PatientsMerged, CoverageReported)
_CONTRACTS = {contract.type_name(): contract for contract in _READS}


@dataclass
class _Read:
    """What a batch of events says."""

    facts: list[RegisteredFact] = field(default_factory=list)
    merges: list[RegisteredMerge] = field(default_factory=list)
    inquiries: list[CoverageAnswer] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def change_of(event: AccountEvent) -> Change:
    """What an event of an account did to it."""
    change = _CHANGES[type(event)]
    if getattr(event, "pre_admission", False):
        return "pre-admitted" if change == "admitted" else "pre-admission-cancelled"
    return change


def fact_of(event: AccountEvent, sealer: Sealer) -> AccountFact:
    """An event as a fact of its account, with tokens in the place of what names people."""
    coverages = event.coverages
    return AccountFact(
        at=event.occurred_at,
        message=register.message_word(sealer, event.message_id),
        change=change_of(event),
        facility=event.facility.value,
        mrn=register.token(sealer, event.mrn),
        patient_class=event.patient_class,
        location=event.location,
        coverages=None
        if coverages is None
        else tuple(
            sealer.order_token(f"{each.insurer}/{each.plan}/{each.member_number}")
            for each in sorted(coverages, key=lambda c: c.rank)
        ),
    )


class RegisterClerk:
    """Fills the register from the event log. Its rounds are duties of the worker; another worker passes over a locked shard."""

    def __init__(
        self, pool: asyncpg.Pool, estate: Estate, protection: Protection, *, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._protection = protection
        self._sealer = protection.sealer
        self._clock = clock

    async def run_once(self) -> int:
        """Read each shard once; how many events were passed."""
        shards = await self._pool.fetch("SELECT shard FROM intake_shard ORDER BY shard")
        return sum([await self._shard(row["shard"]) for row in shards])

    async def watch_once(self) -> int:
        """Make a person's what no payer has answered for too long, and let go what was parked while its account was cancelled;
        returns 0, for loops."""
        now = self._clock()
        remedy, owner = CoverageNotVerified.remedy(), self._estate.queues.get(QUEUE, "patient-access")
        async with self._pool.acquire() as connection, connection.transaction():
            await self._stop_waiting(connection, now)
            for late in await register.waiting_since(connection, now - timedelta(hours=GIVE_UP_HOURS), 500):
                cause = late.payer or late.insurer
                found = work_items.Exceptional(
                    queue=QUEUE, cause=f"CoverageNotVerified:{cause}", title=f"Coverage not verified: {cause}", remedy=remedy,
                    due_hours=CoverageNotVerified.due_hours, subject=f"v/{late.reference}", at_risk_usd=Decimal(0), owner=owner,
                    detail=f"at {late.facility} for {late.on}: asked {late.attempt} times without an answer",
                )  # fmt: skip
                await work_items.join(connection, found, now=now, actor=_ACTOR)
        return 0

    async def _shard(self, shard: int) -> int:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO consumer_cursor (consumer, shard) VALUES ($1, $2) ON CONFLICT DO NOTHING", CONSUMER, shard
            )
            cursor = await connection.fetchval(
                "SELECT seq FROM consumer_cursor WHERE consumer = $1 AND shard = $2 FOR UPDATE SKIP LOCKED",
                CONSUMER,
                shard,
            )
            if cursor is None:
                return 0
            until = await connection.fetchval("SELECT event_seq FROM intake_shard WHERE shard = $1", shard)
            until = min(until, cursor + BATCH_EVENTS)
            if until <= cursor:
                return 0
            events = await connection.fetch(
                "SELECT seq, at, type, payload FROM event WHERE shard = $1 AND seq > $2 AND seq <= $3 AND type = ANY($4) ORDER BY seq",
                shard, cursor, until, list(_CONTRACTS),
            )  # fmt: skip
            if events:
                await self._register(connection, shard, events, until)
            point("register.before_commit")
            await connection.execute(
                "UPDATE consumer_cursor SET seq = $3 WHERE consumer = $1 AND shard = $2", CONSUMER, shard, until
            )
        point("register.after_commit")
        return int(until - cursor)

    async def _register(
        self, connection: asyncpg.Connection, shard: int, events: list[asyncpg.Record], until: int
    ) -> None:
        now = self._clock()
        await self._sealer.load(*(event["payload"] for event in events))
        read = self._read(shard, events)
        states = await register.add_facts(connection, read.facts, now=now)
        await register.add_answers(connection, read.inquiries)
        refused = await register.add_merges(connection, read.merges)
        if any(state.status == "cancelled" for state in states.values()):
            await self._stop_waiting(connection, now)
        for merge in refused:
            await self._refused(connection, merge, now)
        for subject, error in read.unreadable:
            await self._unreadable(connection, subject, error, now)
        detail = {
            "facts": len(read.facts),
            "merges": len(read.merges),
            "inquiries": len(read.inquiries),
            "until": until,
        }
        await append(connection, [Entry(now, _ACTOR, "accounts.registered", f"l/{CONSUMER}/{shard}", detail)])

    def _read(self, shard: int, events: list[asyncpg.Record]) -> _Read:
        read = _Read()
        for record in events:
            at = At(shard, record["seq"], record["at"])
            try:
                payload = self._sealer.read(record["payload"], sealed_places.event_payload(shard, record["seq"]))
                event = _CONTRACTS[record["type"]].model_validate_json(payload)
            except (ValidationError, NotOurs, Shredded) as error:
                read.unreadable.append((f"e/{shard}/{record['seq']}", type(error).__name__))
                continue
            match event:
                case AccountEvent():
                    read.facts.append(
                        RegisteredFact(
                            at, self._token(event.account), self._number(event.account),
                            fact_of(event, self._sealer),
                        )
                    )  # fmt: skip
                case PatientsMerged():
                    read.merges += self._merges(at, event)
                case CoverageReported():
                    read.inquiries.append(self._inquiry(at, event))
        return read

    def _merges(self, at: At, event: PatientsMerged) -> list[RegisteredMerge]:
        pairs: list[tuple[str, Identifier | None, Identifier | None]] = [
            (Mrn.kind, event.merged_mrn, event.mrn),
            (AccountNumber.kind, event.merged_account, event.account),
        ]
        return [
            RegisteredMerge(
                at, kind,
                Merge(event.occurred_at, f"{event.message_id}/{event.line}", self._token(merged), self._token(survivor)),
                self._number(merged), self._number(survivor), event.facility.value,
            )
            for kind, merged, survivor in pairs
            if merged is not None and survivor is not None
        ]  # fmt: skip

    def _inquiry(self, at: At, event: CoverageReported) -> CoverageAnswer:
        inquiry = self._word(event.inquiry)
        return CoverageAnswer(
            inquiry=inquiry, attempt=0, account=self._token(event.account), number=self._number(event.account),
            facility=event.facility.value, insurer=event.insurer, on=event.on, status=register.TO_VERIFY,
            reference=reference_of(inquiry), at=at.at,
        )  # fmt: skip

    async def _stop_waiting(self, connection: asyncpg.Connection, now: datetime) -> None:
        """Verifications of cancelled accounts that wait for a payer run once more now, to find that nobody has to be asked."""
        let_go = await connection.fetch(
            """UPDATE flow_case SET state = 'ready', updated_at = $1, parked_on = NULL
                WHERE state = 'parked' AND flow = 'verify_coverage' AND EXISTS (
                    SELECT 1 FROM coverage_answer c JOIN patient_account p ON p.account = c.account
                     WHERE c.inquiry = split_part(flow_case.id, '/', 2) AND p.status = 'cancelled')
             RETURNING id""",
            now,
        )  # fmt: skip
        if let_go:
            why = {"why": "the account was cancelled"}
            await append(connection, [Entry(now, _ACTOR, "case.let_go", f"c/{row['id']}", why) for row in let_go])
            await connection.execute("SELECT pg_notify('hilum_cases', '')")

    async def _refused(self, connection: asyncpg.Connection, merge: RegisteredMerge, now: datetime) -> None:
        subject = f"e/{merge.event.shard}/{merge.event.seq}"
        cause = f"MergeRefused:{subject}"
        if await connection.fetchval("SELECT 1 FROM work_item WHERE cause = $1", cause):
            return  # Told before; deciding about it does not change what was told.
        what = "patients" if merge.kind == Mrn.kind else "accounts"
        found = work_items.Exceptional(
            queue=QUEUE, cause=cause, title=f"A merge of {what} contradicts an earlier one ({subject})",
            remedy="It would close a circle, or one number was merged into two. Compare both merges in the trace, correct the wrong one in "
            "the EHR, which then sends the right one, and skip this.",
            due_hours=8, subject=subject, at_risk_usd=Decimal(0), owner=self._estate.queues.get(QUEUE, "patient-access"),
            detail=f"told at {merge.facility}",
        )  # fmt: skip
        await work_items.join(connection, found, now=now, actor=_ACTOR)

    async def _unreadable(self, connection: asyncpg.Connection, subject: str, error: str, now: datetime) -> None:
        found = work_items.Exceptional(
            queue="integration", cause=f"Unreadable:{CONSUMER}/{error}", title=f"An event could not be registered: {error}",
            remedy="Correct the contract, deploy it, then replay the messages of the events named here.", due_hours=2,
            subject=subject, at_risk_usd=Decimal(0), owner=self._estate.queues.get("integration", "integration"),
        )  # fmt: skip
        await work_items.join(connection, found, now=now, actor=_ACTOR)

    def _token(self, identifier: Identifier) -> str:
        return register.token(self._sealer, identifier)

    def _number(self, identifier: Identifier) -> str:
        return register.number_token(self._sealer, identifier)

    def _word(self, text: str) -> str:
        return self._sealer.order_token(text)
