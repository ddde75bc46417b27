"""Denials as people work them: lists, sums, and decisions (migration 0023). Where one stands, ``claim_folding`` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.claims import DenialToDecide
from hilum.model.where import Where
from hilum.runtime import claim_books
from hilum.store.where_sql import platform_columns, sql_condition

RESUBMIT, WRITE_OFF, WRITTEN_OFF, REFUSED = "resubmit", "write_off", "written_off", "refused"
COLUMNS = platform_columns(facility="nullif(facility, '')", queue="'denials'")
"""What policies may ask of a denial, and where it stands in the table."""
_SHOWN = """number, state, facility, payer, payer_class, group_code, reason, remarks, amount, on_day, due_on, cause"""


class NotDecided(LookupError):
    """There is no such denial, or nothing is to be decided about it now; the text says which."""


@dataclass(frozen=True)
class DenialLine:
    """One denial, without whose it is: ``number`` is by which people call it."""

    number: int
    state: str
    facility: str
    payer: str
    group: str
    reason: str
    remarks: tuple[str, ...]
    amount: Decimal
    on: date
    due_on: date | None
    cause: str


@dataclass(frozen=True)
class DenialSum:
    """What is denied for one reason by one payer at one facility, in one state."""

    group: str
    reason: str
    cause: str
    payer: str
    facility: str
    state: str
    denials: int
    amount: Decimal


@dataclass(frozen=True)
class Selection:
    """Which denials: all that are given count together. ``due_by`` includes the day; ``open_only`` leaves out what is settled."""

    group: str | None = None
    reason: str | None = None
    payer: str | None = None
    facility: str | None = None
    due_by: date | None = None
    open_only: bool = True


@dataclass(frozen=True)
class Decision:
    """A decision that was written down; ``reference`` names it for ever."""

    decision: int
    denial: int
    kind: str
    reference: str
    reason: str
    actor: str
    facility: str
    payer: str
    amount: Decimal
    at: datetime


async def listed(
    connection: asyncpg.Connection, chosen: Selection, where: Where, *, limit: int, after: int = 0
) -> list[DenialLine]:
    """Those that are due first come first; of those without a day the oldest. ``after`` leaves out so many."""
    condition, values = _chosen(chosen, where)
    rows = await connection.fetch(
        f"""SELECT {_SHOWN} FROM denial WHERE {condition} ORDER BY due_on NULLS LAST, amount DESC, number
            LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}""",
        *values, limit, after,
    )  # fmt: skip
    return [_line(row) for row in rows]


async def summed(connection: asyncpg.Connection, chosen: Selection, where: Where) -> list[DenialSum]:
    """By group and reason, payer and facility; the largest first."""
    condition, values = _chosen(chosen, where)
    rows = await connection.fetch(
        f"""SELECT group_code AS group, reason, cause, payer, facility, state, count(*) AS denials, sum(amount) AS amount
              FROM denial WHERE {condition} GROUP BY group_code, reason, cause, payer, facility, state
             ORDER BY sum(amount) DESC, group_code, reason, payer, facility, state""",
        *values,
    )
    return [DenialSum(**dict(row)) for row in rows]


async def read(connection: asyncpg.Connection, number: int) -> DenialLine | None:
    row = await connection.fetchrow(f"SELECT {_SHOWN} FROM denial WHERE number = $1", number)
    return None if row is None else _line(row)


async def of_claim(connection: asyncpg.Connection, claim: str) -> list[DenialLine]:
    rows = await connection.fetch(f"SELECT {_SHOWN} FROM denial WHERE claim = $1 ORDER BY number", claim)
    return [_line(row) for row in rows]


async def to_decide(
    connection: asyncpg.Connection, number: int, limit: Callable[[str], Decimal]
) -> DenialToDecide | None:
    """A denial as the flow of its decision needs it; ``limit`` says of a facility what is given up without asking."""
    row = await connection.fetchrow(f"SELECT {_SHOWN} FROM denial WHERE number = $1", number)
    if row is None:
        return None
    return DenialToDecide(
        number=row["number"], state=row["state"], facility=row["facility"], payer=row["payer"],
        payer_class=row["payer_class"], group=row["group_code"], reason=row["reason"], amount=row["amount"], on=row["on_day"],
        limit_usd=limit(row["facility"]),
    )  # fmt: skip


async def decide(
    connection: asyncpg.Connection,
    number: int,
    kind: Literal["resubmit", "write_off"],
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> Decision:
    """Write a person's decision down. ``NotDecided`` when the denial is settled, or somebody's write-off waits already.

    A write-off has its effect by a flow, which takes it up from here: asked for above the limit, and posted.
    """
    if not reason.strip():
        raise NotDecided("A decision needs a reason: it is what an auditor reads.")
    # A document that is booked meanwhile would fold the denial without this decision.
    await claim_books.lock(connection)
    row = await connection.fetchrow("SELECT * FROM denial WHERE number = $1 FOR UPDATE", number)
    if row is None:
        raise NotDecided(f"There is no denial {number}. `hilum denials list` lists the open ones.")
    if row["state"] not in ("open", "resubmitting"):
        raise NotDecided(f"Denial {number} is {row['state'].replace('_', ' ')}: nothing is to be decided about it.")
    before = await connection.fetchval("SELECT count(*) FROM denial_decision WHERE denial = $1", number)
    made = await connection.fetchrow(
        """INSERT INTO denial_decision (denial, kind, reference, reason, actor, at) VALUES ($1, $2, $3, $4, $5, $6)
           RETURNING decision, reference""",
        number, kind, f"{number}-{before + 1}", reason, actor, now,
    )  # fmt: skip
    state = "write_off_asked" if kind == WRITE_OFF else "resubmitting"
    await connection.execute("UPDATE denial SET state = $2, updated_at = $3 WHERE number = $1", number, state, now)
    detail = {"kind": kind, "amount": str(row["amount"]), "reference": made["reference"]}
    await append(connection, [Entry(now, actor, "denial.decided", f"denial/{number}", detail)])
    if kind == WRITE_OFF:
        await connection.execute("SELECT pg_notify('hilum_denials', '')")
    return Decision(
        made["decision"],
        number,
        kind,
        made["reference"],
        reason,
        actor,
        row["facility"],
        row["payer"],
        row["amount"],
        now,
    )


async def note_outcome(
    connection: asyncpg.Connection, number: int, reference: str, *, posted: bool, now: datetime, actor: str
) -> tuple[bool, str]:
    """Write down what came of a write-off; whether it was news, and the claim's token. LookupError without such a denial."""
    claim = await connection.fetchval("SELECT claim FROM denial WHERE number = $1", number)
    if claim is None:
        raise LookupError(f"there is no denial {number}")
    new = await connection.fetchval(
        """INSERT INTO denial_decision (denial, kind, reference, reason, actor, at) VALUES ($1, $2, $3, '', $4, $5)
           ON CONFLICT (reference) DO NOTHING RETURNING 1""",
        number, WRITTEN_OFF if posted else REFUSED, f"{reference}/{'posted' if posted else 'refused'}", actor, now,
    )  # fmt: skip
    return bool(new), claim


