"""The commands of an analyst and an operator, given to the database of a morning that really ran."""

from __future__ import annotations

import asyncio
import getpass
import os
import pwd
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
import typer
from tests.sealing_parts import data_with_keys
from tests.tower.lakeshore_day import PATIENT, ROOT
from typer.testing import CliRunner, Result

from hilum.cli.queue import queue_app, release
from hilum.cli.replay import replay_app
from hilum.cli.status import status, system_app
from hilum.cli.trace import trace

app = typer.Typer()
app.command()(trace)
app.command()(status)
app.command()(release)
app.add_typer(queue_app, name="queue")
app.add_typer(replay_app, name="replay")
app.add_typer(system_app, name="system")

ESTATE = str(ROOT / "estates" / "lakeshore")


class Terminal:
    """Gives commands to one database and looks at what they left behind."""

    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self.data = data

    def gives(self, command: str, *, exit_code: int = 0) -> str:
        return self._result(command, exit_code).output

    def _result(self, command: str, exit_code: int) -> Result:
        result = CliRunner().invoke(
            app, command.split(" "),
            env={"HILUM_DATABASE_URL": self.url, "HILUM_DATA": str(self.data), "COLUMNS": "200", "HILUM_ACTOR": ""},
        )  # fmt: skip
        assert result.exit_code == exit_code, f"{result.output}\n{result.exception!r}"
        assert "Traceback" not in result.output
        return result

    def reads(self, command: str, *, exit_code: int = 0) -> Any:
        return orjson.loads(self._result(f"{command} --json", exit_code).stdout)

    def rows(self, query: str, *values: Any) -> list[Any]:
        async def fetched() -> list[Any]:
            connection = await asyncpg.connect(self.url, server_settings={"search_path": "hilum,public"})
            try:
                return [tuple(row) for row in await connection.fetch(query, *values)]
            finally:
                await connection.close()

        return asyncio.run(fetched())

    def recorded(self, action: str) -> list[dict[str, Any]]:
        entries = [orjson.loads(row[0]) for row in self.rows("SELECT entry FROM audit_entry ORDER BY shard, seq")]
        return [entry for entry in entries if entry["action"] == action]


@pytest.fixture
def terminal(morning_url: str, tmp_path: Path) -> Terminal:
    return Terminal(morning_url, data_with_keys(tmp_path / "data"))


def test_trace_prints_the_thread_from_bytes_to_documents(terminal: Terminal) -> None:
    shown = terminal.gives(f"trace U-1 --estate {ESTATE}")
    for part in (
        "implant_usage/U-1",
        "done",
        "DFT^P03 from ehr",
        "ImplantUsed v1",
        "known_item",
        "post_journal to erp",
        "journal 2026/118",
        "PO-5001",
        "CH-U-1",
        "system:deliveries",
    ):
        assert part in shown
    assert PATIENT["account"] not in shown


def test_trace_as_json_carries_every_part(terminal: Terminal) -> None:
    found = terminal.reads(f"trace U-5 --estate {ESTATE}")
    thread = found["threads"][0]
    assert (thread["state"], len(thread["steps"]), thread["case"]["flow"]) == ("done", 6, "implant_usage")
    assert thread["messages"][0]["sha256"] and thread["audit"] and thread["hops"]
    assert terminal.reads("trace NOBODY", exit_code=1)["total"] == 0


def test_trace_of_what_nobody_knows_says_so(terminal: Terminal) -> None:
    assert "nothing is known" in terminal.gives("trace U-4040", exit_code=1)


def test_trace_lists_when_there_are_too_many(terminal: Terminal) -> None:
    shown = terminal.gives(f"trace {PATIENT['account']} --limit 2")
    assert "leads to 8 threads" in shown and "c/implant_usage/U-1" in shown and PATIENT["account"] not in shown


def test_the_queue_lists_what_waits_with_its_money(terminal: Terminal) -> None:
    shown = terminal.gives("queue")
    assert "Unknown item: IMP-9999" in shown and "$11,300.00" in shown
    assert [item["queue"] for item in terminal.reads("queue")] == ["item-master", "purchasing", "refusals"]
    assert [item["queue"] for item in terminal.reads("queue list --queue purchasing")] == ["purchasing"]
    assert "Nothing waits for a person in conflicts." in terminal.gives("queue list --queue conflicts")


