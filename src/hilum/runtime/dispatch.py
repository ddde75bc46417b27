"""Dispatch: events become cases, in the order of their shard, each exactly once.

Cursor and cases move in one transaction, so a crash repeats nothing and loses nothing. Which case runs first is
decided later, when one is claimed: by criticality, then by age, and never before an older case of the same key.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
from pydantic import ValidationError

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.authoring.flow import Flow, criticality_rank
from hilum.runtime import work_items
from hilum.runtime.fault_points import point
from hilum.security.sealing.protected import Protection
from hilum.store import sealed_places
from hilum.store.sealed import NotOurs, Shredded

log = logging.getLogger(__name__)

CONSUMER = "flows"
BATCH_EVENTS = 500


class Dispatcher:
    """Reads every shard's events and opens the cases of the flows that want them."""

    def __init__(
        self, pool: asyncpg.Pool, estate: Estate, protection: Protection, *, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._protection = protection
        self._clock = clock
        self._estate = estate
        self._flows: dict[str, list[Flow]] = {}
        for flow in estate.flows.values():
            self._flows.setdefault(flow.on.type_name(), []).append(flow)

    def _owner(self, flow: Flow) -> str:
        return self._estate.queues.get("integration", flow.owner)

    async def run_once(self) -> int:
        """Read each shard once; how many events were read."""
        shards = await self._pool.fetch("SELECT shard FROM intake_shard")
        return sum([await self._shard(row["shard"]) for row in shards])

    async def _shard(self, shard: int) -> int:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO consumer_cursor (consumer, shard) VALUES ($1, $2) ON CONFLICT DO NOTHING", CONSUMER, shard
            )
            # The row's lock makes one dispatcher at a time; another process passes over a locked shard.
            cursor = await connection.fetchval(
                "SELECT seq FROM consumer_cursor WHERE consumer = $1 AND shard = $2 FOR UPDATE SKIP LOCKED",
                CONSUMER,
                shard,
            )
            if cursor is None:
                return 0
            until = await connection.fetchval("SELECT event_seq FROM intake_shard WHERE shard = $1", shard)
            until = min(until, cursor + BATCH_EVENTS)
            if until <= cursor:
                return 0
            events = await connection.fetch(
                """SELECT seq, at, type, facility, payload FROM event
                    WHERE shard = $1 AND seq > $2 AND seq <= $3 AND type = ANY($4) ORDER BY seq""",
                shard, cursor, until, list(self._flows),
            )  # fmt: skip
            cases = [(flow, event) for event in events for flow in self._flows[event["type"]]]
            # Read after the events, or a case could seem older than what caused it.
            await self._open(connection, shard, cases, self._clock())
            point("dispatch.before_commit")
            await connection.execute(
                "UPDATE consumer_cursor SET seq = $3 WHERE consumer = $1 AND shard = $2", CONSUMER, shard, until
            )
        point("dispatch.after_commit")
        return int(until - cursor)

    async def _open(
        self, connection: asyncpg.Connection, shard: int, cases: list[tuple[Flow, asyncpg.Record]], now: datetime
    ) -> None:
        if not cases:
            return
        rows = []
        protection, sealer = self._protection, self._protection.sealer
        await sealer.load(*(record["payload"] for _, record in cases))
        for flow, record in cases:
            try:
                payload = sealer.read(record["payload"], sealed_places.event_payload(shard, record["seq"]))
                event = flow.on.model_validate_json(payload)
                key, ordering = (required(event, path, flow, protection) for path in (flow.key, flow.ordering))
            except (ValidationError, LookupError, NotOurs, Shredded) as error:
                # This event alone cannot become a case; the shard goes on and a person hears of it.
                await _unreadable(connection, flow, f"e/{shard}/{record['seq']}", error, self._owner(flow), now)
                continue
            place = (record["facility"], shard, record["seq"], record["at"])
            rows.append(
                (f"{flow.name}/{key}", flow.name, flow.version, ordering, criticality_rank(flow.criticality), *place)
            )
        if not rows:
            return
        columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
        opened = await connection.fetch(
            """INSERT INTO flow_case (id, flow, flow_version, ordering_key, criticality, facility,
                                      event_shard, event_seq, event_at, created_at, updated_at)
               SELECT u.*, $10, $10 FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::smallint[],
                      $6::text[], $7::int[], $8::bigint[], $9::timestamptz[]) AS u
               ON CONFLICT (id) DO NOTHING RETURNING id, event_seq""",
            *columns, now,
        )  # fmt: skip
        entries = [
            Entry(now, "system:dispatch", "case.opened", f"c/{r['id']}", {"event": f"e/{shard}/{r['event_seq']}"})
            for r in opened
        ]
        if entries:
            await append(connection, entries)
            await connection.execute("SELECT pg_notify('hilum_cases', '')")


async def _unreadable(
    connection: asyncpg.Connection, flow: Flow, subject: str, error: Exception, owner: str, now: datetime
) -> None:
    exceptional = work_items.Exceptional(
        queue="integration",
        cause=f"Unreadable:{flow.name}/{type(error).__name__}",
        title=f"An event could not become a case of {flow.name}: {type(error).__name__}",
        remedy="Correct the contract or the flow, deploy it, then replay the events named here.",
        due_hours=2,
        subject=subject,
        at_risk_usd=Decimal(0),
        owner=owner,
    )
    await work_items.join(connection, exceptional, now=now, actor="system:dispatch")


async def days_in_use(connection: asyncpg.Connection) -> set[date]:
    """The days (UTC) whose events are still needed: of cases and feeds that wait, and of what nobody has read yet."""
    rows = await connection.fetch(
        """SELECT DISTINCT (event_at AT TIME ZONE 'UTC')::date AS day FROM flow_case WHERE state NOT IN ('done', 'skipped')
            UNION SELECT (event_at AT TIME ZONE 'UTC')::date FROM feed_parked
            UNION SELECT (event_at AT TIME ZONE 'UTC')::date FROM charge_unread WHERE state <> 'skipped'
            UNION SELECT (e.at AT TIME ZONE 'UTC')::date FROM consumer_cursor c JOIN event e ON e.shard = c.shard AND e.seq = c.seq + 1"""
    )
    return {row["day"] for row in rows}


def required(event: Any, path: str, flow: Flow, protection: Protection) -> str:
    """The text of a field by which a case is known, or its token; LookupError when the event has none."""
    value = protection.key_of(flow.on, path)(event)
    if value is None:
        raise LookupError(f"flow {flow.name}: the event has no {path}; `hilum check` should have refused this key")
    return value
