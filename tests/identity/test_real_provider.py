"""The page signs people in at a provider that nobody here wrote, and follows it when it changes its keys."""

from __future__ import annotations

import asyncio
import html
import json
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import RSAKey
from tests.identity_parts import wall

from hilum.app.people import open_people
from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import Grant, IdentitySpec, IssuerSpec
from hilum.security.identity import refusals
from hilum.security.policies import Policies
from hilum.store.pool import open_pool
from hilum.tower.app import tower_app
from hilum.transports.http import serve

PROGRAM = Path(__file__).with_name("canaille_program.py")
PASSWORD = "seven grey geese waddle home"
ANALYSTS_LOOK = {
    "policies/page.cedar": """
        @id("analysts-look") @because("Analysts see how it stands.")
        permit (principal, action in Hilum::Action::"looking", resource) when { principal.roles.contains("ap-analyst") };
    """
}


@dataclass
class Provider:
    """Canaille on a port of its own; it can be stopped and started with other keys."""

    folder: Path
    port: int
    client: str
    keys: list[dict[str, Any]] = field(default_factory=list)
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_key(self) -> None:
        key = RSAKey.generate_key(2048, auto_kid=True)
        self.keys.insert(0, dict(key.as_dict(private=True)))

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self.folder
        )
        told = {
            "port": self.port, "keys": self.keys, "client": self.client, "client_secret": self.client_secret,
            "password": PASSWORD, "secret_key": "sessions-of-a-test", "folder": str(self.folder),
        }  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ready\n", "the provider did not start; its errors stand above"

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def canaille(folder: Path, client: str) -> Iterator[Provider]:
    provider = Provider(folder, free_port(), client)
    provider.new_key()
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()


@asynccontextmanager
async def page(database_url: str, folder: Path, port: int, provider: Provider) -> AsyncIterator[str]:
    """The tower, served at the address that the provider knows."""
    (folder / "canaille-secret").write_text(provider.client_secret)
    (folder / "canaille-secret").chmod(0o600)
    spec = IssuerSpec(
        url=provider.url, client_id="hilum-tower", client_secret="file:canaille-secret", scopes=("openid", "profile", "groups"),
        groups={"HS-AP-Analysts": Grant(roles=("ap-analyst",), facilities=("ST-MARY",))},
    )  # fmt: skip
    identity = IdentitySpec(sign_in="canaille", local_accounts=False, issuers={"canaille": spec})
    estate = Estate(folder, "lakeshore", title="Lakeshore Health", identity=identity)
    pool = await open_pool(database_url, min_size=1, max_size=5)
    opened = open_people(estate, pool, folder, Policies(ANALYSTS_LOOK), process="tower")
    door = await serve(tower_app(pool, estate, wall, people=opened.people), "127.0.0.1", port)
    await opened.people.reached_at(door.url)
    try:
        yield door.url
    finally:
        await door.stop()
        await opened.close()
        await pool.close()


class Nora:
    """In front of a browser that knows neither the page nor the provider by heart: follows redirects, fills in forms."""

    def __init__(self) -> None:
        self.client = httpx2.AsyncClient(trust_env=False, timeout=30, follow_redirects=True)

    async def signs_in(self, address: str) -> httpx2.Response:
        answer = await self.client.get(address)
        for _ in range(6):
            if str(answer.url).partition("?")[0].endswith("/sign-in/callback") or ('name="login"' not in answer.text and 'name="password"' not in answer.text):  # fmt: skip
                return answer
            fields = {
                html.unescape(name): html.unescape(value)
                for name, value in re.findall(
                    r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', answer.text
                )
            }
            fields |= {
                name: value for value, name in re.findall(r'value="([^"]*)"[^>]*name="(csrf_token)"', answer.text)
            }  # fmt: skip
            if 'name="password"' in answer.text:
                fields["password"] = PASSWORD
            else:
                fields["login"] = "nora"
            answer = await self.client.post(str(answer.url), data=fields)
        raise AssertionError(f"no end of forms at {answer.url}")


@pytest.fixture
def port() -> int:
    return free_port()


def test_a_person_of_a_real_provider_reads_the_page_with_the_roles_of_her_groups(
    database_url: str, tmp_path: Path, port: int
) -> None:
    async def story() -> None:
        async with page(database_url, tmp_path, port, provider) as url:
            nora = Nora()
            arrived = await nora.signs_in(f"{url}/")
            assert "Signed in" in arrived.text, arrived.text
            seen = await nora.client.get(f"{url}/")
            assert seen.status_code == 200 and "How it stands" in seen.text and "Nora Njoroge" in seen.text
            assert 'title="person:nora, ap-analyst"' in seen.text

            token = re.search(r'name="form" value="([^"]+)"', seen.text)
            assert token is not None
            out = await nora.client.post(f"{url}/sign-out", data={"form": token[1]})
            assert f'href="{provider.url}' in html.unescape(out.text), "and leads to the provider's own sign-out"
            fresh = httpx2.AsyncClient(trust_env=False, cookies=nora.client.cookies)
            assert (await fresh.get(f"{url}/")).status_code == 303

    with canaille(tmp_path, f"http://127.0.0.1:{port}") as provider:
        asyncio.run(story())


def test_new_keys_of_the_provider_are_found_and_its_absence_is_told(
    database_url: str, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with page(database_url, tmp_path, port, provider) as url:
            assert "Signed in" in (await Nora().signs_in(f"{url}/")).text
            provider.stop()
            away = await Nora().client.get(f"{url}/sign-in", follow_redirects=False)
            assert away.status_code in (303, 503), "what was discovered is remembered; nothing new can begin without it"
            provider.new_key()
            await asyncio.to_thread(provider.start)
            assert "Signed in" in (await Nora().signs_in(f"{url}/")).text, (
                "the unknown key led to a new look at the keys"
            )

    # Keys are fetched again at most every thirty seconds; the story does not wait for them.
    from hilum.security.identity.keys import HttpKeys

    monkeypatch.setattr(HttpKeys.__init__, "__kwdefaults__", {**(HttpKeys.__init__.__kwdefaults__ or {}), "refetch_seconds": 0.0})  # fmt: skip
    with canaille(tmp_path, f"http://127.0.0.1:{port}") as provider:
        asyncio.run(story())


def test_a_code_of_somebody_elses_sign_in_is_not_taken(database_url: str, tmp_path: Path, port: int) -> None:
    """Login CSRF: the attacker sends his own code to the victim's browser."""

    async def story() -> None:
        async with page(database_url, tmp_path, port, provider) as url:
            attacker = Nora()
            codes: list[str] = []

            async def keep(answer: httpx2.Response) -> None:
                if answer.headers.get("location", "").startswith(f"{url}/sign-in/callback"):
                    codes.append(answer.headers["location"])
                    answer.headers["location"] = f"{url}/signed-out"

            attacker.client.event_hooks = {"response": [keep]}
            await attacker.signs_in(f"{url}/")
            assert len(codes) == 1
            victim = httpx2.AsyncClient(trust_env=False)
            refused = await victim.get(codes[0])
            assert refused.status_code == 400 and "not begun in this browser" in refused.text
            assert "hilum_page" not in refused.headers.get("set-cookie", "")

    with canaille(tmp_path, f"http://127.0.0.1:{port}") as provider:
        asyncio.run(story())


def test_refusals_of_the_provider_repeat_nothing_of_what_was_sent() -> None:
    refused = refusals.Unauthenticated("the token has expired")
    assert refused.challenge == 'Bearer realm="hilum", error="invalid_token", error_description="the token has expired"'
