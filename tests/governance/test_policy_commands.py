"""`hilum policy` and `hilum break-glass` at a terminal, and what the terminal's person may do by the policies in force."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from hilum.authoring.caller import Caller
from hilum.cli import permission
from hilum.cli.break_glass import break_glass_app
from hilum.cli.crosswalk import crosswalk_app
from hilum.cli.policy import policy_app
from hilum.cli.queue import queue_app
from hilum.cli.replay import replay_app
from hilum.governance.check import check_estate
from hilum.runtime import work_items
from hilum.runtime.policy_versions import in_force, put_in_force
from hilum.security.policies import Policies
from hilum.store.pool import open_pool

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"

app = typer.Typer()
app.add_typer(policy_app, name="policy")
app.add_typer(break_glass_app, name="break-glass")
app.add_typer(queue_app, name="queue")
app.add_typer(replay_app, name="replay")
app.add_typer(crosswalk_app, name="crosswalk")


class Site:
    """A copy of Lakeshore's policies in a small estate, a database in which they are in force, and people at a terminal."""

    def __init__(self, root: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.url = root, url
        self.data = root / "data"
        self._monkeypatch = monkeypatch
        (root / "data").mkdir()
        shutil.copytree(LAKESHORE / "policies", root / "policies")
        (root / "estate.toml").write_text(
            '[estate]\nname = "small"\n[facilities.ST-MARY]\nname = "St. Mary"\n[facilities.HARBOR-VIEW]\nname = "Harbor View"\n'
            '[owners]\ncompliance = "Compliance"\n[queues.privacy]\nowner = "compliance"\n'
            '[terminal]\nroles = ["operator"]\n'
            'people.ada = ["administrator"]\npeople.bea = ["administrator"]\npeople.carl = ["compliance-auditor"]\n'
        )
        (self.data / "runtime.json").write_bytes(orjson.dumps({"estate": str(root)}))
        self.database(lambda c: put_in_force(c, self.policies, estate="small", now=datetime(2026, 11, 21, tzinfo=UTC)))

    @property
    def policies(self) -> Policies:
        return Policies({f"policies/{f.name}": f.read_text() for f in (self.root / "policies").glob("*.cedar*")})

    def database(self, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
        async def done() -> Any:
            pool = await open_pool(self.url, min_size=1, max_size=1, application_name="test")
            try:
                async with pool.acquire() as connection, connection.transaction():
                    return await work(connection)
            finally:
                await pool.close()

        return asyncio.run(done())

    def gives(self, who: str, *command: str, exit_code: int = 0) -> Result:
        self._monkeypatch.setattr(permission, "login", lambda: who)
        result = CliRunner().invoke(
            app,
            [*command, "--data", str(self.data)],
            env={"HILUM_DATABASE_URL": self.url, "HILUM_ESTATE": str(self.root), "COLUMNS": "200", "HILUM_ACTOR": ""},
        )
        assert result.exit_code == exit_code, f"{result.output}\n{result.exception!r}"
        return result

    def entries(self, action: str) -> list[dict[str, Any]]:
        rows = self.database(lambda c: c.fetch("SELECT entry FROM hilum.audit_entry ORDER BY shard, seq"))
        return [entry for row in rows if (entry := orjson.loads(row["entry"]))["action"] == action]

    def waits(self, queue: str) -> int:
        now = datetime(2026, 11, 21, tzinfo=UTC)
        found = work_items.Exceptional(queue, f"Cause:{queue}", "Something waits", "Decide.", 24, "c/x/1", Decimal(5))
        return self.database(lambda c: work_items.join(c, found, now=now, actor="system:test"))


@pytest.fixture
def site(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, database_url, monkeypatch)


def asked(*command: str, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(command), env={"COLUMNS": "200"})
    assert result.exit_code == exit_code, f"{result.output}\n{result.exception!r}"
    return result


# --- test and explain --------------------------------------------------------------------------------------------


def test_lakeshores_table_tests_hold_at_the_terminal(site: Site):
    told = orjson.loads(asked("policy", "test", str(site.root), "--json").stdout)
    assert told["tests"] > 130 and told["failed"] == told["unreadable"] == told["warnings"] == []


def test_a_row_the_policies_decide_otherwise_fails_with_place_and_reason(site: Site):
    rows = site.root / "policies" / "tests" / "work.csv"
    rows.write_text(rows.read_text() + "rick,read,Order,facility=ST-MARY,allowed,He would like to\n")
    line = len(rows.read_text().splitlines())

    shown = asked("policy", "test", str(site.root), exit_code=1).output
    assert f"policies/tests/work.csv:{line}" in shown and "He would like to" in shown
    assert "rick may not read this Order: no policy permits it" in shown

    problems = [p for p in check_estate(site.root).problems if p.where == f"policies/tests/work.csv:{line}"]
    assert "The table expects it to be allowed" in problems[0].what


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("zoe,read,Order,,denied,", "there is no caller 'zoe'"),
        ("rick,raed,Order,,denied,", "did you mean 'read'"),
        ("rick,read,Order,suplier=X,denied,", "did you mean 'supplier'"),
        ("rick,read,Order,,maybe,", "neither allowed nor denied"),
        ("rick,read,Order", "it has 3 columns"),
    ],
)
def test_a_row_that_cannot_be_asked_is_told(site: Site, row: str, told: str):
    rows = site.root / "policies" / "tests" / "work.csv"
    rows.write_text(rows.read_text() + row + "\n")
    assert told in asked("policy", "test", str(site.root), exit_code=1).output


