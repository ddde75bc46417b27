"""Reading the work queue: what waits for people, how much money waits with it, and since when. Decisions are in work_items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import asyncpg

from hilum.model.where import EVERYTHING, Where
from hilum.store.where_sql import platform_columns, sql_condition


@dataclass(frozen=True, slots=True)
class QueueLine:
    """One work item; ``cases`` counts what waits in it."""

    id: int
    queue: str
    cause: str
    title: str
    remedy: str
    state: str
    owner: str
    assignee: str | None
    cases: int
    at_risk_usd: Decimal
    due_at: datetime
    created_at: datetime
    overdue: bool
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class WaitingCase:
    """What waits in an item: a case ``c/...``, a message ``m/...`` or a feed's event ``f/...``."""

    subject: str
    at_risk_usd: Decimal
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A work item with the first of what waits in it, oldest first."""

    line: QueueLine
    waiting: tuple[WaitingCase, ...]


_ATTRIBUTES = platform_columns(queue="w.queue")


@dataclass(frozen=True, slots=True)
class QueueTotals:
    """The open work items of one queue, or of all, together."""

    items: int
    cases: int
    at_risk_usd: Decimal
    oldest_due: datetime | None

    @classmethod
    def of_lines(cls, lines: Iterable[QueueLine]) -> QueueTotals:
        """What these items come to."""
        return cls.of_all(cls(1, line.cases, line.at_risk_usd, line.due_at) for line in lines)

    @classmethod
    def of_all(cls, queues: Iterable[QueueTotals]) -> QueueTotals:
        each = list(queues)
        return cls(
            sum(q.items for q in each),
            sum(q.cases for q in each),
            sum((q.at_risk_usd for q in each), Decimal(0)),
            min((q.oldest_due for q in each if q.oldest_due is not None), default=None),
        )


_LINES = """
    SELECT w.*, w.state = 'open' AND w.due_at < $1 AS overdue,
           (SELECT count(*) FROM hilum.work_item_case c WHERE c.work_item = w.id) AS cases
      FROM hilum.work_item w
"""


async def list_items(
    connection: asyncpg.Connection, *, now: datetime, queue: str | None = None, closed: bool = False, limit: int = 100,
    where: Where = EVERYTHING,
) -> list[QueueLine]:  # fmt: skip
    """Open items, overdue first and then by money; with ``closed`` all items, the newest first. ``where`` by their queue."""
    allowed = sql_condition(where, _ATTRIBUTES, first_parameter=5)
    order = "w.id DESC" if closed else "overdue DESC, w.at_risk_usd DESC, w.due_at, w.id"
    rows = await connection.fetch(
        f"""{_LINES} WHERE ($2 OR w.state = 'open') AND ($3::text IS NULL OR w.queue = $3) AND {allowed.text}
             ORDER BY {order} LIMIT $4""",
        now, closed, queue, limit, *allowed.parameters,
    )  # fmt: skip
    return [_line(row) for row in rows]


async def read_item(
    connection: asyncpg.Connection, item: int, *, now: datetime, most_waiting: int = 100
) -> QueueItem | None:
    """One item, open or closed; None when there is none of this number."""
    row = await connection.fetchrow(f"{_LINES} WHERE w.id = $2", now, item)
    if row is None:
        return None
    waiting = await connection.fetch(
        "SELECT subject, at_risk_usd, detail, at FROM hilum.work_item_case WHERE work_item = $1 ORDER BY at, subject LIMIT $2",
        item, most_waiting,
    )  # fmt: skip
    return QueueItem(_line(row), tuple(WaitingCase(**r) for r in waiting))


async def queue_totals(connection: asyncpg.Connection) -> dict[str, QueueTotals]:
    """What the open items of each queue come to."""
    rows = await connection.fetch(
        """SELECT w.queue, count(*) AS items, sum(w.at_risk_usd) AS at_risk, min(w.due_at) AS due,
                  sum((SELECT count(*) FROM hilum.work_item_case c WHERE c.work_item = w.id))::bigint AS cases
             FROM hilum.work_item w WHERE w.state = 'open' GROUP BY w.queue ORDER BY w.queue"""
    )
    return {r["queue"]: QueueTotals(r["items"], r["cases"], r["at_risk"], r["due"]) for r in rows}


def _line(row: asyncpg.Record) -> QueueLine:
    return QueueLine(
        row["id"], row["queue"], row["cause"], row["title"], row["remedy"], row["state"], row["owner"], row["assignee"], row["cases"],
        row["at_risk_usd"], row["due_at"], row["created_at"], row["overdue"], row["closed_at"], row["closed_by"], row["reason"],
    )  # fmt: skip
