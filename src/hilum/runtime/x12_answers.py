"""The acknowledgement that an X12 interchange earns (999, 997 or TA1), made once and delivered until it has arrived.

What was stored is read in order, and each interchange of a system that wants answers gets a row and a control number of its
own, in the transaction that moves the cursor. The bytes are made from the stored message each time they are needed, so that
they are the same each time and rest nowhere. Delivery has two steps, so that a crash neither loses nor doubles: the answer is
put beside its place under a hidden name (*ready*), then it gets its own name in one step (*sent*). What is *ready* and no
longer there under the hidden name was sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.authoring.failures import Unavailable
from hilum.formats import x12
from hilum.formats.findings import FormatError
from hilum.runtime.fault_points import point
from hilum.runtime.reception import REFUSED
from hilum.runtime.stored_messages import StoredMessages
from hilum.security.sealing.protected import Protection
from hilum.store import sealed_places
from hilum.store.sealed import NotOurs, Shredded

log = logging.getLogger(__name__)

READER = "x12-answers"
ACTOR = "system:x12-answers"
HTTP = "http"
FILES = ("folder", "sftp")
LAST_NUMBER = 999_999_999
AT_ONCE = 100

Way = Literal["folder", "sftp", "http"]
Verdict = Literal["accepted", "noted", "refused"]


class Outbox(Protocol):
    """Where a system's answers are put. Each call is durable when it returns, and may be repeated."""

    @property
    def way(self) -> Way: ...

    async def put(self, name: str, data: bytes) -> None:
        """Put the bytes there under a hidden name."""

    async def show(self, name: str) -> None:
        """Give what was put there its own name; nothing when that has happened already."""


@dataclass(frozen=True)
class Answer:
    """What goes back. None as ``data``: this interchange earns nothing (it acknowledges something itself)."""

    data: bytes | None
    verdict: Verdict


def answer(raw: bytes, kind: str, *, refused: str | None, control_number: int, now: datetime) -> Answer:
    """The acknowledgement of one stored interchange. ``kind`` is the agreement's: 999 or ta1.

    ``refused`` is why the platform did not take it, None when it did. What it took is accepted, with errors noted: the books
    judge what it says. What it did not take is rejected, with what was found wrong, or as a transaction set that is not
    supported here. X12 999 005010X231A1, TA1 of the interchange control standards.
    """
    try:
        document, found = x12.received([raw])
    except FormatError:
        return Answer(None, "refused")  # Without a readable ISA nobody knows whom to answer.
    findings = [finding for finding in found if isinstance(finding, x12.X12Finding)]
    if refused is not None:
        # An interchange is taken whole or not at all: its other transactions are not here either.
        wrong = {finding.first_segment for finding in findings if finding.severity == "error"}
        code = _NOT_SUPPORTED if refused.startswith(f"{_NOT_SUPPORTED}:") else _IN_ERROR
        findings += [
            x12.X12Finding(code, refused, level="transaction", first_segment=each.first_segment)
            for each in document.transactions
            if each.first_segment not in wrong
        ]
    try:
        made = x12.acknowledge(
            document, findings, kind="TA1" if kind == "ta1" else None, control_number=control_number, now=now,
            rejects=x12_errors if refused is not None else _nothing,
        )  # fmt: skip
    except FormatError:
        return Answer(None, "refused" if refused is not None else "accepted")
    noted = any(finding.severity == "error" for finding in findings)
    return Answer(x12.write(made), "refused" if refused is not None else "noted" if noted else "accepted")


_NOT_SUPPORTED, _IN_ERROR = "1", "5"
"""AK502 and IK502: transaction set not supported; one or more segments in error."""


def x12_errors(finding: x12.X12Finding) -> bool:
    """What rejects an interchange that was not taken."""
    return finding.severity == "error"


def _nothing(finding: x12.X12Finding) -> bool:
    """What was taken is not rejected, whatever was noted of it."""
    return False


