"""The revenue books as flows speak to them: a system like any other, in the platform's own database (decisions/0014)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.authoring.revenue import (
    Accrual,
    NoPostingRule,
    StagedAccrual,
    StagedCharges,
    StagedOtherwise,
    StagedSource,
    Staging,
)
from hilum.masterdata.posting_tables import read_book
from hilum.masterdata.tables import TableUnreadable
from hilum.model.ledger import DocumentRef, Journal
from hilum.model.posting import NoRule, PostingBook, StagedEntry
from hilum.runtime import charge_staging, subledger
from hilum.runtime.collecting import tell_held
from hilum.runtime.subledger import StagedBefore
from hilum.security.sealing.sealer import Sealer

_ACTOR = "system:revenue"
_CLAIM = "claim"


class RevenueDesk:
    """Plays the role ``authoring.revenue.RevenueBooks``."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset({"stage", "posted", "stage_charges", "accrue"})

    def __init__(self, pool: asyncpg.Pool, estate: Estate, sealer: Sealer, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._sealer = sealer
        self._clock = clock

    async def stage(self, staging: Staging, *, key: str) -> StagedSource:
        async with self._pool.acquire() as connection:
            try:
                # Asked first: a rule that was ended since must not keep what is staged from being known.
                if not await subledger.staged_before(connection, staging):
                    # Ten thousand claims take a second: the loop goes on meanwhile.
                    entries, book = await asyncio.to_thread(self._entries, staging)
                    claims = [self._token(entry) for entry in entries]
                    now = self._clock()
                    async with connection.transaction():
                        if await subledger.add(
                            connection, staging, entries, claims, tables=book.version, now=now, staged_by=key
                        ):
                            await subledger.keep_tables(connection, book, now=now)
                            await append(connection, [_staged(staging, len(entries), book.version, now)])
            except StagedBefore as other:
                raise StagedOtherwise(staging.source, detail=str(other), at_risk_usd=abs(staging.amount)) from other
            return await subledger.read(connection, staging.source)

    async def journal(self, source: str, facility: str, description: str, on: date) -> Journal | None:
        async with self._pool.acquire() as connection:
            return await subledger.journal(connection, source, facility, description=description, on=on)

    async def posted(self, source: str, facility: str, document: DocumentRef, on: date, *, key: str) -> StagedSource:
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            try:
                news = await subledger.note_posted(connection, source, facility, document, on=on, now=now)
            except StagedBefore as other:
                raise StagedOtherwise(source, detail=str(other)) from other
            if news:
                detail = {"facility": facility, "journal": document.number, "on": on.isoformat()}
                await append(connection, [Entry(now, _ACTOR, "revenue.posted", f"source/{source}", detail)])
            return await subledger.read(connection, source)

    async def stage_charges(self, facility: str, until: date, run: str, *, key: str) -> StagedCharges:
        book = self._book()
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            done = await charge_staging.stage_run(
                connection, book, facility=facility, until=until, run=run, now=now, staged_by=key
            )  # fmt: skip
            if done.news:
                await subledger.keep_tables(connection, book, now=now)
            if done.causes:
                await tell_held(connection, self._estate, done.causes, owner=self._owner, now=now)
            await append(
                connection, [_staged(each.staging, len(each.entries), book.version, now) for each in done.news]
            )
        return done.charges

    async def accrue(self, accrual: Accrual, *, key: str) -> StagedAccrual:
        book = self._book()
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            try:
                staged, news = await charge_staging.stage_accrual(connection, book, accrual, now=now, staged_by=key)
            except NoRule as without:
                at_risk = sum((abs(each.amount) for each in accrual.not_invoiced), Decimal(0))
                raise NoPostingRule(str(without), at_risk_usd=at_risk) from without
            if news:
                await subledger.keep_tables(connection, book, now=now)
            await append(connection, [_staged(each.staging, len(each.entries), book.version, now) for each in news])
        return staged

    @property
    def _owner(self) -> str:
        """Who owns the books, for work that no queue has an owner for."""
        return next(
            (s.owner for s in self._estate.systems.values() if s.connect.get("connector") == "revenue_desk"), ""
        )

    async def ping(self) -> None:
        await self._pool.fetchval("SELECT 1")

    async def close(self) -> None:
        pass

    def _entries(self, staging: Staging) -> tuple[list[StagedEntry], PostingBook]:
        book = self._book()
        entries = []
        missing: dict[str, None] = {}
        for movement in staging.movements:
            try:
                entries.append(book.staged(movement, staging.on))
            except NoRule as without:
                missing[str(without)] = None
        if missing:
            # One cause for each missing rule: a single new row may let hundreds of documents go on.
            first, *others = missing
            more = f"and {len(others)} more: {'; '.join(others[:20])}" if others else ""
            raise NoPostingRule(first, detail=more, at_risk_usd=abs(staging.amount))
        return entries, book

    def _book(self) -> PostingBook:
        """Read each time: a corrected table counts from the next document on, and each source keeps by which it went."""
        try:
            return read_book(self._estate.root)
        except TableUnreadable as unreadable:
            raise NoPostingRule("the posting tables cannot be used", detail=str(unreadable)) from unreadable

    def _token(self, entry: StagedEntry) -> str | None:
        return self._sealer.search_token(_CLAIM, entry.movement.claim) if entry.movement.claim else None


def _staged(staging: Staging, entries: int, tables: str, at: datetime) -> Entry:
    detail = {"kind": staging.kind, "amount": str(staging.amount), "entries": entries, "tables": tables}
    return Entry(at, _ACTOR, "revenue.staged", f"source/{staging.source}", detail)
