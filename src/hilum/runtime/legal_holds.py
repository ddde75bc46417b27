"""Legal holds: what must not be purged while a dispute or an inquiry is expected, whatever its retention says.

A hold covers a business key, a facility, a span of time, or what meets all of those it names. One person places it; two
lift it: whoever asks for that is not who confirms it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.model.where import EVERYTHING, Where
from hilum.store.where_sql import platform_columns, sql_condition

_LOCK = "hashtextextended('hilum.legal_hold', 0)"


class HoldRefused(ValueError):
    """A hold that cannot be placed or lifted so; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class LegalHold:
    """A hold as it stands. ``key_values`` are business keys as they are stored: tokens of protected ones."""

    id: int
    key_values: tuple[str, ...]
    key_shown: str | None
    facility: str | None
    from_at: datetime | None
    until_at: datetime | None
    reason: str
    placed_by: str
    placed_at: datetime
    lift_asked_by: str | None
    lift_reason: str | None
    lift_asked_at: datetime | None
    lifted_by: str | None
    lifted_at: datetime | None
    lift_asked_behind: tuple[str, ...] = ()
    """Everyone who acted when its lifting was asked for; none of them confirms it."""

    @property
    def state(self) -> str:
        if self.lifted_at is not None:
            return "lifted"
        return "lift asked" if self.lift_asked_by is not None else "in force"

    @property
    def covers(self) -> str:
        """What it covers, in words."""
        parts = [f"key {self.key_shown}"] if self.key_values else []
        parts += [f"facility {self.facility}"] if self.facility is not None else []
        parts += [f"from {self.from_at:%Y-%m-%d}"] if self.from_at is not None else []
        parts += [f"before {self.until_at:%Y-%m-%d}"] if self.until_at is not None else []
        return ", ".join(parts)


async def while_none_is_placed(connection: asyncpg.Connection) -> None:
    """Until this transaction ends no hold comes into force: what it finds not held is not held when it destroys it.

    Comes first in a transaction that destroys: what it reads of holds before this is not what stands.
    """
    await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")


