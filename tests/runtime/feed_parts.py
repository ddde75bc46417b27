"""A feed for tests: what happened to accounts goes to a billing system that keeps its own books and has its moods."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import asyncpg
from tests.sealing_parts import protection_for

from hilum.authoring import Contract, System
from hilum.authoring.estate import Estate, Policy
from hilum.authoring.failures import Rejected, Unavailable
from hilum.authoring.flow import Feed
from hilum.runtime.breakers import Breakers
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.feeds import FeedLanes
from hilum.runtime.intake import Intake
from hilum.runtime.reception import PreparedEvent, Reception
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock


class AccountMoved(Contract, version=1, identities=["move"], owner="patient-access"):
    """A patient's account is somewhere else now."""

    move: str
    account: str


@dataclass
class Billing:
    """Takes what it is sent once for each key, as the platform promises it needs no more. ``mood`` is asked at each send."""

    idempotent_commands: frozenset[str] = frozenset()
    taken: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    inside: Counter[str] = field(default_factory=Counter)
    most_inside: int = 0
    overlaps: list[str] = field(default_factory=list)
    seconds: float = 0.0
    refuses: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    on_send: Callable[[str], Awaitable[None]] | None = None

    async def send(self, body: bytes, *, key: str, content_type: str = "") -> str:
        account, move = body.decode().split(" ")
        self.inside[account] += 1
        self.most_inside = max(self.most_inside, self.inside.total())
        try:
            if self.inside[account] > 1:
                self.overlaps.append(move)
            self.calls.append((move, key))
            await asyncio.sleep(self.seconds)
            if self.on_send is not None:
                await self.on_send(move)
            if move in self.away:
                raise Unavailable("billing", "503")
            if move in self.refuses:
                raise Rejected("account closed")
            if key not in self.known:
                self.known.add(key)
                self.taken.append(move)
            return f"B-{move}"
        finally:
            self.inside[account] -= 1

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def of(self, account: str) -> list[str]:
        """What was taken for one account, in order: moves are called ``<account><number>``."""
        return [move for move in self.taken if move.startswith(account)]


POLICY = Policy(attempts=2, backoff_seconds=0.01, concurrency=4, rate_per_second=500, breaker_failures=3)


def written(event: AccountMoved) -> bytes:
    if event.account == "BROKEN":
        raise KeyError(event.account)
    return f"{event.account} {event.move}".encode()


@dataclass
class World:
    pool: asyncpg.Pool
    billing: Billing
    estate: Estate
    connections: Connections
    breakers: Breakers
    clock: Callable[[], datetime]
    intake: Intake
    protection: Protection

    def lanes(self, executor: str = "worker-1") -> FeedLanes:
        return FeedLanes(
            self.pool, self.estate, self.connections, self.breakers, self.protection,
            executor=executor, clock=self.clock, rng=random.Random(7),
        )  # fmt: skip

    async def moves(self, *moves: str) -> None:
        """Accounts move, in this order: ``A1`` is the first move of account ``A``."""
        receptions = []
        for move in moves:
            account = move.rstrip("0123456789")
            raw = move.encode()
            reception = Reception("ehr", "mllp", "peer", raw, sha256(raw).digest(), "ADT^A02", f"C-{move}")
            payload = AccountMoved(move=move, account=account).model_dump_json().encode()
            identity = sha256(raw).digest()[:16]
            reception.events = [PreparedEvent("AccountMoved", 1, account, "", "moved@1", payload, [identity], None, [])]
            receptions.append(reception)
        await asyncio.gather(*(self.intake.submit(r, lambda receipt: receipt) for r in receptions))

    async def cursor(self) -> int:
        seq: int = await self.pool.fetchval("SELECT seq FROM consumer_cursor WHERE consumer = 'feed:accounts'")
        return seq

    async def parked(self) -> dict[str, str]:
        """Which moves are parked, and how."""
        rows = await self.pool.fetch(
            """SELECT convert_from(e.payload, 'UTF8')::json->>'move' AS move, p.state
                 FROM feed_parked p JOIN event e ON e.shard = p.shard AND e.seq = p.event_seq ORDER BY p.event_seq"""
        )
        return {r["move"]: r["state"] for r in rows}


@asynccontextmanager
async def feeding(
    url: str, *, policy: Policy = POLICY, clock: Callable[[], datetime] | None = None
) -> AsyncIterator[World]:
    pool = await open_pool(url, min_size=1, max_size=10, application_name="test")
    clock = clock if clock is not None else StoppedClock()
    system, billing = System("billing"), Billing()
    feed = Feed(written, (AccountMoved,), system, "accounts", "account", "normal", "patient-access")
    estate = Estate(
        Path("estate"), "test", feeds={"accounts": feed}, contracts={"AccountMoved": AccountMoved},
        queues={"integration": "integration"},
    )  # fmt: skip
    connections = Connections({"billing": Connection("billing", billing, policy, lambda: asyncio.sleep(0))})
    breakers = Breakers(pool, clock=clock, rng=random.Random(7))
    async with pool.acquire() as connection:
        await ensure_partitions(connection, clock().date())
    protection = await protection_for(pool, estate, clock)
    intake = Intake(pool, protection, name="intake-1", clock=clock)
    await intake.start()
    try:
        yield World(pool, billing, estate, connections, breakers, clock, intake, protection)
        assert billing.overlaps == [], "one account was sent to twice at once"
    finally:
        await intake.stop()
        await pool.close()
