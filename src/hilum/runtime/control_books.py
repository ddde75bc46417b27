"""The control books' tables (migration 0028): posted journals to compare, and what comparisons found.

Everything here runs in the caller's transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

import asyncpg

from hilum.authoring.control import BookedPage, ChargedDay, Comparison
from hilum.model.book_control import BookedJournal, BookedSide, Disagreement
from hilum.model.patient_billing import BilledCharge

PAGE_JOURNALS = 100
FOREIGN = "ledger-foreign"
"""Lines of the ledger that no journal of ours made. One may be ours and not noted yet, so it counts when it is seen again."""
BILLING = "billing-staged"
"""Charges here and at billing. One may be on its way, so it counts when it is seen again as well."""
_COUNTS_FROM = {FOREIGN: 2, BILLING: 2}


async def posted_since(connection: asyncpg.Connection, day: date, after: str | None) -> BookedPage:
    """Posted journals of that day and later, by source and facility, with what each has on every account."""
    rows = await connection.fetch(
        """SELECT source, facility, number, posted_on FROM posting_journal
            WHERE number IS NOT NULL AND posted_on >= $1 AND ($2::text IS NULL OR source || '/' || facility > $2)
            ORDER BY source || '/' || facility LIMIT $3""",
        day, after, PAGE_JOURNALS + 1,
    )  # fmt: skip
    page = rows[:PAGE_JOURNALS]
    sides: dict[tuple[str, str], list[BookedSide]] = defaultdict(list)
    summed = await connection.fetch(
        """SELECT source, facility, account, cost_centre, sum(debit) AS debit, sum(credit) AS credit
             FROM (SELECT e.source, e.facility, side.account, e.cost_centre, side.debit, side.credit
                     FROM staged_entry e CROSS JOIN LATERAL (
                          VALUES (e.debit, abs(e.moved), 0::numeric),
                                 (e.credit, 0::numeric, abs(e.moved))) AS side (account, debit, credit)
                    WHERE e.source = ANY($1) AND e.debit <> '') AS lines
            GROUP BY source, facility, account, cost_centre ORDER BY account, cost_centre""",
        sorted({row["source"] for row in page}),
    )  # fmt: skip
    for row in summed:
        sides[row["source"], row["facility"]].append(
            BookedSide(account=row["account"], cost_centre=row["cost_centre"], debit=row["debit"], credit=row["credit"])
        )
    journals = tuple(
        BookedJournal(
            source=row["source"], facility=row["facility"], number=row["number"], on=row["posted_on"],
            sides=tuple(sides[row["source"], row["facility"]]),
        )
        for row in page
    )  # fmt: skip
    return BookedPage(journals=journals, after=journals[-1].record if len(rows) > PAGE_JOURNALS else None)


async def unknown_entries(connection: asyncpg.Connection, numbers: Sequence[str]) -> tuple[str, ...]:
    known = await connection.fetch("SELECT number FROM posting_journal WHERE number = ANY($1)", list(numbers))
    return tuple(sorted(set(numbers) - {row["number"] for row in known}))


async def charged_since(connection: asyncpg.Connection, day: date) -> tuple[ChargedDay, ...]:
    rows = await connection.fetch(
        """SELECT facility, service_on AS day, payer, count(*) AS charges, sum(amount) AS amount FROM charge
            WHERE service_on >= $1 GROUP BY facility, service_on, payer ORDER BY service_on, facility, payer""",
        day,
    )
    return tuple(ChargedDay.model_validate(dict(row)) for row in rows)


async def charges_on(connection: asyncpg.Connection, day: date, facility: str) -> tuple[BilledCharge, ...]:
    rows = await connection.fetch(
        "SELECT charge AS number, payer, amount FROM charge WHERE service_on = $1 AND facility = $2 ORDER BY charge",
        day,
        facility,
    )
    return tuple(BilledCharge.model_validate(dict(row)) for row in rows)


async def open_disagreements(connection: asyncpg.Connection, books: str) -> tuple[Disagreement, ...]:
    rows = await connection.fetch(
        """SELECT record, facility, day, account, what, expected, found FROM book_difference
            WHERE books = $1 AND closed_at IS NULL ORDER BY id""",
        books,
    )
    return tuple(Disagreement.model_validate(dict(row)) for row in rows)


async def watched(connection: asyncpg.Connection) -> dict[str, str | None]:
    """How far each account was read; an account that was never read is not there."""
    return {row["account"]: row["cursor"] for row in await connection.fetch("SELECT account, cursor FROM ledger_watch")}


async def note(connection: asyncpg.Connection, comparison: Comparison, *, now: datetime) -> tuple[Disagreement, ...]:
    """Write a comparison down: what is new, what changed, what agrees again. Returns all that is open."""
    books = comparison.books
    seen = [
        (books, d.record, d.facility, d.day, d.account, d.what, d.expected, d.found, now, comparison.run)
        for d in comparison.disagreements
    ]
    await connection.executemany(
        """INSERT INTO book_difference AS b (books, record, facility, day, account, what, expected, found, first_seen, last_seen, last_run)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)
           ON CONFLICT (books, record, account, what) WHERE closed_at IS NULL
           DO UPDATE SET last_seen = excluded.last_seen, last_run = excluded.last_run,
                         sightings = b.sightings + (b.last_run <> excluded.last_run)::int,
                         expected = excluded.expected, found = excluded.found""",
        seen,
    )
    await connection.execute(
        """UPDATE book_difference SET closed_at = $4
            WHERE books = $1 AND closed_at IS NULL AND day >= $2 AND last_run <> $3""",
        books, comparison.since, comparison.run, now,
    )  # fmt: skip
    await connection.executemany(
        "INSERT INTO ledger_watch (account, cursor) VALUES ($1, $2) ON CONFLICT (account) DO UPDATE SET cursor = excluded.cursor",
        [(each.account, each.cursor) for each in comparison.watched],
    )
    standing = await counting(connection, books)
    await connection.execute(
        "INSERT INTO book_comparison (run, books, compared, open, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        comparison.run, books, comparison.compared, len(standing), now,
    )  # fmt: skip
    return standing


async def counting(connection: asyncpg.Connection, books: str) -> tuple[Disagreement, ...]:
    """What is open between two books and was seen often enough to count, by facility and day."""
    rows = await connection.fetch(
        """SELECT record, facility, day, account, what, expected, found FROM book_difference
            WHERE books = $1 AND closed_at IS NULL AND sightings >= $2 ORDER BY facility, day, id""",
        books, _COUNTS_FROM.get(books, 1),
    )  # fmt: skip
    return tuple(Disagreement.model_validate(dict(row)) for row in rows)
