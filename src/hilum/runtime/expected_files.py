"""Files that are expected by a time: each day's is received, late, or missing, and a missing one is somebody's work.

A day's alert is raised once, whenever the platform looks after the time has passed, also when it was down at that time.
It closes by itself when the file comes. Which file answers which day depends on the times of receipt alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from hilum.authoring.estate import Estate
from hilum.authoring.estate_transfer import Expect
from hilum.runtime import work_items
from hilum.runtime.fault_points import point
from hilum.runtime.reception import ACCEPTED
from hilum.runtime.stored_messages import StoredMessages
from hilum.security.sealing.protected import Protection
from hilum.store import sealed_places
from hilum.store.sealed import NotOurs, Shredded

log = logging.getLogger(__name__)

READER = "expected-files"
ACTOR = "system:expected-files"
DAYS_BACK = 31
"""Days that were missed while the platform was down for longer than this raise no alert any more."""
REMEDY = "Ask the sender where the file is. This closes by itself when the file comes; skip it, with the reason, when none will."


@dataclass(frozen=True)
class ExpectedDay:
    """One day's file: ``state`` is expected, received, late or missing; times are UTC."""

    system: str
    name: str
    day: date
    due_at: datetime
    state: str
    message: str | None = None
    received_at: datetime | None = None


class ExpectedFiles:
    """Keeps every ``[[expect]]`` of the estate."""

    def __init__(
        self, pool: asyncpg.Pool, estate: Estate, protection: Protection, *, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._protection = protection
        self._clock = clock
        self._zone = ZoneInfo(estate.time_zone)
        self._expected: dict[tuple[str, str], Expect] = {
            (system, each.name): each for system, spec in estate.systems.items() for each in spec.expect
        }
        self._messages = StoredMessages(pool, READER, sorted({system for system, _ in self._expected}))

    async def run_once(self) -> int:
        """Write down what is due, see what came, raise alerts for what did not; how many changed."""
        if not self._expected:
            return 0
        now = self._clock()
        await self._foresee(now)
        came = 0
        for shard in await self._messages.shards():
            came += await self._see(shard, now)
        if came:
            return came  # There may be more to read: nobody is alarmed before everything was seen.
        return await self._alert(now)

    async def _foresee(self, now: datetime) -> None:
        """A row for each day up to tomorrow. A time that the estate changed counts for days that are still open."""
        rows = []
        async with self._pool.acquire() as connection, connection.transaction():
            for (system, name), expect in self._expected.items():
                since = await connection.fetchval(
                    """INSERT INTO expected_since AS s (system, name, since) VALUES ($1, $2, $3)
                       ON CONFLICT (system, name) DO UPDATE SET since = s.since RETURNING since""",
                    system, name, now,
                )  # fmt: skip
                today = now.astimezone(self._zone).date()
                first = max(since.astimezone(self._zone).date(), today - timedelta(days=DAYS_BACK))
                for day, due in expect.due(first, today + timedelta(days=1), self._zone):
                    if due >= since:
                        rows.append((system, name, day, due, due - timedelta(hours=expect.early_hours)))
            await connection.executemany(
                """INSERT INTO expected_file AS e (system, name, day, due_at, opens_at, state)
                   VALUES ($1, $2, $3, $4, $5, 'expected')
                   ON CONFLICT (system, name, day) DO UPDATE SET due_at = excluded.due_at, opens_at = excluded.opens_at
                    WHERE e.state = 'expected' AND (e.due_at, e.opens_at) <> (excluded.due_at, excluded.opens_at)""",
                rows,
            )
            # What is not expected any more (another name, a holiday) and did not come is nobody's debt.
            await connection.execute(
                """DELETE FROM expected_file e WHERE state = 'expected' AND due_at > $4 AND NOT EXISTS (
                     SELECT 1 FROM unnest($1::text[], $2::text[], $3::date[]) AS u(system, name, day)
                      WHERE (u.system, u.name, u.day) = (e.system, e.name, e.day))""",
                *([row[at] for row in rows] for at in range(3)), now,
            )  # fmt: skip

    async def _see(self, shard: int, now: datetime) -> int:
        """Read what was stored since the last look; how many messages were read."""
        async with self._messages.beyond(shard, now - timedelta(hours=24)) as (connection, messages, read):
            for message in messages:
                if message["status"] != ACCEPTED:
                    continue
                for (system, name), expect in self._expected.items():
                    if message["system"] != system or expect.message not in message["type"].split("+"):
                        continue
                    if await self._says(connection, message, expect.where):
                        await self._answered(connection, system, name, message, now)
            point("expected.before_commit")
        return read

    async def _says(self, connection: asyncpg.Connection, message: asyncpg.Record, where: Mapping[str, str]) -> bool:
        """Whether one of the message's events says what is asked for."""
        if not where:
            return True
        place = (message["shard"], message["seq"])
        # One at a time: a remittance may have megabytes.
        for row in await connection.fetch("SELECT seq FROM event WHERE shard = $1 AND message_seq = $2", *place):
            sealed = await connection.fetchval(
                "SELECT payload FROM event WHERE shard = $1 AND seq = $2", place[0], row["seq"]
            )
            try:
                payload = await self._protection.opened(sealed, sealed_places.event_payload(place[0], row["seq"]))
            except (NotOurs, Shredded):
                continue
            event = orjson.loads(payload)
            if all(_text(event, path) == wanted for path, wanted in where.items()):
                return True
        return False

    async def _answered(
        self, connection: asyncpg.Connection, system: str, name: str, message: asyncpg.Record, now: datetime
    ) -> None:
        """The day that this message is the file of: that of its window, or the oldest that is still missing."""
        at = message["received_at"]
        row = await connection.fetchrow(
            """SELECT day, due_at, item, message FROM expected_file
                WHERE system = $1 AND name = $2 AND opens_at <= $3 ORDER BY opens_at DESC LIMIT 1""",
            system, name, at,
        )  # fmt: skip
        if row is None or row["message"] is not None:
            row = await connection.fetchrow(
                """SELECT day, due_at, item FROM expected_file
                    WHERE system = $1 AND name = $2 AND opens_at <= $3 AND message IS NULL ORDER BY day LIMIT 1""",
                system, name, at,
            )  # fmt: skip
        if row is None:
            return
        subject = f"m/{message['shard']}/{message['seq']}"
        late = at > row["due_at"]
        await connection.execute(
            """UPDATE expected_file SET state = $4, message = $5, received_at = $6
                WHERE system = $1 AND name = $2 AND day = $3""",
            system, name, row["day"], "late" if late else "received", subject, at,
        )  # fmt: skip
        if row["item"] is not None:
            still = await connection.fetchval(
                "SELECT 1 FROM work_item WHERE id = $1 AND state = 'open' FOR UPDATE", row["item"]
            )
            if still:
                await work_items.resolve(connection, row["item"], now=now, actor=ACTOR)
        log.info("the file %s of %s for %s has come%s", name, system, row["day"], ", late" if late else "")

    async def _alert(self, now: datetime) -> int:
        """A work item for every file whose time has passed."""
        alerts = 0
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                """SELECT system, name, day FROM expected_file WHERE state = 'expected' AND due_at < $1
                    ORDER BY due_at FOR UPDATE SKIP LOCKED""",
                now,
            )
            for row in rows:
                expect = self._expected.get((row["system"], row["name"]))
                if expect is None:
                    continue  # The estate does not expect it any more.
                item = await work_items.join(connection, self._missing(row, expect), now=now, actor=ACTOR)
                await connection.execute(
                    "UPDATE expected_file SET state = 'missing', item = $4 WHERE system = $1 AND name = $2 AND day = $3",
                    row["system"], row["name"], row["day"], item,
                )  # fmt: skip
                alerts += 1
            point("expected.before_alert")
        return alerts

    def _missing(self, row: asyncpg.Record, expect: Expect) -> work_items.Exceptional:
        place = f"{row['system']}/{row['name']}/{row['day']}"
        return work_items.Exceptional(
            queue=expect.queue, cause=f"ExpectedFile:{place}",
            title=f"{expect.title} was expected by {expect.by} on {row['day']} and did not come",
            remedy=REMEDY, due_hours=expect.due_hours, subject=f"expected/{place}", at_risk_usd=Decimal(0),
            detail="What it holds, and so what it is worth, is not known.",
            owner=self._estate.queues.get(expect.queue, ""),
        )  # fmt: skip


