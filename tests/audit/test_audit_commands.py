"""`hilum audit` at the terminal, on a real database."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hilum.audit.signing import Signer
from hilum.cli.audit import audit_app
from hilum.store.migrations import migrate
from hilum.store.postgres_server import EmbeddedPostgres


class Auditor:
    """Runs commands against the office's database and data directory."""

    def __init__(self, office: Any) -> None:
        self._at = ["--data", str(office.directory.parent), "--database-url", office.url]

    def runs(self, command: str, *arguments: object) -> Result:
        return CliRunner().invoke(audit_app, [command, *self._at, *(str(argument) for argument in arguments)])

    def offline(self, command: str, *arguments: object) -> Result:
        return CliRunner().invoke(
            audit_app, [command, *(str(argument) for argument in arguments)], env={"HILUM_DATA": "/nowhere"}
        )


@pytest.fixture
def kept(office: Any) -> Any:
    office.records(*(f"w/{number}" for number in range(1, 6)))
    office.sequences()
    return office


@pytest.fixture
def auditor(kept: Any) -> Auditor:
    return Auditor(kept)


def test_a_whole_log_exits_0(kept: Any, auditor: Auditor) -> None:
    result = auditor.runs("verify")
    assert result.exit_code == 0
    assert "Whole: 5 entries under 1 signed heads (newest of 5 leaves at 2026-11-21 08:00:01Z)." in result.stdout
    assert "Compared with 1 published heads." in result.stdout
    document = json.loads(auditor.runs("verify", "--json").stdout)
    assert document["whole"] is True and document["leaves"] == 5 and document["first_damage"] is None


def test_a_damaged_log_exits_1_and_names_the_first_damaged_entry(kept: Any, auditor: Auditor) -> None:
    kept.tampers("UPDATE hilum.audit_entry SET entry = 'garbled' WHERE seq >= 3")
    result = auditor.runs("verify")
    assert result.exit_code == 1
    assert "First: leaf 2, entry 3 of shard 0 (subject w/3) was changed" in result.stdout
    result = auditor.runs("verify", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["first_damage"]["subject"] == "w/3" and document["damage_count"] == 3


def test_an_export_is_verified_with_no_database(kept: Any, auditor: Auditor, tmp_path: Path) -> None:
    target = tmp_path / "log.jsonl.gz"
    result = auditor.runs("export", target)
    assert result.exit_code == 0, result.output
    assert "5 entries under 1 signed heads" in result.stdout
    key = kept.directory / "public-key.pem"
    assert auditor.offline("verify", "--export", target, "--public-key", key, "--heads", kept.heads_file).exit_code == 0
    alone = auditor.offline("verify", "--export", target)
    assert alone.exit_code == 0 and "give --public-key to know whose log it is" in alone.stdout
    Signer.open(tmp_path / "other")
    foreign = auditor.offline("verify", "--export", target, "--public-key", tmp_path / "other/public-key.pem", "--json")
    assert foreign.exit_code == 1 and json.loads(foreign.stdout)["first_damage"]["kind"] == "head-missing"


def test_a_proof_is_printed_and_verified_offline(kept: Any, auditor: Auditor, tmp_path: Path) -> None:
    by_leaf = auditor.runs("proof", "2", "--json")
    by_subject = auditor.runs("proof", "w/3", "--json")
    assert by_leaf.exit_code == 0 and by_leaf.stdout == by_subject.stdout
    assert "leaf 2, entry 3 of shard 0" in auditor.runs("proof", "w/3").stdout
    (tmp_path / "proof.json").write_text(by_leaf.stdout)
    key = kept.directory / "public-key.pem"
    proved = auditor.offline("verify", "--proof", tmp_path / "proof.json", "--public-key", key)
    assert proved.exit_code == 0 and "Proved: 1 entries" in proved.stdout
    document = json.loads(by_leaf.stdout)
    document[0]["leaf"] = 3
    (tmp_path / "proof.json").write_text(json.dumps(document))
    assert auditor.offline("verify", "--proof", tmp_path / "proof.json", "--public-key", key).exit_code == 1


def test_what_has_no_proof_exits_1(kept: Any, auditor: Auditor) -> None:
    kept.records("w/6")
    for what in ("5", "w/6", "w/unknown"):
        result = auditor.runs("proof", what)
        assert result.exit_code == 1
        assert "under a signed head" in result.stderr
    kept.tampers("UPDATE hilum.audit_entry SET entry = 'garbled' WHERE seq = 3")
    assert "is not leaf 2 under the signed root" in auditor.runs("proof", "w/3").stderr


def test_entries_are_listed(kept: Any, auditor: Auditor) -> None:
    result = auditor.runs("list", "--subject", "w/*", "--limit", "2", "--json")
    assert [found["subject"] for found in json.loads(result.stdout)] == ["w/4", "w/5"]
    listed = auditor.runs("list", "--action", "work_item.released", "--since", "2026-11-21T08:00:00Z")
    assert listed.exit_code == 0 and "w/1" in listed.stdout and "person:jdoe" in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["list", "--since", "yesterday"], "is not an ISO 8601 time"),
        (["verify"], "public key"),
        (["verify", "--export", "missing.jsonl"], "missing.jsonl"),
        (["verify", "--export", "a", "--proof", "b"], "not both"),
        (["verify", "--heads", "missing.jsonl"], "does not exist"),
        (["list"], "there is no platform in"),
    ],
)
def test_what_cannot_be_asked_exits_2(tmp_path: Path, arguments: list[str], reason: str) -> None:
    result = CliRunner().invoke(
        audit_app, arguments, env={"HILUM_DATA": str(tmp_path), "HILUM_DATABASE_URL": "", "COLUMNS": "300"}
    )
    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_platform_that_sleeps_or_was_killed_is_woken_to_be_asked(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        asyncio.run(migrate(server.url))
    for left_behind in ({}, {"database_url": server.url}):
        if left_behind:
            (tmp_path / "runtime.json").write_text(json.dumps(left_behind))
        result = CliRunner().invoke(audit_app, ["list", "--data", str(tmp_path), "--json"])
        assert result.exit_code == 0, result.output
        # The first look is on record by the time of the second.
        assert [e["entry"]["action"] for e in json.loads(result.stdout)] == ["access.search"] * bool(left_behind)
    (tmp_path / "runtime.json").write_text("garbled")
    result = CliRunner().invoke(audit_app, ["list", "--data", str(tmp_path)])
    assert result.exit_code == 2 and "restart the platform" in result.stderr


def test_an_unreachable_database_exits_2_without_repeating_its_password(tmp_path: Path) -> None:
    url = "postgresql://hilum:KNEE-99-secret@127.0.0.1:1/hilum"
    result = CliRunner().invoke(audit_app, ["list", "--data", str(tmp_path), "--database-url", url])
    assert result.exit_code == 2
    assert "the database does not answer" in result.stderr and "KNEE-99" not in result.output
