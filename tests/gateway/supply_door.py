"""The door of the small estate, served on a real socket, with real tokens, real policies and a real database.

Also a process of its own, to be killed: ``python -m tests.gateway.supply_door URL WAREHOUSE KEY`` serves until it dies and
writes its address first; ``HILUM_FAULT`` says where it dies.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx2
import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from prometheus_client import CollectorRegistry
from tests.gateway.supply_estate import AUDIENCE, ISSUER, PEOPLE, POLICIES, WarehouseInFile, supply_estate
from tests.sealing_parts import protection_for

from hilum.audit.access import AccessLog
from hilum.authoring.estate import Estate, Policy
from hilum.gateway.admission import Admission
from hilum.gateway.answers import Shown
from hilum.gateway.cursors import Cursors
from hilum.gateway.decisions import Decisions
from hilum.gateway.door import Door, Pages
from hilum.gateway.etags import Tags
from hilum.gateway.grants import BreakGlassGrants
from hilum.gateway.idempotency import IdempotencyKeys
from hilum.gateway.incidents import Incidents
from hilum.gateway.platform import OwnPlatform
from hilum.gateway.running import Handlers
from hilum.gateway.stages import Stages
from hilum.gateway.stale import StaleMemory
from hilum.gateway.usage import Usage
from hilum.masterdata.book import CrosswalkBook
from hilum.runtime import fault_points
from hilum.runtime.allowances import Allowances
from hilum.runtime.breakers import Breakers
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.deliveries import Deliveries
from hilum.runtime.intake import Intake
from hilum.security.decisions import PolicyPoint
from hilum.security.identity import Authenticator, PublicKeys, Revocations
from hilum.security.policies import Policies
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.transports.http import Served, serve

POLICY = Policy(attempts=1, timeout_seconds=5, breaker_failures=100, rate_per_second=10_000, concurrency=32)


class Clock:
    """The door's clock: the real time, moved by what a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Sso:
    """The provider: signs what it is told to."""

    def __init__(self, jwk: bytes | None = None) -> None:
        self.key = (
            ECKey.import_key(orjson.loads(jwk)) if jwk is not None else ECKey.generate_key("P-256", {"kid": "k1"})
        )

    @property
    def jwks(self) -> dict[str, Any]:
        return KeySet([self.key]).as_dict(private=False)

    def token(self, who: str, **claims: Any) -> str:
        """An access token (RFC 9068) of a person, or of a service called ``svc-<name>``."""
        now = int(time.time())
        said = {
            "iss": ISSUER, "sub": who, "aud": AUDIENCE, "iat": now, "exp": now + 600, "client_id": "c", "jti": os.urandom(8).hex(),
            **PEOPLE.get(who, {}), **claims,
        }  # fmt: skip
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": self.key.kid}, said, self.key)


@dataclass
class SupplyDoor:
    """One process of the door, and what a test looks at."""

    pool: asyncpg.Pool
    clock: Clock
    sso: Sso
    warehouse: WarehouseInFile
    stages: Stages
    usage: Usage
    door: Door
    served: Served
    client: httpx2.AsyncClient
    tokens: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, who: str | None, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx2.Response:  # fmt: skip
        """Ask as somebody; a POST gets a key of its own unless it brings one."""
        told = dict(headers if headers is not None else {})
        if who is not None:
            if who not in self.tokens:
                self.tokens[who] = self.sso.token(who)
            told.setdefault("authorization", f"Bearer {self.tokens[who]}")
        if method == "POST":
            told.setdefault("idempotency-key", os.urandom(12).hex())
        if body is not None:
            media = "application/merge-patch+json" if method == "PATCH" else "application/json"
            told.setdefault("content-type", media)
            more["content"] = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.client.request(method, path, headers=told, **more)

    async def accesses(self) -> list[dict[str, Any]]:
        """The details of every recorded access, in order."""
        rows = await self.pool.fetch("SELECT entry FROM audit_entry WHERE shard >= 1000000 ORDER BY shard, seq")
        return [orjson.loads(row["entry"]) for row in rows]


