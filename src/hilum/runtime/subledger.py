"""The subledger's tables: sources, their entries, and the journals of the ERP they stand in (migration 0020).

Everything here runs in the caller's transaction. Entries are only ever added; a database trigger refuses anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

import asyncpg
import orjson

from hilum.authoring.revenue import StagedJournal, StagedSource, Staging
from hilum.model.ledger import DocumentRef, Journal
from hilum.model.posting import PostingBook, StagedEntry, journal_of

_ZERO = Decimal(0)
_COLUMNS = (
    "source", "line", "kind", "reason", "charge_class", "facility", "payer_class", "payer", "cost_centre", "claim", "moved",
    "debit", "credit", "rule",
)  # fmt: skip


class StagedBefore(ValueError):
    """The source was staged with other entries before; the text says how they differ in sum."""


def digest_of(staging: Staging) -> bytes:
    """What a source moved, whatever the rules were: two stagings with one digest are one."""
    return hashlib.sha256(staging.model_dump_json().encode()).digest()


async def add(
    connection: asyncpg.Connection,
    staging: Staging,
    entries: Sequence[StagedEntry],
    claims: Sequence[str | None],
    *,
    tables: str,
    now: datetime,
    staged_by: str = "",
) -> bool:
    """Stage the entries of a source, ``claims`` their claims' tokens in the same order; whether it was news.

    ``staged_by`` is the delivery that brought it: its case is where a refusal of the posting waits.

    Nothing is added when exactly this was staged before; ``StagedBefore`` when something else was.
    """
    new = await connection.fetchval(
        """INSERT INTO posting_source (source, kind, reference, payer, on_day, amount, digest, tables, entries, staged_at, staged_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (source) DO NOTHING RETURNING 1""",
        staging.source, staging.kind, staging.reference, staging.payer, staging.on, staging.amount, digest_of(staging),
        bytes.fromhex(tables), len(entries), now, staged_by,
    )  # fmt: skip
    if not new:
        await staged_before(connection, staging)
        return False
    await connection.copy_records_to_table(
        "staged_entry",
        schema_name="hilum",
        columns=list(_COLUMNS),
        records=[
            (
                staging.source, m.line, m.kind, m.reason, m.charge_class, m.facility, m.payer_class, m.payer,
                entry.cost_centre, claim, m.amount, entry.debit, entry.credit, entry.rule,
            )
            for entry, claim in zip(entries, claims, strict=True)
            for m in (entry.movement,)
        ],
    )  # fmt: skip
    totals: dict[str, Decimal] = {}
    for entry in entries:
        if entry.amount and not entry.is_memo:
            totals[entry.movement.facility] = totals.get(entry.movement.facility, _ZERO) + entry.amount
    await connection.executemany(
        "INSERT INTO posting_journal (source, facility, total) VALUES ($1, $2, $3)",
        [(staging.source, facility, total) for facility, total in sorted(totals.items())],
    )
    return True


async def keep_tables(connection: asyncpg.Connection, book: PostingBook, *, now: datetime) -> None:
    """Keep the tables that something is staged by, so that its rules can be read when the estate has others."""
    await connection.execute(
        "INSERT INTO posting_tables (digest, texts, first_used) VALUES ($1, $2::jsonb, $3) ON CONFLICT (digest) DO NOTHING",
        bytes.fromhex(book.version), orjson.dumps(dict(book.texts)).decode(), now,
    )  # fmt: skip


async def staged_before(connection: asyncpg.Connection, staging: Staging) -> bool:
    """Whether exactly this was staged already; ``StagedBefore`` when the source was, with other amounts."""
    known = await connection.fetchrow(
        "SELECT digest, amount, entries FROM posting_source WHERE source = $1", staging.source
    )
    if known is None:
        return False
    if known["digest"] != digest_of(staging):
        raise StagedBefore(
            f"{known['entries']} entries of {known['amount']} USD then, "
            f"{len(staging.movements)} of {staging.amount} USD now"
        )
    return True


async def read(connection: asyncpg.Connection, source: str) -> StagedSource:
    """A source with its journals; LookupError when it was not staged."""
    entries = await connection.fetchval("SELECT entries FROM posting_source WHERE source = $1", source)
    if entries is None:
        raise LookupError(f"{source} was not staged")
    rows = await connection.fetch(
        "SELECT facility, total, number FROM posting_journal WHERE source = $1 ORDER BY facility", source
    )
    return StagedSource(source=source, entries=entries, journals=tuple(StagedJournal(**dict(row)) for row in rows))


async def journal(
    connection: asyncpg.Connection, source: str, facility: str, *, description: str, on: date
) -> Journal | None:
    """The entries of a source at one facility as one journal: a line for each account, side and cost centre."""
    rows = await connection.fetch(
        """SELECT account, cost_centre, is_debit, sum(amount) AS amount
             FROM (SELECT debit AS account, cost_centre, true AS is_debit, abs(moved) AS amount FROM staged_entry
                    WHERE source = $1 AND facility = $2 AND debit <> ''
                   UNION ALL
                   SELECT credit, cost_centre, false, abs(moved) FROM staged_entry
                    WHERE source = $1 AND facility = $2 AND credit <> '') AS sides
            GROUP BY account, cost_centre, is_debit HAVING sum(amount) > 0""",
        source, facility,
    )  # fmt: skip
    sums = {(row["account"], row["cost_centre"], row["is_debit"]): row["amount"] for row in rows}
    return journal_of(sums, date=on, description=description)


async def note_posted(
    connection: asyncpg.Connection, source: str, facility: str, document: DocumentRef, *, on: date, now: datetime
) -> bool:
    """Write the ERP's number down; whether it was news. ``StagedBefore`` when another number stands there."""
    changed = await connection.fetchval(
        """UPDATE posting_journal SET number = $3, document = $4, posted_on = $5, posted_at = $6
            WHERE source = $1 AND facility = $2 AND number IS NULL RETURNING 1""",
        source, facility, document.number, document.id, on, now,
    )  # fmt: skip
    if changed:
        return True
    known = await connection.fetchval(
        "SELECT number FROM posting_journal WHERE source = $1 AND facility = $2", source, facility
    )
    if known != document.number:
        raise StagedBefore(f"{source} at {facility} stands in journal {known}, not in {document.number}")
    return False
