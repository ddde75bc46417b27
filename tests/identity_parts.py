"""People who really sign in: the embedded issuer served on the loopback address, and a browser that follows its pages."""

from __future__ import annotations

import html
import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx2
from starlette.applications import Starlette
from starlette.routing import Mount

from hilum.app.identity import Identity, open_identity
from hilum.authoring.estate import Estate
from hilum.identity import accounts
from hilum.identity.passwords import Cost, stored
from hilum.transports.http import Served, serve

CHEAP = Cost(n=2**8, r=8, p=1)
"""The parameters stand beside the password, so a test may take cheap ones and everything else stays as it is."""
PASSWORD = "four blue herons wade"


def wall() -> datetime:
    return datetime.now(UTC)


async def has_account(
    pool: asyncpg.Pool,
    login: str,
    *,
    roles: tuple[str, ...] = ("administrator",),
    facilities: tuple[str, ...] = (),
    **more: Any,
) -> None:
    """A person who was invited and has taken the link up."""
    link = secrets.token_urlsafe(32)
    async with pool.acquire() as connection, connection.transaction():
        await accounts.invite(
            connection, login, secret=link, now=wall(), by="person:tests", roles=roles, facilities=facilities, **more
        )
        taken = await accounts.take_up(
            connection, link, password=stored(PASSWORD, b"0123456789abcdef", CHEAP), now=wall()
        )
    assert taken == login


@dataclass
class RunningIssuer:
    """The embedded issuer at ``url``, mounted as the gateway mounts it."""

    url: str
    identity: Identity
    door: Served


@asynccontextmanager
async def issuer(estate: Estate, pool: asyncpg.Pool, data: Path | None = None) -> AsyncIterator[RunningIssuer]:
    """Runs on the loop of whoever asks."""
    outer = Starlette()
    door = await serve(outer, "127.0.0.1", 0)
    url = f"{door.url}/identity"
    folder = data if data is not None else Path(tempfile.mkdtemp(prefix="hilum-issuer-"))
    identity = await open_identity(estate, pool, folder, url=url)
    outer.router.routes.append(Mount("/identity", identity.application))
    try:
        yield RunningIssuer(url, identity, door)
    finally:
        await identity.close()
        await door.stop()


@dataclass
class Person:
    """Someone in front of a browser: follows redirects by hand and fills in forms, cookies and all."""

    client: httpx2.AsyncClient = field(default_factory=lambda: httpx2.AsyncClient(trust_env=False, timeout=20))

    async def signs_in_at(self, address: str, login: str, password: str = PASSWORD) -> httpx2.Response:
        """Open a sign-in page and send its form; the answer, redirect not followed."""
        shown = await self.client.get(address)
        assert shown.status_code == 200, shown.text
        fields = form_of(shown.text)
        return await self.client.post(
            str(shown.url.join(fields.action)), data={**fields.hidden, "login": login, "password": password}
        )

    async def leaves(self) -> None:
        await self.client.aclose()


@dataclass(frozen=True)
class Form:
    action: str
    hidden: Mapping[str, str]


def form_of(page: str) -> Form:
    """The first form of a page."""
    action = re.search(r'<form[^>]* action="([^"]+)"', page)
    assert action is not None, page
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return Form(html.unescape(action[1]), {name: html.unescape(value) for name, value in hidden})


def answer_in(location: str) -> dict[str, str]:
    """The parameters of a redirect."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