def test_a_caller_with_a_setting_nobody_knows_is_told(site: Site):
    callers = site.root / "policies" / "callers.toml"
    callers.write_text(callers.read_text() + '\n[zoe]\nrole = ["supplier"]\n')
    assert "`zoe.role` cannot be used" in asked("policy", "test", str(site.root), exit_code=1).output


def test_a_misspelled_policy_refuses_the_estate_with_its_line(site: Site):
    file = site.root / "policies" / "suppliers.cedar"
    file.write_text(file.read_text().replace("resource.supplier ==", "resource.suplier =="))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "suplier" in text)
    problems = check_estate(site.root).problems
    assert any(p.where == f"policies/suppliers.cedar:{line}" and "`suplier`" in p.what for p in problems)


def test_explain_names_policy_place_and_reason(site: Site):
    command = ("policy", "explain", "ana", "read Order supplier=MEDLINE facility=ST-MARY", "--estate", str(site.root))
    told = orjson.loads(asked(*command, "--json").stdout)
    assert told["allowed"] and told["by"][0]["id"] == "accounts-payable-looks"
    assert told["by"][0]["where"].startswith("policies/business.cedar:")
    assert "compares invoices with orders" in asked(*command).output

    denied = ("policy", "explain", "mia", "read Order supplier=STRYKER", "--estate", str(site.root))
    assert "supplier-own-records-only" in asked(*denied, exit_code=1).output
    near = ("policy", "explain", "rick", "approve Invoice amount_usd=5", "--estate", str(site.root))
    assert 'principal.roles.contains("executive")' in asked(*near, exit_code=1).output
    assert (
        "did you mean 'Order'"
        in asked("policy", "explain", "ana", "read Odrer", "--estate", str(site.root), exit_code=2).output
    )
    assert (
        "there is no caller 'zoe'"
        in asked("policy", "explain", "zoe", "read Order", "--estate", str(site.root), exit_code=2).output
    )


# --- the terminal's person ---------------------------------------------------------------------------------------


def test_whoever_may_not_release_is_told_why_and_the_denial_is_recorded(site: Site):
    item = site.waits("item-master")

    shown = site.gives("otto", "queue", "release", str(item), exit_code=1).output

    assert "person:otto may not release this WorkItem: no policy permits it" in shown
    assert site.database(lambda c: c.fetchval("SELECT state FROM hilum.work_item WHERE id = $1", item)) == "open"
    denied = site.entries("access.denial")[-1]
    assert (denied["actor"], denied["detail"]["operation"]) == ("person:otto", "cli.queue.release")
    assert denied["detail"]["policy_version"] == site.policies.version


def test_whoever_may_release_does(site: Site):
    item, other = site.waits("integration"), site.waits("item-master")
    site.gives("otto", "queue", "release", str(item))
    site.gives("ada", "queue", "release", str(other))
    assert not site.entries("access.denial")


def test_as_is_for_administrators_and_takes_the_others_roles(site: Site):
    item = site.waits("item-master")
    assert (
        "otto is no administrator"
        in site.gives("otto", "queue", "release", str(item), "--as", "ada", exit_code=1).output
    )
    assert "may not release" in site.gives("ada", "queue", "release", str(item), "--as", "otto", exit_code=1).output


def test_an_estate_file_that_cannot_be_read_gives_nobody_anything(site: Site):
    item = site.waits("integration")
    (site.root / "estate.toml").write_text("[terminal\n")
    site.gives("ada", "queue", "release", str(item), exit_code=1)


def test_crosswalks_and_replays_are_asked_about_too(site: Site):
    site.gives("otto", "crosswalk", "set", "device_to_item", "D-1", "KNEE-99", exit_code=1)
    site.gives("carl", "replay", "request", "m/1/1", "--reason", "curious", exit_code=1)
    operations = [entry["detail"]["operation"] for entry in site.entries("access.denial")]
    assert operations == ["cli.crosswalk.change", "cli.replay.request"]


# --- changes of the policies -------------------------------------------------------------------------------------