async def untaken(connection: asyncpg.Connection, *, limit: int = 100) -> Sequence[Decision]:
    """Write-offs that no event was made of yet, the oldest first."""
    rows = await connection.fetch(
        """SELECT x.decision, x.denial, x.kind, x.reference, x.reason, x.actor, d.facility, d.payer, d.amount, x.at
             FROM denial_decision x JOIN denial d ON d.number = x.denial
            WHERE x.kind = 'write_off' AND NOT EXISTS (SELECT 1 FROM denial_taken t WHERE t.decision = x.decision)
            ORDER BY x.decision LIMIT $1""",
        limit,
    )
    return [Decision(**dict(row)) for row in rows]


async def note_taken(connection: asyncpg.Connection, decision: int, event: str, now: datetime) -> None:
    await connection.execute(
        "INSERT INTO denial_taken (decision, event, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        decision,
        event,
        now,
    )


def _chosen(chosen: Selection, where: Where) -> tuple[str, list[object]]:
    allowed = sql_condition(where, COLUMNS)
    values: list[object] = list(allowed.parameters)
    parts = [allowed.text]
    for column, value in (
        ("group_code", chosen.group), ("reason", chosen.reason), ("payer", chosen.payer), ("facility", chosen.facility),
    ):  # fmt: skip
        if value is not None:
            values.append(value)
            parts.append(f"{column} = ${len(values)}")
    if chosen.due_by is not None:
        values.append(chosen.due_by)
        parts.append(f"due_on <= ${len(values)}")
    if chosen.open_only:
        parts.append("state IN ('open', 'resubmitting', 'write_off_asked')")
    return " AND ".join(f"({part})" for part in parts), values


def _line(row: asyncpg.Record) -> DenialLine:
    return DenialLine(
        number=row["number"], state=row["state"], facility=row["facility"], payer=row["payer"], group=row["group_code"],
        reason=row["reason"], remarks=tuple(row["remarks"]), amount=row["amount"], on=row["on_day"], due_on=row["due_on"],
        cause=row["cause"],
    )  # fmt: skip
