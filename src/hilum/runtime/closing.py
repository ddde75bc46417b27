"""The close: what keeps a facility's fiscal period from being final, each as a live number and as the list behind it.

Every line is one query over what is known at this moment. Its count, its dollars and its list come from the same rows, so
that no number can say something else than the list it opens.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import asyncpg

STALE_COMPARISON = timedelta(hours=26)
"""Books that were not compared for so long count as not compared."""


class NoSuchLine(LookupError):
    """The checklist has no line of this name; the text lists those it has."""


class NoSuchPeriod(ValueError):
    """Not a month such as 2026-03."""


@dataclass(frozen=True)
class Period:
    """A calendar month, which is a fiscal period here. ``first`` and ``last`` are days of it."""

    name: str
    first: date
    last: date

    @classmethod
    def named(cls, name: str) -> Period:
        """``2026-03``; NoSuchPeriod for anything else."""
        try:
            year, month = (int(part) for part in name.split("-"))
            first = date(year, month, 1)
        except ValueError:
            raise NoSuchPeriod(f"{name} is no period; write a month such as 2026-03") from None
        return cls(f"{first:%Y-%m}", first, first.replace(day=monthrange(year, month)[1]))

    @classmethod
    def of(cls, day: date) -> Period:
        return cls.named(f"{day:%Y-%m}")


@dataclass(frozen=True)
class Line:
    """One line of the checklist. ``blocks``: the period is not final while anything stands in it; otherwise it is told."""

    name: str
    title: str
    remedy: str
    rows: str
    blocks: bool = True


@dataclass(frozen=True)
class LineStanding:
    """How a line stands for one facility (or the network, where it belongs to none) and period."""

    name: str
    title: str
    blocks: bool
    count: int
    amount_usd: Decimal
    oldest: date | None
    remedy: str

    @property
    def clear(self) -> bool:
        return not self.count


@dataclass(frozen=True)
class Record:
    """One record behind a number. No patient is named in it."""

    facility: str
    day: date | None
    record: str
    amount_usd: Decimal
    detail: str


@dataclass(frozen=True)
class Checklist:
    """A facility's period. ``final``: nothing that blocks is left."""

    facility: str
    period: str
    first: date
    last: date
    at: datetime
    lines: tuple[LineStanding, ...]

    @property
    def final(self) -> bool:
        return all(line.clear for line in self.lines if line.blocks)