class X12Answers:
    """Makes and delivers what is owed to the senders of X12 interchanges.

    ``outboxes`` are the ways to the systems whose answers go by file; what came by HTTP is answered by ``now_for`` at once.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        estate: Estate,
        protection: Protection,
        outboxes: Mapping[str, Outbox],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._protection = protection
        self._outboxes = outboxes
        self._clock = clock
        self._kinds = {name: spec.answers.x12 for name, spec in estate.systems.items() if spec.answers.x12 != "none"}
        self._messages = StoredMessages(pool, READER, sorted(self._kinds))

    async def run_once(self) -> int:
        """See what was stored, and deliver what is owed; how much was done."""
        if not self._kinds:
            return 0
        done = 0
        for shard in await self._messages.shards():
            done += await self._owe(shard)
        for system, outbox in self._outboxes.items():
            if system in self._kinds:
                done += await self._deliver(system, outbox)
        return done

    async def _owe(self, shard: int) -> int:
        """A row for each interchange that came as a file."""
        now = self._clock()
        async with self._messages.beyond(shard, now) as (connection, messages, read):
            for message in messages:
                outbox = self._outboxes.get(message["system"])
                if outbox is not None and message["transport"] in FILES:
                    await self._row(connection, message["system"], shard, message["seq"], outbox.way, now)
            point("answers.before_commit")
        return read

    async def _row(
        self, connection: asyncpg.Connection, system: str, shard: int, seq: int, way: Way, now: datetime
    ) -> int:
        """The control number under which this message is answered: the same whenever it is asked for."""
        number: int | None = await connection.fetchval(
            "SELECT control_number FROM x12_answer WHERE shard = $1 AND seq = $2", shard, seq
        )
        if number is not None:
            return number
        number = await connection.fetchval(
            """INSERT INTO x12_answer_number AS n (system, last) VALUES ($1, 1)
               ON CONFLICT (system) DO UPDATE SET last = n.last % $2 + 1 RETURNING last""",
            system, LAST_NUMBER,
        )  # fmt: skip
        await connection.execute(
            """INSERT INTO x12_answer (shard, seq, system, control_number, way, state, made_at)
               VALUES ($1, $2, $3, $4, $5, 'made', $6)""",
            shard, seq, system, number, way, now,
        )  # fmt: skip
        assert number is not None
        return number

    async def _deliver(self, system: str, outbox: Outbox) -> int:
        """One process at a time delivers to a system: two could each believe that the other's answer was not shown yet."""
        async with self._pool.acquire() as connection:
            place = ("SELECT pg_try_advisory_lock(hashtext('x12-answers'), hashtext($1))", system)
            if not await connection.fetchval(*place):
                return 0
            try:
                return await self._deliver_alone(system, outbox)
            finally:
                await connection.execute("SELECT pg_advisory_unlock(hashtext('x12-answers'), hashtext($1))", system)

    async def _deliver_alone(self, system: str, outbox: Outbox) -> int:
        rows = await self._pool.fetch(
            """SELECT shard, seq, control_number, state, made_at FROM x12_answer
                WHERE system = $1 AND state IN ('made', 'ready') AND way <> 'http' ORDER BY made_at, shard, seq LIMIT $2""",
            system, AT_ONCE,
        )  # fmt: skip
        done = 0
        for row in rows:
            try:
                await self._bring(system, outbox, row)
            except (Unavailable, OSError) as away:
                # The others would meet the same; they wait with this one for the next round.
                log.warning("answers to %s cannot be delivered now: %s", system, type(away).__name__)
                break
            done += 1
        return done

    async def _bring(self, system: str, outbox: Outbox, row: asyncpg.Record) -> None:
        """Bring one answer to its place, from wherever a process that died left it."""
        name = f"{system}-{row['control_number']:09}-{row['shard']}-{row['seq']}.x12"
        if row["state"] == "made":
            made = await self._made(system, row["shard"], row["seq"], row["control_number"], row["made_at"])
            if made.data is None:
                await self._is(row, "none", made.verdict)
                return
            await outbox.put(name, made.data)
            point("answers.put")
            await self._is(row, "ready", made.verdict)
            point("answers.ready")
        await outbox.show(name)
        point("answers.shown")
        await self._is(row, "sent", None)

    async def _made(self, system: str, shard: int, seq: int, number: int, made_at: datetime) -> Answer:
        stored = await self._pool.fetchrow(
            "SELECT type, status, error, raw FROM message WHERE shard = $1 AND seq = $2", shard, seq
        )
        if stored is None:
            return Answer(None, "refused")  # Its retention ended before it could be answered.
        try:
            raw = await self._protection.opened(stored["raw"], sealed_places.message_raw(shard, seq))
        except (NotOurs, Shredded):
            return Answer(None, "refused")
        why = stored["error"] if stored["status"] == REFUSED else None
        if not x12.recognise(raw):
            return Answer(None, "refused")
        return await asyncio.to_thread(
            answer, raw, self._kinds[system], refused=why, control_number=number, now=made_at
        )

    async def _is(self, row: asyncpg.Record, state: str, verdict: Verdict | None) -> None:
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            changed = await connection.fetchrow(
                """UPDATE x12_answer SET state = $3, verdict = coalesce($4, verdict),
                          sent_at = CASE WHEN $3 = 'sent' THEN $5::timestamptz END
                    WHERE shard = $1 AND seq = $2 AND state IN ('made', 'ready')
                   RETURNING system, control_number, verdict, way""",
                row["shard"], row["seq"], state, verdict, now,
            )  # fmt: skip
            if changed is not None and state == "sent":
                await append(connection, [Entry(now, ACTOR, "message.answered", _subject(row), dict(changed))])

    async def at_once(self, system: str, shard: int, seq: int) -> bytes | None:
        """The answer to a message that came by HTTP and was stored a moment ago; None when the agreement wants none."""
        if system not in self._kinds:
            return None
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            number = await self._row(connection, system, shard, seq, "http", now)
        made = await self._made(system, shard, seq, number, now)
        await self._is({"shard": shard, "seq": seq}, "sent" if made.data is not None else "none", made.verdict)
        return made.data


