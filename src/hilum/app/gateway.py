"""The gateway process: the door for programs, with the embedded issuer and the documents beside the APIs."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from starlette.requests import Request
from starlette.routing import BaseRoute, Mount

from hilum.app.connectors import connect
from hilum.app.doors import http_door
from hilum.app.identity import Identity, open_identity, presented_certificate
from hilum.app.sealing import protection_of
from hilum.app.told import Serve, now, ready
from hilum.audit.access import AccessLog
from hilum.authoring.estate import Estate
from hilum.gateway.admission import Admission
from hilum.gateway.answers import Shown
from hilum.gateway.asked import Scope
from hilum.gateway.contents import Receive
from hilum.gateway.cursors import Cursors
from hilum.gateway.decisions import Decisions
from hilum.gateway.documents import document_routes
from hilum.gateway.door import Admit, Door, Send
from hilum.gateway.etags import Tags
from hilum.gateway.grants import BreakGlassGrants
from hilum.gateway.idempotency import IdempotencyKeys
from hilum.gateway.incidents import Incidents
from hilum.gateway.platform import OwnPlatform
from hilum.gateway.running import Handlers
from hilum.gateway.stages import Stages
from hilum.gateway.stale import StaleMemory
from hilum.gateway.usage import EVERY_SECONDS, Usage
from hilum.masterdata.book import CrosswalkBook
from hilum.runtime.allowances import Allowances
from hilum.runtime.breakers import Breakers, follow
from hilum.runtime.certificates import CertificateWatch
from hilum.runtime.connections import Connections
from hilum.runtime.deliveries import Deliveries
from hilum.runtime.intake import Intake
from hilum.runtime.loops import standing
from hilum.security.certificates import client_thumbprint
from hilum.security.policies import Policies
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions
from hilum.transports.http import serve

log = logging.getLogger(__name__)

IDENTITY_PATH = "/identity"
KEY_BYTES = 32
_HEALTH_SECONDS = 1.0
_STILL_STARTING = b'{"type":"/problems/overloaded","title":"The door is still opening","status":503}'


async def open_gateway(told: Serve, estate: Estate, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Open the door for programs."""
    async with pool.acquire() as connection:
        await ensure_partitions(connection, now().date())
    protection = await protection_of(told, estate, pool)
    host, tls = http_door(estate, "gateway", told.data)
    later = _Later()
    # Bound first: the issuer's name is its address, which a free port only has once it is taken.
    served = await serve(later, host, told.port, tls=tls)
    certificates = CertificateWatch(pool, clock=now)
    identity = await open_identity(estate, pool, told.data, url=served.url + IDENTITY_PATH, saw=certificates.presented)
    parts = _Parts(told, estate, pool, protection, identity, certificates)
    await parts.open()
    later.app = parts.door
    ready(told, {"address": f"{served.url}/"})
    await stop.wait()
    await served.stop()
    await parts.close()
    await identity.close()


class _Later:
    """The address before there is anything behind it."""

    def __init__(self) -> None:
        self.app: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"1")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": _STILL_STARTING})
        else:
            # uvicorn's lifespan: what is started is started here, by whoever serves.
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})


