"""How it stands: one reading of systems, flows, feeds, the work queue, workers and the audit log.

The terminal, the page and the metrics show the same reading, so they never disagree. Nothing here is PHI.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from hilum.authoring.estate import Estate
from hilum.runtime.work_queue import QueueLine, QueueTotals, list_items, queue_totals

CASE_STATES = ("ready", "running", "waiting", "parked", "stopped", "done", "skipped")
# As long as claims.DEAD_AFTER_SECONDS, which is not imported: the journal behind it takes a terminal command a second.
SILENT_AFTER_SECONDS = 10.0
OPEN_DELIVERIES = ("pending", "attempting", "in_doubt")


@dataclass(frozen=True, slots=True)
class Channel:
    """One door: what arrived by it. ``violations`` are bytes that were no message."""

    transport: str
    address: str
    received: int
    refused: int
    duplicates: int
    violations: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class SystemStanding:
    """One external system. ``state``: answers, throttled (it asked us to wait), away (circuit open), probing, held (by a
    person) or unknown (never spoken to)."""

    name: str
    title: str
    criticality: str
    owner: str
    state: str
    last_error: str | None
    retry_at: datetime | None
    throttled_until: datetime | None
    throttled_why: str | None
    channels: tuple[Channel, ...]
    deliveries_open: int
    deliveries_refused: int
    deliveries_done: int
    cases_parked: int

    @property
    def last_at(self) -> datetime | None:
        return max((c.last_at for c in self.channels if c.last_at is not None), default=None)

    @property
    def received(self) -> int:
        return sum(c.received for c in self.channels)

    @property
    def refused(self) -> int:
        return sum(c.refused for c in self.channels)

    @property
    def duplicates(self) -> int:
        return sum(c.duplicates for c in self.channels)


@dataclass(frozen=True, slots=True)
class FlowStanding:
    """How many cases of a flow are in each state of ``CASE_STATES``."""

    name: str
    criticality: str
    cases: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.cases.values())

    @property
    def done(self) -> int:
        return self.cases["done"]

    @property
    def moving(self) -> int:
        return self.cases["ready"] + self.cases["running"]

    @property
    def held_up(self) -> int:
        """Those for which a person must decide or a system must answer."""
        return self.cases["waiting"] + self.cases["parked"] + self.cases["stopped"]


@dataclass(frozen=True, slots=True)
class FeedStanding:
    """How far a feed is, in events of every type: it reads past those that are not its own. The last two are parked."""

    name: str
    system: str
    read: int
    behind: int
    dead: int
    waiting_behind_dead: int


@dataclass(frozen=True, slots=True)
class ExecutorStanding:
    """One worker process. ``state``: running, silent (no heartbeat), stopped or dead."""

    id: str
    role: str
    host: str
    pid: int
    flows_version: str
    heartbeat_at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class AuditStanding:
    """The log's size under its newest signed head, and how many entries wait to come under one."""

    size: int
    head_at: datetime | None
    key_id: str | None
    pending: int
    published: tuple[PublicationStanding, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicationStanding:
    """What one place outside the database knows of the log: the newest head there, and what came after it.

    ``head_at`` is None while nothing was published there; ``unpublished`` counts the entries that the place does not
    vouch for yet; ``problem`` says why it lags, ``alarm`` that the log is not the one that was published.
    """

    place: str
    size: int
    head_at: datetime | None
    unpublished: int
    problem: str | None
    alarm: str | None


@dataclass(frozen=True, slots=True)
class CertificateStanding:
    """One watched certificate; ``days_left`` is negative when it has ended."""

    slot: str
    role: str
    subject: str
    not_after: datetime
    days_left: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at one instant."""

    at: datetime
    systems: tuple[SystemStanding, ...]
    flows: tuple[FlowStanding, ...]
    feeds: tuple[FeedStanding, ...]
    queue: tuple[QueueLine, ...]
    queues: dict[str, QueueTotals]
    executors: tuple[ExecutorStanding, ...]
    audit: AuditStanding
    certificates: tuple[CertificateStanding, ...] = ()

    @property
    def totals(self) -> QueueTotals:
        return QueueTotals.of_all(self.queues.values())

    @property
    def verdict(self) -> str:
        """The state of the whole in a word: well, waiting (people or systems must act) or broken (a defect, nobody working)."""
        if any(f.cases["stopped"] for f in self.flows) or not any(e.state == "running" for e in self.executors):
            return "broken"
        if self.totals.items or any(s.state in ("away", "held", "probing", "throttled") for s in self.systems):
            return "waiting"
        return "well"


async def read_overview(
    connection: asyncpg.Connection, estate: Estate | None, clock: Callable[[], datetime], *, queue_lines: int = 50
) -> Overview:
    """Read everything in one snapshot. Without an estate, systems are those that the database has heard of."""
    now = clock()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return Overview(
            at=now,
            systems=await _systems(connection, estate, now),
            flows=await _flows(connection, estate),
            feeds=await _feeds(connection, estate),
            queue=tuple(await list_items(connection, now=now, limit=queue_lines)),
            queues=await queue_totals(connection),
            executors=await _executors(connection, now),
            audit=await _audit(connection),
            certificates=await _certificates(connection, now),
        )


async def _systems(connection: asyncpg.Connection, estate: Estate | None, now: datetime) -> tuple[SystemStanding, ...]:
    channels: dict[str, list[Channel]] = {}
    for row in await connection.fetch("SELECT * FROM hilum.channel ORDER BY system, transport"):
        channels.setdefault(row["system"], []).append(
            Channel(
                row["transport"],
                row["address"],
                row["received"],
                row["refused"],
                row["duplicates"],
                row["violations"],
                row["last_at"],
            )
        )
    breakers = {r["system"]: r for r in await connection.fetch("SELECT * FROM hilum.breaker")}
    deliveries: dict[str, dict[str, int]] = {}
    for row in await connection.fetch("SELECT system, state, count(*) AS n FROM hilum.delivery GROUP BY system, state"):
        deliveries.setdefault(row["system"], {})[row["state"]] = row["n"]
    parked = {
        r["parked_on"]: r["n"]
        for r in await connection.fetch(
            "SELECT parked_on, count(*) AS n FROM hilum.flow_case WHERE state = 'parked' GROUP BY parked_on"
        )
    }
    names = list(estate.systems) if estate is not None else []
    names += sorted({*channels, *breakers, *deliveries} - set(names))
    standing = []
    for name in names:
        spec = estate.systems.get(name) if estate is not None else None
        counts = deliveries.get(name, {})
        breaker = breakers.get(name)
        throttled = breaker is not None and breaker["throttled_until"] is not None and breaker["throttled_until"] > now
        standing.append(
            SystemStanding(
                name=name,
                title=spec.title if spec is not None else "",
                criticality=spec.criticality if spec is not None else "",
                owner=spec.owner if spec is not None else "",
                state=_breaker_word(breaker, spoken_to=bool(counts), throttled=throttled),
                last_error=breaker["last_error"] if breaker is not None else None,
                retry_at=breaker["retry_at"] if breaker is not None else None,
                throttled_until=breaker["throttled_until"] if breaker is not None and throttled else None,
                throttled_why=breaker["throttled_why"] if breaker is not None and throttled else None,
                channels=tuple(channels.get(name, ())),
                deliveries_open=sum(counts.get(s, 0) for s in OPEN_DELIVERIES),
                deliveries_refused=counts.get("rejected", 0) + counts.get("dead", 0),
                deliveries_done=counts.get("done", 0),
                cases_parked=parked.get(name, 0),
            )
        )
    return tuple(standing)


def _breaker_word(row: asyncpg.Record | None, *, spoken_to: bool, throttled: bool) -> str:
    if row is None:
        return "answers" if spoken_to else "unknown"
    if row["held"]:
        return "held"
    return {"open": "away", "half_open": "probing"}.get(row["state"], "throttled" if throttled else "answers")


async def _flows(connection: asyncpg.Connection, estate: Estate | None) -> tuple[FlowStanding, ...]:
    counts: dict[str, dict[str, int]] = {name: {} for name in estate.flows} if estate is not None else {}
    for row in await connection.fetch(
        "SELECT flow, state, count(*) AS n FROM hilum.flow_case GROUP BY flow, state ORDER BY flow"
    ):
        counts.setdefault(row["flow"], {})[row["state"]] = row["n"]
    standing = []
    for name, states in counts.items():
        flow = estate.flows.get(name) if estate is not None else None
        criticality = flow.criticality if flow is not None else ""
        standing.append(FlowStanding(name, criticality, {state: states.get(state, 0) for state in CASE_STATES}))
    return tuple(standing)


async def _feeds(connection: asyncpg.Connection, estate: Estate | None) -> tuple[FeedStanding, ...]:
    """From the cursors: counting what was handed over would read a table that grows with every event."""
    read: dict[str, int] = {}
    lag: dict[str, int] = {}
    for row in await connection.fetch(
        """SELECT c.consumer, sum(c.seq)::bigint AS read, sum(greatest(s.event_seq - c.seq, 0))::bigint AS behind
             FROM hilum.consumer_cursor c JOIN hilum.intake_shard s ON s.shard = c.shard
            WHERE c.consumer LIKE 'feed:%' GROUP BY c.consumer ORDER BY c.consumer"""
    ):
        feed = row["consumer"].removeprefix("feed:")
        read[feed], lag[feed] = row["read"], row["behind"]
    parked: dict[str, dict[str, int]] = {}
    for row in await connection.fetch("SELECT feed, state, count(*) AS n FROM hilum.feed_parked GROUP BY feed, state"):
        parked.setdefault(row["feed"], {})[row["state"]] = row["n"]
    names = list(estate.feeds) if estate is not None else []
    names += sorted({*read, *parked} - set(names))
    return tuple(
        FeedStanding(
            name,
            estate.feeds[name].to.name if estate is not None and name in estate.feeds else "",
            read.get(name, 0),
            lag.get(name, 0),
            parked.get(name, {}).get("dead", 0),
            parked.get(name, {}).get("behind", 0) + parked.get(name, {}).get("ready", 0),
        )
        for name in names
    )


async def _executors(connection: asyncpg.Connection, now: datetime) -> tuple[ExecutorStanding, ...]:
    """Those that run, and those that ended within the last hour."""
    silent_before = now - timedelta(seconds=SILENT_AFTER_SECONDS)
    rows = await connection.fetch(
        "SELECT * FROM hilum.executor WHERE state = 'running' OR heartbeat_at > $1 ORDER BY state = 'running' DESC, id LIMIT 50",
        now - timedelta(hours=1),
    )
    return tuple(
        ExecutorStanding(
            r["id"], r["role"], r["host"], r["pid"], r["flows_version"], r["heartbeat_at"],
            "silent" if r["state"] == "running" and r["heartbeat_at"] < silent_before else r["state"],
        )
        for r in rows
    )  # fmt: skip


async def _certificates(connection: asyncpg.Connection, now: datetime) -> tuple[CertificateStanding, ...]:
    """Those that end first, first."""
    rows = await connection.fetch("SELECT * FROM hilum.certificate ORDER BY not_after, slot LIMIT 200")
    return tuple(
        CertificateStanding(r["slot"], r["role"], r["subject"], r["not_after"], (r["not_after"] - now).days)
        for r in rows
    )


async def _audit(connection: asyncpg.Connection) -> AuditStanding:
    head = await connection.fetchrow("SELECT size, at, key_id FROM hilum.audit_head ORDER BY size DESC LIMIT 1")
    written = await connection.fetchval("SELECT coalesce(sum(next_seq - 1), 0)::bigint FROM hilum.audit_shard")
    published = tuple(
        PublicationStanding(
            row["place"], row["size"], row["at"], max(written - row["size"], 0), row["problem"], row["alarm"]
        )
        for row in await connection.fetch(
            """SELECT p.place, coalesce(p.size, 0) AS size, h.at, p.problem, p.alarm FROM hilum.head_publication AS p
                 LEFT JOIN hilum.audit_head AS h ON h.size = p.size ORDER BY p.place"""
        )
    )
    if head is None:
        return AuditStanding(0, None, None, written, published)
    return AuditStanding(head["size"], head["at"], head["key_id"], max(written - head["size"], 0), published)
