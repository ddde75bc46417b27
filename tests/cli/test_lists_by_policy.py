"""Lists at the terminal show what the policies leave: by queue, by facility, by whose it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from tests.governance import test_policy_commands as commands
from tests.governance.test_policy_commands import Site

from hilum.cli.account import account_app
from hilum.cli.retention import hold_app
from hilum.cli.status import status
from hilum.runtime.policy_versions import put_in_force

HERE = 'resource has facility && resource.facility == "ST-MARY"'
THEIRS = "resource has author && resource.author == principal.actor"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    app = typer.Typer()
    for group in commands.app.registered_groups:
        app.registered_groups.append(group)
    app.add_typer(hold_app, name="hold")
    app.add_typer(account_app, name="account")
    app.command("status")(status)
    monkeypatch.setattr(commands, "app", app)
    return Site(tmp_path, database_url, monkeypatch)


def only(site: Site, resource: str, condition: str) -> None:
    """Put policies in force by which everybody sees of ``resource`` what meets the condition, and nothing else."""
    for file in (site.root / "policies").glob("*.cedar"):
        file.unlink()
    (site.root / "policies" / "one.cedar").write_text(
        f'@id("one")\n@because("A test.")\npermit (principal, action in Hilum::Action::"looking", resource is Hilum::{resource})\n'
        f"when {{ {condition} }};\n"
    )
    site.database(lambda c: put_in_force(c, site.policies, estate="small", now=NOON))


def listed(site: Site, *command: str) -> list[dict[str, Any]]:
    return orjson.loads(site.gives("otto", *command, "--json").stdout)


def test_an_analyst_sees_the_queues_that_are_theirs(site: Site) -> None:
    """By Lakeshore's own policies: supply chain analysts work the item master and not the integration queue."""
    estate = site.root / "estate.toml"
    estate.write_text(f'{estate.read_text()}people.otto = ["supply-chain-analyst"]\n')
    theirs, other = site.waits("item-master"), site.waits("integration")
    assert [item["id"] for item in listed(site, "queue", "list")] == [theirs]
    assert [item["id"] for item in listed(site, "queue", "all")] == [theirs]
    assert f"Work item {theirs}" in site.gives("otto", "queue", "show", str(theirs)).output
    refused = site.gives("otto", "queue", "show", str(other), exit_code=1)
    assert refused.stdout == "" and "may not read this WorkItem" in refused.stderr
    seen = orjson.loads(site.gives("otto", "status", "--json", exit_code=1).stdout)  # 1: no worker runs here.
    assert [line["id"] for line in seen["queue"]] == [theirs] and set(seen["queues"]) == {"item-master"}
    assert seen["totals"]["items"] == 1


@pytest.mark.parametrize(("condition", "shown"), [(HERE, ["ST-MARY"]), (THEIRS, ["HARBOR-VIEW"])], ids=["place", "own"])
def test_grants_are_filtered_before_they_are_counted(site: Site, condition: str, shown: list[str]) -> None:
    site.database(
        lambda c: c.execute(
            """INSERT INTO hilum.break_glass (person, reason, purpose, facility, granted_at, expires_at)
               VALUES ('person:rita', 'stuck', 'emergency', 'ST-MARY', now(), now() + interval '1 hour'),
                      ('person:otto', 'stuck', 'emergency', 'HARBOR-VIEW', now(), now() + interval '1 hour'),
                      ('person:rita', 'stuck', 'emergency', 'NORTH-POINT', now(), now() + interval '1 hour')"""
        )
    )
    only(site, "BreakGlass", condition)
    assert [grant["facility"] for grant in listed(site, "break-glass", "list", "--limit", "1")] == shown


@pytest.mark.parametrize(("condition", "shown"), [(HERE, ["ST-MARY"]), (THEIRS, [None])], ids=["place", "own"])
def test_holds_are_filtered(site: Site, condition: str, shown: list[str | None]) -> None:
    site.database(
        lambda c: c.execute(
            """INSERT INTO hilum.legal_hold (facility, from_at, reason, placed_by, placed_at)
               VALUES ('ST-MARY', NULL, 'dispute', 'person:ada', now()), ('HARBOR-VIEW', NULL, 'dispute', 'person:ada', now()),
                      (NULL, now(), 'dispute', 'person:otto', now())"""
        )
    )
    only(site, "AuditLog", condition)
    assert [hold["facility"] for hold in listed(site, "hold", "list")] == shown


def test_replays_are_filtered_and_one_is_read_by_whose_it_is(site: Site) -> None:
    site.database(
        lambda c: c.execute(
            """INSERT INTO hilum.replay_job (selection, dry_run, rate_per_second, actor, reason, created_at, updated_at)
               SELECT '{"system": "ehr"}', true, 5, actor, 'mended', now(), now()
                 FROM unnest(ARRAY['person:otto', 'person:ada', 'person:ada']) AS actor"""
        )
    )
    only(site, "Replay", THEIRS)
    assert [job["id"] for job in listed(site, "replay", "list", "--limit", "1")] == [1]
    assert listed(site, "replay", "show", "1")["job"]["actor"] == "person:otto"  # type: ignore[call-overload]
    assert site.gives("otto", "replay", "show", "2", exit_code=1).stdout == ""
    assert "may not read this Replay" in site.gives("otto", "replay", "show", "77", exit_code=1).stderr


def test_accounts_are_filtered_by_their_bonds(site: Site) -> None:
    site.database(
        lambda c: c.execute(
            """INSERT INTO hilum.account (id, supplier, state, created_by, created_at, updated_at)
               VALUES ('mia', 'ORTHOVIA', 'active', 'person:ada', now(), now()), ('zoe', NULL, 'active', 'person:otto', now(), now())"""
        )
    )
    only(site, "Account", 'resource has supplier && resource.supplier == "ORTHOVIA"')
    assert [account["id"] for account in listed(site, "account", "list")] == ["mia"]
    only(site, "Account", THEIRS)
    assert [account["id"] for account in listed(site, "account", "list")] == ["zoe"]


def test_crosswalk_entries_are_filtered_and_exported_no_further(site: Site) -> None:
    site.database(
        lambda c: c.execute(
            """INSERT INTO hilum.crosswalk (name, source, target, owner, facilities, targets, synced_at)
               VALUES ('device_to_item', 'stock', 'erp', 'supply-chain', '{ST-MARY,HARBOR-VIEW}', '', now())"""
        )
    )
    for facility, code in (("ST-MARY", "D-1"), ("HARBOR-VIEW", "D-2"), ("", "D-3")):
        where = ("--facility", facility) if facility else ()
        site.gives("ada", "crosswalk", "set", "device_to_item", code, "KNEE-99", *where)
    only(site, "Crosswalk", HERE)
    assert [entry["code"] for entry in listed(site, "crosswalk", "list")] == ["D-1"]
    exported = site.gives("otto", "crosswalk", "export", "device_to_item").stdout
    assert "D-1" in exported and "D-2" not in exported and "D-3" not in exported
