"""The register of patient accounts as flows speak to it: a system like any other, in the platform's own database (decisions/0014)."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.authoring.registration import AccountStanding, CoverageInquiryStanding, CoverageOutcome, Provider
from hilum.model.identifiers import AccountNumber, FacilityCode
from hilum.model.patient_account import AccountFact, AccountState, Change, fold_account
from hilum.runtime import account_register as register
from hilum.runtime import work_items
from hilum.security.sealing.sealer import Sealer

_ACTOR = "system:registration"


class RegistrationDesk:
    """Plays the role ``authoring.registration.PatientAccounts``."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset({"note_coverage"})

    def __init__(self, pool: asyncpg.Pool, estate: Estate, sealer: Sealer, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._sealer = sealer
        self._clock = clock

    async def standing(self, account: AccountNumber) -> AccountStanding | None:
        async with self._pool.acquire() as connection:
            known = await register.facts_of(connection, [self._token(account)])
            facts = known.get(self._token(account))
            return await self._stands(connection, account, fold_account(facts)) if facts is not None else None

    async def standing_after(
        self, account: AccountNumber, facility: FacilityCode, at: datetime, message: str, change: Change
    ) -> AccountStanding:
        said = register.message_word(self._sealer, message)
        async with self._pool.acquire() as connection:
            facts = (await register.facts_of(connection, [self._token(account)])).get(self._token(account), [])
            if not any((fact.at, fact.message, fact.change) == (at, said, change) for fact in facts):
                mrn = facts[-1].mrn if facts else ""
                facts = [*facts, AccountFact(at, said, change, facility.value, mrn)]
            return await self._stands(connection, account, fold_account(facts))

    async def _stands(
        self, connection: asyncpg.Connection, account: AccountNumber, state: AccountState
    ) -> AccountStanding:
        mine = self._token(account)
        survivor = await register.survivor_of(connection, register.ACCOUNT, mine)
        charged: Decimal = await connection.fetchval(
            "SELECT coalesce(sum(amount), 0) FROM charge WHERE account = $1 AND facility = $2",
            register.number_token(self._sealer, account), state.facility,
        )  # fmt: skip
        facility = FacilityCode(value=state.facility)
        return AccountStanding(status=state.status, facility=facility, merged=survivor != mine, charged=charged)

    def _token(self, account: AccountNumber) -> str:
        return register.token(self._sealer, account)

    async def provider(self, facility: FacilityCode) -> Provider | None:
        """Read each time: a corrected table counts at once."""
        table = self._estate.root / "tables" / "providers.csv"
        if not table.exists():
            return None
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row.get("facility") == facility.value and row.get("npi") and row.get("name"):
                    return Provider(npi=row["npi"], name=row["name"])
        return None

    async def inquiry(self, inquiry: str) -> CoverageInquiryStanding:
        token = self._sealer.order_token(inquiry)
        async with self._pool.acquire() as connection:
            return _standing(token, await register.answers_of(connection, token))

    async def note_coverage(self, outcome: CoverageOutcome, *, key: str) -> CoverageInquiryStanding:
        token = self._sealer.order_token(outcome.inquiry)
        reference, now = reference_of(token), self._clock()
        answer = register.CoverageAnswer(
            inquiry=token, attempt=outcome.attempt, account=register.token(self._sealer, outcome.account),
            number=register.number_token(self._sealer, outcome.account), facility=outcome.facility.value,
            insurer=outcome.insurer, payer=outcome.payer, on=outcome.on, status=outcome.status, reference=reference, at=now,
        )  # fmt: skip
        async with self._pool.acquire() as connection, connection.transaction():
            if await register.add_answers(connection, [answer]):
                detail = {"status": outcome.status, "attempt": outcome.attempt, "payer": outcome.payer}
                await append(connection, [Entry(now, _ACTOR, "coverage.noted", f"v/{reference}", detail)])
                if outcome.status not in register.WAITING:
                    await self._let_go(connection, f"v/{reference}", now)
            return _standing(token, await register.answers_of(connection, token))

    async def _let_go(self, connection: asyncpg.Connection, subject: str, now: datetime) -> None:
        """Nobody has to look any more at what was not answered in time: it is answered."""
        items = await connection.fetch(
            """SELECT w.id FROM work_item w JOIN work_item_case c ON c.work_item = w.id
                WHERE c.subject = $1 AND w.state = 'open'""",
            subject,
        )
        for item in items:
            await work_items.release(connection, item["id"], now=now, actor=_ACTOR, subject=subject)

    async def ping(self) -> None:
        await self._pool.fetchval("SELECT 1")

    async def close(self) -> None:
        pass


def reference_of(inquiry: str) -> str:
    """What an inquiry is called at the payer and among people: of its token, so it says nothing and is always the same."""
    return "V-" + inquiry.lstrip("~")[:24]


def _standing(inquiry: str, answers: list[register.CoverageAnswer]) -> CoverageInquiryStanding:
    asked = [answer for answer in answers if answer.attempt > 0]
    return CoverageInquiryStanding(
        reference=reference_of(inquiry),
        attempts=asked[-1].attempt if asked else 0,
        status=answers[-1].status if answers else register.TO_VERIFY,
        since=answers[0].at if answers else None,
    )