class _Parts:
    """Everything that this process keeps open."""

    def __init__(
        self,
        told: Serve,
        estate: Estate,
        pool: asyncpg.Pool,
        protection: Protection,
        identity: Identity,
        certificates: CertificateWatch,
    ) -> None:
        self._pool = pool
        self._certificates = certificates
        self._health_at = 0.0
        self._healthy = False
        keys = door_keys(told.data)
        policies = Policies(estate.policies)
        decisions = Decisions(policies)
        cursors = Cursors(keys.cursors, os.urandom)
        self._allowances = Allowances(pool, time_zone=estate.time_zone, monotonic=time.monotonic)
        self._connections: Connections = connect(
            estate, told.data, certificates.presented, leases=self._allowances.leases
        )
        self._breakers = Breakers(pool, clock=now, rng=random.Random())
        deliveries = Deliveries(
            pool, self._connections, self._breakers, protection,
            executor=told.name, clock=now, rng=random.Random(),
        )  # fmt: skip
        self._book = CrosswalkBook(pool, now, ZoneInfo(estate.time_zone))
        self._handlers = Handlers(deliveries, self._book)
        self._intake = Intake(pool, protection, name=told.name, clock=now, actor="system:gateway")
        self._usage = Usage(pool, clock=now)
        self._admission = Admission(monotonic=time.monotonic, rng=random.Random())
        self._accesses = AccessLog(pool, told.name, clock=now)
        self._keys = IdempotencyKeys(pool, clock=now, sealer=protection.sealer)
        longest = max((operation.stale_seconds for operation in estate.operations()), default=0)
        stages = Stages(
            authenticator=identity.authenticator,
            allowances=self._allowances,
            admission=self._admission,
            decisions=decisions,
            keys=self._keys,
            handlers=self._handlers,
            shown=Shown(decisions, Tags(keys.tags), cursors),
            cursors=cursors,
            accesses=self._accesses,
            grants=BreakGlassGrants(pool, clock=now),
            incidents=Incidents(pool, estate, self._usage, clock=now),
            platform=OwnPlatform(pool, estate, self._intake, policies=policies, clock=now),
            clock=now,
            token=os.urandom,
            stale=StaleMemory(clock=now, longest_seconds=longest),
            tokens=protection.sealer,
            certificate=_certificate_of(estate),
        )

        def pages(admit: Admit) -> list[BaseRoute]:
            return [Mount(IDENTITY_PATH, identity.application), *document_routes(estate, admit)]

        self.door = Door(
            estate, stages, self._usage, monotonic=time.monotonic, healthy=self._is_healthy, pages=pages,
            open_paths=(IDENTITY_PATH,),
        )  # fmt: skip
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        await self._book.refresh()
        await self._intake.start()

        async def refresh() -> int:
            await self._book.refresh()
            return 0

        loops = {
            "usage": (self._usage.write, EVERY_SECONDS),
            "systems' certificates": (self._certificates.keep_seen, 10.0),
            "crosswalks": (refresh, 2.0),
            "idempotency keys": (self._keys.forget_expired, 600.0),
            "idle allowances": (self._allowances.forget_idle, 3600.0),
        }
        self._tasks = [
            asyncio.create_task(standing(name, work, every_seconds=every), name=name)
            for name, (work, every) in loops.items()
        ]
        self._tasks.append(asyncio.create_task(self._admission.watch(), name="admission"))
        self._tasks.append(asyncio.create_task(follow(self._pool, self._breakers), name="breakers"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._handlers.close()
        await self._keys.close()
        await self._accesses.close()
        await self._usage.write()
        await self._intake.stop()
        await self._connections.close()

    async def _is_healthy(self) -> bool:
        """Whether the store answers, asked once a second at most, whoever asks."""
        moment = time.monotonic()
        if moment - self._health_at >= _HEALTH_SECONDS:
            self._health_at = moment
            try:
                async with asyncio.timeout(_HEALTH_SECONDS):
                    self._healthy = bool(await self._pool.fetchval("SELECT true"))
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self._healthy = False
        return self._healthy


def _certificate_of(estate: Estate) -> Callable[[Scope], str | None]:
    spec = estate.identity
    if not spec.certificate_header:
        return client_thumbprint
    return lambda scope: presented_certificate(Request(scope), spec)


@dataclass(frozen=True)
class DoorKeys:
    """The keys of one door, one for each use: no key serves two algorithms (NIST SP 800-57 part 1, section 5.2)."""

    cursors: bytes = field(repr=False)
    tags: bytes = field(repr=False)


def door_keys(data: Path) -> DoorKeys:
    """Derived (HKDF, RFC 5869) from one secret, made at the first start. Processes that share a door share its file."""
    place = data / "gateway.key"
    if not place.exists():
        _make_secret(place)
    secret = place.read_bytes()
    if len(secret) != KEY_BYTES:
        raise ValueError(
            f"{place} is no key of the gateway ({KEY_BYTES} bytes). Remove it and start again: cursors and entity tags that "
            "were given before are then refused, and clients begin anew."
        )
    return DoorKeys(_derived(secret, b"hilum gateway cursors"), _derived(secret, b"hilum gateway entity tags"))


def _make_secret(place: Path) -> None:
    """Whole or not at all, and never over another process's: a link fails where a file is, and a half-written one has
    another name."""
    part = place.with_name(f"{place.name}.{os.urandom(8).hex()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(os.urandom(KEY_BYTES))
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):
            os.link(part, place)
    finally:
        part.unlink(missing_ok=True)


def _derived(secret: bytes, use: bytes) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=use).derive(secret)