# Parameters of every query: $1 the facility, $2 the period's first day, $3 its last, $4 now, $5 the period's name.
# Rows without a facility belong to the whole network and stand in every facility's list.
_LINES: tuple[Line, ...] = (
    Line(
        "charges-held",
        "Charges that cannot be placed",
        "Work the item that each waits in: a code, a department or a rule is missing.",
        """SELECT c.facility, c.service_on AS day, c.charge AS record, c.amount, coalesce(s.cause, '') AS detail
             FROM charge_state s JOIN charge c USING (charge)
            WHERE s.state IN ('held', 'again') AND s.facility = $1 AND s.service_on <= $3""",
    ),
    Line(
        "charges-unposted",
        "Charges that are not posted yet",
        "They are gathered tonight; `hilum schedule run charges_due` gathers them now.",
        """SELECT c.facility, c.service_on AS day, c.charge AS record, c.amount, 'not gathered yet' AS detail
             FROM charge_state s JOIN charge c USING (charge)
            WHERE s.state = 'open' AND s.facility = $1 AND s.service_on <= $3""",
    ),
    Line(
        "journals-delayed",
        "Journals that the ledger does not have",
        "Work the item in which the case waits; journals go on from where they stopped.",
        """SELECT j.facility, s.on_day AS day, j.source AS record, j.total AS amount,
                  coalesce((SELECT min(w.title) FROM work_item_case c JOIN work_item w ON w.id = c.work_item AND w.state = 'open'
                             WHERE c.subject = 'c/' || regexp_replace(s.staged_by, '/[^/]*$', '')), 'on its way') AS detail
             FROM posting_journal j JOIN posting_source s USING (source)
            WHERE j.number IS NULL AND j.facility = $1 AND s.on_day <= $3""",
    ),
    Line(
        "journals-moved",
        "Journals that stand in a later period",
        "Their own period was closed when they came. Reopen it and move them in the ERP where they matter.",
        """SELECT j.facility, s.on_day AS day, j.source AS record, j.total AS amount, 'journal ' || j.number || ' on ' || j.posted_on AS detail
             FROM posting_journal j JOIN posting_source s USING (source)
            WHERE j.posted_on > $3 AND s.on_day BETWEEN $2 AND $3 AND j.facility = $1""",
        blocks=False,
    ),
    Line(
        "remittances-stopped",
        "Remittances that never reached the books",
        "Work the item in which each waits: it does not balance, or its payee or payer is unknown.",
        """SELECT c.facility, min(c.event_at)::date AS day, c.id AS record, max(wc.at_risk_usd) AS amount, min(w.title) AS detail
             FROM flow_case c JOIN work_item_case wc ON wc.subject = 'c/' || c.id
             JOIN work_item w ON w.id = wc.work_item AND w.state = 'open'
            WHERE c.flow = 'post_remittance' AND c.state IN ('waiting', 'stopped') AND c.facility IN ($1, '')
              AND c.event_at::date <= $3
              AND NOT EXISTS (SELECT 1 FROM posting_source s WHERE s.source = 'remittance/' || substr(c.id, length('post_remittance/') + 1))
            GROUP BY c.facility, c.id""",
    ),
    Line(
        "claims-failed",
        "Claims that came back or that nobody acknowledged",
        "Correct and send them again; `hilum claims list` shows each with its reason in words.",
        """SELECT c.facility, coalesce(c.sent_on, c.first_known) AS day, 'claim ' || c.number AS record, c.charge AS amount, c.state AS detail
             FROM claim c WHERE c.facility = $1 AND coalesce(c.sent_on, c.first_known) <= $3
              AND (c.state = 'rejected' OR (c.state = 'submitted' AND c.updated_at < $4 - interval '2 days'))""",
    ),
    Line(
        "deposits-unmatched",
        "Deposits without a remittance",
        "Ask the payer for the remittance, or the bank for the deposit's addendum; `hilum cash list` shows both sides.",
        """SELECT b.facility, b.on_day AS day, 'deposit ' || b.number AS record, b.amount, s.state AS detail
             FROM cash_standing s JOIN bank_line b USING (number)
            WHERE s.side = 'deposit' AND s.state NOT IN ('matched', 'not_expected') AND b.facility = $1 AND b.on_day <= $3""",
    ),
    Line(
        "remittances-unpaid",
        "Remittances without a deposit",
        "Ask the payer when it pays; the remittance stands in transit until the bank has the money.",
        """SELECT a.facility, a.on_day AS day, 'remittance ' || a.number AS record, a.amount, s.state AS detail
             FROM cash_standing s JOIN cash_advice a USING (number)
            WHERE s.side = 'remittance' AND s.state NOT IN ('matched', 'not_expected') AND a.facility = $1 AND a.on_day <= $3""",
    ),
    Line(
        "denials-undecided",
        "Denials that nobody has decided",
        "Resubmit or write off: `hilum denials list` shows them by due date.",
        """SELECT d.facility, d.on_day AS day, 'denial ' || d.number AS record, d.amount,
                  d.group_code || '-' || d.reason || coalesce(', due ' || d.due_on, '') AS detail
             FROM denial d WHERE d.state = 'open' AND d.facility = $1 AND d.on_day <= $3""",
        blocks=False,
    ),
    Line(
        "accrual-missing",
        "The period's accrual, or its reversal, is not posted",
        "It is made when the period ends; `hilum schedule run periods_ending` makes it now.",
        """SELECT $1::text AS facility, $3::date AS day, half.source AS record, 0::numeric AS amount, 'not staged' AS detail
             FROM (VALUES ('accrual/' || $1 || '/' || $5), ('accrual-reversal/' || $1 || '/' || $5)) AS half (source)
            WHERE $3::date < $4::date AND NOT EXISTS (SELECT 1 FROM posting_source s WHERE s.source = half.source)""",
    ),
    Line(
        "files-missing",
        "Files that were expected and did not come",
        "Ask their sender; `hilum files --missing` lists them.",
        """SELECT '' AS facility, f.day, f.system || '/' || f.name AS record, 0::numeric AS amount, 'due ' || to_char(f.due_at, 'HH24:MI') AS detail
             FROM expected_file f WHERE f.state = 'missing' AND f.day BETWEEN $2 AND $3""",
    ),
    Line(
        "books-differ",
        "Books that differ",
        "Each names the records of both books; it closes by itself when they agree.",
        """SELECT d.facility, d.day, d.record, abs(d.found - d.expected) AS amount, d.what AS detail
             FROM book_difference d WHERE d.closed_at IS NULL AND d.facility IN ($1, '') AND d.day <= $3""",
    ),
    Line(
        "books-not-compared",
        "Books that were not compared lately",
        "The comparison runs every hour; see `hilum schedule list` and the ERP's breaker in `hilum status`.",
        """SELECT '' AS facility, max(b.at)::date AS day, books.name AS record, 0::numeric AS amount,
                  coalesce('last on ' || to_char(max(b.at), 'YYYY-MM-DD HH24:MI'), 'never') AS detail
             FROM (VALUES ('staged-ledger'), ('ledger-foreign')) AS books (name)
             LEFT JOIN book_comparison b ON b.books = books.name
            GROUP BY books.name HAVING max(b.at) IS NULL OR max(b.at) < $4 - interval '26 hours'""",
    ),
    Line(
        "exceptions-open",
        "Open exceptions",
        "`hilum queue` lists them, the overdue first.",
        """SELECT coalesce(c.facility, '') AS facility, w.created_at::date AS day, 'item ' || w.id AS record, wc.at_risk_usd AS amount,
                  w.queue || ': ' || w.title AS detail
             FROM work_item w JOIN work_item_case wc ON wc.work_item = w.id
             LEFT JOIN flow_case c ON wc.subject = 'c/' || c.id
            WHERE w.state = 'open' AND w.created_at::date <= $3 AND w.owner = ANY ($6)
              AND (c.facility IS NULL OR c.facility IN ($1, ''))""",
        blocks=False,
    ),
)
LINES: dict[str, Line] = {line.name: line for line in _LINES}
OWNERS = ("revenue-cycle", "finance", "patient-access")
"""Whose exceptions are the close's business."""


