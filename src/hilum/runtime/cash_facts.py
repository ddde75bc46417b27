"""The cash desk's tables: what banks and payers said, how it stands, and what people were told (migration 0021).

Everything here runs in the caller's transaction, under ``locked``: one association at a time. Facts are only ever added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import asyncpg

from hilum.authoring.cash import ExpectedDeposit, StatementLines
from hilum.model.cash import RIPPLE, WINDOW_DAYS, Advice, By, Deposit, Fact, Node, Standing, State, key_of, linked

DEPOSIT = "deposit"
_LOCK = 0x48_43_53  # An advisory lock: what one association reads, no other changes meanwhile.
_REACH = timedelta(days=RIPPLE * WINDOW_DAYS)
_LINE_COLUMNS = "number, account, on_day, amount, traces, companies, company, reference"
_ADVICE_COLUMNS = "number, payer, company, trace, method, on_day, amount"


@dataclass(frozen=True)
class Known:
    """A line that another statement brought before."""

    number: str
    amount: Decimal
    kind: str


async def locked(connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


def deposits_of(lines: StatementLines) -> dict[str, Deposit]:
    """The lines as facts, by their numbers within account and day, in their order."""
    return {
        line.number: Deposit(
            f"{lines.account}/{lines.day}/{line.number}", lines.account, lines.day, line.amount, line.traces, line.company,
            line.reference,
        )
        for line in lines.lines
    }  # fmt: skip


async def add_lines(
    connection: asyncpg.Connection, lines: StatementLines, *, now: datetime
) -> tuple[list[str], dict[str, Known]]:
    """The numbers of lines that this statement brought first, in their order, and those that are known from another."""
    facts = deposits_of(lines)
    await connection.execute("CREATE TEMP TABLE said (LIKE bank_line) ON COMMIT DROP")
    await connection.copy_records_to_table(
        "said",
        columns=[*_LINE_COLUMNS.split(", "), "statement", "line", "position", "facility", "type_code", "kind", "recorded_at"],
        records=[
            (
                fact.number, fact.account, fact.on, fact.amount, [trace for trace, _ in fact.traces],
                [company for _, company in fact.traces], fact.company, fact.reference, lines.statement, line.number, at,
                lines.facility, line.type_code, line.kind, now,
            )
            for at, (line, fact) in enumerate(zip(lines.lines, facts.values(), strict=True), start=1)
        ],
    )  # fmt: skip
    await connection.execute("INSERT INTO bank_line SELECT * FROM said ON CONFLICT DO NOTHING")
    await connection.execute("DROP TABLE said")
    await _link(
        connection, [fact for line, fact in zip(lines.lines, facts.values(), strict=True) if line.kind == DEPOSIT]
    )
    rows = await connection.fetch(
        "SELECT line, statement, amount, kind FROM bank_line WHERE number = ANY($1) ORDER BY position",
        [fact.number for fact in facts.values()],
    )
    fresh = [row["line"] for row in rows if row["statement"] == lines.statement]
    known = {
        row["line"]: Known(facts[row["line"]].number, row["amount"], row["kind"])
        for row in rows
        if row["statement"] != lines.statement
    }
    return fresh, known


def advice_of(said: ExpectedDeposit) -> Advice:
    return Advice(said.number, said.payer, said.company, said.trace, said.method, said.on, said.amount)


async def add_advice(connection: asyncpg.Connection, said: ExpectedDeposit, *, now: datetime) -> bool:
    """Whether the remittance is news."""
    fact = advice_of(said)
    new = await connection.fetchval(
        f"""INSERT INTO cash_advice ({_ADVICE_COLUMNS}, facility, recorded_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING 1""",
        fact.number, fact.payer, fact.company, fact.trace, fact.method, fact.on, fact.amount, said.facility, now,
    )  # fmt: skip
    await _link(connection, [fact])
    return bool(new)


async def neighbourhood(
    connection: asyncpg.Connection, news: Iterable[Fact]
) -> tuple[list[Deposit], list[Advice], set[Node]]:
    """All facts that say how others stand which ``news`` may change; and the keys of those others.

    Facts are linked by trace and check numbers whatever their days are, and meet by amount within windows of days.
    """
    asked: set[str] = set()
    close = await _linked(connection, {key_of(fact): fact for fact in news}, asked)
    days = sorted({fact.on for fact in close.values()})
    found = await _linked(connection, {**close, **await _within(connection, _around(days, 2 * _REACH))}, asked)
    # At the edge of what was read lie facts whose own neighbours were not: how they stand has not changed.
    inner = list(_around(days, _REACH))
    changeable = {key for key, fact in found.items() if any(first <= fact.on <= last for first, last in inner)}
    return (
        [fact for fact in found.values() if isinstance(fact, Deposit)],
        [fact for fact in found.values() if isinstance(fact, Advice)],
        changeable,
    )


async def standings(connection: asyncpg.Connection, keys: Iterable[Node]) -> dict[Node, Standing]:
    """How these stood until now."""
    asked = list(keys)
    rows = await connection.fetch(
        """SELECT s.* FROM cash_standing s JOIN unnest($1::text[], $2::text[]) AS asked (side, number)
             ON s.side = asked.side AND s.number = asked.number""",
        [side for side, _ in asked], [number for _, number in asked],
    )  # fmt: skip
    return {(row["side"], row["number"]): _standing(row) for row in rows}


async def write_standings(
    connection: asyncpg.Connection, changed: Sequence[tuple[Standing, date]], *, now: datetime
) -> None:
    await connection.executemany(
        """INSERT INTO cash_standing (side, number, state, met_by, cash_group, difference, on_day, since)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (side, number) DO UPDATE SET
             state = excluded.state, met_by = excluded.met_by, cash_group = excluded.cash_group,
             difference = excluded.difference, since = excluded.since""",
        [
            (each.side, each.number, each.state.value, list(each.by), each.group, each.difference, day, now)
            for each, day in changed
        ],
    )


async def overdue(connection: asyncpg.Connection, side: str, until: date) -> list[asyncpg.Record]:
    """What of a side is open since that day or longer and nobody was told of: the oldest first."""
    facts = "bank_line" if side == DEPOSIT else "cash_advice"
    payer = "f.company" if side == DEPOSIT else "f.payer"
    traces = "array_to_string(f.traces, ' ')" if side == DEPOSIT else "f.trace"
    rows: list[asyncpg.Record] = await connection.fetch(
        f"""SELECT s.number, s.on_day, f.amount, f.facility, {payer} AS payer, {traces} AS traces,
                   EXISTS (SELECT FROM cash_told t WHERE t.subject = s.side || '/' || s.number) AS told
              FROM cash_standing s JOIN {facts} f ON f.number = s.number
             WHERE s.side = $1 AND s.state = 'open' AND s.on_day <= $2 ORDER BY s.on_day, s.number""",
        side, until,
    )  # fmt: skip
    return rows


def _standing(row: Mapping[str, object]) -> Standing:
    return Standing(
        row["side"], row["number"], State(row["state"]), tuple(By(each) for each in row["met_by"]), row["cash_group"],  # type: ignore[arg-type, attr-defined]
        row["difference"],  # type: ignore[arg-type]
    )  # fmt: skip


async def _link(connection: asyncpg.Connection, facts: Iterable[Fact]) -> None:
    links = [(link, *key_of(fact)) for fact in facts for link in linked(fact)]
    await connection.execute(
        "INSERT INTO cash_link SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING",
        [link for link, _, _ in links], [side for _, side, _ in links], [number for _, _, number in links],
    )  # fmt: skip


async def _linked(connection: asyncpg.Connection, facts: Mapping[Node, Fact], asked: set[str]) -> dict[Node, Fact]:
    """These facts and all that a trace or a check number leads to from them; ``asked`` grows by what was followed."""
    found = dict(facts)
    while links := {link for fact in found.values() for link in linked(fact)} - asked:
        asked |= links
        missing = [
            (row["side"], row["number"])
            for row in await connection.fetch(
                "SELECT DISTINCT side, number FROM cash_link WHERE link = ANY($1)", list(links)
            )
            if (row["side"], row["number"]) not in found
        ]
        for fact in await _facts(connection, "number = ANY($1)", [number for _, number in missing]) if missing else ():
            found.setdefault(key_of(fact), fact)
    return found


async def _within(connection: asyncpg.Connection, ranges: Iterable[tuple[date, date]]) -> dict[Node, Fact]:
    found: dict[Node, Fact] = {}
    for first, last in ranges:
        found |= {key_of(fact): fact for fact in await _facts(connection, "on_day BETWEEN $1 AND $2", first, last)}
    return found


async def _facts(connection: asyncpg.Connection, where: str, *values: object) -> list[Fact]:
    lines = await connection.fetch(f"SELECT {_LINE_COLUMNS} FROM bank_line WHERE kind = 'deposit' AND {where}", *values)
    advices = await connection.fetch(f"SELECT {_ADVICE_COLUMNS} FROM cash_advice WHERE {where}", *values)
    return [
        *(
            Deposit(
                row["number"], row["account"], row["on_day"], row["amount"],
                tuple(zip(row["traces"], row["companies"], strict=True)), row["company"], row["reference"],
            )
            for row in lines
        ),
        *(Advice(*row.values()) for row in advices),
    ]  # fmt: skip


def _around(days: Sequence[date], reach: timedelta) -> Iterator[tuple[date, date]]:
    """The days as few ranges, each so much longer at both ends; ``days`` in order."""
    first: date | None = None
    last = date.min
    for day in days:
        if first is not None and day - reach <= last:
            last = day + reach
            continue
        if first is not None:
            yield first, last
        first, last = day - reach, day + reach
    if first is not None:
        yield first, last
