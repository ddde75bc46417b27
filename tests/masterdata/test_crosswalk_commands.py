"""`hilum crosswalk`: a steward at the terminal, on a real database."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import asyncpg
import pytest
from typer.testing import CliRunner

from hilum.authoring.estate import CrosswalkSpec, Estate
from hilum.cli.crosswalk import crosswalk_app
from hilum.masterdata.crosswalks import Crosswalks

HEADER = "code,target,facility,valid_from,valid_to\n"


@pytest.fixture
def steward(database_url, tmp_path):
    """A terminal beside an estate with one crosswalk, already loaded."""
    (tmp_path / "items.csv").write_text("item\nKNEE-98\nKNEE-99\n")
    (tmp_path / "charges.csv").write_text(HEADER + "IMP-1,KNEE-98,,,\n")
    estate = Estate(root=tmp_path, name="lakeshore", facilities={"ST-MARY": "St. Mary"})
    estate.crosswalks["charges"] = CrosswalkSpec(
        name="charges", file="charges.csv", source="ehr", target="erp", owner="supply-chain", targets="items.csv:item"
    )

    async def load():
        async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
            await Crosswalks(pool, lambda: datetime.now(UTC)).sync_tables(estate)

    asyncio.run(load())

    def run(*arguments: str, exit_code: int = 0):
        result = CliRunner().invoke(crosswalk_app, [*arguments, "--database-url", database_url])
        assert result.exit_code == exit_code, result.output
        return result

    return run


def test_a_decision_is_shown_and_listed(steward):
    decided = json.loads(steward("set", "charges", "IMP-2", "KNEE-99", "--by", "grace", "--json").output)
    assert decided[0]["target"] == "KNEE-99" and decided[0]["changed_by"] == "person:grace"
    listed = json.loads(steward("list", "charges", "--json").output)
    assert [(e["code"], e["target"], e["origin"]) for e in listed] == [
        ("IMP-1", "KNEE-98", "table"),
        ("IMP-2", "KNEE-99", "steward"),
    ]
    assert "IMP-2" in steward("list").output


def test_a_target_that_does_not_exist_is_refused(steward):
    result = steward("set", "charges", "IMP-2", "KNEE-77", exit_code=1)
    assert "'KNEE-77' is not in items.csv:item" in result.output
    assert "there is no crosswalk 'chargs'" in steward("list", "chargs", exit_code=1).output


def test_a_decision_is_retired(steward):
    steward("set", "charges", "IMP-1", "KNEE-99", "--by", "grace")
    ended = json.loads(steward("retire", "charges", "IMP-1", "--last-day", "2026-11-20", "--json").output)
    assert ended[0]["valid_to"] == "2026-11-20"
    assert "no date" in steward("retire", "charges", "IMP-1", "--last-day", "yesterday", exit_code=2).output


def test_the_export_is_the_estates_table_with_what_was_decided(steward, tmp_path):
    steward("set", "charges", "IMP-1", "KNEE-99", "--valid-from", "2026-11-21")
    expected = HEADER + "IMP-1,KNEE-98,,,2026-11-20\nIMP-1,KNEE-99,,2026-11-21,\n"
    assert steward("export", "charges").output == expected
    steward("export", "charges", "--out", str(tmp_path / "charges.csv"))
    assert (tmp_path / "charges.csv").read_text() == expected


def test_without_a_platform_the_terminal_says_so(tmp_path):
    result = CliRunner().invoke(crosswalk_app, ["list", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "no platform" in result.output
