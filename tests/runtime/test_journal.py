"""What runtime/journal.py relies on in DBOS: a new release of the library has to pass here before it is taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from dbos import DBOS
from dbos._dbos import _get_dbos_instance
from sqlalchemy import text

from hilum.runtime.claims import DEAD_AFTER_SECONDS
from hilum.runtime.journal import SCHEMA, Journal, JsonSerializer


class Runs:
    """What the one workflow does, and how often each of its steps did something."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.fails = False
        self.waits: threading.Event | None = None

    def __call__(self, case_id: str) -> str:
        for name in ("first", "second", "third"):
            if name == "second" and self.waits is not None:
                self.waits.wait(20)
            outcome = DBOS.run_step({"name": name}, self._step, name)
            if "failed" in outcome:
                return "waiting"
        return "done"

    def _step(self, name: str) -> dict[str, object]:
        self.steps.append(name)
        if self.fails and name == "second":
            return {"failed": True, "step": DBOS.step_id}
        return {"ok": name, "step": DBOS.step_id}


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def journal(database_url: str, runs: Runs) -> Iterator[Journal]:
    opened = Journal(database_url, "worker-1", "1", 4)
    opened.open(runs)
    try:
        yield opened
    finally:
        if runs.waits is not None:
            runs.waits.set()
        opened.close()