def _subject(row: asyncpg.Record) -> str:
    return f"m/{row['shard']}/{row['seq']}"


@dataclass(frozen=True)
class AnswersSent:
    """What went back to a system's senders for interchanges of a day, by verdict; ``on_the_way`` is not delivered yet."""

    system: str
    day: date
    sent: int
    accepted: int
    noted: int
    refused: int
    on_the_way: int


async def answers_sent(
    connection: asyncpg.Connection, *, first: date, last: date, zone: str, system: str = ""
) -> list[AnswersSent]:
    """By day (in ``zone``) and system."""
    rows = await connection.fetch(
        """SELECT system, (made_at AT TIME ZONE $3)::date AS day, count(*) FILTER (WHERE state = 'sent') AS sent,
                  count(*) FILTER (WHERE state = 'sent' AND verdict = 'accepted') AS accepted,
                  count(*) FILTER (WHERE state = 'sent' AND verdict = 'noted') AS noted,
                  count(*) FILTER (WHERE state = 'sent' AND verdict = 'refused') AS refused,
                  count(*) FILTER (WHERE state IN ('made', 'ready') AND way <> 'http') AS on_the_way
             FROM x12_answer
            WHERE ($4 = '' OR system = $4)
              AND made_at >= ($1::date::timestamp AT TIME ZONE $3) AND made_at < (($2::date + 1)::timestamp AT TIME ZONE $3)
            GROUP BY 1, 2 ORDER BY 2 DESC, 1""",
        first, last, zone, system,
    )  # fmt: skip
    return [AnswersSent(**row) for row in rows]