async def checklist(connection: asyncpg.Connection, facility: str, period: Period, *, now: datetime) -> Checklist:
    """How the close of a facility's period stands now."""
    lines = []
    for line in _LINES:
        row = await connection.fetchrow(
            f"{_ASKED} SELECT count(*) AS count, coalesce(sum(r.amount), 0) AS amount, min(r.day) AS oldest FROM ({line.rows}) AS r",
            *_asked(facility, period, now),
        )
        lines.append(
            LineStanding(line.name, line.title, line.blocks, row["count"], row["amount"], row["oldest"], line.remedy)
        )
    return Checklist(facility, period.name, period.first, period.last, now, tuple(lines))


async def records(
    connection: asyncpg.Connection,
    name: str,
    facility: str,
    period: Period,
    *,
    now: datetime,
    after: int = 0,
    limit: int = 100,
) -> Sequence[Record]:
    """The list behind a number, oldest first, from the record ``after`` on. ``NoSuchLine`` when there is none of this name."""
    line = LINES.get(name)
    if line is None:
        raise NoSuchLine(f"the checklist has no line {name}; it has {', '.join(LINES)}")
    rows = await connection.fetch(
        f"{_ASKED} SELECT * FROM ({line.rows}) AS r ORDER BY r.day NULLS FIRST, r.record, r.detail LIMIT {int(limit)} OFFSET {int(after)}",
        *_asked(facility, period, now),
    )
    return [Record(r["facility"], r["day"], r["record"], r["amount"], r["detail"]) for r in rows]


# Said once for all queries, so that each may leave out what it does not ask.
_ASKED = "WITH asked AS (SELECT $1::text, $2::date, $3::date, $4::timestamptz, $5::text, $6::text[])"


def _asked(facility: str, period: Period, now: datetime) -> list[object]:
    return [facility, period.first, period.last, now, period.name, list(OWNERS)]