def sql(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description is not None else []


def until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def status(url: str, case_id: str = "C-1") -> object:
    [[found]] = sql(url, f"SELECT status FROM {SCHEMA}.workflow_status WHERE workflow_uuid = '{case_id}'")
    return found


def test_a_case_that_is_started_again_does_not_run_again(journal: Journal, runs: Runs, database_url: str) -> None:
    for _ in range(3):
        journal.start("C-1")
    until(lambda: status(database_url) == "SUCCESS")
    journal.start("C-1")
    time.sleep(0.3)
    assert runs.steps == ["first", "second", "third"]


def test_a_case_is_rewound_in_place_and_keeps_what_came_before_the_step(
    journal: Journal, runs: Runs, database_url: str
) -> None:
    runs.fails = True
    journal.start("C-1")
    until(lambda: status(database_url) == "SUCCESS")
    assert runs.steps == ["first", "second"]
    [[step]] = sql(database_url, f"SELECT function_id FROM {SCHEMA}.operation_outputs WHERE function_name = 'second'")
    runs.fails = False
    journal.rewind("C-1", int(str(step)))
    until(lambda: runs.steps == ["first", "second", "second", "third"])
    until(lambda: status(database_url) == "SUCCESS")
    assert sql(database_url, f"SELECT count(*) FROM {SCHEMA}.workflow_status") == [(1,)]


def test_the_step_tells_its_own_number_by_which_it_can_be_rewound(
    journal: Journal, runs: Runs, database_url: str
) -> None:
    journal.start("C-1")
    until(lambda: status(database_url) == "SUCCESS")
    rows = sql(database_url, f"SELECT function_id, output FROM {SCHEMA}.operation_outputs ORDER BY function_id")
    told = [JsonSerializer().deserialize(str(output))["step"] for _, output in rows]
    assert told == [function_id for function_id, _ in rows] == [1, 2, 3]


def test_a_case_that_runs_is_not_rewound(journal: Journal, runs: Runs, database_url: str) -> None:
    runs.waits = threading.Event()
    journal.start("C-1")
    until(lambda: runs.steps == ["first"])
    with pytest.raises(Exception, match="terminal"):
        journal.rewind("C-1", 1)
    runs.waits.set()
    until(lambda: status(database_url) == "SUCCESS")


def test_what_another_executor_left_pending_waits_until_somebody_asks(
    journal: Journal, runs: Runs, database_url: str
) -> None:
    journal.start("C-1")
    until(lambda: status(database_url) == "SUCCESS")
    # As a process leaves it that was killed after the first step.
    sql(database_url, f"UPDATE {SCHEMA}.workflow_status SET status = 'PENDING', executor_id = 'worker-9'")
    sql(database_url, f"DELETE FROM {SCHEMA}.operation_outputs WHERE function_id > 1")
    runs.steps.clear()
    time.sleep(1.0)
    assert runs.steps == [], "nobody asked"
    assert journal.recover(["worker-7"]) == 0
    assert journal.recover(["worker-9"]) == 1
    until(lambda: status(database_url) == "SUCCESS")
    assert runs.steps == ["second", "third"]


def test_what_this_executor_left_pending_goes_on_when_it_opens_again(database_url: str, runs: Runs) -> None:
    before = Journal(database_url, "worker-1", "1", 4)
    before.open(runs)
    before.start("C-1")
    until(lambda: status(database_url) == "SUCCESS")
    before.close()
    sql(database_url, f"UPDATE {SCHEMA}.workflow_status SET status = 'PENDING'")
    sql(database_url, f"DELETE FROM {SCHEMA}.operation_outputs WHERE function_id > 2")
    runs.steps.clear()
    after = Journal(database_url, "worker-1", "1", 4)
    after.open(runs)
    try:
        until(lambda: status(database_url) == "SUCCESS")
        assert runs.steps == ["third"]
    finally:
        after.close()


def test_another_version_of_the_flows_is_not_recovered(journal: Journal, runs: Runs, database_url: str) -> None:
    """Which is why Claims gives such runs up itself."""
    journal.start("C-1")
    until(lambda: status(database_url) == "SUCCESS")
    sql(
        database_url,
        f"UPDATE {SCHEMA}.workflow_status SET status = 'PENDING', executor_id = 'worker-9', application_version = '0'",
    )
    assert journal.recover(["worker-9"]) == 0


def test_the_journal_is_json_that_a_person_can_read(journal: Journal, runs: Runs, database_url: str) -> None:
    journal.start("C-1")
    until(lambda: status(database_url) == "SUCCESS")
    outputs = sql(database_url, f"SELECT output, serialization FROM {SCHEMA}.operation_outputs ORDER BY function_id")
    assert outputs[0] == ('{"ok":"first","step":1}', "hilum_json")
    [row] = sql(database_url, f"SELECT i.inputs, o.output FROM {SCHEMA}.workflow_input i, {SCHEMA}.workflow_output o")
    assert row == ('{"args":["C-1"],"kwargs":{}}', '"done"')


@pytest.mark.parametrize(
    "value",
    [None, 1, "text", ["a", 1], {"ok": {"amount": "12.30"}}, {"kind": "rejected", "cause": "IMP-9"}, {"args": 1}],
)
def test_what_is_plain_comes_back_as_it_was(value: object) -> None:
    serializer = JsonSerializer()
    assert serializer.deserialize(serializer.serialize(value)) == value


def test_arguments_come_back_as_a_tuple() -> None:
    serializer = JsonSerializer()
    assert serializer.deserialize(serializer.serialize({"args": ("C-1",), "kwargs": {}})) == {
        "args": ("C-1",),
        "kwargs": {},
    }


def test_an_exception_is_kept_by_its_kind_and_never_by_its_words() -> None:
    serializer = JsonSerializer()
    written = serializer.serialize(ValueError("patient SMITH"))
    assert "SMITH" not in written
    assert str(serializer.deserialize(written)) == "ValueError: "


def test_what_is_not_json_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError) as refused:
        JsonSerializer().serialize({"ok": object()})
    assert str(refused.value.__cause__) == "object is not written into the journal; steps give JSON"


def test_a_process_that_hangs_in_the_journal_s_transaction_loses_its_locks_before_a_peer_takes_over(
    journal: Journal,
) -> None:
    """With the journal's own minute a peer waited for the locks of the hung process until its statements timed out."""
    with _get_dbos_instance()._sys_db.engine.connect() as connection:
        said = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()
    assert said == "5s"
    assert DEAD_AFTER_SECONDS > 5
