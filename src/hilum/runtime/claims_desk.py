"""The claim books as flows speak to them: a system like any other, in the platform's own database (decisions/0014)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.claims import (
    Booked,
    BookedAdjustment,
    BookedAnswers,
    BookedBatch,
    BookedDecision,
    BookedOtherwise,
    BookedRemittance,
    DenialToDecide,
)
from hilum.authoring.estate import Estate
from hilum.authoring.revenue import NoPostingRule
from hilum.masterdata.claim_tables import ClaimTables, read_claim_tables
from hilum.masterdata.posting_tables import read_book
from hilum.masterdata.tables import TableUnreadable
from hilum.runtime import claim_books, claim_work, denials
from hilum.runtime.claim_books import BookedBefore, DeniedAmount, Fact
from hilum.runtime.claim_folding import fold
from hilum.security.sealing.sealer import Sealer

_ACTOR = "system:claims"
CLAIM, PAYER_CLAIM = "claim", "payer_claim"
"""The kinds of number that tokens are made of: a provider's number of a claim, and a payer's."""
_PATIENT, _DENIED = "patient_responsibility", "denial"


class ClaimsDesk:
    """Plays the role ``authoring.claims.ClaimsDesk``."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset(
        {"submitted", "answered", "adjudicated", "aged", "written_off"}
    )

    def __init__(self, pool: asyncpg.Pool, estate: Estate, sealer: Sealer, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._sealer = sealer
        self._clock = clock

    async def submitted(self, batch: BookedBatch, *, key: str) -> Booked:
        facts = [
            Fact(
                claim=self._claim(each.claim), kind="submitted", line=each.line, on_day=batch.on, facility=each.facility,
                payer=each.payer, payer_class=each.payer_class, provider=each.provider, sequence=each.sequence,
                frequency=each.frequency, replaces=self._payer_claim(each.replaces), file=batch.file, charge=each.charge,
                service_from=each.service_from, service_to=each.service_to,
            )
            for each in batch.claims
        ]  # fmt: skip
        at_risk = sum((each.charge for each in batch.claims), Decimal(0))
        return await self._book(
            batch.batch,
            "submitted",
            facts,
            lambda c: claim_books.add_batch(c, batch, facts, self._clock()),
            at_risk=at_risk,
        )

    async def answered(self, answers: BookedAnswers, *, key: str) -> Booked:
        facts = [
            Fact(
                claim=self._claim(each.claim), kind="answered", line=each.line, on_day=answers.on, file=each.file,
                status=each.category, accepted=each.accepted, codes=each.codes,
                payer_claim=self._payer_claim(each.payer_claim), charge=each.charge, paid=each.paid,
            )
            for each in answers.claims
        ]  # fmt: skip
        return await self._book(
            answers.source, "answered", facts, lambda c: claim_books.add_document(c, answers, facts, self._clock()),
            more=lambda c: claim_books.claims_of_files(c, answers),
        )  # fmt: skip

    async def adjudicated(self, remittance: BookedRemittance, *, key: str) -> Booked:
        # Ten thousand claims take a second: the loop goes on meanwhile.
        facts, denied = await asyncio.to_thread(self._decisions, remittance)
        return await self._book(
            remittance.source, "adjudicated", facts,
            lambda c: claim_books.add_document(c, remittance, facts, self._clock(), denied=denied),
            at_risk=sum((abs(each.paid) for each in remittance.decisions), Decimal(0)),
        )  # fmt: skip

    async def aged(self, on: date, *, key: str) -> int:
        async with self._pool.acquire() as connection, connection.transaction():
            await claim_books.lock(connection)
            return await claim_work.settle(connection, self._estate, self._tables(), now=self._clock())

    async def denial(self, number: int) -> DenialToDecide | None:
        async with self._pool.acquire() as connection:
            return await denials.to_decide(connection, number, self._tables().limit)

    async def written_off(self, number: int, decision: str, posted: bool, *, key: str) -> Booked:
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await claim_books.lock(connection)
            new, claim = await denials.note_outcome(connection, number, decision, posted=posted, now=now, actor=_ACTOR)
            if new:
                tables = self._tables()
                await fold(connection, [claim], tables, now=now)
                await claim_work.settle(connection, self._estate, tables, now=now)
                what = "denial.written_off" if posted else "denial.kept"
                await append(connection, [Entry(now, _ACTOR, what, f"denial/{number}", {"decision": decision})])
        return Booked(source=decision, facts=int(new), claims=1)

    async def ping(self) -> None:
        await self._pool.fetchval("SELECT 1")

    async def close(self) -> None:
        pass

    async def _book(
        self,
        source: str,
        what: str,
        facts: Sequence[Fact],
        add: Callable[[asyncpg.Connection], Awaitable[bool]],
        *,
        more: Callable[[asyncpg.Connection], Awaitable[set[str]]] | None = None,
        at_risk: Decimal | None = None,
    ) -> Booked:
        """One document: its facts, and where the claims stand that it concerns, in one transaction."""
        tables = self._tables()
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await claim_books.lock(connection)
            try:
                new = await add(connection)
            except BookedBefore as other:
                raise BookedOtherwise(source, detail=str(other), at_risk_usd=at_risk) from other
            claims = await claim_books.concerned(connection, facts)
            if new:
                if more is not None:
                    claims |= await more(connection)
                await fold(connection, claims, tables, now=now)
                await claim_work.settle(connection, self._estate, tables, now=now)
                detail = {"facts": len(facts), "claims": len(claims)}
                await append(connection, [Entry(now, _ACTOR, f"claims.{what}", f"claims/{source}", detail)])
        # The same whether it was news or not: a step that runs again has the same outcome.
        return Booked(source=source, facts=len(facts), claims=len({fact.claim for fact in facts}))

    def _decisions(self, remittance: BookedRemittance) -> tuple[list[Fact], list[DeniedAmount]]:
        facts: list[Fact] = []
        denied: list[DeniedAmount] = []
        kinds = self._kinds()
        for each in remittance.decisions:
            claim, sums = self._claim(each.claim), {_PATIENT: Decimal(0), _DENIED: Decimal(0)}
            parts: dict[tuple[str, str], tuple[Decimal, dict[str, None]]] = {}
            for adjustment, kind in _kinds_of(each, kinds):
                sums[kind] = sums.get(kind, Decimal(0)) + adjustment.amount
                if kind == _DENIED:
                    place = (adjustment.group, adjustment.reason)
                    amount, remarks = parts.get(place, (Decimal(0), {}))
                    parts[place] = (amount + adjustment.amount, remarks | dict.fromkeys(adjustment.remarks))
            patient = sums.pop(_PATIENT)
            facts.append(
                Fact(
                    claim=claim, kind="adjudicated", line=each.line, on_day=remittance.on, facility=remittance.facility,
                    payer=remittance.payer, payer_class=remittance.payer_class, status=each.status,
                    payer_claim=self._payer_claim(each.payer_claim), charge=each.charge, paid=each.paid,
                    adjusted=sum(sums.values(), Decimal(0)), patient=patient, denied=sums[_DENIED],
                    service_from=each.service_from,
                )
            )  # fmt: skip
            denied += [
                DeniedAmount(each.line, claim, group, reason, tuple(remarks), amount)
                for (group, reason), (amount, remarks) in parts.items()
                if amount > 0
            ]
        return facts, denied

    def _kinds(self) -> Callable[[str, str], str]:
        try:
            kinds = read_book(self._estate.root).kinds
        except TableUnreadable as unreadable:
            raise NoPostingRule("the posting tables cannot be used", detail=str(unreadable)) from unreadable

        def kind(group: str, reason: str) -> str:
            found = kinds.get((group, reason), kinds.get((group, "")))
            if found is None:
                raise NoPostingRule(f"adjustment {group}-{reason}")
            return found

        return kind

    def _tables(self) -> ClaimTables:
        """Read each time: a corrected table counts from the next document on."""
        try:
            return read_claim_tables(self._estate.root)
        except TableUnreadable as unreadable:
            raise NoPostingRule("the claim tables cannot be used", detail=str(unreadable)) from unreadable

    def _claim(self, number: str) -> str:
        return self._sealer.search_token(CLAIM, number)

    def _payer_claim(self, number: str | None) -> str | None:
        return None if number is None else self._sealer.search_token(PAYER_CLAIM, number)


def _kinds_of(decision: BookedDecision, kind: Callable[[str, str], str]) -> Iterator[tuple[BookedAdjustment, str]]:
    for adjustment in decision.adjustments:
        yield adjustment, kind(adjustment.group, adjustment.reason)
