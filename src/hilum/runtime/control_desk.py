"""Control over the revenue books as flows speak to it: a system like any other, in the platform's own database (decisions/0014)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import ClassVar

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.control import BookedPage, ChargedDay, Compared, Comparison, Watched
from hilum.authoring.estate import Estate
from hilum.masterdata.control_accounts import read_control_accounts
from hilum.model.book_control import Disagreement
from hilum.model.patient_billing import BilledCharge
from hilum.runtime import control_books, standing_work
from hilum.runtime.work_items import Exceptional

QUEUE = "revenue-control"
_ACTOR = "system:control"
_TITLES = {
    "staged-ledger": "The ledger has something else than what was posted there",
    control_books.FOREIGN: "The ledger has entries on revenue accounts that nothing here made",
    control_books.BILLING: "Billing has other charges than the revenue books",
}
_REMEDIES = {
    "staged-ledger": "Open the journals that are named and see who changed or cancelled them. Post again what is missing, or skip this item with "
    "the reason why the ledger is right. It closes by itself when both agree.",
    control_books.FOREIGN: "Find out who posted the entries that are named: take them back in the ERP when they repeat ours, and skip this item with "
    "the reason.",
    control_books.BILLING: "Look the charges up on both sides (`hilum charges list`): what billing has alone was not told here, what stands here alone was "
    "not taken by billing. It closes by itself when both agree.",
}


class ControlDesk:
    """Plays the role ``authoring.control.RevenueControl``."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset({"compared"})

    def __init__(self, pool: asyncpg.Pool, estate: Estate, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._clock = clock

    async def posted_since(self, day: date, after: str | None) -> BookedPage:
        async with self._pool.acquire() as connection:
            return await control_books.posted_since(connection, day, after)

    async def watched_accounts(self) -> tuple[Watched, ...]:
        accounts = read_control_accounts(self._estate.root)
        async with self._pool.acquire() as connection:
            read = await control_books.watched(connection)
        return tuple(Watched(account=code, since=day, cursor=read.get(code)) for code, day in accounts.items())

    async def unknown_entries(self, numbers: tuple[str, ...]) -> tuple[str, ...]:
        async with self._pool.acquire() as connection:
            return await control_books.unknown_entries(connection, numbers)

    async def charged_since(self, day: date) -> tuple[ChargedDay, ...]:
        async with self._pool.acquire() as connection:
            return await control_books.charged_since(connection, day)

    async def charges_on(self, day: date, facility: str) -> tuple[BilledCharge, ...]:
        async with self._pool.acquire() as connection:
            return await control_books.charges_on(connection, day, facility)

    async def open_disagreements(self, books: str) -> tuple[Disagreement, ...]:
        async with self._pool.acquire() as connection:
            return await control_books.open_disagreements(connection, books)

    async def compared(self, comparison: Comparison, *, key: str) -> Compared:
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            standing = await control_books.note(connection, comparison, now=now)
            wanted = [self._item(comparison.books, each) for each in standing]
            await standing_work.settle(connection, QUEUE, f"Books:{comparison.books}/", wanted, now=now, actor=_ACTOR)
            detail = {"run": comparison.run, "compared": comparison.compared, "open": len(standing)}
            await append(connection, [Entry(now, _ACTOR, "books.compared", f"books/{comparison.books}", detail)])
        return Compared(books=comparison.books, compared=comparison.compared, open=len(standing))

    async def ping(self) -> None:
        await self._pool.fetchval("SELECT 1")

    async def close(self) -> None:
        pass

    def _item(self, books: str, found: Disagreement) -> Exceptional:
        """One item for a facility and day; each record that differs is a line of it."""
        place = f" at {found.facility}" if found.facility else ""
        return Exceptional(
            queue=QUEUE,
            cause=f"Books:{books}/{found.facility or 'network'}/{found.day}",
            title=f"{_TITLES.get(books, 'Two books differ')}{place} on {found.day}",
            remedy=_REMEDIES.get(books, "Find out which of the two books is right, and correct the other."),
            due_hours=24,
            subject=f"b/{found.record}/{found.account or '*'}",
            at_risk_usd=abs(found.difference),
            detail=f"{found.what}: {found.expected} USD expected, {found.found} found",
            owner=self._estate.queues.get(QUEUE, ""),
        )
