"""The step journal: DBOS Transact on the platform's own PostgreSQL, behind five verbs.

Facts about DBOS 3.4 that this file relies on (each has a test): a workflow id runs once; a terminal workflow can be
rewound in place to a step; pending workflows of a dead executor are recovered only when someone asks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from dbos import DBOS, DBOSConfig, SetWorkflowID
from dbos._serialization import Serializer

QUEUE = "hilum_cases"
SCHEMA = "dbos"

_run_case: Callable[[str], str] | None = None


class JsonSerializer(Serializer):
    """What the journal stores is JSON that a person can read and a later release can load, never a pickle."""

    def serialize(self, data: Any) -> str:
        return orjson.dumps(data, default=_plain).decode()

    def deserialize(cls, serialized_data: str) -> Any:
        value = orjson.loads(serialized_data)
        if isinstance(value, dict) and set(value) == {"args", "kwargs"}:
            return {"args": tuple(value["args"]), "kwargs": value["kwargs"]}
        if isinstance(value, dict) and "error" in value and len(value) == 2 and "message" in value:
            return RuntimeError(f"{value['error']}: {value['message']}")
        return value

    def name(self) -> str:
        return "hilum_json"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": ""}
    raise TypeError(f"{type(value).__name__} is not written into the journal; steps give JSON")


@DBOS.workflow(name="hilum.case")
def hilum_case(case_id: str) -> str:
    """The one workflow: everything that differs between flows is in the flow."""
    if _run_case is None:
        raise RuntimeError("the journal was not opened")
    return _run_case(case_id)


@dataclass
class Journal:
    """The journal of one process. ``flows_version`` is chosen by the estate, never derived from the code."""

    url: str
    executor: str
    flows_version: str
    threads: int

    def open(self, run_case: Callable[[str], str]) -> None:
        """Start running cases here; what this executor left pending goes on."""
        global _run_case
        _run_case = run_case
        logging.getLogger("dbos").setLevel(logging.ERROR)
        config: DBOSConfig = {
            "name": "hilum",
            "system_database_url": self.url,
            "dbos_system_schema": SCHEMA,
            "application_version": self.flows_version,
            "executor_id": self.executor,
            "max_executor_threads": self.threads,
            "sys_db_pool_size": max(4, self.threads),
            # A process that hangs inside a transaction must not stop its peers with the locks it holds: it loses them
            # before a peer takes over (DEAD_AFTER_SECONDS of claims).
            "sys_db_idle_transaction_timeout_sec": 5.0,
            "log_level": "ERROR",
            "console_log_level": "ERROR",
            "serializer": JsonSerializer(),
        }
        DBOS(config=config)
        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=self.threads, polling_interval_sec=0.1)

    def start(self, case_id: str) -> None:
        """Start a case's first run; a second start of the same case attaches to the first."""
        with SetWorkflowID(case_id):
            DBOS.start_workflow(hilum_case, case_id)

    def rewind(self, case_id: str, step: int) -> None:
        """Forget what was journaled from ``step`` on and run again from there, under this process's version."""
        DBOS.rewind_workflow(case_id, start_step=step, application_version=self.flows_version, queue_name=QUEUE)

    def recover(self, executors: Sequence[str]) -> int:
        """Take over what dead executors left pending. Returns how many cases."""
        # Private in DBOS 3.4.0, which is why the version is pinned; the public way needs its hosted service.
        return len(cast(list[Any], DBOS._recover_pending_workflows(list(executors))))

    def close(self) -> None:
        DBOS.destroy(destroy_registry=False)
