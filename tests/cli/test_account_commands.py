"""`hilum account`: links instead of passwords, and nothing at the terminal that is not in the audit log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import orjson
import pytest
from tests.identity_parts import has_account, wall
from typer.testing import CliRunner

from hilum import cli
from hilum.cli.account import FIRST, first_link
from hilum.identity.places import announce
from hilum.store.pool import open_pool

ISSUER = "http://127.0.0.1:8702/identity"


class Terminal:
    def __init__(self, url: str, data: Path) -> None:
        self._url = url
        self._data = data

    def says(self, *arguments: str, code: int = 0) -> str:
        app = cli.application(known_connectors=(), reconcile=lambda: None, contract_test=lambda: None)
        done = CliRunner().invoke(app, [*arguments, "--database-url", self._url, "--data", str(self._data)])
        assert done.exit_code == code, done.output
        return done.output

    def pool(self, work: object) -> object:
        async def connected() -> object:
            pool = await open_pool(self._url, min_size=1, max_size=2)
            try:
                return await work(pool)  # type: ignore[operator]
            finally:
                await pool.close()

        return asyncio.run(connected())

    def entries(self) -> list[dict[str, object]]:
        async def read(pool: asyncpg.Pool) -> list[dict[str, object]]:
            return [orjson.loads(r["entry"]) for r in await pool.fetch("SELECT entry FROM audit_entry ORDER BY seq")]

        return self.pool(read)  # type: ignore[return-value]


@pytest.fixture
def terminal(database_url: str, tmp_path: Path) -> Terminal:
    found = Terminal(database_url, tmp_path)

    async def running(pool: asyncpg.Pool) -> None:
        async with pool.acquire() as connection:
            await announce(connection, "issuer", ISSUER, now=wall())

    found.pool(running)
    return found


def test_an_invitation_prints_a_link_and_no_password(terminal: Terminal) -> None:
    said = terminal.says("account", "invite", "maria", "--role", "data-steward", "--as", "boss")
    assert f"{ISSUER}/welcome/" in said and "password" not in said.lower()
    listed = json.loads(terminal.says("account", "list", "--json"))
    assert [(one["id"], one["state"], one["roles"]) for one in listed] == [("maria", "invited", ["data-steward"])]
    assert terminal.entries()[-1]["actor"] == "person:boss"
    secret = said.rpartition("/welcome/")[2].strip()
    assert secret not in orjson.dumps(terminal.entries()).decode()


def test_an_account_that_somebody_has_is_not_invited_again_but_reset_and_disabled(terminal: Terminal) -> None:
    terminal.pool(lambda pool: has_account(pool, "maria", roles=("data-steward",)))
    assert "hilum account reset maria" in terminal.says("account", "invite", "maria", code=1)
    assert "/welcome/" in terminal.says("account", "reset", "maria")
    terminal.says("account", "disable", "maria")
    assert "There is no account nobody" in terminal.says("account", "disable", "nobody", code=1)
    assert "disabled" in terminal.says("account", "list")


def test_a_login_that_could_be_mistaken_is_refused(terminal: Terminal) -> None:
    for login in ("Maria", "a", "ma ria", "maria@entra", "a" * 70):
        done = terminal.says("account", "invite", login, code=1)
        assert "cannot be a login" in done


def test_the_first_start_gives_one_link_and_none_when_somebody_can_invite(terminal: Terminal) -> None:
    first = terminal.pool(lambda pool: first_link(pool, by="person:ops"))
    again = terminal.pool(lambda pool: first_link(pool, by="person:ops"))
    assert isinstance(first, str) and isinstance(again, str) and first != again, (
        "a new start makes the old link worthless"
    )
    listed = json.loads(terminal.says("account", "list", "--json"))
    assert [one["id"] for one in listed] == [FIRST]
    terminal.pool(lambda pool: has_account(pool, "boss"))
    assert terminal.pool(lambda pool: first_link(pool, by="person:ops")) is None


def test_without_an_issuer_a_link_would_lead_nowhere(database_url: str, tmp_path: Path) -> None:
    said = Terminal(database_url, tmp_path).says("account", "invite", "maria", code=2)
    assert "hilum up" in said