def _text(event: Any, path: str) -> str | None:
    for part in path.split("."):
        event = event.get(part) if isinstance(event, dict) else None
    return None if event is None else str(event)


async def expected_days(
    connection: asyncpg.Connection, *, first: date, last: date, system: str = ""
) -> list[ExpectedDay]:
    """What was expected on these days, by day, system and name."""
    rows = await connection.fetch(
        """SELECT system, name, day, due_at, state, message, received_at FROM expected_file
            WHERE day BETWEEN $1 AND $2 AND ($3 = '' OR system = $3) ORDER BY day DESC, system, due_at, name""",
        first, last, system,
    )  # fmt: skip
    return [ExpectedDay(**row) for row in rows]


async def open_days(connection: asyncpg.Connection, now: datetime) -> list[ExpectedDay]:
    """What is missing and still somebody's work, and what is due within a day and did not come yet."""
    rows = await connection.fetch(
        """SELECT system, name, day, due_at, state, message, received_at FROM expected_file AS f
            WHERE (state = 'missing' AND EXISTS (SELECT 1 FROM work_item w WHERE w.id = f.item AND w.state = 'open')) OR (state = 'expected' AND due_at < $1::timestamptz + interval '1 day')
            ORDER BY due_at, system, name""",
        now,
    )
    return [ExpectedDay(**row) for row in rows]


@dataclass(frozen=True)
class ReceivedFiles:
    """What came from a system on a day by one door: files, and the messages in them by outcome."""

    system: str
    transport: str
    day: date
    files: int
    accepted: int
    duplicates: int
    refused: int
    last_at: datetime


async def received_files(
    connection: asyncpg.Connection, *, first: date, last: date, zone: str, system: str = ""
) -> list[ReceivedFiles]:
    """What came as files, by day (in ``zone``), system and door."""
    rows = await connection.fetch(
        """SELECT system, transport, (received_at AT TIME ZONE $3)::date AS day,
                  count(DISTINCT split_part(peer, '#', 1)) AS files,
                  count(*) FILTER (WHERE status = 'accepted') AS accepted,
                  count(*) FILTER (WHERE status = 'duplicate') AS duplicates,
                  count(*) FILTER (WHERE status = 'refused') AS refused, max(received_at) AS last_at
             FROM message
            WHERE transport IN ('folder', 'sftp') AND ($4 = '' OR system = $4)
              AND received_at >= ($1::date::timestamp AT TIME ZONE $3) AND received_at < (($2::date + 1)::timestamp AT TIME ZONE $3)
            GROUP BY 1, 2, 3 ORDER BY 3 DESC, 1, 2""",
        first, last, zone, system,
    )  # fmt: skip
    return [ReceivedFiles(**row) for row in rows]
