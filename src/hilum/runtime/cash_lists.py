"""Deposits and remittances as people ask for them: what is not matched, since when, and how much it comes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import asyncpg

from hilum.model.where import Where
from hilum.store.where_sql import platform_columns, sql_condition

COLUMNS = platform_columns(facility="nullif(facility, '')", queue="'cash-posting'")
"""What policies may ask of a deposit or remittance, and where it stands in the table."""
UNMATCHED = ("open", "differs", "returned")
_ALL = """(SELECT s.side, s.number, s.state, s.met_by, s.difference, s.on_day, b.facility, b.company AS payer,
                  array_to_string(b.traces, ' ') AS trace, b.amount, b.type_code AS how
             FROM cash_standing s JOIN bank_line b ON s.side = 'deposit' AND b.number = s.number
           UNION ALL
           SELECT s.side, s.number, s.state, s.met_by, s.difference, s.on_day, a.facility, a.payer, a.trace, a.amount, a.method
             FROM cash_standing s JOIN cash_advice a ON s.side = 'remittance' AND a.number = s.number) AS cash"""


@dataclass(frozen=True)
class CashLine:
    """One deposit or remittance. ``how`` is the bank's type code, or the payer's method (BPR04); ``difference`` that of all it met."""

    side: str
    number: str
    state: str
    met_by: tuple[str, ...]
    on: date
    age_days: int
    facility: str
    payer: str
    trace: str
    how: str
    amount: Decimal
    difference: Decimal


@dataclass(frozen=True)
class CashSum:
    """So many of a side, facility and state, what they come to, and the oldest of them."""

    side: str
    facility: str
    state: str
    count: int
    amount: Decimal
    oldest: date


async def listed(
    connection: asyncpg.Connection, side: str | None, facility: str | None, where: Where, *, everything: bool, today: date, limit: int
) -> list[CashLine]:  # fmt: skip
    """Those that wait longest first; without ``everything`` only what is not matched."""
    condition, values = _chosen(side, facility, where, everything)
    rows = await connection.fetch(
        f"SELECT * FROM {_ALL} WHERE {condition} ORDER BY on_day, side, number LIMIT ${len(values) + 1}", *values, limit
    )
    return [
        CashLine(
            row["side"], row["number"], row["state"], tuple(row["met_by"]), row["on_day"], (today - row["on_day"]).days,
            row["facility"], row["payer"], row["trace"], row["how"], row["amount"], row["difference"],
        )
        for row in rows
    ]  # fmt: skip


async def summed(connection: asyncpg.Connection, facility: str | None, where: Where) -> list[CashSum]:
    """By side, facility and state, matched ones too."""
    condition, values = _chosen(None, facility, where, everything=True)
    rows = await connection.fetch(
        f"""SELECT side, facility, state, count(*) AS count, sum(amount) AS amount, min(on_day) AS oldest FROM {_ALL}
             WHERE {condition} GROUP BY side, facility, state ORDER BY side, facility, state""",
        *values,
    )
    return [CashSum(**dict(row)) for row in rows]


def _chosen(side: str | None, facility: str | None, where: Where, everything: bool) -> tuple[str, list[object]]:
    allowed = sql_condition(where, COLUMNS)
    values: list[object] = list(allowed.parameters)
    parts = [allowed.text]
    for column, value in (("side", side), ("facility", facility)):
        if value is not None:
            values.append(value)
            parts.append(f"{column} = ${len(values)}")
    if not everything:
        values.append(list(UNMATCHED))
        parts.append(f"state = ANY(${len(values)})")
    return " AND ".join(f"({part})" for part in parts), values
