"""The supervisor: what it started is started again when it dies, and no argument tells the machine a password."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from hilum.runtime.supervisor import NotStarted, Supervisor, running_platform
from hilum.store.postgres_server import EmbeddedPostgres, running_url

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"


def test_a_database_whose_launcher_was_killed_is_started_again(tmp_path: Path) -> None:
    told: list[str] = []
    with EmbeddedPostgres(tmp_path / "postgres") as database:
        supervisor = Supervisor([], {}, tmp_path / "logs", on_event=told.append, database=database)
        assert database._process is not None
        database._process.send_signal(signal.SIGKILL)
        database._process.wait()
        deadline = time.monotonic() + 60
        while not database.running and time.monotonic() < deadline:
            supervisor.watch()
            time.sleep(0.1)
        assert running_url(tmp_path / "postgres") == database.url
        assert told[0] == "the database ended; starting it again"


def test_the_database_url_of_a_platform_stands_in_no_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Refused:
        returncode, stderr, stdout = 1, "refused", ""

    def ran(command: list[str], **_: object) -> Refused:
        commands.append(command)
        return Refused()

    monkeypatch.setattr("hilum.runtime.supervisor.subprocess.run", ran)
    url = "postgresql://hilum:secret@127.0.0.1:1/hilum"
    with (
        pytest.raises(NotStarted),
        running_platform(estate=LAKESHORE, data=tmp_path, database_url=url, overlay=None, tower_port=0),
    ):
        pass
    assert commands and "secret" not in str(commands)