def test_showing_an_item_says_what_to_do_and_who_waits(terminal: Terminal) -> None:
    shown = terminal.gives("queue show 2")
    assert "hilum crosswalk set" in shown and "c/implant_usage/U-2" in shown and "c/implant_usage/U-3" in shown
    assert "there is no work item 99" in terminal.gives("queue show 99", exit_code=1)


def test_an_item_is_assigned_and_the_log_says_by_whom(terminal: Terminal) -> None:
    assert terminal.gives("queue assign 2 maria --as sam").strip() == "Work item 2 is with maria."
    assert terminal.rows("SELECT assignee FROM work_item WHERE id = 2") == [("maria",)]
    entry = terminal.recorded("work.assigned")[0]
    by = f"person:{getpass.getuser()}"  # Whoever --as names: this is whose login it was done through.
    assert (entry["actor"], entry["subject"]) == ("person:sam", "w/2")
    assert entry["detail"] == {"assignee": "maria", "by": by}


def test_releasing_an_item_lets_all_its_cases_go_on_in_the_name_of_who_released_it(terminal: Terminal) -> None:
    assert "Released 2 cases" in terminal.gives("queue release 2 --as maria")
    states = terminal.rows(
        "SELECT id, state FROM flow_case WHERE id = ANY($1) ORDER BY id", ["implant_usage/U-2", "implant_usage/U-3"]
    )
    assert states == [("implant_usage/U-2", "ready"), ("implant_usage/U-3", "ready")]
    assert {(e["actor"], e["subject"]) for e in terminal.recorded("work.released")} == {
        ("person:maria", "c/implant_usage/U-2"), ("person:maria", "c/implant_usage/U-3"), ("person:maria", "w/2"),
    }  # fmt: skip
    assert "was released by person:maria" in terminal.gives("queue release 2", exit_code=1)
    story = terminal.gives("trace U-2")
    assert "Released from work item 2" in story and "person:maria" in story


def test_releasing_one_case_leaves_the_others_waiting(terminal: Terminal) -> None:
    assert "Released c/implant_usage/U-2" in terminal.gives("release 2 --case implant_usage/U-2")
    assert terminal.rows("SELECT state, at_risk_usd::text FROM work_item WHERE id = 2") == [("open", "5100.00")]
    assert terminal.recorded("work.released")[0]["actor"] == f"person:{getpass.getuser()}"
    assert "does not wait in work item 2" in terminal.gives("release 2 --case implant_usage/U-1", exit_code=1)


def test_a_released_feed_event_is_sent_again(terminal: Terminal) -> None:
    subject = terminal.reads("queue show 1")["waiting"][0]["subject"]
    assert subject == "f/accounts_to_billing/1/2"
    terminal.gives(f"queue release 1 --case {subject}")
    assert terminal.rows("SELECT state FROM feed_parked") == [("ready",)]


def test_a_skip_needs_a_reason_and_keeps_it(terminal: Terminal) -> None:
    terminal.gives("queue skip 4", exit_code=2)
    assert terminal.rows("SELECT state FROM work_item WHERE id = 4") == [("open",)]
    assert "Skipped c/implant_usage/U-4" in terminal.gives("queue skip 4 --reason duplicate-entry --as maria")
    assert terminal.rows("SELECT state FROM flow_case WHERE id = 'implant_usage/U-4'") == [("skipped",)]
    assert terminal.recorded("work.skipped")[0]["detail"]["reason"] == "duplicate-entry"
    assert ("skipped", "duplicate-entry") in [(i["state"], i["reason"]) for i in terminal.reads("queue all")]


def test_status_says_how_it_stands(terminal: Terminal) -> None:
    shown = terminal.gives(f"status --estate {ESTATE}")
    for part in (
        "Something waits",
        "erp",
        "away",
        "implant_usage",
        "accounts_to_billing",
        "$12,180.00 at risk",
        "worker-1",
        "under the head of",
    ):
        assert part in shown
    seen = terminal.reads("status")
    assert (seen["verdict"], seen["totals"]["items"], seen["flows"][0]["cases"]["waiting"]) == ("waiting", 3, 3)