@asynccontextmanager
async def supply_door(
    url: str,
    place: Path,
    *,
    estate: Estate | None = None,
    sso: Sso | None = None,
    point: PolicyPoint | None = None,
    connectors: Mapping[str, Any] = {},
    pages: Pages = lambda admit: (),
    key: bytes = b"k" * 32,
    name: str = "gateway",
    port: int = 0,
    open_paths: tuple[str, ...] = (),
) -> AsyncIterator[SupplyDoor]:
    estate = estate if estate is not None else supply_estate()
    sso = sso if sso is not None else Sso()
    clock = Clock()
    pool = await open_pool(url, min_size=2, max_size=10)
    async with pool.acquire() as connection:
        await ensure_partitions(connection, clock().date())
    warehouse = WarehouseInFile(place)

    async def at_once() -> None:
        return None

    systems = {"warehouse": warehouse, **connectors}
    connections = Connections({name: Connection(name, system, POLICY, at_once) for name, system in systems.items()})
    protection = await protection_for(pool, estate, clock)
    breakers = Breakers(pool, clock=clock, rng=random.Random(1))
    deliveries = Deliveries(pool, connections, breakers, protection, executor=name, clock=clock, rng=random.Random(2))
    book = CrosswalkBook(pool, clock, ZoneInfo("UTC"))
    revocations = Revocations(pool, clock=clock, monotonic=time.monotonic)
    await revocations.run_once()
    intake = Intake(pool, protection, name=name, clock=clock, actor="system:gateway")
    await intake.start()
    handlers = Handlers(deliveries, book, threads=8)
    usage = Usage(pool, clock=clock, registry=CollectorRegistry())
    policies = point if point is not None else Policies({"policies/supply.cedar": POLICIES})
    decisions = Decisions(policies)
    cursors = Cursors(key, os.urandom)
    accesses = AccessLog(pool, name, clock=clock)
    stages = Stages(
        authenticator=Authenticator(estate, {"sso": PublicKeys(sso.jwks)}, revocations, clock=clock),
        allowances=Allowances(pool, time_zone="UTC", monotonic=time.monotonic),
        admission=Admission(monotonic=time.monotonic, rng=random.Random(3)),
        decisions=decisions,
        keys=IdempotencyKeys(pool, clock=clock, sealer=protection.sealer),
        handlers=handlers,
        shown=Shown(decisions, Tags(key), cursors),
        cursors=cursors,
        accesses=accesses,
        grants=BreakGlassGrants(pool, clock=clock),
        incidents=Incidents(pool, estate, usage, clock=clock),
        platform=OwnPlatform(pool, estate, intake, policies=policies, clock=clock),
        clock=clock,
        token=os.urandom,
        stale=StaleMemory(clock=clock, longest_seconds=60),
        tokens=protection.sealer,
    )

    async def healthy() -> bool:
        return bool(await pool.fetchval("SELECT true"))

    door = Door(estate, stages, usage, monotonic=time.monotonic, healthy=healthy, pages=pages, open_paths=open_paths)
    served = await serve(door, "127.0.0.1", port)
    async with httpx2.AsyncClient(base_url=served.url, trust_env=False) as client:
        try:
            yield SupplyDoor(pool, clock, sso, warehouse, stages, usage, door, served, client)
        finally:
            await served.stop()
            handlers.close()
            await accesses.close()
            await intake.stop()
            await pool.close()


async def _until_killed(url: str, place: Path, jwk: Path) -> None:
    async with supply_door(url, place, sso=Sso(jwk.read_bytes()), name=f"gateway-{os.getpid()}") as one:
        sys.stdout.write(one.served.url + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    fault_points.obey(os.environ)
    asyncio.run(_until_killed(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
