"""Every command that reads or changes what a platform holds is decided by its policies; the others are listed with the reason.

A new command fails here until it is in one of the two tables. In ``DECIDED`` it is given by a person whom no policy allows
anything, on a platform that has something to show: it must end with exit code 1, say which decision refused it, show
nothing, and leave the denial in the audit log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from hilum import cli
from hilum.app.commands import reconcile_command
from hilum.app.contract_test_command import contract_test_command
from hilum.audit.signing import Signer
from hilum.cli import permission
from hilum.runtime import work_items
from hilum.store.pool import open_pool
from hilum.store.postgres_server import EmbeddedPostgres

TOUCHES_NO_PLATFORM = {
    "up": "starts a platform: whoever may read its keys and files runs it",
    "demo": "starts a platform of its own and plays with that",
    "check": "reads an estate's folder",
    "api list": "reads an estate's folder",
    "api openapi": "reads an estate's folder",
    "api asyncapi": "reads an estate's folder",
    "api record": "reads an estate's folder and writes its record into it",
    "api changes": "reads an estate's folder",
    "policy test": "reads an estate's folder",
    "policy explain": "reads an estate's folder",
    "contract-test": "asks vendors for the shape of their interfaces and compares it with the estate's folder",
    "send": "gives a message to a door, which judges it like any sender's",
    "parse": "reads a file",
    "validate": "reads a file",
    "ack": "reads a file",
    "convert": "reads a file",
    "evidence verify": "reads a package and a public key, with no platform at hand",
}

DECIDED = {
    "trace": "U-1",
    "status": "",
    "files": "",
    "release": "1",
    "reconcile": "",
    "claim show": "CLM-1",
    "claim summary": "",
    "patient-account show": "ACC-1",
    "denials list": "",
    "denials summary": "",
    "denials decide": "1 write-off --reason late",
    "charges status": "",
    "charges list": "",
    "charges credits": "",
    "charges journal": "JE-1",
    "cash status": "",
    "cash list": "",
    "queue list": "",
    "queue all": "",
    "queue show": "1",
    "queue assign": "1 maria",
    "queue release": "1",
    "queue skip": "1 --reason mistake",
    "replay request": "m/1/1 --reason curious",
    "replay list": "",
    "replay show": "1",
    "replay cancel": "1",
    "audit verify": "",
    "audit export": "{folder}/log.jsonl",
    "audit list": "",
    "audit proof": "1",
    "audit who-saw": "w/1",
    "evidence make": "U-1 --reason curious --to {folder}",
    "evidence archive": "U-1 --reason curious",
    "evidence list": "",
    "hold place": "--facility ST-MARY --reason curious",
    "hold list": "",
    "hold lift": "1 --reason settled",
    "retention status": "",
    "retention certificates": "",
    "keys status": "",
    "keys rotate": "",
    "keys rotate-data": "",
    "keys rotate-issuer": "",
    "keys shred": "--class message --before 2026-08-01 --reason curious --yes",
    "account invite": "maria",
    "account reset": "rita",
    "account disable": "rita",
    "account sign-out": "rita",
    "account list": "",
    "account service-key": "ap-bot --out {folder}/ap-bot.key.pem",
    "policy review": "--estate {estate}",
    "policy propose": "--estate {estate}",
    "policy approve": "1 --estate {estate}",
    "break-glass ask": "--facility ST-MARY --reason curious",
    "break-glass list": "",
    "break-glass end": "1",
    "break-glass review": "1 --justified --finding fine",
    "api usage": "",
    "system hold": "erp",
    "system resume": "erp",
    "crosswalk list": "",
    "crosswalk set": "device_to_item D-1 KNEE-99",
    "crosswalk retire": "device_to_item D-1",
    "crosswalk export": "device_to_item",
    "schedule list": "--estate {estate}",
    "schedule run": "comparison_due --estate {estate}",
    "close status": "--estate {estate}",
    "close list": "journals-delayed --estate {estate}",
    "master list": "cost_centre",
    "master show": "cost_centre CC-EYE",
    "master sync": "",
    "master mismatches": "",
    "master accept": "1",
    "master reject": "1 --reason other",
}

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def application() -> typer.Typer:
    return cli.application(
        known_connectors=(), reconcile=reconcile_command, contract_test=contract_test_command
    )  # As `hilum.app.commands.run` makes it, whose commands are the ones people have.


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of all that does something; what has commands of its own only leads to them."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path)
    else:
        for name, one in inner.items():
            yield from commands(one, (*path, name))


@dataclass
class Site:
    """A platform with something of everything in it, and a terminal at which nobody but ada may do anything."""

    url: str
    folder: Path

    @property
    def estate(self) -> Path:
        return self.folder / "estate"

    def database(self, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
        async def done() -> Any:
            pool = await open_pool(self.url, min_size=1, max_size=1, application_name="test")
            try:
                async with pool.acquire() as connection, connection.transaction():
                    return await work(connection)
            finally:
                await pool.close()

        return asyncio.run(done())

    def gives(self, command: str, more: str = "", who: str = "nemo") -> Result:
        arguments = [*command.split(), *more.format(folder=self.folder, estate=self.estate).split()]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(permission, "login", lambda: who)
            return CliRunner().invoke(
                application(), [*arguments, "--data", str(self.folder / "data")],
                env={"HILUM_DATABASE_URL": self.url, "HILUM_ESTATE": "", "HILUM_ACTOR": "", "COLUMNS": "250"},
            )  # fmt: skip

    def denials(self) -> list[dict[str, Any]]:
        rows = self.database(lambda c: c.fetch("SELECT entry FROM hilum.audit_entry ORDER BY shard, seq"))
        return [entry for row in rows if (entry := orjson.loads(row["entry"]))["action"] == "access.denial"]


async def something_of_everything(connection: asyncpg.Connection) -> None:
    found = work_items.Exceptional(
        "item-master", "UnknownItem:KNEE-99", "KNEE-99 is not known", "Add it.", 24, "c/x/U-1", Decimal(5)
    )
    await work_items.join(connection, found, now=NOON, actor="system:test")
    await connection.execute(
        """INSERT INTO hilum.account (id, roles, facilities, state, created_by, created_at, updated_at)
           VALUES ('rita', '{revenue-analyst}', '{ST-MARY}', 'active', 'person:ada', now(), now());
           INSERT INTO hilum.replay_job (selection, dry_run, rate_per_second, actor, reason, created_at, updated_at)
           VALUES ('{"system": "ehr"}', true, 5, 'person:ada', 'mapping corrected', now(), now());
           INSERT INTO hilum.break_glass (person, reason, purpose, facility, granted_at, expires_at)
           VALUES ('person:otto', 'charges stuck', 'emergency', 'ST-MARY', now(), now() + interval '1 hour');
           INSERT INTO hilum.legal_hold (facility, reason, placed_by, placed_at)
           VALUES ('ST-MARY', 'Rivera v. Lakeshore', 'person:ada', now())"""
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    url = postgres.create_database("hilum_terminal_decisions", template=migrated_template)
    made = Site(url, tmp_path_factory.mktemp("terminal"))
    data = made.folder / "data"
    made.estate.mkdir()
    data.mkdir()
    (made.estate / "estate.toml").write_text(
        '[estate]\nname = "small"\n[facilities.ST-MARY]\nname = "St. Mary"\n[owners]\ncompliance = "Compliance"\n'
        '[queues.privacy]\nowner = "compliance"\n[terminal]\nroles = []\npeople.ada = ["administrator"]\n'
    )
    (made.estate / "services").mkdir()
    (made.estate / "services" / "ap-bot.toml").write_text(
        'owner = "compliance"\nroles = ["ap-analyst"]\naudience = ["erp"]\nexpires = 2027-10-31\nregistered_key = true\n'
    )
    (data / "runtime.json").write_bytes(orjson.dumps({"estate": str(made.estate), "database_url": url}))
    Signer.open(data / "audit")
    made.database(something_of_everything)
    yield made
    postgres.drop_database("hilum_terminal_decisions")


def test_every_command_is_decided_by_policy_or_touches_no_platform_for_a_reason() -> None:
    there = set(commands(typer.main.get_command(application())))
    forgotten = there - DECIDED.keys() - TOUCHES_NO_PLATFORM.keys()
    assert not forgotten, (
        f"{sorted(forgotten)}: ask cli/permission.py (terminal_caller, then permit or listed) before anything is read, and give "
        "the command in DECIDED; only what touches no platform's content belongs in TOUCHES_NO_PLATFORM, with the reason"
    )
    assert DECIDED.keys() | TOUCHES_NO_PLATFORM.keys() == there, "a command of these tables is gone"
    assert not DECIDED.keys() & TOUCHES_NO_PLATFORM.keys()


def test_what_is_excused_has_no_way_to_a_platforms_database() -> None:
    for command in TOUCHES_NO_PLATFORM.keys() - {"up", "demo"}:
        one = typer.main.get_command(application())
        for name in command.split():
            one = one.commands[name]
        assert "database_url" not in {parameter.name for parameter in one.params}, command


@pytest.mark.parametrize("command", DECIDED)
def test_whoever_no_policy_allows_anything_is_refused_and_shown_nothing(site: Site, command: str) -> None:
    before = len(site.denials())
    done = site.gives(command, DECIDED[command])
    assert done.exit_code == 1, f"{done.output}\n{done.exception!r}"
    assert done.stdout == ""
    assert done.stderr.startswith("No: person:nemo may not ") and "no policy permits it" in done.stderr
    new = site.denials()[before:]
    assert [(entry["actor"], entry["detail"]["by"]) for entry in new] == [("person:nemo", "person:nemo")]
    assert new[0]["detail"]["operation"].startswith("cli.")


def test_nothing_was_changed_by_all_these_attempts(site: Site) -> None:
    """After the commands above, in whatever order they were run."""
    rows = site.database(
        lambda c: c.fetchrow(
            """SELECT (SELECT state FROM hilum.work_item) AS item, (SELECT state FROM hilum.replay_job) AS job,
                      (SELECT ended_at FROM hilum.break_glass) AS ended, (SELECT lift_asked_by FROM hilum.legal_hold) AS asked,
                      (SELECT string_agg(id || state, ',') FROM hilum.account) AS accounts"""
        )
    )
    assert tuple(rows) == ("open", "queued", None, None, "ritaactive")
    assert not list(site.folder.glob("*.jsonl")) + list(site.folder.glob("*.zip")) + list(site.folder.glob("*.pem"))


def test_the_same_commands_show_their_content_to_whom_the_policies_allow_it(site: Site) -> None:
    """So that the refusals above are the policies' and no accident of the arguments."""
    for command, content in {
        "queue list": "KNEE-99", "queue show": "Add it.", "replay list": "person:ada", "replay show": "mapping corrected",
        "break-glass list": "charges stuck", "hold list": "Rivera", "account list": "rita", "audit list": "cli.queue.list",
        "status": "KNEE-99",
    }.items():  # fmt: skip
        shown = site.gives(command, DECIDED[command], who="ada")
        assert content in shown.stdout, f"{command}: {shown.output}"


def test_an_estate_of_ones_own_makes_nobody_administrator_of_the_one_that_runs(site: Site) -> None:
    own = site.folder / "own"
    own.mkdir(exist_ok=True)
    (own / "estate.toml").write_text('[estate]\nname = "small"\n[terminal]\nroles = ["administrator"]\n')
    done = site.gives("trace", f"U-1 --estate {own}")
    assert (done.exit_code, done.stdout) == (1, "") and "may not search this Thread" in done.stderr
