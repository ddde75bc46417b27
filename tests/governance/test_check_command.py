"""`hilum check` at the terminal: its exit code, its words and its JSON."""

from __future__ import annotations

import json

import pytest
import typer
from tests.governance.conftest import CONNECTORS
from typer.testing import CliRunner

from hilum.cli.check import check_command


@pytest.fixture
def check():
    app = typer.Typer()
    app.command()(check_command(CONNECTORS))

    def run(*arguments: object):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


def test_an_accepted_estate_exits_0_and_says_what_it_has(check, lakeshore):
    result = check(lakeshore)
    assert result.exit_code == 0
    assert "lakeshore is governed" in result.output
    assert "mappings" in result.output


def test_a_refused_estate_exits_1_and_says_where_and_what_to_do(check, estate):
    estate.changes("tables/charge_code_to_item.csv", "IMP-1001,KNEE-99", "IMP-1001,KNEE-9")
    result = check(estate.root)
    assert result.exit_code == 1
    assert "tables/charge_code_to_item.csv:2" in result.output
    assert "points IMP-1001 to KNEE-9" in result.output
    assert "Add the target there or correct it here." in result.output


def test_json_has_the_report_and_the_catalogue(check, lakeshore):
    result = check(lakeshore, "--json")
    document = json.loads(result.output)
    assert result.exit_code == 0
    assert document["accepted"] is True and document["problems"] == []
    assert {"implant_usage", "archive_evidence"} <= {flow["name"] for flow in document["catalogue"]["flows"]}
    assert document["schemas"]["ImplantUsed"]["x-hilum-version"] == 1


def test_json_of_a_refused_estate_has_its_problems(check, estate):
    estate.removes("estate.toml")
    result = check(estate.root, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["problems"] == [
        {"where": "estate.toml", "what": "The file is missing.", "do": "Create it; an estate begins with it."}
    ]


def test_a_new_sample_is_accepted_by_writing_what_is_expected_of_it(check, estate):
    expected = estate.root / "samples" / "implants_charged.expected.json"
    before = expected.read_text()
    estate.removes("samples/implants_charged.expected.json")
    assert check(estate.root).exit_code == 1

    result = check(estate.root, "--accept-samples")
    assert result.exit_code == 0
    assert "wrote samples/implants_charged.expected.json" in result.output
    assert expected.read_text() == before
    assert "wrote" not in check(estate.root, "--accept-samples").output
