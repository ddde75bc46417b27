"""Intake: whatever arrived while the last commit ran is the next commit, and only then is anyone acknowledged.

One process writes one shard, with at most one batch in flight and no timer: an idle sender waits for one commit,
a busy one shares it. The batch is one round trip (``accept_batch``) unless it repeats a known fact.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import count
from typing import Any

import asyncpg

from hilum.audit.entry import at_text, entry_bytes
from hilum.runtime import work_items
from hilum.runtime.fault_points import point
from hilum.runtime.reception import ACCEPTED, DUPLICATE, REFUSED, PreparedEvent, Problem, Reception
from hilum.security.sealing.protected import Protection
from hilum.store import sealed_places
from hilum.store.kept_connection import is_lost

log = logging.getLogger(__name__)

MAX_BATCH_MESSAGES = 1000
MAX_BATCH_BYTES = 8 * 1024 * 1024

UNSTORABLE = "a value is too long to be searched by, or has a character that no text may have (NUL)"
_DOORS = "system:intake"
_UNSTORABLE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)


def _statement() -> str:
    """The call of ``accept_batch``, cheap to fill.

    asyncpg asks of every element of every array whether it is an array itself, which was an eighth of what a message cost.
    So numbers that follow each other and times that are all the same are made where they are needed, the other numbers are
    sent as one text, and a column that has the same value in every row (system, type, status; all of them when a message
    comes alone) as that one value.
    """
    number = count(9)

    def of_same(rows: str, *types: str) -> list[str]:
        return [
            f"coalesce(${next(number)}::{kind}[], array_fill(${next(number)}::{kind}, ARRAY[{rows}::int]))"
            for kind in types
        ]

    def numbers(kind: str) -> str:
        return f"${next(number)}::text::{kind}[]"

    def following(last: str, rows: str) -> str:
        return f"ARRAY(SELECT generate_series({last}::bigint - {rows}::int + 1, {last}::bigint))"

    def at(rows: str) -> str:
        return f"array_fill($8::timestamptz, ARRAY[{rows}::int])"

    messages, events, keys, facts = "$5", "$6", "$7", f"${next(number)}"
    return "SELECT accept_batch(" + ", ".join(
        [
            "$1", "$2", "$3", "$4", "$1",
            following("$3", messages), at(messages), *of_same(messages, *["text"] * 8, "bytea", "bytea"),
            following("$4", events), at(events), *of_same(events, "text"), numbers("smallint"),
            *of_same(events, "text", "text"), numbers("bigint"), *of_same(events, "text", "text", "bytea"),
            *of_same(facts, "bytea"), numbers("bigint"), *of_same(facts, "bytea"),
            *of_same(keys, "text", "text", "text"), at(keys),
            *of_same(messages, "text", "bytea"), "$8",
        ]
    ) + ")"  # fmt: skip


_ACCEPT = _statement()


class ShardLost(RuntimeError):
    """Another process took this shard over: this one must stop taking messages in."""


@dataclass(slots=True)
class Receipt:
    """What became of a message: durable when this exists."""

    subject: str
    status: str
    reception: Reception


@dataclass(slots=True)
class Conflict:
    """A report that disagrees with the first of its fact, or that shows two facts (``first``, ``other``) to be one."""

    event: PreparedEvent
    first: str
    other: str | None = None


class _LearnedMeanwhile(Exception):
    """Another shard stored an identity that this batch was about to teach."""


@dataclass(slots=True)
class _Waiting:
    reception: Reception
    reply: Callable[[Receipt], Any]
    future: asyncio.Future[Any]


@dataclass(slots=True)
class _Rows:
    """What ``accept_batch`` stores, row by row. Messages and events have the numbers up to ``message_seq`` and ``event_seq``."""

    messages: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    facts: list[tuple[bytes, int, bytes | None]] = field(default_factory=list)
    keys: list[tuple[str, str, str]] = field(default_factory=list)
    audit: list[tuple[str, bytes]] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    aliases: list[tuple[bytes, int, int, bytes | None]] = field(default_factory=list)
    conflicts: list[tuple[Conflict, str]] = field(default_factory=list)
    message_seq: int = 0
    event_seq: int = 0


class Intake:
    """The single writer of one intake shard.

    ``protection`` seals what is stored; ``clock`` gives the time of receipt; ``actor`` is written into the audit log.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        protection: Protection,
        *,
        name: str,
        clock: Callable[[], datetime],
        actor: str = _DOORS,
    ) -> None:
        self._pool = pool
        self._protection = protection
        self._name = name
        self._clock = clock
        self._actor = actor
        # What the platform takes in of its own has points of its own: a sweep that means the door must not meet it.
        self._points = "intake" if actor == _DOORS else "own_intake"
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._flushing: asyncio.Task[None] | None = None
        self._shard = -1
        self._fence = 0
        self._message_seq = 0
        self._event_seq = 0
        self._lost: ShardLost | None = None
        self._connection: asyncpg.Connection | None = None
        self._in_step = True  # Our numbers are those of the database; not known after a commit without an answer.
        self.counts: dict[tuple[str, str], list[int]] = {}

    @property
    def shard(self) -> int:
        return self._shard

    @property
    def backlog_messages(self) -> int:
        return len(self._waiting)

    async def start(self) -> None:
        """Take the shard: from now on a predecessor that is still alive cannot write it."""
        self._connection = await self._pool.acquire()
        async with self._connection.transaction():
            # One after the other: two that start together must not both take the next number.
            await self._connection.execute("SELECT pg_advisory_xact_lock(hashtext('hilum'), hashtext('intake_shard'))")
            row = await self._connection.fetchrow(
                """INSERT INTO intake_shard (shard, name, fence)
                   SELECT coalesce(max(shard), 0) + 1, $1, 1 FROM intake_shard
                   ON CONFLICT (name) DO UPDATE SET fence = intake_shard.fence + 1
                   RETURNING shard, fence, message_seq, event_seq""",
                self._name,
            )
        self._shard, self._fence = row["shard"], row["fence"]
        self._message_seq, self._event_seq = row["message_seq"], row["event_seq"]
        await self._connection.execute(
            "INSERT INTO audit_shard (shard, next_seq) VALUES ($1, 1) ON CONFLICT DO NOTHING", self._shard
        )

    async def stop(self) -> None:
        """Store what is waiting, then give the connection back."""
        while self._flushing is not None and not self._flushing.done():
            await asyncio.wait([self._flushing])
        if self._connection is not None:
            await self._pool.release(self._connection)
            self._connection = None

    def submit(self, reception: Reception, reply: Callable[[Receipt], Any]) -> asyncio.Future[Any]:
        """Take a message into the next batch; the future carries ``reply(receipt)`` once it is durable."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._lost is not None:
            future.set_exception(self._lost)
            return future
        self._waiting.append(_Waiting(reception, reply, future))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())
        return future

    async def _flush(self) -> None:
        try:
            while self._waiting:
                await self._commit(self._take())
        finally:
            self._flushing = None

    async def _commit(self, batch: list[_Waiting]) -> None:
        """Bring a batch to its end: stored and answered, or nobody in it is acknowledged."""
        try:
            rows = await self._store(batch)
        except _UNSTORABLE as error:
            await self._find_unstorable(batch, error)
        except Exception as error:  # noqa: BLE001 - Whatever it is, nobody of this batch is acknowledged.
            self._in_step = False
            self._fail(batch, error)
        else:
            self._count(rows.receipts)
            for waiting, receipt in zip(batch, rows.receipts, strict=True):
                if not waiting.future.done():
                    self._answer(waiting, receipt)

    async def _find_unstorable(self, batch: list[_Waiting], error: Exception) -> None:
        """One message holds what no column can: it is refused alone, its neighbours are stored."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._commit(batch[:middle])
            await self._commit(batch[middle:])
            return
        reception = batch[0].reception
        if reception.problem is not None and reception.problem.text == UNSTORABLE:
            self._fail(batch, error)
            return
        reception.problem = Problem("102", UNSTORABLE)
        reception.events, reception.type, reception.control_id = [], "", ""
        await self._commit(batch)

    def _search_by(self, rows: list[tuple[str, str, str]], keys: list[tuple[str, str]], subject: str) -> None:
        rows.extend((self._protection.searched(kind, value), kind, subject) for value, kind in keys)

    def _count(self, receipts: list[Receipt]) -> None:
        for receipt in receipts:
            counts = self.counts.setdefault((receipt.reception.system, receipt.reception.transport), [0, 0, 0])
            counts[0] += 1
            counts[1] += receipt.status == REFUSED
            counts[2] += receipt.status == DUPLICATE

    @staticmethod
    def _answer(waiting: _Waiting, receipt: Receipt) -> None:
        try:
            waiting.future.set_result(waiting.reply(receipt))
        except Exception as error:
            log.exception("no reply could be written for %s", receipt.subject)
            waiting.future.set_exception(error)

    def _take(self) -> list[_Waiting]:
        size = count = 0
        for waiting in self._waiting:
            count += 1
            size += len(waiting.reception.raw)
            if count == MAX_BATCH_MESSAGES or size >= MAX_BATCH_BYTES:
                break
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _fail(self, batch: list[_Waiting], error: Exception) -> None:
        """Nobody is acknowledged: the senders keep their messages and send them again."""
        if isinstance(error, asyncpg.PostgresError) and error.sqlstate == "HL001":
            error = self._taken_over()
        if isinstance(error, ShardLost):
            self._lost = error
        log.error("a batch of %d messages could not be stored: %s", len(batch), type(error).__name__)
        for waiting in batch:
            if not waiting.future.done():
                waiting.future.set_exception(error)

    def _taken_over(self) -> ShardLost:
        return ShardLost(f"shard {self._shard} ({self._name}) was taken over by another process")

    async def _connected(self) -> asyncpg.Connection:
        """The connection, and numbers that agree with the database.

        After a commit whose answer was lost the database may be ahead of us. The shard is then taken again: the new fence
        waits for that commit and shuts out one that is still on its way, and the numbers are those that were committed.
        """
        if self._connection is None or is_lost(self._connection):
            self._in_step = False
            broken, self._connection = self._connection, None
            if broken is not None:
                await self._pool.release(broken)
            self._connection = await self._pool.acquire()
        if not self._in_step:
            row = await self._connection.fetchrow(
                """UPDATE intake_shard SET fence = fence + 1 WHERE shard = $1 AND fence = $2
                   RETURNING fence, message_seq, event_seq""",
                self._shard, self._fence,
            )  # fmt: skip
            if row is None:
                raise self._taken_over()
            self._fence, self._message_seq, self._event_seq = row["fence"], row["message_seq"], row["event_seq"]
            self._in_step = True
        return self._connection

    async def _store(self, batch: list[_Waiting]) -> _Rows:
        connection = await self._connected()
        now = self._clock()
        known: dict[bytes, tuple[int, int, bytes | None]] = {}
        events = [event for waiting in batch for event in waiting.reception.events]
        facts = {i: self._protection.sealer.fact(i) for event in events for i in event.identities}
        while True:
            await self._keys_for(batch, events, now)
            rows = self._rows(batch, now, known, facts)
            point(f"{self._points}.before_commit")
            try:
                if rows.aliases or rows.conflicts:
                    async with connection.transaction():
                        await self._accept(connection, rows, now)
                        await self._learn(connection, rows, now)
                else:
                    await self._accept(connection, rows, now)
            except asyncpg.DeadlockDetectedError:
                continue  # Two shards taught each other's facts; the other one is through now.
            except (asyncpg.PostgresError, _LearnedMeanwhile) as error:
                if isinstance(error, asyncpg.PostgresError) and error.sqlstate != "HL002":
                    raise
                found = await connection.fetch(
                    "SELECT identity, shard, event_seq, agreed FROM fact WHERE identity = ANY($1::bytea[])",
                    list(facts.values()),
                )
                known.update({r["identity"]: (r["shard"], r["event_seq"], r["agreed"]) for r in found})
                continue
            point(f"{self._points}.after_commit")
            self._message_seq, self._event_seq = rows.message_seq, rows.event_seq
            return rows

    async def _keys_for(self, batch: list[_Waiting], events: list[PreparedEvent], now: datetime) -> None:
        """Have keys at hand for everything that this batch may seal: laying it out must not wait."""
        sealer = self._protection.sealer
        await sealer.ready("message", now, len(batch))
        await sealer.ready("event", now, len(events))

    async def _accept(self, connection: asyncpg.Connection, rows: _Rows, now: datetime) -> None:
        # Every shard locks facts in the same order, so that none waits for one that waits for it.
        facts = sorted(rows.facts, key=_identity)
        types, versions, ordering, facilities, origins, mappings, copies, payloads = _columns(rows.events, 8)
        identities, of_events, agreed = _columns(facts, 3)
        await connection.execute(
            _ACCEPT, self._shard, self._fence, rows.message_seq, rows.event_seq, len(rows.messages), len(rows.events),
            len(rows.keys), now, len(facts),
            *_same(*_columns(rows.messages, 10)),
            *_same(types), _numbers(versions), *_same(ordering, facilities), _numbers(origins),
            *_same(mappings, copies, payloads),
            *_same(identities), _numbers(of_events), *_same(agreed),
            *_same(*_columns(rows.keys, 3), *_columns(rows.audit, 2)),
        )  # fmt: skip

    async def _learn(self, connection: asyncpg.Connection, rows: _Rows, now: datetime) -> None:
        """What a repeated report adds: its other identities, and a work item where it disagrees."""
        if rows.aliases:
            columns = [list(column) for column in zip(*sorted(rows.aliases, key=_identity), strict=True)]
            learned = await connection.fetchval(
                """WITH learned AS (
                     INSERT INTO fact (identity, shard, event_seq, agreed, at)
                     SELECT u.*, $5 FROM unnest($1::bytea[], $2::int[], $3::bigint[], $4::bytea[]) AS u
                     ON CONFLICT DO NOTHING RETURNING 1)
                   SELECT count(*) FROM learned""",
                *columns, now,
            )  # fmt: skip
            if learned < len(rows.aliases):
                raise _LearnedMeanwhile
        for conflict, subject in rows.conflicts:
            tell = work_items.one_fact_twice if conflict.other is not None else work_items.conflicting_report
            second = conflict.other if conflict.other is not None else subject
            await tell(
                connection,
                event_type=conflict.event.type,
                first=conflict.first,
                second=second,
                now=now,
                actor=self._actor,
            )

    def _rows(
        self,
        batch: list[_Waiting],
        now: datetime,
        known: dict[bytes, tuple[int, int, bytes | None]],
        facts: dict[bytes, bytes],
    ) -> _Rows:
        """Lay the batch out in columns. ``known`` holds facts already stored; facts of the batch itself are added.

        ``facts`` gives each identity's keyed form. Numbers are known only here, and what is sealed is bound to them.
        """
        rows = _Rows(message_seq=self._message_seq, event_seq=self._event_seq)
        seen = dict(known)
        k = rows.keys
        at = at_text(now)
        shard = self._shard
        protection, sealer = self._protection, self._protection.sealer
        seal_message, seal_event = sealer.sealing("message", now), sealer.sealing("event", now)
        for waiting in batch:
            reception = waiting.reception
            rows.message_seq += 1
            seq = rows.message_seq
            subject = f"m/{shard}/{seq}"
            fresh = 0
            payloads = b""  # The plain payloads' digests: what the log says of the events, before they are sealed.
            copy_of = reception.copy_of
            for event in reception.events:
                identities = [facts[i] for i in event.identities]
                agreed = sealer.fact(event.agreed) if event.agreed is not None else None
                originals = list(dict.fromkeys(seen[i] for i in identities if i in seen))
                if originals:
                    original = originals[0]
                    first = f"e/{original[0]}/{original[1]}"
                    copy_of = copy_of or first
                    unseen = [i for i in identities if i not in seen]
                    rows.aliases.extend((i, *original) for i in unseen)
                    # A report that brings a new identity (a serial) is found by it, at the fact it repeats.
                    self._search_by(k, event.keys if unseen else [], first)
                    for identity in identities:
                        seen.setdefault(identity, original)
                    if agreed is not None and original[2] is not None and agreed != original[2]:
                        rows.conflicts.append((Conflict(event, first), subject))
                    for other in originals[1:]:
                        one, two = sorted([original[:2], other[:2]])
                        tie = Conflict(event, f"e/{one[0]}/{one[1]}", f"e/{two[0]}/{two[1]}")
                        rows.conflicts.append((tie, subject))
                    continue
                fresh += 1
                rows.event_seq += 1
                event_seq = rows.event_seq
                event_subject = f"e/{shard}/{event_seq}"
                payload = event.payload
                payloads += sha256(payload).digest()
                if protection.seals(event.type):
                    payload = seal_event(payload, sealed_places.event_payload(shard, event_seq))
                rows.events.append(
                    (
                        event.type, event.version, protection.ordered(event.type, event.ordering, event.key),
                        event.facility, seq, event.mapping, event.copy_of, payload,
                    )
                )  # fmt: skip
                for identity in identities:
                    seen[identity] = (shard, event_seq, agreed)
                    rows.facts.append((identity, event_seq, agreed))
                self._search_by(k, event.keys, event_subject)
            status = (
                REFUSED if reception.problem is not None else ACCEPTED if fresh or not reception.events else DUPLICATE
            )
            rows.messages.append(
                (
                    reception.system, reception.transport, reception.peer, reception.type, reception.control_id, status,
                    str(reception.problem) if reception.problem is not None else None, copy_of, reception.digest,
                    seal_message(reception.raw, sealed_places.message_raw(shard, seq)),
                )
            )  # fmt: skip
            if reception.control_id:
                k.append((reception.control_id, "message", subject))
            detail = b'{"events":%d,"payloads":"%s","sha256":"%s","system":"%s"}' % (
                fresh, sha256(payloads).hexdigest().encode(), reception.digest.hex().encode(), reception.system.encode(),
            )  # fmt: skip
            rows.audit.append((subject, entry_bytes(at, self._actor, f"message.{status}", subject, detail)))
            rows.receipts.append(Receipt(subject, status, reception))
        return rows


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _same(*columns: tuple[Any, ...]) -> list[Any]:
    """Each column as an array, or as the one value that it has in every row."""
    given: list[Any] = []
    for column in columns:
        given += (None, column[0]) if column and column.count(column[0]) == len(column) else (column, None)
    return given


def _numbers(column: Sequence[int]) -> str:
    """An array of numbers as PostgreSQL spells it."""
    return "{" + ",".join(map(str, column)) + "}"


def _identity(row: tuple[Any, ...]) -> bytes:
    identity: bytes = row[0]
    return identity
