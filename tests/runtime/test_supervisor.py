"""The supervisor: what it started is started again when it dies, and no argument tells the machine a password."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from hilum.runtime.supervisor import NotStarted, Role, Supervisor, running_platform
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


def test_who_comes_back_listens_where_it_did_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[list[str]] = []

    class Dies:
        def __init__(self, command: list[str], **_: object) -> None:
            launched.append(command[command.index("serve") + 1 :])

        def poll(self) -> int:
            return -9

    monkeypatch.setattr("hilum.runtime.supervisor.subprocess.Popen", Dies)
    gateway = Role("gateway", ["gateway", "--port", "0", "--data", str(tmp_path)])
    supervisor = Supervisor([gateway, Role("tower", ["tower", "--port", "8700"])], {}, tmp_path / "logs")
    supervisor.start()
    (tmp_path / "ready-gateway.json").write_text('{"pid":7,"address":"http://127.0.0.1:36685/"}')
    (tmp_path / "ready-tower.json").write_text('{"pid":8,"address":"http://127.0.0.1:8700/"}')
    assert supervisor.start_again() == ["gateway", "tower"]
    assert [each[2] for each in launched] == ["0", "8700", "36685", "8700"]
    assert gateway.arguments[2] == "0"
    gateway.restarts = 2  # It died young there too: somebody else may have the port by now.
    supervisor._start(gateway)
    assert launched[-1][2] == "0"
