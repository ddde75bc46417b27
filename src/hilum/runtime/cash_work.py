"""Work that the cash desk opens and closes by itself: what people were told of, once for each amount."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import asyncpg

from hilum.authoring.failures import Rejected
from hilum.runtime import work_items


@dataclass(frozen=True)
class Waiting:
    """One thing of a work item: its address, what is at risk with it (the sign does not count), and what is wrong."""

    subject: str
    amount: Decimal
    detail: str


async def was_told(connection: asyncpg.Connection, subject: str, why: type[Rejected], amount: Decimal) -> bool:
    """Whether people were told of exactly this, whatever they decided."""
    return bool(
        await connection.fetchval(
            "SELECT 1 FROM cash_told WHERE subject = $1 AND cause = $2 AND amount = $3", subject, why.__name__, amount
        )
    )


async def tell(
    connection: asyncpg.Connection,
    why: type[Rejected],
    cause: str,
    waiting: Sequence[Waiting],
    *,
    owner: str,
    now: datetime,
    actor: str,
) -> int:
    """Let all of it wait in the open item of its cause. Returns the item."""
    first, *others = waiting
    item = await work_items.join(
        connection,
        work_items.Exceptional(
            queue=why.queue, cause=f"{why.__name__}:{cause}", title=f"{why.title()}: {cause}", remedy=why.remedy(),
            due_hours=why.due_hours, subject=first.subject, at_risk_usd=abs(first.amount), detail=first.detail, owner=owner,
        ),
        now=now,
        actor=actor,
    )  # fmt: skip
    if others:
        # All at once: a bank that was silent for a week leaves thousands.
        await connection.execute(
            """WITH added AS (
                 INSERT INTO work_item_case (work_item, subject, at_risk_usd, detail, at)
                 SELECT $1, subject, amount, detail, $5 FROM unnest($2::text[], $3::numeric[], $4::text[]) AS w (subject, amount, detail)
                 ON CONFLICT DO NOTHING RETURNING at_risk_usd)
               UPDATE work_item SET at_risk_usd = at_risk_usd + (SELECT coalesce(sum(at_risk_usd), 0) FROM added) WHERE id = $1""",
            item, [each.subject for each in others], [abs(each.amount) for each in others],
            [each.detail for each in others], now,
        )  # fmt: skip
    await connection.executemany(
        """INSERT INTO cash_told (subject, cause, queue, amount, work_item, told_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (subject) DO UPDATE SET cause = excluded.cause, queue = excluded.queue, amount = excluded.amount,
             work_item = excluded.work_item, told_at = excluded.told_at""",
        [(each.subject, why.__name__, why.queue, each.amount, item, now) for each in waiting],
    )
    return item


async def close(connection: asyncpg.Connection, subjects: Sequence[str], *, now: datetime, actor: str) -> None:
    """What has come right by itself waits no more; the item is closed with its last subject."""
    told = await connection.fetch(
        "DELETE FROM cash_told WHERE subject = ANY($1) RETURNING subject, work_item", list(subjects)
    )
    for row in told:
        waits = await connection.fetchval(
            """SELECT 1 FROM work_item i JOIN work_item_case c ON c.work_item = i.id
                WHERE i.id = $1 AND i.state = 'open' AND c.subject = $2 FOR UPDATE OF i""",
            row["work_item"], row["subject"],
        )  # fmt: skip
        if waits:
            await work_items.release(connection, row["work_item"], now=now, actor=actor, subject=row["subject"])
