"""The timekeeper: what is due by a schedule becomes facts, once, and late rather than never."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import asyncpg
from cronsim import CronSim

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.authoring.schedules import Moment, Schedule
from hilum.runtime import work_items
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import REFUSED, stated

log = logging.getLogger(__name__)

CLOCK = "system:clock"
SOURCE = "clock"
"""The system that facts of schedules came from, where others name a sender."""
QUEUE = "integration"
MAX_MADE_UP = 400
"""Moments of one schedule that are made up for at once: more than a year of nights."""
_KEPT = timedelta(days=400)


class NoSuchSchedule(LookupError):
    """The estate has no schedule of this name; the text lists those it has."""


class Timekeeper:
    """``intake`` writes a shard of this process's own. Several timekeepers do no harm: a fact is one by its identity."""

    def __init__(self, pool: asyncpg.Pool, estate: Estate, intake: Intake, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._intake = intake
        self._clock = clock
        self._zone = ZoneInfo(estate.time_zone)

    async def run_once(self) -> int:
        """Follow the clock, then take in the facts of every open moment; how many moments were done."""
        now = self._clock()
        for schedule in self._estate.schedules.values():
            await self._follow(schedule, now)
        rows = await self._pool.fetch(
            "SELECT name, at, asked_by FROM schedule_moment WHERE taken_at IS NULL AND at <= $1 ORDER BY at, name", now
        )
        done = 0
        for row in rows:
            found = self._estate.schedules.get(row["name"])
            if found is None:
                await self._close(
                    row["name"], row["at"], 0
                )  # The schedule is gone from the estate, and with it what it meant.
            else:
                done += await self._take(found, row["at"], row["asked_by"], now)
        return done

    async def _follow(self, schedule: Schedule, now: datetime) -> None:
        """Note each moment since the clock was followed last; a schedule that is seen first owes nothing."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "SELECT followed_to FROM schedule_clock WHERE name = $1 FOR UPDATE", schedule.name
            )
            if row is None:
                await connection.execute(
                    "INSERT INTO schedule_clock (name, followed_to) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                    schedule.name,
                    now,
                )
                return
            due = moments(schedule, row["followed_to"].astimezone(self._zone), now)
            if not due:
                return
            await connection.executemany(
                "INSERT INTO schedule_moment (name, at, asked_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                [(schedule.name, at, CLOCK) for at in due],
            )
            await connection.execute(
                "UPDATE schedule_clock SET followed_to = $2 WHERE name = $1", schedule.name, max(now, due[-1])
            )
            await connection.execute(
                "DELETE FROM schedule_moment WHERE name = $1 AND at < $2 AND taken_at IS NOT NULL",
                schedule.name,
                now - _KEPT,
            )

    async def _take(self, schedule: Schedule, at: datetime, asked_by: str, now: datetime) -> int:
        moment = Moment(at.astimezone(self._zone), tuple(self._estate.facilities))
        cause = f"Schedule:{schedule.name}"
        try:
            facts = list(schedule.function(moment))
            receptions = [stated(self._estate, fact, source=SOURCE, peer=asked_by) for fact in facts]
        except Exception as error:
            # A defect of one schedule holds up no other; its moment is tried again until it is mended.
            log.exception("defect in schedule %s", schedule.name)
            await self._tell(schedule, cause, f"{type(error).__name__} for {at.isoformat()}", now)
            return 0
        for reception in receptions:
            receipt: Receipt = await self._intake.submit(reception, lambda receipt: receipt)
            if receipt.status == REFUSED:
                await self._tell(
                    schedule, cause, f"a fact for {at.isoformat()} was refused: {receipt.reception.problem}", now
                )
                return 0
        await self._close(schedule.name, at, len(facts))
        async with self._pool.acquire() as connection, connection.transaction():
            item = await connection.fetchval("SELECT id FROM work_item WHERE cause = $1 AND state = 'open'", cause)
            if item is not None:
                await work_items.resolve(connection, item, now=now, actor=CLOCK)
        return 1

    async def _close(self, name: str, at: datetime, facts: int) -> None:
        await self._pool.execute(
            "UPDATE schedule_moment SET taken_at = $3, facts = $4 WHERE name = $1 AND at = $2 AND taken_at IS NULL",
            name, at, self._clock(), facts,
        )  # fmt: skip

    async def _tell(self, schedule: Schedule, cause: str, detail: str, now: datetime) -> None:
        found = work_items.Exceptional(
            queue=QUEUE,
            cause=cause,
            title=f"The schedule {schedule.name} fails",
            remedy="Mend the schedule in the estate's integrations and load it; its moments are then made up for, and this item closes itself.",
            due_hours=4,
            subject=f"schedule/{schedule.name}",
            at_risk_usd=Decimal(0),
            detail=detail,
            owner=self._estate.queues.get(QUEUE, ""),
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await work_items.join(connection, found, now=now, actor=CLOCK)


def moments(schedule: Schedule, after: datetime, until: datetime) -> Sequence[datetime]:
    """When it was due after one moment and up to another, oldest first; of those to be made up for, as it says."""
    found: list[datetime] = []
    for at in CronSim(schedule.cron, after):
        if at > until:
            break
        found.append(at)
        if len(found) > MAX_MADE_UP:
            found.pop(0)
    return found[-1:] if schedule.catch_up == "latest" else found


def next_due(schedule: Schedule, after: datetime) -> datetime:
    """When it is due next."""
    return next(CronSim(schedule.cron, after))


@dataclass(frozen=True)
class Standing:
    """How a schedule stands: ``last`` is the newest moment whose facts were taken in, ``waiting`` those not yet."""

    name: str
    cron: str
    owner: str
    next: datetime
    last: datetime | None
    facts: int | None
    waiting: int


async def standings(connection: asyncpg.Connection, estate: Estate, *, now: datetime) -> list[Standing]:
    """Every schedule of the estate, in its order."""
    zone = ZoneInfo(estate.time_zone)
    rows = await connection.fetch(
        """SELECT name, count(*) FILTER (WHERE taken_at IS NULL) AS waiting, max(at) FILTER (WHERE taken_at IS NOT NULL) AS last,
                  (array_agg(facts ORDER BY at DESC) FILTER (WHERE taken_at IS NOT NULL))[1] AS facts
             FROM schedule_moment GROUP BY name"""
    )
    known = {row["name"]: row for row in rows}
    found = []
    for name, schedule in estate.schedules.items():
        row = known.get(name)
        last = row["last"] if row is not None else None
        found.append(
            Standing(
                name,
                schedule.cron,
                schedule.owner,
                next_due(schedule, now.astimezone(zone)),
                last.astimezone(zone) if last is not None else None,
                row["facts"] if row is not None else None,
                row["waiting"] if row is not None else 0,
            )
        )
    return found


async def ask(
    connection: asyncpg.Connection, estate: Estate, name: str, at: datetime, *, actor: str, now: datetime
) -> bool:
    """Have a schedule run for a moment of somebody's choice; False when that moment was taken in before.

    A moment to come is taken in when it comes. ``NoSuchSchedule`` when there is none of this name.
    """
    if name not in estate.schedules:
        raise NoSuchSchedule(f"there is no schedule {name}; there are {', '.join(estate.schedules) or 'none'}")
    async with connection.transaction():
        new = await connection.fetchval(
            "INSERT INTO schedule_moment (name, at, asked_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1",
            name, at, actor,
        )  # fmt: skip
        if new:
            await append(connection, [Entry(now, actor, "schedule.asked", f"schedule/{name}", {"at": at.isoformat()})])
    return bool(new)