def test_a_changed_policy_is_recorded_with_what_it_was_and_who_approved_it(site: Site):
    before = site.policies.version
    file = site.root / "policies" / "business.cedar"
    file.write_text(file.read_text() + "\n// Read again in November.\n")

    asked_for = orjson.loads(site.gives("ada", "policy", "propose", "--json").stdout)
    assert "has a part in it" in site.gives("ada", "policy", "approve", str(asked_for["id"]), exit_code=1).output
    assert "no policy permits it" in site.gives("otto", "policy", "approve", str(asked_for["id"]), exit_code=1).output
    decided = orjson.loads(site.gives("bea", "policy", "approve", str(asked_for["id"]), "--json").stdout)
    assert (decided["state"], decided["digest"]) == ("approved", site.policies.version)

    now = datetime(2026, 11, 22, tzinfo=UTC)
    put = lambda c: put_in_force(c, site.policies, estate="small", now=now, approved_by=("person:bea",))  # noqa: E731
    assert site.database(put) is True and site.database(put) is False
    changed = site.entries("policy.changed")[-1]["detail"]
    assert changed == {
        "old": before, "new": site.policies.version, "changed": ["policies/business.cedar"], "approved_by": ["person:bea"],
    }  # fmt: skip
    assert site.database(in_force).files == site.policies.texts


def test_what_was_changed_after_it_was_proposed_is_not_approved(site: Site):
    asked_for = orjson.loads(site.gives("ada", "policy", "propose", "--json").stdout)
    file = site.root / "policies" / "business.cedar"
    file.write_text(file.read_text() + "\n// One more line.\n")
    assert "has changed since" in site.gives("bea", "policy", "approve", str(asked_for["id"]), exit_code=1).output


# --- broken glass and the review ---------------------------------------------------------------------------------


def test_a_grant_from_asking_to_review(site: Site):
    grant = orjson.loads(
        site.gives("otto", "break-glass", "ask", "--facility", "ST-MARY", "--reason", "stuck charges", "--json").stdout
    )
    assert grant["person"] == "person:otto" and grant["purpose"] == "emergency"
    assert "in force" in site.gives("otto", "break-glass", "list").output
    assert (
        "end it first"
        in site.gives("carl", "break-glass", "review", "1", "--justified", "--finding", "x", exit_code=1).output
    )

    site.gives("otto", "break-glass", "end", "1")
    review = orjson.loads(site.gives("ada", "policy", "review", "--json").stdout)
    assert review["break_glass_unreviewed"] == [1]
    assert review["policies"]["approved_by"] == []

    site.gives("carl", "break-glass", "review", "1", "--justified", "--finding", "as it says")
    assert orjson.loads(site.gives("ada", "policy", "review", "--json").stdout)["break_glass_unreviewed"] == []
    assert "may not list this Account" in site.gives("otto", "policy", "review", exit_code=1).output


def test_the_review_says_who_may_do_what_and_what_to_look_at(site: Site):
    (site.root / "services").mkdir()
    (site.root / "services" / "ap-bot.toml").write_text(
        'owner = "person:ana"\nroles = ["ap-analyst"]\nfacilities = ["ST-MARY", "ATLANTIS"]\naudience = ["erp"]\n'
        f'expires = {(datetime.now(UTC) - timedelta(days=3)).date()}\ncertificates = ["{"ab" * 32}"]\n'
    )
    site.database(
        lambda c: c.execute(
            "INSERT INTO hilum.account (id, roles, facilities, state, created_by, created_at, updated_at) VALUES "
            "('rita', '{revenue-analyst}', '{ST-MARY}', 'active', 'person:ada', now(), now()), "
            "('zoe', '{suplier}', '{}', 'active', 'person:ada', now(), now())"
        )
    )
    holders = {h["name"]: h for h in orjson.loads(site.gives("ada", "policy", "review", "--json").stdout)["holders"]}

    assert holders["rita"]["may"]["Charge"] == ["create", "list", "read", "search", "update"]
    assert holders["rita"]["sees"]["phi"][0].endswith("(payment)")
    assert "Posting" not in str(holders["rita"]["may"].get("PatientAccount", []))
    assert holders["rita"]["remarks"] == ["never used"]
    assert "has the role suplier, which no policy names" in holders["zoe"]["remarks"]
    bot = holders["ap-bot"]
    assert any(remark.startswith("expired on") for remark in bot["remarks"])
    assert "has the facility ATLANTIS, which the estate does not have" in bot["remarks"]
    assert "approve" not in {action for actions in bot["may"].values() for action in actions}
    assert "ap-bot" in site.gives("ada", "policy", "review").output


def test_the_operating_system_says_who_sits_at_the_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    real = permission.login()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "ada")
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert permission.login() == real
    caller = permission.terminal_caller(tmp_path)
    assert isinstance(caller, Caller) and caller.roles == {"administrator"} and caller.id == real
