"""How charges stand, as people read it: by facility and service day, by cause where they are held, and back from a journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import asyncpg

from hilum.model.where import Where
from hilum.store.where_sql import platform_columns, sql_condition

STATES = ("held", "open", "staged", "posted", "skipped")
_COLUMNS = platform_columns(facility="c.facility", department="c.department")
# Released charges are held until they were placed again; staged ones are posted once the ledger's number is known.
_STATE = """CASE WHEN s.state = 'again' THEN 'held' WHEN s.state = 'staged' AND j.number IS NOT NULL THEN 'posted' ELSE s.state END"""
_TABLES = """charge c JOIN charge_state s USING (charge)
    LEFT JOIN posting_journal j ON j.source = s.source AND j.facility = s.facility"""


@dataclass(frozen=True)
class ChargeStanding:
    """How many charges of a facility stand so, and their dollars with credits taken off."""

    facility: str
    state: str
    cause: str | None
    charges: int
    amount: Decimal
    oldest: date


@dataclass(frozen=True)
class DayStanding:
    """The charges of one facility and service day in one state."""

    facility: str
    service_on: date
    state: str
    charges: int
    amount: Decimal


@dataclass(frozen=True)
class UnmetCredit:
    """A credit that takes back a charge which nobody has told yet."""

    charge: str
    facility: str
    takes_back: str
    amount: Decimal


@dataclass(frozen=True)
class ChargeStatus:
    """How all charges stand that the reader may see."""

    standings: tuple[ChargeStanding, ...]
    unmet_credits: int
    unmet_usd: Decimal


@dataclass(frozen=True)
class PostedCharge:
    """One line of a journal's drill-down: the charge, where it went and by which rule, and the event that told it."""

    charge: str
    facility: str
    department: str
    code: str
    charge_class: str
    service_on: date
    amount: Decimal
    debit: str
    credit: str
    cost_centre: str
    rule: str
    source: str
    event: str


async def status(connection: asyncpg.Connection, where: Where) -> ChargeStatus:
    allowed = sql_condition(where, _COLUMNS)
    rows = await connection.fetch(
        f"""SELECT c.facility, {_STATE} AS state, CASE WHEN s.state = 'held' THEN s.cause END AS cause, count(*) AS charges,
                   sum(c.amount) AS amount, min(c.service_on) AS oldest
              FROM {_TABLES} WHERE {allowed.text} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
        *allowed.parameters,
    )
    unmet = await connection.fetchrow(
        f"""SELECT count(*) AS credits, coalesce(sum(c.amount), 0) AS amount FROM charge c
             WHERE c.takes_back <> '' AND NOT EXISTS (SELECT 1 FROM charge o WHERE o.charge = c.takes_back) AND {allowed.text}""",
        *allowed.parameters,
    )
    return ChargeStatus(tuple(ChargeStanding(**dict(row)) for row in rows), unmet["credits"], unmet["amount"])


async def days(
    connection: asyncpg.Connection, where: Where, *, facility: str | None, state: str | None, most: int
) -> list[DayStanding]:
    """By facility and service day, the newest day first."""
    allowed = sql_condition(where, _COLUMNS, first_parameter=4)
    rows = await connection.fetch(
        f"""SELECT * FROM (
                SELECT c.facility, c.service_on, {_STATE} AS state, count(*) AS charges, sum(c.amount) AS amount
                  FROM {_TABLES} WHERE ($1::text IS NULL OR c.facility = $1) AND {allowed.text} GROUP BY 1, 2, 3) AS standing
             WHERE $2::text IS NULL OR state = $2 ORDER BY service_on DESC, facility, state LIMIT $3""",
        facility, state, most, *allowed.parameters,
    )  # fmt: skip
    return [DayStanding(**dict(row)) for row in rows]


async def of_journal(connection: asyncpg.Connection, number: str, where: Where, *, most: int) -> list[PostedCharge]:
    """Every charge that stands in a journal of the ledger, as far as the reader may see it."""
    allowed = sql_condition(where, _COLUMNS, first_parameter=3)
    rows = await connection.fetch(
        f"""SELECT c.charge, c.facility, c.department, c.code, e.charge_class, c.service_on, e.moved AS amount, e.debit, e.credit,
                   e.cost_centre, e.rule, e.source, format('e/%s/%s', c.event_shard, c.event_seq) AS event
              FROM posting_journal p JOIN staged_entry e ON e.source = p.source AND e.facility = p.facility
              JOIN charge c ON c.charge = e.line
             WHERE p.number = $1 AND {allowed.text} ORDER BY c.charge LIMIT $2""",
        number, most, *allowed.parameters,
    )  # fmt: skip
    return [PostedCharge(**dict(row)) for row in rows]


async def unmet_credits(connection: asyncpg.Connection, where: Where, *, most: int) -> list[UnmetCredit]:
    """Credits whose charge was never told, the largest first. Their amounts stand in the books all the same."""
    allowed = sql_condition(where, _COLUMNS, first_parameter=2)
    rows = await connection.fetch(
        f"""SELECT c.charge, c.facility, c.takes_back, c.amount FROM charge c
             WHERE c.takes_back <> '' AND NOT EXISTS (SELECT 1 FROM charge o WHERE o.charge = c.takes_back) AND {allowed.text}
             ORDER BY c.amount, c.charge LIMIT $1""",
        most, *allowed.parameters,
    )  # fmt: skip
    return [UnmetCredit(**dict(row)) for row in rows]
