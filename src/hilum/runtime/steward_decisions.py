"""What stewards decide of a mismatch: its proposal is taken, refused, or a list that lacks much is found right.

All functions work inside the caller's transaction, so that the crosswalk's entry, the item and what waited change together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import CrosswalkSpec
from hilum.masterdata import registry
from hilum.masterdata.crosswalks import set_entry
from hilum.masterdata.mismatches import CODE_MISSING, ENTRY_ENDS, TARGET_ENDS, TARGET_UNKNOWN
from hilum.model.where import EVERYTHING, Where
from hilum.runtime import work_items
from hilum.store.where_sql import platform_columns, sql_condition

LIST_TOO_SHORT = "ListTooShort"
_ATTRIBUTES = platform_columns(facility="nullif(m.facility, '')")


class DecisionRefused(Exception):
    """Something cannot be decided like this; the text says why and what to do."""


@dataclass(frozen=True)
class MismatchLine:
    """One mismatch as stewards see it; ``proposed``, ``score`` and ``reason`` are None where nothing is proposed."""

    id: int
    item: int | None
    kind: str
    subject: str
    code: str
    facility: str
    target: str
    from_day: date
    why: str
    proposed: str | None
    score: Decimal | None
    reason: str | None
    at_risk_usd: Decimal
    state: str
    agreed_by: str | None


@dataclass(frozen=True)
class Accepted:
    """What accepting came to. Without ``target`` another person has to accept too, or it was a list that is applied now."""

    item: int
    subject: str
    code: str
    facility: str
    target: str | None
    released: tuple[str, ...]


async def open_mismatches(connection: asyncpg.Connection, *, where: Where = EVERYTHING) -> list[MismatchLine]:
    """Every open mismatch, the one that stops work first first."""
    allowed = sql_condition(where, _ATTRIBUTES, first_parameter=1)
    rows = await connection.fetch(
        f"""SELECT * FROM hilum.master_mismatch m WHERE state = 'open' AND {allowed.text}
             ORDER BY from_day, at_risk_usd DESC, id""",
        *allowed.parameters,
    )
    return [_line(row) for row in rows]


async def of_item(connection: asyncpg.Connection, item: int) -> MismatchLine | None:
    """The mismatch behind a work item; None when it is another kind of item."""
    row = await connection.fetchrow("SELECT * FROM hilum.master_mismatch WHERE work_item = $1 ORDER BY id DESC", item)
    return None if row is None else _line(row)


async def too_short(connection: asyncpg.Connection, item: int) -> str | None:
    """The number of the list behind a work item that waits because it lacks much; None for any other item."""
    cause = await connection.fetchval("SELECT cause FROM hilum.work_item WHERE id = $1", item)
    return cause.partition(":")[2] if cause is not None and cause.startswith(f"{LIST_TOO_SHORT}:") else None


async def waiting_for(
    connection: asyncpg.Connection, line: MismatchLine, crosswalks: Mapping[str, CrosswalkSpec]
) -> list[tuple[int, str]]:
    """The open work items, with their queues, of what waits for the entry that a mismatch lacks."""
    if line.kind != CODE_MISSING or line.subject not in crosswalks:
        return []
    rows = await connection.fetch(
        "SELECT id, queue FROM hilum.work_item WHERE state = 'open' AND cause = ANY($1) ORDER BY id",
        [f"{rejection}:{line.code}" for rejection in crosswalks[line.subject].waits],
    )
    return [(row["id"], row["queue"]) for row in rows]


async def accept(
    connection: asyncpg.Connection,
    line: MismatchLine,
    crosswalks: Mapping[str, CrosswalkSpec],
    *,
    by: str,
    behind: frozenset[str],
    release: Collection[int],
    now: datetime,
) -> Accepted:
    """Write the proposed match into its crosswalk under the steward's name, and let go what waited for it.

    ``behind``: everyone who acts when ``by`` does. Where the crosswalk wants two people the first only agrees. ``release``: the
    work items, of those that wait for it (``waiting_for``), that the steward may let go.
    ``DecisionRefused`` when there is nothing to accept; ``CrosswalkRefused`` when the target is none of the crosswalk's.
    """
    assert line.item is not None
    row = await connection.fetchrow("SELECT * FROM hilum.master_mismatch WHERE id = $1 FOR UPDATE", line.id)
    if row["state"] != "open":
        raise DecisionRefused(f"it was {row['state']} already")
    if row["proposed"] is None:
        raise DecisionRefused("nothing is proposed; map it with `hilum crosswalk set`, or mend it where it comes from")
    if line.kind not in (CODE_MISSING, TARGET_UNKNOWN, TARGET_ENDS, ENTRY_ENDS) or line.subject not in crosswalks:
        raise DecisionRefused(
            f"{line.subject} is kept in the estate's tables: change {line.code} to {row['proposed']} there and load it again"
        )
    if row["proposed"] != line.proposed:
        raise DecisionRefused(f"the proposal is {row['proposed']} by now; look at it again")
    if crosswalks[line.subject].two_people and not await _second(connection, row, by, behind, now):
        return Accepted(line.item, line.subject, line.code, line.facility, None, ())
    start = line.from_day if line.kind in (TARGET_ENDS, ENTRY_ENDS) else None
    await set_entry(
        connection, line.subject, line.code, row["proposed"], by=by, facility=line.facility, valid_from=start, now=now
    )
    await connection.execute(
        "UPDATE hilum.master_mismatch SET state = 'accepted', closed_at = $2 WHERE id = $1", line.id, now
    )
    detail = {"target": row["proposed"], "score": str(row["score"]), "reason": row["reason"], "item": line.item}
    await append(connection, [Entry(now, by, "master.accepted", f"x/{line.subject}/{line.code}", detail)])
    if await _is_open(connection, line.item):
        await work_items.resolve(connection, line.item, now=now, actor=by)
    released: list[str] = []
    for item, _ in await waiting_for(connection, line, crosswalks):
        if item in release:
            released += await work_items.release(connection, item, now=now, actor=by)
    return Accepted(line.item, line.subject, line.code, line.facility, row["proposed"], tuple(released))


async def accept_list(connection: asyncpg.Connection, item: int, number: str, *, by: str, now: datetime) -> Accepted:
    """A list that lacks much is right: it is applied, and what it lacks is out of use."""
    await registry.allow(connection, number, by=by, now=now)
    await append(connection, [Entry(now, by, "master.allowed", f"md/{number}", {"item": item})])
    released = await work_items.release(connection, item, now=now, actor=by)
    return Accepted(item, number, "", "", None, tuple(released))


async def reject(connection: asyncpg.Connection, line: MismatchLine, *, by: str, reason: str, now: datetime) -> str:
    """Refuse the proposal, which is not made again; the item stays. The target that was refused."""
    if line.proposed is None:
        raise DecisionRefused("nothing is proposed, so there is nothing to refuse")
    if not reason.strip():
        raise DecisionRefused("a refusal needs a reason: it is what the next steward reads")
    await connection.execute(
        """INSERT INTO hilum.master_rejection (subject, code, facility, proposed, rejected_by, rejected_at, reason)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING""",
        line.subject, line.code, line.facility, line.proposed, by, now, reason,
    )  # fmt: skip
    await connection.execute(
        """UPDATE hilum.master_mismatch SET proposed = NULL, score = NULL, reason = NULL, agreed_by = NULL
            WHERE id = $1 AND proposed = $2""",
        line.id, line.proposed,
    )  # fmt: skip
    detail = {"target": line.proposed, "reason": reason}
    await append(connection, [Entry(now, by, "master.rejected", f"x/{line.subject}/{line.code}", detail)])
    return line.proposed


async def _second(
    connection: asyncpg.Connection, row: asyncpg.Record, by: str, behind: frozenset[str], now: datetime
) -> bool:
    """Whether somebody else agreed before; otherwise this one's agreement is written down."""
    first = set(row["agreed_by"].split(" ")) if row["agreed_by"] is not None else set()
    if first:
        if first & behind:
            raise DecisionRefused("you accepted it already; it counts when a second person accepts it too")
        return True
    await connection.execute(
        "UPDATE hilum.master_mismatch SET agreed_by = $2 WHERE id = $1", row["id"], " ".join(sorted({by, *behind}))
    )
    detail = {"target": row["proposed"], "first_of": 2}
    await append(connection, [Entry(now, by, "master.agreed", f"x/{row['subject']}/{row['code']}", detail)])
    return False


async def _is_open(connection: asyncpg.Connection, item: int) -> bool:
    return bool(
        await connection.fetchval("SELECT state = $2 FROM hilum.work_item WHERE id = $1", item, work_items.OPEN)
    )


def _line(row: asyncpg.Record) -> MismatchLine:
    return MismatchLine(
        row["id"], row["work_item"], row["kind"], row["subject"], row["code"], row["facility"], row["target"], row["from_day"],
        row["why"], row["proposed"], row["score"], row["reason"], row["at_risk_usd"], row["state"], row["agreed_by"],
    )  # fmt: skip


def items_of(lines: Sequence[MismatchLine]) -> list[int]:
    """The work items of mismatches."""
    return [line.item for line in lines if line.item is not None]
