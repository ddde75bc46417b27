"""A small site: an estate with one portal and two services, its embedded issuer running, and what attacks it."""

from __future__ import annotations

import asyncio
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import asyncpg
import httpx2
import orjson
from joserfc import jwt
from joserfc.jwk import ECKey
from tests.identity_parts import PASSWORD, Person, RunningIssuer, answer_in, has_account, issuer, wall

from hilum.authoring.caller import Caller
from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import ClientSpec, IdentitySpec, ServiceSpec
from hilum.store.pool import open_pool

T = TypeVar("T")
CALLBACK = "https://portal.lakeshore.example/callback"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Pkce:
    """One client's half of a code flow."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(8))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(8))

    @property
    def challenge(self) -> str:
        return base64url(sha256(self.verifier.encode()).digest())


class Site:
    """Questions and attacks, each run on the loop that the issuer runs on."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._database_url = database_url
        self.folder = folder
        self.bot_key = ECKey.generate_key("P-256")
        (folder / "ap-bot.pem").write_bytes(self.bot_key.as_pem(private=False))
        self.certificate = sha256(b"the certificate of the scanner").digest()
        services = {
            "ap-bot": ServiceSpec(
                name="ap-bot", owner="finance", roles=("ap-service",), facilities=("ST-MARY",), audience=("erp", "invoices"),
                expires=(wall() + timedelta(days=90)).date(), public_key="ap-bot.pem",
            ),
            "scanner": ServiceSpec(
                name="scanner", owner="supply-chain", roles=("scanner",), audience=("stock",), supplier="ORTHO",
                expires=(wall() + timedelta(days=90)).date(), certificates=(self.certificate.hex(),),
            ),
            "old-bot": ServiceSpec(
                name="old-bot", owner="finance", expires=date(2020, 1, 1), public_key="ap-bot.pem", audience=("erp",)
            ),
        }  # fmt: skip
        clients = {
            "portal": ClientSpec(title="Supplier portal", redirect_uris=(CALLBACK,), audience=("portal", "orders"))
        }
        identity = IdentitySpec(clients=clients, certificate_header="client-cert", certificate_proxies=("127.0.0.1",))
        self.estate = Estate(folder, "lakeshore", title="Lakeshore Health", identity=identity, services=services)

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        async def awaited() -> T:
            return await work()

        return self._runner.run(awaited())

    def __enter__(self) -> Site:
        self.run(self._open)
        return self

    async def _open(self) -> None:
        self.pool: asyncpg.Pool = await open_pool(self._database_url, min_size=1, max_size=8)
        self._stack.push_async_callback(self.pool.close)
        self.issuer: RunningIssuer = await self._stack.enter_async_context(issuer(self.estate, self.pool, self.folder))
        self.client = httpx2.AsyncClient(trust_env=False, timeout=20)
        self._stack.push_async_callback(self.client.aclose)

    def __exit__(self, *_: object) -> None:
        self.run(self._stack.aclose)
        self._runner.close()

    @property
    def url(self) -> str:
        return self.issuer.url

    # --- people

    def has(self, login: str, **more: Any) -> None:
        self.run(lambda: has_account(self.pool, login, **more))

    def address(self, pkce: Pkce, **changes: str | None) -> str:
        """The portal's authorization request, with some of it changed or left out (None)."""
        asked: dict[str, str | None] = {
            "response_type": "code", "client_id": "portal", "redirect_uri": CALLBACK, "scope": "openid offline_access",
            "state": pkce.state, "nonce": pkce.nonce, "code_challenge": pkce.challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        asked |= changes
        return f"{self.url}/authorize?{urlencode({n: v for n, v in asked.items() if v is not None})}"

    def opens(self, address: str, person: Person | None = None) -> httpx2.Response:
        client = self.client if person is None else person.client
        return self.run(lambda: client.get(address))

    def signs_in(
        self, login: str = "ana", password: str = PASSWORD, *, pkce: Pkce | None = None, person: Person | None = None
    ) -> httpx2.Response:
        """The answer to the sign-in form."""
        used, who = pkce if pkce is not None else Pkce(), person if person is not None else Person()
        return self.run(lambda: who.signs_in_at(self.address(used), login, password))

    def code(self, pkce: Pkce, login: str = "ana", person: Person | None = None) -> str:
        answer = self.signs_in(login, pkce=pkce, person=person)
        assert answer.status_code == 303, answer.text
        return answer_in(answer.headers["location"])["code"]

    def posts(self, path: str, headers: dict[str, str] | None = None, **form: str) -> httpx2.Response:
        return self.run(lambda: self.client.post(f"{self.url}/{path}", data=form, headers=headers))

    def redeems(self, code: str, pkce: Pkce, **changes: str) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code", "code": code, "client_id": "portal", "redirect_uri": CALLBACK,
            "code_verifier": pkce.verifier,
        }  # fmt: skip
        return self.posts("token", **{**form, **changes})

    def tokens(self, login: str = "ana", person: Person | None = None) -> dict[str, Any]:
        """Everything the portal gets for a person."""
        pkce = Pkce()
        answer = self.redeems(self.code(pkce, login, person), pkce)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refreshes(self, token: str) -> httpx2.Response:
        return self.posts("token", grant_type="refresh_token", refresh_token=token, client_id="portal")

    # --- programs

    def assertion(self, key: ECKey | None = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        now = int(wall().timestamp())
        claims = {
            "iss": "ap-bot", "sub": "ap-bot", "aud": self.url, "iat": now, "exp": now + 60, "jti": secrets.token_urlsafe(8),
        } | changes  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "ES256", **(header or {})}, claims, key if key is not None else self.bot_key)

    def proves(self, assertion: str, **more: str) -> httpx2.Response:
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": assertion}
        return self.posts("token", **{**form, **more})

    def service_token(self, **more: str) -> str:
        answer = self.proves(self.assertion(), **more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    # --- the door

    def caller(self, token: str, audience: tuple[str, ...] = ("portal",), certificate: str | None = None) -> Caller:
        """Whom the authenticator believes this to be."""
        found: Caller = self.run(
            lambda: self.issuer.identity.authenticator.authenticate(
                [f"Bearer {token}"], audience=audience, certificate=certificate
            )
        )
        return found

    def looks_for_revocations(self) -> None:
        self.run(self.issuer.identity.revocations.run_once)

    def audited(self, action: str) -> list[dict[str, Any]]:
        rows = self.run(lambda: self.pool.fetch("SELECT entry FROM hilum.audit_entry ORDER BY shard, seq"))
        entries = [orjson.loads(row["entry"]) for row in rows]
        return [entry for entry in entries if entry["action"] == action]

    def everything_stored(self) -> str:
        """Every row of every table of identity, as text."""

        async def read() -> str:
            names = await self.pool.fetch(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'hilum' AND table_type = 'BASE TABLE'"
            )
            texts = []
            for name in names:
                rows = await self.pool.fetch(f"SELECT t::text AS row FROM hilum.{name['table_name']} t LIMIT 1000")
                texts += [row["row"] for row in rows]
            return "\n".join(texts)

        return self.run(read)


def changed(service: ServiceSpec, **changes: Any) -> ServiceSpec:
    return service.model_copy(update=changes)


__all__ = ["ASSERTION", "CALLBACK", "Pkce", "Site", "base64url", "changed", "replace"]
