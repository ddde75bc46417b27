"""Feeds: every event of a type to one system, in order for each key, keys in parallel.

A lane is one feed on one shard, leased with a fence by one worker. A batch is read, grouped by key, sent with the
policy's concurrency, and its results and the cursor commit together. After a crash up to one batch is sent again
under the same idempotency keys. A key whose event is refused is parked with all that follows it; other keys go on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.contract import Contract
from hilum.authoring.estate import Estate
from hilum.authoring.failures import Rejected, Throttled, Unavailable
from hilum.authoring.flow import Feed
from hilum.runtime import work_items
from hilum.runtime.breakers import Breakers
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.fault_points import point
from hilum.runtime.feed_batch import Item, Outcome, parts, range_of
from hilum.security.sealing.protected import Protection
from hilum.store import sealed_places

log = logging.getLogger(__name__)

BATCH_EVENTS = 1000
LEASE_SECONDS = 30.0
UNPACED_PER_SECOND = 1000.0  # A system that allows more than this is sent to as fast as it answers.


class Defect(Rejected, queue="integration", due_hours=2):
    """Correct the feed, deploy it, then release; what follows under the same key waits behind."""


@dataclass(slots=True)
class _Lane:
    """One feed on one shard, ours until ``leased_until``."""

    feed: Feed
    shard: int
    cursor: int
    fence: int
    leased_until: datetime

    @property
    def consumer(self) -> str:
        return f"feed:{self.feed.name}"


class FeedLanes:
    """Runs all feeds of this process."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        estate: Estate,
        connections: Connections,
        breakers: Breakers,
        protection: Protection,
        *,
        executor: str,
        clock: Callable[[], datetime],
        rng: random.Random,
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._connections = connections
        self._breakers = breakers
        self._protection = protection
        self._sealer = protection.sealer
        self._executor = executor
        self._clock = clock
        self._rng = rng
        self._contracts: dict[str, dict[str, type[Contract]]] = {
            feed.name: {c.type_name(): c for c in feed.on} for feed in estate.feeds.values()
        }

    async def run_once(self) -> int:
        """Move every lane this process can lease by one batch; how many events were handed over."""
        shards = [row["shard"] for row in await self._pool.fetch("SELECT shard FROM intake_shard")]
        moved = 0
        for feed in sorted(self._estate.feeds.values(), key=lambda f: f.criticality):
            breaker = await self._breakers.of(feed.to.name)
            if not breaker.lets_through or breaker.throttled_seconds(self._clock()):
                continue
            for shard in shards:
                moved += await self._run(feed, shard)
        return moved

    async def _run(self, feed: Feed, shard: int) -> int:
        lane = await self._lease(feed, shard)
        if lane is None:
            return 0
        keeping = asyncio.get_running_loop().create_task(self._keep(lane))
        try:
            again, away = await self._released(lane)
            return again if away else again + await self._next_batch(lane)
        finally:
            keeping.cancel()

    async def _keep(self, lane: _Lane) -> None:
        """Renew the lease while a batch takes its time."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            until = self._clock() + timedelta(seconds=LEASE_SECONDS)
            try:
                held = await self._pool.fetchval(
                    "UPDATE consumer_cursor SET leased_until = $4 WHERE consumer = $1 AND shard = $2 AND fence = $3 RETURNING 1",
                    lane.consumer, lane.shard, lane.fence, until,
                )  # fmt: skip
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning(
                    "the lease of lane %s/%d was not renewed (%s)", lane.feed.name, lane.shard, type(error).__name__
                )
                continue
            if not held:
                return  # What we know of the lease runs out, and with it the sending.
            lane.leased_until = until

    async def _next_batch(self, lane: _Lane) -> int:
        feed, shard, cursor = lane.feed, lane.shard, lane.cursor
        until = await self._pool.fetchval("SELECT event_seq FROM intake_shard WHERE shard = $1", shard)
        until = min(until, cursor + BATCH_EVENTS)
        if until <= cursor:
            return 0
        contracts = self._contracts[feed.name]
        events = await self._pool.fetch(
            """SELECT e.seq, e.at, e.type, e.payload FROM event e
                WHERE e.shard = $1 AND e.seq > $2 AND e.seq <= $3 AND e.type = ANY($4) ORDER BY e.seq""",
            shard, cursor, until, list(contracts),
        )  # fmt: skip
        # Sent or decided upon before, when the system went away in the middle of an earlier batch.
        before = {
            r["event_seq"]
            for r in await self._pool.fetch(
                """SELECT event_seq FROM feed_result WHERE feed = $1 AND shard = $2 AND event_seq > $3 AND event_seq <= $4
                    UNION ALL
                   SELECT event_seq FROM feed_parked WHERE feed = $1 AND shard = $2 AND event_seq > $3 AND event_seq <= $4""",
                feed.name,
                shard,
                cursor,
                until,
            )
        }
        parked = {
            r["key"]
            for r in await self._pool.fetch(
                "SELECT DISTINCT key FROM feed_parked WHERE feed = $1 AND state IN ('dead', 'behind', 'ready')",
                feed.name,
            )
        }
        events = [e for e in events if e["seq"] not in before]
        await self._sealer.load(*(e["payload"] for e in events))
        items = self._items(feed, shard, events)
        outcome = await self._send_in_turn(lane, items, parked)
        if outcome.broken_off:
            # The cursor stays before the first event that was not handed over.
            open_seqs = {i.seq for i in items} - {i.seq for i in (*outcome.sent, *outcome.refused, *outcome.behind)}
            until = min(open_seqs, default=until + 1) - 1
        point("feed.before_commit")
        await self._commit(lane, until, outcome)
        point("feed.after_commit")
        await self._tell_breaker(feed, outcome)
        return len(outcome.sent)

    async def _tell_breaker(self, feed: Feed, outcome: Outcome) -> None:
        away = outcome.unavailable
        if away is not None:
            policy = self._connections.to(feed.to.name).policy
            if isinstance(away, Throttled):
                await self._breakers.throttled(feed.to.name, away.reason, policy, away.retry_after_seconds)
                return
            await self._breakers.failed(feed.to.name, away.reason, policy, retry_after_seconds=away.retry_after_seconds)
        elif outcome.sent:
            await self._breakers.succeeded(feed.to.name)

    def _items(self, feed: Feed, shard: int, events: list[asyncpg.Record]) -> list[Item]:
        contracts = self._contracts[feed.name]
        key_of = {name: self._protection.key_of(contract, feed.key) for name, contract in contracts.items()}
        other_of = {
            name: self._protection.key_of(contract, feed.joins)
            for name, contract in contracts.items()
            if feed.joins in contract.model_fields
        }
        guard = self._connections.to(feed.to.name).residency
        items = []
        for record in events:
            item = Item(record["seq"], record["at"], "", b"", f"{feed.name}/{shard}/{record['seq']}")
            try:
                payload = self._sealer.read(record["payload"], sealed_places.event_payload(shard, record["seq"]))
                event = item.event = contracts[record["type"]].model_validate_json(payload)
                item.key = key_of[record["type"]](event) or ""
                if record["type"] in other_of:
                    item.joined, item.other = True, other_of[record["type"]](event) or ""
                item.refused = guard.of_things([event]) if guard is not None else None
                item.body = feed.function(event) if item.refused is None else b""
            except Exception as error:
                # A defect that this event meets stops its key and nothing else.
                log.exception("defect in feed %s", feed.name)
                item.refused = Defect(f"{type(error).__name__} in feed {feed.name}")
            items.append(item)
        return items

    async def _send_in_turn(self, lane: _Lane, items: list[Item], parked: set[str]) -> Outcome:
        """Send a batch part by part: what is about two keys goes alone, when all before it went."""
        whole = Outcome()
        for part in parts(items):
            stopped = {*parked, *(item.key for item in (*whole.refused, *whole.behind))}
            if part[0].other and part[0].other in stopped:
                part[0].key = part[0].other  # It waits behind that key, and goes when that key goes.
            outcome = await self._send(lane, part, stopped)
            whole.sent += outcome.sent
            whole.refused += outcome.refused
            whole.behind += outcome.behind
            whole.unavailable, whole.expired = outcome.unavailable, outcome.expired
            if outcome.broken_off:
                break
        return whole

    async def _send(self, lane: _Lane, items: list[Item], parked: set[str]) -> Outcome:
        """Send a batch: one runner for each key that has events, at most ``concurrency`` at once."""
        outcome = Outcome()
        connection = self._connections.to(lane.feed.to.name)
        lanes: dict[str, list[Item]] = {}
        for item in items:
            if item.key in parked:
                outcome.behind.append(item)
            elif item.refused is not None:
                outcome.refused.append(item)
                parked = {*parked, item.key}
            else:
                lanes.setdefault(item.key, []).append(item)
        send_many = getattr(connection.connector, "send_many", None)
        if send_many is not None and connection.policy.rate_per_second >= UNPACED_PER_SECOND:
            await self._send_at_once(send_many, list(lanes.values()), outcome)
            return outcome
        queue = iter(list(lanes.values()))

        async def runner() -> None:
            for group in queue:
                if outcome.broken_off:
                    return
                await self._send_group(lane, connection, group, outcome)

        width = min(connection.policy.concurrency, len(lanes))
        await asyncio.gather(*(runner() for _ in range(width)))
        return outcome

    async def _send_at_once(self, send_many: Callable[..., Any], groups: list[list[Item]], outcome: Outcome) -> None:
        """The cheap way, for a connector that takes a whole batch: no task and no timer for an event."""
        results = await send_many([[(item.body, item.idempotency_key) for item in group] for group in groups])
        for group, result in zip(groups, results, strict=True):
            for item, receipt in zip(group, result.receipts, strict=False):
                item.receipt = receipt
                outcome.sent.append(item)
            left = group[len(result.receipts) :]
            if result.failure is not None:
                self._protection.scrubber(left[0].event).failure(result.failure)
            if isinstance(result.failure, Rejected):
                left[0].refused = result.failure
                outcome.refused.append(left[0])
                outcome.behind.extend(left[1:])
            elif result.failure is not None:
                outcome.unavailable = result.failure
        if outcome.unavailable is None and len(outcome.sent) + len(outcome.refused) + len(outcome.behind) < sum(
            map(len, groups)
        ):
            raise AssertionError("a batch ended early without saying why")

    async def _send_group(self, lane: _Lane, connection: Connection, group: list[Item], outcome: Outcome) -> None:
        for index, item in enumerate(group):
            if self._clock() >= lane.leased_until:
                outcome.expired = True
                return
            try:
                item.receipt = await self._deliver(connection, item)
            except Unavailable as away:
                outcome.unavailable = self._protection.scrubber(item.event).failure(away)
                return
            except Exception as error:
                if not isinstance(error, Rejected):
                    log.exception("defect in sending to %s", connection.system)
                    error = Defect(f"{type(error).__name__} in sending to {connection.system}")
                item.refused = self._protection.scrubber(item.event).failure(error)
                outcome.refused.append(item)
                outcome.behind.extend(group[index + 1 :])
                return
            outcome.sent.append(item)

    async def _deliver(self, connection: Connection, item: Item) -> str:
        policy = connection.policy
        for attempt in range(1, policy.attempts + 1):
            await connection.pace()
            try:
                receipt: str = await connection.connector.send(item.body, key=item.idempotency_key, content_type="")
                return receipt
            except Unavailable as away:
                if attempt == policy.attempts or away.retry_after_seconds is not None or isinstance(away, Throttled):
                    raise
                limit = min(policy.backoff_seconds * 2 ** (attempt - 1), policy.backoff_max_seconds)
                await asyncio.sleep(self._rng.uniform(limit / 2, limit))
        raise AssertionError("the last attempt raises")

    async def _lease(self, feed: Feed, shard: int) -> _Lane | None:
        """Take or keep the lane; None while another worker has it."""
        now = self._clock()
        until = now + timedelta(seconds=LEASE_SECONDS)
        row = await self._pool.fetchrow(
            """INSERT INTO consumer_cursor AS c (consumer, shard, owner, fence, leased_until) VALUES ($1, $2, $3, 1, $4)
               ON CONFLICT (consumer, shard) DO UPDATE SET
                      owner = excluded.owner, leased_until = excluded.leased_until,
                      fence = c.fence + CASE WHEN c.owner IS DISTINCT FROM excluded.owner THEN 1 ELSE 0 END
                WHERE c.owner IS NOT DISTINCT FROM excluded.owner OR c.leased_until IS NULL OR c.leased_until < $5
               RETURNING seq, fence""",
            f"feed:{feed.name}", shard, self._executor, until, now,
        )  # fmt: skip
        return _Lane(feed, shard, row["seq"], row["fence"], until) if row is not None else None

    async def _move(self, connection: asyncpg.Connection, lane: _Lane, seq: int) -> bool:
        """Move the cursor inside the transaction that records why; False when the lane is another worker's by now."""
        held = await connection.fetchval(
            "UPDATE consumer_cursor SET seq = $3 WHERE consumer = $1 AND shard = $2 AND fence = $4 AND owner = $5 RETURNING 1",
            lane.consumer, lane.shard, seq, lane.fence, self._executor,
        )  # fmt: skip
        if not held:
            log.warning(
                "lane %s/%d was taken over; its new owner sends again under the same keys", lane.feed.name, lane.shard
            )
        return bool(held)

    async def _commit(self, lane: _Lane, until: int, outcome: Outcome) -> None:
        feed, shard, now = lane.feed, lane.shard, self._clock()
        receipts = await self._receipts(feed, shard, outcome.sent, now)
        async with self._pool.acquire() as connection, connection.transaction():
            if not await self._move(connection, lane, until):
                return
            if outcome.sent:
                await connection.copy_records_to_table(
                    "feed_result",
                    schema_name="hilum",
                    columns=("feed", "shard", "event_seq", "at", "receipt"),
                    records=receipts,
                )
            await self._park(connection, feed, shard, outcome, now)
            first, last = range_of(outcome.sent)
            detail = {
                "sent": len(outcome.sent),
                "first": first,
                "last": last,
                "refused": len(outcome.refused),
                "behind": len(outcome.behind),
            }
            if outcome.sent or outcome.refused or outcome.behind:
                await append(
                    connection, [Entry(now, "system:feeds", "feed.delivered", f"l/{feed.name}/{shard}", detail)]
                )

    async def _receipts(
        self, feed: Feed, shard: int, sent: list[Item], now: datetime
    ) -> list[tuple[str, int, int, datetime, str | None]]:
        """What systems answered, sealed where the feed carries protected data: a receipt may repeat it."""
        if not any(self._protection.seals(c.type_name()) for c in feed.on):
            return [(feed.name, shard, i.seq, now, i.receipt) for i in sent]
        await self._sealer.ready("event", now, len(sent))
        return [
            (feed.name, shard, i.seq, now, self._receipt(feed.name, shard, i, now) if i.receipt else i.receipt)
            for i in sent
        ]

    def _receipt(self, feed: str, shard: int, item: Item, now: datetime) -> str:
        return self._sealer.seal_text(str(item.receipt), "event", sealed_places.receipt(feed, shard, item.seq), now)

    async def _park(
        self, connection: asyncpg.Connection, feed: Feed, shard: int, outcome: Outcome, now: datetime
    ) -> None:
        rows = [(i, "dead") for i in outcome.refused] + [(i, "behind") for i in outcome.behind]
        await connection.executemany(
            """INSERT INTO feed_parked (feed, shard, event_seq, event_at, key, state, error, at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING""",
            [
                (feed.name, shard, i.seq, i.at, i.key, state, i.refused.cause if i.refused else None, now)
                for i, state in rows
            ],
        )
        for item in outcome.refused:
            refused = item.refused
            assert refused is not None
            await work_items.join(
                connection,
                work_items.Exceptional(
                    queue=type(refused).queue,
                    cause=f"{type(refused).__name__}:{feed.name}:{refused.cause}",
                    title=f"{feed.to.name} refused an event of feed {feed.name}: {refused.cause}",
                    remedy=type(refused).remedy(),
                    due_hours=type(refused).due_hours,
                    subject=f"f/{feed.name}/{shard}/{item.seq}",
                    at_risk_usd=Decimal(0),
                    owner=self._estate.queues.get(type(refused).queue, feed.owner),
                ),
                now=now,
                actor="system:feeds",
            )

    async def _released(self, lane: _Lane) -> tuple[int, bool]:
        """Send again what a person released, and then what waited behind it, in order: how many, and is the system away?"""
        # What was skipped ahead of the cursor stays known until the cursor has passed it: it would be sent after all.
        keys = await self._pool.fetch(
            """SELECT DISTINCT key FROM feed_parked p WHERE feed = $1 AND shard = $2
                  AND (state IN ('ready', 'behind') OR (state = 'skipped' AND event_seq <= $3))
                  AND NOT EXISTS (SELECT 1 FROM feed_parked d WHERE d.feed = p.feed AND d.key = p.key AND d.state = 'dead')""",
            lane.feed.name, lane.shard, lane.cursor,
        )  # fmt: skip
        sent = 0
        for row in keys:
            outcome = await self._release_key(lane, row["key"])
            sent += len(outcome.sent)
            if outcome.broken_off:
                return sent, True
        return sent, False

    async def _release_key(self, lane: _Lane, key: str) -> Outcome:
        feed, shard = lane.feed, lane.shard
        rows = await self._pool.fetch(
            """SELECT e.seq, e.at, e.type, e.payload, p.state FROM feed_parked p
                 JOIN event e ON e.shard = p.shard AND e.seq = p.event_seq AND e.at = p.event_at
                WHERE p.feed = $1 AND p.shard = $2 AND p.key = $3 ORDER BY p.event_seq""",
            feed.name, shard, key,
        )  # fmt: skip
        await self._sealer.load(*(r["payload"] for r in rows))
        items = self._items(feed, shard, [r for r in rows if r["state"] != "skipped"])
        for item in items:
            item.key = key  # A merge may wait behind the other of its keys: it goes in that one's turn.
        outcome = await self._send(lane, items, set())
        now = self._clock()
        skipped = [r["seq"] for r in rows if r["state"] == "skipped" and r["seq"] <= lane.cursor]
        gone = [i.seq for i in outcome.sent] + skipped
        receipts = await self._receipts(feed, shard, outcome.sent, now)
        async with self._pool.acquire() as connection, connection.transaction():
            if not await self._move(connection, lane, lane.cursor):
                return outcome
            await connection.execute(
                "DELETE FROM feed_parked WHERE feed = $1 AND shard = $2 AND event_seq = ANY($3)", feed.name, shard, gone
            )
            await connection.executemany(
                "INSERT INTO feed_result (feed, shard, event_seq, at, receipt) VALUES ($1, $2, $3, $4, $5)",
                receipts,
            )
            await connection.execute(
                "UPDATE feed_parked SET state = 'dead' WHERE feed = $1 AND shard = $2 AND event_seq = ANY($3)",
                feed.name, shard, [i.seq for i in outcome.refused],
            )  # fmt: skip
            await self._park(connection, feed, shard, Outcome(refused=outcome.refused), now)
            if gone or outcome.refused:
                detail: dict[str, Any] = {"sent": len(outcome.sent), "refused": len(outcome.refused)}
                await append(
                    connection, [Entry(now, "system:feeds", "feed.released", f"l/{feed.name}/{shard}", detail)]
                )
        await self._tell_breaker(feed, outcome)
        return outcome
