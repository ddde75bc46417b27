"""Work items: one decision for one person, however many cases wait for it.

All functions take a connection and work inside the caller's transaction, so that a case and its work item
change together. Subjects are addresses: ``c/<case>``, ``f/<feed>/<shard>/<seq>``, ``m/<shard>/<seq>``, ``h/<facility>/<cause>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append

OPEN, RELEASED, SKIPPED, RESOLVED = "open", "released", "skipped", "resolved"


class NotOpen(LookupError):
    """The work item does not exist or was closed before; the text says which and by whom."""


@dataclass(frozen=True)
class Exceptional:
    """What a person has to decide: the queue and cause it belongs to, and what waits."""

    queue: str
    cause: str
    title: str
    remedy: str
    due_hours: float
    subject: str
    at_risk_usd: Decimal
    detail: str = ""
    owner: str = ""


async def join(connection: asyncpg.Connection, found: Exceptional, *, now: datetime, actor: str) -> int:
    """Let ``found.subject`` wait in the open item of its cause, opening one when there is none. Returns the item."""
    item: int = await connection.fetchval(
        """INSERT INTO work_item (queue, cause, title, remedy, owner, due_at, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
           ON CONFLICT (queue, cause) WHERE state = 'open' DO UPDATE SET updated_at = excluded.updated_at
           RETURNING id""",
        found.queue, found.cause, found.title, found.remedy, found.owner, now + timedelta(hours=found.due_hours), now,
    )  # fmt: skip
    added = await connection.fetchval(
        """INSERT INTO work_item_case (work_item, subject, at_risk_usd, detail, at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT DO NOTHING RETURNING 1""",
        item, found.subject, found.at_risk_usd, found.detail, now,
    )  # fmt: skip
    if added:
        await connection.execute(
            "UPDATE work_item SET at_risk_usd = at_risk_usd + $2 WHERE id = $1", item, found.at_risk_usd
        )
        detail = {"item": item, "queue": found.queue, "cause": found.cause, "at_risk_usd": str(found.at_risk_usd)}
        await append(connection, [Entry(now, actor, "work.joined", found.subject, detail)])
    return item


async def tally(connection: asyncpg.Connection, found: Exceptional, *, now: datetime, actor: str) -> int:
    """Like ``join``, for a subject that stands for many things: how much waits is replaced by what is counted today."""
    item = await join(connection, found, now=now, actor=actor)
    before: Decimal = await connection.fetchval(
        "SELECT at_risk_usd FROM work_item_case WHERE work_item = $1 AND subject = $2", item, found.subject
    )
    await connection.execute(
        "UPDATE work_item_case SET at_risk_usd = $3, detail = $4 WHERE work_item = $1 AND subject = $2",
        item, found.subject, found.at_risk_usd, found.detail,
    )  # fmt: skip
    await connection.execute(
        "UPDATE work_item SET at_risk_usd = at_risk_usd + $2 WHERE id = $1", item, found.at_risk_usd - before
    )
    return item


async def conflicting_report(
    connection: asyncpg.Connection, *, event_type: str, first: str, second: str, now: datetime, actor: str
) -> int:
    """Two reports of one fact that disagree: the first stands, a person looks."""
    return await join(
        connection,
        Exceptional(
            queue="conflicts",
            cause=f"ConflictingReport:{first}",
            title=f"Two reports of one {event_type} disagree ({first})",
            remedy="Compare the two messages in the trace; correct the wrong one at its source, then release.",
            due_hours=24,
            subject=second,
            at_risk_usd=Decimal(0),
        ),
        now=now,
        actor=actor,
    )


async def one_fact_twice(
    connection: asyncpg.Connection, *, event_type: str, first: str, second: str, now: datetime, actor: str
) -> int:
    """A later report shows that two facts are one: both have had their effect, and a person takes one back."""
    return await join(
        connection,
        Exceptional(
            queue="conflicts",
            cause=f"OneFactTwice:{first}+{second}",
            title=f"Two {event_type} are one ({first}, {second})",
            remedy="Each was reported under an identity of its own and acted upon. Take the effects of the second back in the "
            "systems its trace shows, then release.",
            due_hours=24,
            subject=second,
            at_risk_usd=Decimal(0),
        ),
        now=now,
        actor=actor,
    )


async def release(
    connection: asyncpg.Connection, item: int, *, now: datetime, actor: str, subject: str | None = None
) -> list[str]:
    """Let what waits go on: the whole item, or one subject of it. Returns the subjects released."""
    return await _close(connection, item, RELEASED, now=now, actor=actor, reason=None, subject=subject)


async def skip(
    connection: asyncpg.Connection, item: int, *, now: datetime, actor: str, reason: str, subject: str | None = None
) -> list[str]:
    """Decide that what waits has no effect after all; the reason is kept for ever."""
    if not reason.strip():
        raise ValueError("Skipping needs a reason: it is what an auditor reads.")
    return await _close(connection, item, SKIPPED, now=now, actor=actor, reason=reason, subject=subject)


async def resolve(connection: asyncpg.Connection, item: int, *, now: datetime, actor: str) -> None:
    """Close an item whose cause is gone by itself. Only for items in which no case waits: those are let go by a person."""
    await _close(connection, item, RESOLVED, now=now, actor=actor, reason=None, subject=None)


async def assign(connection: asyncpg.Connection, item: int, *, assignee: str, now: datetime, actor: str) -> None:
    """Say who works on it."""
    await _open_item(connection, item)
    await connection.execute("UPDATE work_item SET assignee = $2, updated_at = $3 WHERE id = $1", item, assignee, now)
    await append(connection, [Entry(now, actor, "work.assigned", f"w/{item}", {"assignee": assignee})])


async def _open_item(connection: asyncpg.Connection, item: int) -> asyncpg.Record:
    row = await connection.fetchrow("SELECT * FROM work_item WHERE id = $1 FOR UPDATE", item)
    if row is None:
        raise NotOpen(f"There is no work item {item}. `hilum queue` lists the open ones.")
    if row["state"] != OPEN:
        raise NotOpen(
            f"Work item {item} was {row['state']} by {row['closed_by']} at {row['closed_at']:%Y-%m-%d %H:%M} UTC."
        )
    return row


async def _close(
    connection: asyncpg.Connection,
    item: int,
    state: str,
    *,
    now: datetime,
    actor: str,
    reason: str | None,
    subject: str | None,
) -> list[str]:
    await _open_item(connection, item)
    rows = await connection.fetch(
        "SELECT subject, at_risk_usd FROM work_item_case WHERE work_item = $1 ORDER BY at, subject", item
    )
    chosen = [r for r in rows if subject is None or r["subject"] == subject]
    if subject is not None and not chosen:
        raise NotOpen(f"{subject} does not wait in work item {item}.")
    subjects = [r["subject"] for r in chosen]
    if state != RESOLVED and any(s.startswith("g/") for s in subjects):
        raise NotOpen(f"Work item {item} is closed by its review: see `hilum break-glass list`.")
    if len(chosen) == len(rows):
        await connection.execute(
            "UPDATE work_item SET state = $2, closed_at = $3, updated_at = $3, closed_by = $4, reason = $5 WHERE id = $1",
            item, state, now, actor, reason,
        )  # fmt: skip
    else:
        at_risk = sum((r["at_risk_usd"] for r in chosen), Decimal(0))
        await connection.execute(
            "DELETE FROM work_item_case WHERE work_item = $1 AND subject = ANY($2)", item, subjects
        )
        await connection.execute(
            "UPDATE work_item SET at_risk_usd = at_risk_usd - $2, updated_at = $3 WHERE id = $1", item, at_risk, now
        )
    await _let_go(connection, subjects, state, now)
    detail: dict[str, Any] = {"item": item}
    if reason is not None:
        detail["reason"] = reason
    entries = [Entry(now, actor, f"work.{state}", s, detail) for s in subjects]
    await append(connection, [*entries, Entry(now, actor, f"work.{state}", f"w/{item}", {"cases": len(subjects)})])
    return subjects


async def _let_go(connection: asyncpg.Connection, subjects: list[str], state: str, now: datetime) -> None:
    cases = [s[2:] for s in subjects if s.startswith("c/")]
    if cases:
        await connection.execute(
            """UPDATE flow_case SET state = $2::text, updated_at = $3::timestamptz,
                      done_at = CASE WHEN $2::text = 'skipped' THEN $3::timestamptz END,
                      error = CASE WHEN $2::text = 'skipped' THEN error END
                WHERE id = ANY($1) AND state IN ('waiting', 'stopped')""",
            cases, "ready" if state == RELEASED else "skipped", now,
        )  # fmt: skip
        # A delivery that was refused or given up starts again with its case.
        if state == RELEASED:
            await connection.execute(
                """UPDATE delivery SET state = 'in_doubt', updated_at = $2
                    WHERE state IN ('rejected', 'dead')
                      AND key IN (SELECT key FROM delivery_case WHERE case_id = ANY($1))""",
                cases, now,
            )  # fmt: skip
        await connection.execute("SELECT pg_notify('hilum_cases', '')")
    feeds = [s.split("/")[1:] for s in subjects if s.startswith("f/")]
    for feed, shard, seq in feeds:
        await connection.execute(
            "UPDATE feed_parked SET state = $4 WHERE feed = $1 AND shard = $2 AND event_seq = $3",
            feed, int(shard), int(seq), "ready" if state == RELEASED else "skipped",
        )  # fmt: skip
    # h/<facility>/<cause>: charges that were kept aside.
    held = [s.split("/", 2)[1:] for s in subjects if s.startswith("h/")]
    for table in ("charge_state", "charge_unread"):
        await connection.executemany(
            f"UPDATE {table} SET state = $3 WHERE facility = $1 AND cause = $2 AND state = 'held'",
            [(facility, cause, "again" if state == RELEASED else "skipped") for facility, cause in held],
        )
    if feeds or held:
        await connection.execute("SELECT pg_notify('hilum_events', '')")
