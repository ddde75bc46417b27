"""What the endpoints of the embedded issuer share: its settings, who its clients are, and the tokens it makes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from starlette.requests import Request

from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import LOCAL, ServiceSpec
from hilum.identity.accounts import Account
from hilum.identity.grants import Grant
from hilum.identity.places import place
from hilum.identity.services import ServiceProof
from hilum.identity.sessions import Lifetimes
from hilum.identity.signing import SigningKeys
from hilum.identity.throttle import Throttle
from hilum.security.identity.authenticator import Authenticator

TOWER = "tower"
"""The page, as a client of the embedded issuer. It announces its own address."""

CALLBACK = "/sign-in/callback"
ID_TOKEN_SECONDS = 300


@dataclass(frozen=True)
class IssuerSettings:
    """How this issuer is reached and how long what it gives lives. ``url`` is the ``iss`` of its tokens."""

    url: str
    access_token: timedelta
    session: Lifetimes

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS, so that cookies can insist on it."""
        return self.url.startswith("https://")

    @property
    def base(self) -> str:
        """The path of its own pages' addresses."""
        return urlsplit(self.url).path.rstrip("/")

    @classmethod
    def of(cls, estate: Estate, url: str) -> IssuerSettings:
        """As the estate's ``[identity]`` says."""
        spec = estate.identity
        return cls(
            url,
            timedelta(minutes=spec.access_token_minutes),
            Lifetimes(timedelta(hours=spec.session_hours), timedelta(minutes=spec.idle_minutes)),
        )


@dataclass(frozen=True)
class Client:
    """A program of people: public, so PKCE is what proves it."""

    id: str
    title: str
    redirect_uris: tuple[str, ...]
    audience: tuple[str, ...]
    after_sign_out: tuple[str, ...] = ()


@dataclass
class Issuer:
    """The issuer of one process. ``secret`` yields 256 bits of randomness as text, ``salt`` 128 bits; ``certificate`` the SHA-256 of the
    client's certificate in base64url, as the TLS layer or a trusted proxy saw it."""

    estate: Estate
    settings: IssuerSettings
    pool: asyncpg.Pool
    keys: SigningKeys
    services: ServiceProof
    authenticator: Authenticator
    throttle: Throttle
    clock: Callable[[], datetime]
    secret: Callable[[], str]
    salt: Callable[[], bytes]
    certificate: Callable[[Request], str | None]
    in_thread: Callable[..., Awaitable[Any]]

    async def client(self, client_id: str) -> Client | None:
        """A client by its id; the page is one as soon as it has announced itself."""
        if client_id == TOWER:
            async with self.pool.acquire() as connection:
                url = await place(connection, TOWER)
            if url is None:
                return None
            url = url.rstrip("/")
            return Client(TOWER, self.estate.title or self.estate.name, (url + CALLBACK,), (), (url + "/signed-out",))
        spec = self.estate.identity.clients.get(client_id)
        if spec is None:
            return None
        return Client(client_id, spec.title or client_id, tuple(spec.redirect_uris), spec.audience)

    async def access_token_of(self, account: Account, grant: Grant) -> str:
        """For a person, by one client (RFC 9068). Roles are those of this moment, not of the sign-in."""
        now = self.clock()
        claims = self._claims(now, f"person:{account.id}", grant.client, [*grant.audience, self.settings.url])
        claims |= {"sid": grant.session, "scope": grant.scope, "auth_time": int(grant.began_at.timestamp())}
        return await self.keys.sign(claims | _attributes(account), kind="at+jwt")

    async def service_token(self, spec: ServiceSpec, audience: tuple[str, ...], certificate: str | None) -> str:
        """For a program; bound to its certificate when it came with one (RFC 8705 section 3)."""
        claims = self._claims(self.clock(), f"service:{spec.name}", spec.name, list(audience))
        if certificate is not None:
            claims["cnf"] = {"x5t#S256": certificate}
        return await self.keys.sign(claims, kind="at+jwt")

    async def id_token(self, account: Account, grant: Grant) -> str:
        """OpenID Connect Core 1.0 section 2."""
        now = int(self.clock().timestamp())
        claims: dict[str, Any] = {
            "iss": self.settings.url, "sub": f"person:{account.id}", "aud": grant.client, "iat": now,
            "exp": now + ID_TOKEN_SECONDS, "auth_time": int(grant.began_at.timestamp()), "sid": grant.session,
            "name": account.name or account.id, "preferred_username": account.id,
        }  # fmt: skip
        if grant.nonce is not None:
            claims["nonce"] = grant.nonce
        return await self.keys.sign(claims | _attributes(account), kind="JWT")

    def _claims(self, now: datetime, subject: str, client: str, audience: list[str]) -> dict[str, Any]:
        issued_at = int(now.timestamp())
        return {
            "iss": self.settings.url, "sub": subject, "client_id": client, "aud": audience, "iat": issued_at,
            "exp": issued_at + int(self.settings.access_token.total_seconds()), "jti": self.secret(),
        }  # fmt: skip


def _attributes(account: Account) -> dict[str, Any]:
    found: dict[str, Any] = {"roles": list(account.roles), "facilities": list(account.facilities)}
    if account.supplier is not None:
        found["supplier"] = account.supplier
    if account.department is not None:
        found["department"] = account.department
    return found


def default_audience(names: tuple[str, ...]) -> tuple[str, ...]:
    """Doors without an audience of their own are meant where nothing else is."""
    return names if names else (LOCAL,)
