"""From collected charges to sources of postings: a run gathers what is open, a period's end accrues what no journal has.

Everything here runs in the caller's transaction, under a lock of the facility: two runs at once would share charges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

import asyncpg

from hilum.authoring.failures import Rejected
from hilum.authoring.revenue import Accrual, NoPostingRule, StagedAccrual, StagedBatch, StagedCharges, Staging
from hilum.model.charge import ChargePlace
from hilum.model.posting import FinancialMovement, PostingBook, StagedEntry
from hilum.runtime import charge_books, subledger
from hilum.runtime.collecting import movement_of, rule_needed

UNBILLED, NOT_INVOICED = "unbilled_charges", "received_not_invoiced"
"""The kinds of the movements that an accrual is made of."""
CHARGES, ACCRUAL, REVERSAL = "charges", "accrual", "accrual_reversal"
"""The kinds of the sources."""


@dataclass
class Staged:
    """A source with its entries, ready to be written down."""

    staging: Staging
    entries: list[StagedEntry]


@dataclass
class RunResult:
    """What a run staged, and what it had to keep aside for lack of a rule: by (facility, cause)."""

    charges: StagedCharges
    causes: dict[tuple[str, str], Rejected] = field(default_factory=dict)
    news: list[Staged] = field(default_factory=list)


async def stage_run(
    connection: asyncpg.Connection,
    book: PostingBook,
    *,
    facility: str,
    until: date,
    run: str,
    now: datetime,
    staged_by: str = "",
) -> RunResult:
    """Stage what is open at a facility up to a service day, a source for each day. A run that was done is told again."""
    await _lock(connection, facility)
    new = await connection.fetchval(
        """INSERT INTO charge_run (run, facility, until_day, at) VALUES ($1, $2, $3, $4) ON CONFLICT (run) DO NOTHING RETURNING 1""",
        run, facility, until, now,
    )  # fmt: skip
    if not new:
        return RunResult(await _read(connection, run))
    rows = await connection.fetch(
        """SELECT c.*, s.place_class, s.cost_centre, s.payer_class, s.post_from FROM charge_state s JOIN charge c USING (charge)
            WHERE s.state = 'open' AND s.facility = $1 AND s.service_on <= $2 ORDER BY s.service_on, c.charge FOR UPDATE OF s""",
        facility, until,
    )  # fmt: skip
    batches = {
        row["service_on"]: row["batches"]
        for row in await connection.fetch(
            "SELECT service_on, max(batch) AS batches FROM charge_batch WHERE facility = $1 GROUP BY 1", facility
        )
    }
    result = RunResult(StagedCharges(run=run, batches=()))
    # Sixty thousand charges take seconds: the loop goes on meanwhile.
    groups, held = await asyncio.to_thread(_grouped, rows, book, result)
    await charge_books.place_again(connection, held)
    for (service_on, on), (numbers, entries) in sorted(groups.items()):
        batch = batches[service_on] = batches.get(service_on, 0) + 1
        movements = tuple(entry.movement for entry in entries)
        staging = Staging(
            source=f"charges/{facility}/{service_on}/{batch}",
            kind=CHARGES,
            reference=f"{facility} {service_on}",
            on=service_on,
            amount=sum((each.amount for each in movements), Decimal(0)),
            movements=movements,
        )
        await subledger.add(
            connection, staging, entries, [None] * len(entries), tables=book.version, now=now, staged_by=staged_by
        )
        await connection.execute(
            """INSERT INTO charge_batch (source, run, facility, service_on, batch, on_day) VALUES ($1, $2, $3, $4, $5, $6)""",
            staging.source, run, facility, service_on, batch, on,
        )  # fmt: skip
        await connection.execute(
            "UPDATE charge_state SET state = 'staged', source = $1 WHERE charge = ANY($2::text[])",
            staging.source,
            numbers,
        )
        result.news.append(Staged(staging, entries))
    result.charges = await _read(connection, run)
    return result


def _grouped(
    rows: Sequence[asyncpg.Record], book: PostingBook, result: RunResult
) -> tuple[dict[tuple[date, date], tuple[list[str], list[StagedEntry]]], list[tuple[str, None, str]]]:
    """Entries by service day and the day from which on they may be posted; and what has no rule any more, with its cause."""
    groups: dict[tuple[date, date], tuple[list[str], list[StagedEntry]]] = {}
    held: list[tuple[str, None, str]] = []
    for row in rows:
        charge = charge_books.charge_in(row)
        place = _place(row)
        try:
            rule_needed(book, charge, place)
        except NoPostingRule as without:
            cause = f"{NoPostingRule.__name__}:{without.cause}"
            result.causes.setdefault((charge.facility, cause), without)
            held.append((charge.number, None, cause))
            continue
        on = max(charge.service_on, row["post_from"]) if row["post_from"] is not None else charge.service_on
        numbers, entries = groups.setdefault((charge.service_on, on), ([], []))
        numbers.append(charge.number)
        entries.append(book.staged(movement_of(charge, place), charge.service_on))
    return groups, held


async def _read(connection: asyncpg.Connection, run: str) -> StagedCharges:
    rows = await connection.fetch(
        """SELECT b.source, b.service_on, b.batch, b.on_day, s.entries, s.amount FROM charge_batch b JOIN posting_source s USING (source)
            WHERE b.run = $1 ORDER BY b.service_on, b.batch""",
        run,
    )
    return StagedCharges(
        run=run,
        batches=tuple(
            [
                StagedBatch(
                    source=row["source"], service_on=row["service_on"], batch=row["batch"], on=row["on_day"],
                    charges=row["entries"], amount=row["amount"], journals=(await subledger.read(connection, row["source"])).journals,
                )
                for row in rows
            ]
        ),
    )  # fmt: skip


async def stage_accrual(
    connection: asyncpg.Connection, book: PostingBook, accrual: Accrual, *, now: datetime, staged_by: str = ""
) -> tuple[StagedAccrual, list[Staged]]:
    """Stage both halves, once. ``NoRule`` when the posting rules have none for what is accrued."""
    await _lock(connection, accrual.facility)
    source, back = (f"{name}/{accrual.facility}/{accrual.period}" for name in ("accrual", "accrual-reversal"))
    news: list[Staged] = []
    if not await connection.fetchval("SELECT 1 FROM posting_source WHERE source = $1", source):
        # Held ones too: nobody knows yet what they are, and they were earned all the same.
        rows = await connection.fetch(
            """SELECT c.*, s.place_class, s.cost_centre, s.payer_class FROM charge_state s JOIN charge c USING (charge)
                WHERE s.state IN ('open', 'held', 'again') AND s.facility = $1 AND s.service_on <= $2 ORDER BY c.charge FOR UPDATE OF s""",
            accrual.facility, accrual.last_day,
        )  # fmt: skip
        movements = [*_unbilled(rows), *accrual.not_invoiced]
        for name, kind, on, sign in (
            (source, ACCRUAL, accrual.last_day, 1),
            (back, REVERSAL, accrual.first_day_after, -1),
        ):
            turned = tuple(each.model_copy(update={"amount": sign * each.amount}) for each in movements)
            # By the rules of the last day both: the reversal must meet the accounts that it takes back.
            entries = [book.staged(each, accrual.last_day) for each in turned]
            staging = Staging(
                source=name, kind=kind, reference=f"{accrual.facility} {accrual.period}", on=on,
                amount=sum((each.amount for each in turned), Decimal(0)), movements=turned,
            )  # fmt: skip
            await subledger.add(
                connection, staging, entries, [None] * len(entries), tables=book.version, now=now, staged_by=staged_by
            )
            news.append(Staged(staging, entries))
        numbers = [row["charge"] for row in rows]
        await connection.execute(
            "INSERT INTO accrued_charge (charge, source) SELECT unnest($1::text[]), $2", numbers, source
        )
        # What is accrued in this period is taken back in the next one, and must not stand in this one a second time.
        await connection.execute(
            "UPDATE charge_state SET post_from = $2 WHERE charge = ANY($1::text[])", numbers, accrual.first_day_after
        )
    return StagedAccrual(
        accrual=await subledger.read(connection, source), reversal=await subledger.read(connection, back)
    ), news


def _unbilled(rows: Sequence[asyncpg.Record]) -> Iterator[FinancialMovement]:
    for row in rows:
        movement = movement_of(charge_books.charge_in(row), _place(row))
        yield movement.model_copy(update={"kind": UNBILLED})


def _place(row: asyncpg.Record) -> ChargePlace:
    return ChargePlace(
        charge_class=row["place_class"] or row["charge_class"],
        cost_centre=row["cost_centre"],
        payer_class=row["payer_class"],
    )


async def _lock(connection: asyncpg.Connection, facility: str) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 24))", f"charges/{facility}")
