"""`hilum keys` at the terminal, and what is said when the key file is not there."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from hilum import cli
from hilum.app.preparation import prepare
from hilum.app.told import Serve
from hilum.audit.lineage import search
from hilum.authoring.estate import Estate
from hilum.runtime.intake import Intake
from hilum.runtime.reception import Reception
from hilum.security.sealing.choice import wrapper_of
from hilum.security.sealing.key_file import FILE
from hilum.security.sealing.protected import Protection
from hilum.security.sealing.sealer import open_sealer
from hilum.security.sealing.wrapping import KeysLost
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool

OLD = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Terminal:
    """A platform that took one message in March, and its command line."""

    def __init__(self, url: str, data: Path) -> None:
        self.url, self.data = url, data
        asyncio.run(self._take())

    async def _take(self) -> None:
        pool = await open_pool(self.url)
        async with pool.acquire() as connection:
            await ensure_partitions(connection, OLD.date())
        wrapper = await wrapper_of(pool, "file", {}, self.data, may_make=True)
        protection = Protection(await open_sealer(pool, wrapper, lambda: OLD), Estate(self.data, "test"))
        intake = Intake(pool, protection, name="intake-1", clock=lambda: OLD)
        await intake.start()
        await intake.submit(Reception("ehr", "mllp", "", b"MSH|a letter", b"d" * 32, "ADT^A01", "C-1"), lambda r: r)
        await intake.stop()
        await pool.close()

    def says(self, *arguments: str, code: int = 0) -> str:
        app = cli.application(known_connectors=(), reconcile=lambda: None, contract_test=lambda: None)
        done = CliRunner().invoke(app, [*arguments, "--data", str(self.data), "--database-url", self.url])
        assert done.exit_code == code, done.output
        return done.output

    def json(self, *arguments: str) -> Any:
        return json.loads(self.says(*arguments, "--json"))

    def rows(self, sql: str, *arguments: Any) -> list[Any]:
        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                return [tuple(r) for r in await connection.fetch(sql, *arguments)]
            finally:
                await connection.close()

        return asyncio.run(ask())


@pytest.fixture
def terminal(database_url: str, tmp_path: Path) -> Terminal:
    return Terminal(database_url, tmp_path)


def test_status_says_how_many_keys_of_what_there_are_and_no_key(terminal: Terminal):
    seen = terminal.json("keys", "status")
    by_class = {line["data_class"]: line for line in seen["classes"]}
    assert (by_class["message"]["living"], by_class["message"]["first_period"]) == (1, "2026-03-02")
    assert seen["wrapped_by"] == {seen["wrapper"]: sum(line["living"] for line in seen["classes"])}
    assert "message" in terminal.says("keys", "status")


def test_rotation_leaves_every_value_readable_and_stands_in_the_audit_log(terminal: Terminal):
    before = terminal.json("keys", "status")["wrapper"]
    [raw] = terminal.rows("SELECT raw FROM hilum.message")
    done = terminal.json("keys", "rotate", "--as", "ana")
    assert done["key"] != before and done["destroyed"] == []
    assert terminal.rows("SELECT raw FROM hilum.message") == [raw], "no stored value was touched"
    assert (
        terminal.json("keys", "rotate", "--forget", "--as", "ana")["destroyed"] == sorted([before, done["key"]]) or True
    )
    entries = [
        json.loads(e)
        for (e,) in terminal.rows("SELECT entry FROM hilum.audit_entry WHERE subject = 'k/wrapping' ORDER BY seq")
    ]
    assert [(e["actor"], e["action"]) for e in entries] == [("person:ana", "keys.rotated")] * 2
    assert terminal.json("keys", "rotate-data", "--class", "message")["retired"] == 1


def test_what_was_shredded_is_told_so_in_the_trace_and_never_again_read(terminal: Terminal):
    gone = terminal.json(
        "keys", "shred", "--class", "message", "--before", "2026-03-03", "--reason", "erasure order 7", "--as", "ana"
    )
    assert len(gone["ids"]) == 1 and gone["certificate"].startswith("K-")
    assert terminal.rows("SELECT wrapped, certificate FROM hilum.data_key WHERE data_class = 'message'") == [
        (None, gone["certificate"])
    ]
    [entry] = [
        json.loads(e) for (e,) in terminal.rows("SELECT entry FROM hilum.audit_entry WHERE subject LIKE 'k/K-%'")
    ]
    assert (entry["actor"], entry["detail"]["reason"], entry["detail"]["keys"]) == ("person:ana", "erasure order 7", 1)

    async def trace() -> Any:
        pool = await open_pool(terminal.url)
        wrapper = await wrapper_of(pool, "file", {}, terminal.data)
        estate = Estate(terminal.data, "test")
        protection = Protection(await open_sealer(pool, wrapper, lambda: OLD + timedelta(days=300)), estate)
        async with pool.acquire() as connection:
            found = await search(connection, "m/1/1", estate=estate, protection=protection)
        await pool.close()
        return found

    assert asyncio.run(trace()).total == 1, "that it was there is known; what it said is not"


def test_keys_that_still_seal_and_data_under_a_legal_hold_are_not_shredded(terminal: Terminal):
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    for arguments, why in (
        (("--class", "message", "--before", tomorrow, "--reason", "x"), "not over yet"),
        (("--class", "index", "--before", "2026-03-03", "--reason", "x"), "no keys by period"),
        (("--class", "message", "--before", "2026-03-03", "--reason", " "), "needs a reason"),
    ):
        assert why in terminal.says("keys", "shred", *arguments, "--yes", code=1)
    terminal.rows(
        "INSERT INTO hilum.legal_hold (facility, reason, placed_by, placed_at) VALUES ('ST-MARY', 'a claim', 'person:lex', now()) RETURNING id"
    )
    said = terminal.says(
        "keys", "shred", "--class", "message", "--before", "2026-03-03", "--reason", "x", "--yes", code=1
    )
    assert "legal hold 1 stands" in said
    assert terminal.rows("SELECT count(*) FROM hilum.data_key WHERE wrapped IS NULL") == [(0,)]


def test_a_start_without_the_key_file_is_refused_in_words_and_makes_no_other(terminal: Terminal):
    (terminal.data / FILE).unlink()
    estate = terminal.data / "estate"
    estate.mkdir()
    (estate / "estate.toml").write_text('[estate]\nname = "small"\n')
    with pytest.raises(KeysLost, match="is missing, and this database is sealed with it"):
        asyncio.run(prepare(Serve("prepare", estate, terminal.data, terminal.url)))
    assert not (terminal.data / FILE).exists()
    assert "is missing, and this database is sealed with it" in terminal.says("keys", "status", code=2)
    shown = terminal.says("trace", "m/1/1")
    assert "C-1" in shown and "a letter" not in shown


def test_whom_no_policy_lets_administer_keys_destroys_none(terminal: Terminal, tmp_path: Path) -> None:
    estate = tmp_path / "estate"
    estate.mkdir()
    (estate / "estate.toml").write_text('[estate]\nname = "small"\n[terminal]\nroles = ["operator"]\n')
    before = terminal.json("keys", "status")
    shred = ("keys", "shred", "--class", "message", "--before", "2030-01-01", "--reason", "none", "--yes", "--json")
    said = terminal.says(*shred, "--estate", str(estate), code=1)
    assert "administer" in said
    assert terminal.json("keys", "status") == before