async def place(
    connection: asyncpg.Connection,
    *,
    reason: str,
    actor: str,
    now: datetime,
    key_values: Sequence[str] = (),
    key_shown: str | None = None,
    facility: str | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
) -> int:
    """Place a hold; its number. HoldRefused for one without a reason, or that covers nothing.

    Waits for a purge that is under way: once the number is given, nothing that is there and covered leaves.
    """
    if not reason.strip():
        raise HoldRefused("A hold needs a reason: it is what an auditor and a court read.")
    if not key_values and facility is None and from_at is None and until_at is None:
        raise HoldRefused("Say what is held: a key, a facility, a period, or several of these.")
    if from_at is not None and until_at is not None and from_at >= until_at:
        raise HoldRefused("The hold's period ends before it begins.")
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")  # The purge of a large day takes its time.
        await connection.execute(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
        number: int = await connection.fetchval(
            """INSERT INTO hilum.legal_hold (key_values, key_shown, facility, from_at, until_at, reason, placed_by, placed_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id""",
            list(key_values), key_shown, facility, from_at, until_at, reason, actor, now,
        )  # fmt: skip
        hold = await _hold(connection, number)
        await append(
            connection, [Entry(now, actor, "hold.placed", f"hold/{number}", {"covers": hold.covers, "reason": reason})]
        )
    return number


async def lift(
    connection: asyncpg.Connection, number: int, *, reason: str, actor: str, now: datetime,
    behind: frozenset[str] = frozenset(),
) -> LegalHold:  # fmt: skip
    """Ask for a hold to be lifted or, as another person than who asked, lift it. HoldRefused says what stands in the way.

    ``behind`` is everyone who acts when ``actor`` does (``approvals.Names.behind_caller``).
    """
    acting = behind | {actor}
    if not reason.strip():
        raise HoldRefused("Lifting a hold needs a reason: what it kept is purged afterwards.")
    async with connection.transaction():
        await connection.execute("SELECT 1 FROM hilum.legal_hold WHERE id = $1 FOR UPDATE", number)
        hold = await _hold(connection, number)
        if hold.lifted_at is not None:
            raise HoldRefused(f"Hold {number} was lifted by {hold.lifted_by} at {hold.lifted_at:%Y-%m-%d %H:%M} UTC.")
        if hold.lift_asked_by is None:
            await connection.execute(
                """UPDATE hilum.legal_hold SET lift_asked_by = $2, lift_reason = $3, lift_asked_at = $4, lift_asked_behind = $5
                    WHERE id = $1""",
                number, actor, reason, now, sorted(acting),
            )  # fmt: skip
            action = "hold.lift_asked"
        elif acting & {hold.lift_asked_by, *hold.lift_asked_behind}:
            raise HoldRefused(
                f"{hold.lift_asked_by} asked for hold {number} to be lifted; another person has to confirm it, at a login of "
                "their own."
            )
        else:
            await connection.execute(
                "UPDATE hilum.legal_hold SET lifted_by = $2, lifted_at = $3 WHERE id = $1", number, actor, now
            )
            action = "hold.lifted"
        await append(connection, [Entry(now, actor, action, f"hold/{number}", {"reason": reason})])
        return await _hold(connection, number)


async def withdraw(connection: asyncpg.Connection, number: int, *, actor: str, now: datetime) -> None:
    """Take back what was asked: the hold stays in force. HoldRefused when nobody asked, or it was lifted."""
    async with connection.transaction():
        changed = await connection.fetchval(
            """UPDATE hilum.legal_hold SET lift_asked_by = NULL, lift_reason = NULL, lift_asked_at = NULL, lift_asked_behind = '{}'
                WHERE id = $1 AND lifted_at IS NULL AND lift_asked_by IS NOT NULL RETURNING 1""",
            number,
        )
        if not changed:
            raise HoldRefused(f"Nobody asks for hold {number} to be lifted.")
        await append(connection, [Entry(now, actor, "hold.lift_withdrawn", f"hold/{number}", {})])


_ATTRIBUTES = platform_columns(facility="facility", author="placed_by", owner="placed_by")


async def holds(connection: asyncpg.Connection, *, lifted: bool = False, where: Where = EVERYTHING) -> list[LegalHold]:
    """The holds in force, or all of them, the oldest first. ``where`` by facility and by who placed them (``author``)."""
    allowed = sql_condition(where, _ATTRIBUTES, first_parameter=2)
    rows = await connection.fetch(
        f"SELECT * FROM hilum.legal_hold WHERE ($1 OR lifted_at IS NULL) AND {allowed.text} ORDER BY id",
        lifted, *allowed.parameters,
    )  # fmt: skip
    return [_from_row(row) for row in rows]


async def _hold(connection: asyncpg.Connection, number: int) -> LegalHold:
    row = await connection.fetchrow("SELECT * FROM hilum.legal_hold WHERE id = $1", number)
    if row is None:
        raise HoldRefused(f"There is no hold {number}; `hilum hold list` lists them.")
    return _from_row(row)


def _from_row(row: asyncpg.Record) -> LegalHold:
    lists = {name: tuple(row[name]) for name in ("key_values", "lift_asked_behind")}
    return LegalHold(**{**dict(row), **lists})


_BY_KEY = """EXISTS (SELECT FROM hilum.business_key AS k WHERE k.value = ANY($1::text[]) AND (
    k.subject = 'e/' || e.shard || '/' || e.seq OR k.subject = 'm/' || e.shard || '/' || e.message_seq
    OR k.subject IN (SELECT 'c/' || c.id FROM hilum.flow_case AS c WHERE c.event_shard = e.shard AND c.event_seq = e.seq)
    OR k.subject IN (SELECT 'd/' || d.key FROM hilum.delivery_case AS d JOIN hilum.flow_case AS c ON c.id = d.case_id
                      WHERE c.event_shard = e.shard AND c.event_seq = e.seq)))"""


async def mark_held(connection: asyncpg.Connection, begin: datetime, end: datetime) -> dict[int, int]:
    """Note what is held of messages and events of [begin, end) in two temporary tables; rows noted by hold.

    A message is held with the events made of it and with the fact that it repeats. Of a message that made no event nobody
    knows whose it is: a hold on a facility or a key it carries keeps it. An event that is of no one facility (a remittance
    for several hospitals) may be of any: a hold on whichever keeps it. Inside a transaction, whose end drops the tables.
    """
    await connection.execute(
        """CREATE TEMP TABLE IF NOT EXISTS held_event (shard int, seq bigint, message_seq bigint, PRIMARY KEY (shard, seq)) ON COMMIT DROP;
           CREATE TEMP TABLE IF NOT EXISTS held_message (shard int, seq bigint, PRIMARY KEY (shard, seq)) ON COMMIT DROP;
           TRUNCATE held_event, held_message"""
    )
    counted: dict[int, int] = {}
    for hold in await holds(connection):
        first = begin if hold.from_at is None else max(begin, hold.from_at)
        last = end if hold.until_at is None else min(end, hold.until_at)
        if first >= last:
            continue
        given = (list(hold.key_values), hold.facility, first, last)
        events = await connection.fetchval(
            f"""WITH marked AS (INSERT INTO held_event SELECT e.shard, e.seq, e.message_seq FROM hilum.event AS e
                    WHERE e.at >= $3 AND e.at < $4 AND ($2::text IS NULL OR e.facility IN ($2, ''))
                      AND (cardinality($1::text[]) = 0 OR {_BY_KEY})
                    ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM marked""",
            *given,
        )
        messages = await connection.fetchval(
            """WITH marked AS (INSERT INTO held_message SELECT m.shard, m.seq FROM hilum.message AS m
                    WHERE m.received_at >= $3 AND m.received_at < $4 AND (
                          EXISTS (SELECT FROM held_event AS h WHERE h.shard = m.shard AND h.message_seq = m.seq)
                       OR (cardinality($1::text[]) = 0 AND $2::text IS NULL)
                       OR EXISTS (SELECT FROM hilum.business_key AS k WHERE k.value = ANY($1)
                                   AND k.subject IN ('m/' || m.shard || '/' || m.seq, m.copy_of))
                       OR (cardinality($1::text[]) = 0 AND m.status <> 'accepted' AND (m.copy_of IS NULL OR EXISTS (
                              SELECT FROM hilum.event AS o WHERE 'e/' || o.shard || '/' || o.seq = m.copy_of AND o.facility IN ($2, ''))))
                       OR EXISTS (SELECT FROM hilum.flow_case AS c JOIN hilum.business_key AS k ON k.subject = 'c/' || c.id
                                   WHERE k.value = ANY($1) AND 'e/' || c.event_shard || '/' || c.event_seq = m.copy_of))
                    ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) FROM marked""",
            *given,
        )  # fmt: skip
        if events or messages:
            counted[hold.id] = events + messages
    # An event without its message, or a message without its events, would be half a record.
    await connection.execute(
        """INSERT INTO held_message SELECT DISTINCT h.shard, h.message_seq FROM held_event AS h ON CONFLICT DO NOTHING;
           INSERT INTO held_event SELECT e.shard, e.seq, e.message_seq FROM hilum.event AS e JOIN held_message AS m
               ON m.shard = e.shard AND m.seq = e.message_seq ON CONFLICT DO NOTHING"""
    )
    return counted
