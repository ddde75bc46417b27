"""Parts of a platform for tests of one part: a pool on a fresh database and a system that keeps its own books."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import asyncpg
from tests.sealing_parts import protection_for

from hilum.authoring.estate import Policy
from hilum.authoring.failures import Rejected, Unavailable
from hilum.authoring.roles import Erp
from hilum.model import DocumentRef, Journal
from hilum.runtime.breakers import Breakers
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.deliveries import Command, Deliveries
from hilum.security.sealing.protected import Protection
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock


@dataclass
class Ledger:
    """An ERP without idempotency, as real ones are: telling it twice books twice. ``plan`` says how calls go."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset()
    plan: list[str] = field(default_factory=list)
    booked: list[str] = field(default_factory=list)
    searched: list[str] = field(default_factory=list)

    async def post_journal(self, journal: Journal, *, key: str) -> DocumentRef:
        how = self.plan.pop(0) if self.plan else "ok"
        if how == "away":
            raise Unavailable("erp", "503")
        if how == "slow":
            await asyncio.sleep(60)
        if how == "no":
            raise Rejected("period closed")
        self.booked.append(key)
        if how == "answer lost":
            raise Unavailable("erp", "connection cut")
        if how == "bug":
            raise ZeroDivisionError
        return DocumentRef(system="erp", type="journal", number=f"J-{len(self.booked)}")

    async def find_post_journal(self, journal: Journal, *, key: str) -> DocumentRef | None:
        self.searched.append(key)
        if key not in self.booked:
            return None
        return DocumentRef(system="erp", type="journal", number=f"J-{self.booked.index(key) + 1}")

    async def ping(self) -> None:
        if self.plan and self.plan[0] == "away":
            raise Unavailable("erp", "503")

    async def close(self) -> None:
        pass


POLICY = Policy(timeout_seconds=0.2, attempts=3, backoff_seconds=0.01, breaker_failures=5, breaker_open_seconds=10)


@dataclass
class Parts:
    pool: asyncpg.Pool
    ledger: Ledger
    clock: StoppedClock
    breakers: Breakers
    connections: Connections
    url: str
    protection: Protection

    def deliveries(self, executor: str = "worker-1") -> Deliveries:
        return Deliveries(
            self.pool,
            self.connections,
            self.breakers,
            self.protection,
            executor=executor,
            clock=self.clock,
            rng=random.Random(7),
        )


@asynccontextmanager
async def parts(url: str, *plan: str, policy: Policy = POLICY) -> AsyncIterator[Parts]:
    pool = await open_pool(url, min_size=1, max_size=6, application_name="test")
    clock, ledger = StoppedClock(), Ledger(plan=list(plan))
    connections = Connections({"erp": Connection("erp", ledger, policy, lambda: asyncio.sleep(0))})
    try:
        breakers = Breakers(pool, clock=clock, rng=random.Random(7))
        yield Parts(pool, ledger, clock, breakers, connections, url, await protection_for(pool, None, clock))
    finally:
        await pool.close()


def journal_command(
    journal: Any, key: str = "implant_usage/U-1/attribute_cost", case: str = "implant_usage/U-1"
) -> Command:
    return Command(Erp("erp"), "post_journal", {"journal": journal}, key, case, "attribute_cost")
