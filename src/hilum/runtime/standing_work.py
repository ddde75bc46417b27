"""Work items that say how things stand: opened, corrected and closed as what they are about comes, changes and goes.

Whoever knows the whole of something (all claims, all books of a comparison) gives everything that is wrong now. What is
wrong no more closes by itself; what somebody skipped stays skipped for as long as it says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.runtime import work_items
from hilum.runtime.work_items import Exceptional


async def settle(
    connection: asyncpg.Connection, queue: str, prefix: str, wanted: Sequence[Exceptional], *, now: datetime, actor: str
) -> int:
    """Make the open items of ``queue`` whose cause begins with ``prefix`` exactly those that are wanted; how many are open then.

    Each of ``wanted`` is one subject of its cause: several with one cause are one item. Inside the caller's transaction.
    """
    open_ = await connection.fetch(
        """SELECT w.id, w.cause, c.subject, c.at_risk_usd, c.detail FROM work_item w JOIN work_item_case c ON c.work_item = w.id
            WHERE w.queue = $1 AND w.state = 'open' AND starts_with(w.cause, $2) FOR UPDATE OF w""",
        queue, prefix,
    )  # fmt: skip
    skipped = {
        (row["cause"], row["subject"], row["detail"])
        for row in await connection.fetch(
            """SELECT w.cause, c.subject, c.detail FROM work_item w JOIN work_item_case c ON c.work_item = w.id
                WHERE w.queue = $1 AND w.state = 'skipped' AND w.cause = ANY($2)""",
            queue, sorted({each.cause for each in wanted}),
        )
    }  # fmt: skip
    standing: dict[tuple[str, str], asyncpg.Record] = {(row["cause"], row["subject"]): row for row in open_}
    kept: set[tuple[str, str]] = set()
    for each in wanted:
        if (each.cause, each.subject, each.detail) in skipped:
            continue
        kept.add((each.cause, each.subject))
        known = standing.get((each.cause, each.subject))
        if known is None:
            await work_items.join(connection, each, now=now, actor=actor)
        elif (known["at_risk_usd"], known["detail"]) != (each.at_risk_usd, each.detail):
            await _correct(connection, known["id"], each, now)
    await _close(connection, open_, kept, now, actor)
    return len({cause for cause, _ in kept})


async def _correct(connection: asyncpg.Connection, item: int, now_says: Exceptional, now: datetime) -> None:
    await connection.execute(
        "UPDATE work_item_case SET at_risk_usd = $3, detail = $4 WHERE work_item = $1 AND subject = $2",
        item, now_says.subject, now_says.at_risk_usd, now_says.detail,
    )  # fmt: skip
    await _sum(connection, item, now)


async def _sum(connection: asyncpg.Connection, item: int, now: datetime) -> None:
    await connection.execute(
        """UPDATE work_item SET updated_at = $2,
                  at_risk_usd = (SELECT coalesce(sum(at_risk_usd), 0) FROM work_item_case WHERE work_item = $1) WHERE id = $1""",
        item, now,
    )  # fmt: skip


async def _close(
    connection: asyncpg.Connection,
    open_: Iterable[asyncpg.Record],
    kept: set[tuple[str, str]],
    now: datetime,
    actor: str,
) -> None:
    """Items of which nothing is left are resolved; of others the subjects leave that have no part in it any more."""
    by_item: dict[int, list[asyncpg.Record]] = {}
    for row in open_:
        by_item.setdefault(row["id"], []).append(row)
    for item, rows in by_item.items():
        gone = [row["subject"] for row in rows if (row["cause"], row["subject"]) not in kept]
        if len(gone) == len(rows):
            await work_items.resolve(connection, item, now=now, actor=actor)
        elif gone:
            await connection.execute(
                "DELETE FROM work_item_case WHERE work_item = $1 AND subject = ANY($2)", item, gone
            )
            await _sum(connection, item, now)
            await append(connection, [Entry(now, actor, "work.resolved", subject, {"item": item}) for subject in gone])
