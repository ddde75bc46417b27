"""Who is believed: the authenticator of a process, and the embedded issuer that the gateway carries."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request

from hilum.app.told import now
from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import IdentitySpec
from hilum.gateway.identity import Issuer, IssuerSettings, issuer_app
from hilum.identity.digests import base64url
from hilum.identity.grants import forget_old
from hilum.identity.places import ISSUER, announce
from hilum.identity.services import ServiceProof
from hilum.identity.signing import SigningKeys
from hilum.identity.throttle import SharedThrottle
from hilum.runtime.loops import standing
from hilum.security.certificates import client_thumbprint
from hilum.security.identity import Authenticator, HttpKeys, LocalIssuer, Revocations
from hilum.security.identity.reaching import Providers, Saw

log = logging.getLogger(__name__)

_CLEARING_SECONDS = 600.0


def new_secret() -> str:
    """256 bits of randomness, as text for addresses and cookies."""
    return secrets.token_urlsafe(32)


def new_salt() -> bytes:
    """128 bits of randomness."""
    return secrets.token_bytes(16)


@dataclass
class Identity:
    """What a process needs to know who asks. ``application`` is the embedded issuer, to be mounted at its address's path."""

    authenticator: Authenticator
    revocations: Revocations
    application: Starlette
    keys: SigningKeys
    providers: Providers
    _tasks: list[asyncio.Task[None]]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.providers.close()


def signing_keys(estate: Estate, pool: asyncpg.Pool, data: Path | None) -> SigningKeys:
    """The embedded issuer's keys; without a data directory only their public halves."""
    return SigningKeys.of(estate.identity, pool, data, clock=now, monotonic=time.monotonic)


async def open_identity(
    estate: Estate, pool: asyncpg.Pool, data: Path, *, url: str, saw: Saw | None = None
) -> Identity:
    """The issuer at ``url`` and the authenticator that believes it and the estate's providers; both look after themselves.

    ``saw`` is told of the certificates by which providers prove themselves.
    """
    settings = IssuerSettings.of(estate, estate.identity.url if estate.identity.url is not None else url)
    providers = Providers(estate.identity, data, saw=saw)
    keys = signing_keys(estate, pool, data)
    await keys.maintain()
    revocations = Revocations(pool, clock=now, monotonic=time.monotonic)
    await revocations.run_once()
    authenticator = Authenticator(
        estate,
        provider_keys(estate.identity, providers),
        revocations,
        clock=now,
        local=LocalIssuer(settings.url, keys, settings.access_token.total_seconds()),
    )
    throttle = SharedThrottle(pool)
    issuer = Issuer(
        estate, settings, pool, keys,
        ServiceProof(estate.root, estate.services, pool, providers.fetch_of, clock=now, monotonic=time.monotonic),
        authenticator, throttle, now, new_secret, new_salt,
        lambda request: presented_certificate(request, estate.identity), asyncio.to_thread,
    )  # fmt: skip
    async with pool.acquire() as connection:
        await announce(connection, ISSUER, settings.url, now=now())

    async def look() -> int:
        await revocations.run_once()
        return 0

    async def clear() -> int:
        await keys.maintain()
        async with pool.acquire() as connection:
            await forget_old(connection, now=now())
        await throttle.forget_old(before=now() - timedelta(hours=1))
        return 0

    tasks = [
        asyncio.create_task(standing("revocations", look, every_seconds=1.0)),
        asyncio.create_task(standing("identity", clear, every_seconds=_CLEARING_SECONDS)),
    ]
    return Identity(authenticator, revocations, issuer_app(issuer), keys, providers, tasks)


def provider_keys(spec: IdentitySpec, providers: Providers) -> dict[str, HttpKeys]:
    """The keys of the estate's providers, by the providers' names."""
    return {
        name: HttpKeys(issuer.url, providers.fetch(name, issuer.url), monotonic=time.monotonic)
        for name, issuer in spec.issuers.items()
    }


def presented_certificate(request: Request, spec: IdentitySpec) -> str | None:
    """``x5t#S256`` of the client's certificate: of this connection, or as a trusted proxy says (RFC 9440)."""
    seen = client_thumbprint(request.scope)
    if seen is not None or not spec.certificate_header:
        return seen
    peer = request.client.host if request.client is not None else ""
    given = request.headers.getlist(spec.certificate_header)
    if peer not in spec.certificate_proxies or len(given) != 1:
        return None
    der = _certificate(given[0])
    return None if der is None else base64url(sha256(der).digest())


def _certificate(text: str) -> bytes | None:
    """The DER of ``:base64:`` (RFC 9440), or of a PEM that was escaped for a header, as older proxies send it."""
    plain = text.strip()
    if plain.startswith(":") and plain.endswith(":"):
        encoded = plain[1:-1]
    else:
        lines = unquote(plain).replace("\t", "\n").split("\n")
        encoded = "".join(line.strip() for line in lines if line and not line.startswith("-----"))
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