def test_status_says_what_each_place_of_published_heads_lacks(terminal: Terminal) -> None:
    terminal.rows(
        """INSERT INTO hilum.head_publication (place, size, tried_at, problem)
           VALUES ('file:/mnt/worm/heads.jsonl', NULL, now(), 'the disk is full') RETURNING place"""
    )
    shown = terminal.gives("status")
    assert "file:/mnt/worm/heads.jsonl: no head there yet" in shown and "entries not there yet" in shown
    assert "the disk is full" in shown
    (place,) = terminal.reads("status")["audit"]["published"]
    audit = terminal.reads("status")["audit"]
    assert place["unpublished"] == audit["size"] + audit["pending"] > 0


def test_who_decided_is_who_the_machine_says_and_not_the_environment(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    terminal.gives("queue release 1")
    assert terminal.recorded("work.released")[0]["actor"] == f"person:{pwd.getpwuid(os.getuid()).pw_name}"


def test_status_of_a_platform_without_a_worker_is_broken(database_url: str, tmp_path: Path) -> None:
    shown = Terminal(database_url, tmp_path).gives("status", exit_code=1)
    assert "Something is broken" in shown and "No worker has run" in shown


def test_a_system_is_held_and_resumed_by_a_person(terminal: Terminal) -> None:
    terminal.gives("system hold stock --as ops")
    assert terminal.rows("SELECT held FROM breaker WHERE system = 'stock'") == [(True,)]
    assert "held" in terminal.gives("status")
    terminal.gives("system resume stock --as ops")
    assert terminal.rows("SELECT held FROM breaker WHERE system = 'stock'") == [(False,)]
    assert [e["actor"] for e in terminal.recorded("system.held") + terminal.recorded("system.resumed")] == [
        "person:ops",
        "person:ops",
    ]
    assert "there is no system warehouse" in terminal.gives("system hold warehouse", exit_code=1)


def test_a_replay_is_a_dry_run_unless_told_otherwise(terminal: Terminal) -> None:
    job = terminal.reads("replay request m/1/3 --reason audit --as ops")["job"]
    assert (job["dry_run"], job["state"], job["selection"], job["actor"]) == (
        True,
        "queued",
        {"subject": "m/1/3"},
        "person:ops",
    )
    real = terminal.reads("replay request --system ehr --status refused --go --rate 5 --reason corrected")["job"]
    assert (real["dry_run"], real["rate_per_second"], real["selection"]) == (
        False,
        5.0,
        {"system": "ehr", "status": "refused"},
    )
    assert [j["id"] for j in terminal.reads("replay list")] == [real["id"], job["id"]]
    assert "for real" in terminal.gives("replay list")


def test_a_replay_is_cancelled_once(terminal: Terminal) -> None:
    job = terminal.reads("replay request e/1/3 --reason audit")["job"]["id"]
    assert "is cancelled" in terminal.gives(f"replay cancel {job} --as ops")
    assert "has ended" in terminal.gives(f"replay cancel {job}", exit_code=1)
    assert terminal.reads(f"replay show {job}")["job"]["state"] == "cancelled"
    assert terminal.recorded("replay.cancelled")[0]["actor"] == "person:ops"
    terminal.gives("replay show 99", exit_code=1)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("replay request --reason audit", "Say what to replay"),
        ("replay request U-1 --reason audit", "no address of a message"),
        ("replay request m/1/3 --system ehr --reason audit", "not both"),
        ("replay request --system ehr --since yesterday --reason audit", "not an ISO 8601 time"),
    ],
)
def test_a_replay_that_says_too_little_or_too_much_is_refused(terminal: Terminal, command: str, said: str) -> None:
    assert said in terminal.gives(command, exit_code=2)
    assert terminal.rows("SELECT * FROM replay_job") == []


def test_without_a_platform_every_command_says_where_it_looked(tmp_path: Path) -> None:
    for command in (["trace", "U-1"], ["queue"], ["status"], ["replay", "list"]):
        result = CliRunner().invoke(app, [*command, "--data", str(tmp_path / "none")], env={"HILUM_DATABASE_URL": None})
        assert result.exit_code == 2 and "there is no platform" in result.output
