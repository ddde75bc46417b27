"""Workers die, hang and lose their database: a peer takes over, and what it took over happens once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.crash.worlds import IMPATIENT, LAKESHORE, Ledger, a_hospital, happened_once, until

from hilum.runtime.claims import DEAD_AFTER_SECONDS
from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.hospital import ErpAddress, Hospital
from hilum.testing.neighbours.tryton import Tryton

pytestmark = [pytest.mark.erp, pytest.mark.slow]

HIP = "IMP-1002"
WORKERS = {"worker-1": "worker-2", "worker-2": "worker-1"}

_numbers = count(1)


@pytest.fixture(scope="module")
def ledger(erp: Tryton) -> Iterator[Ledger]:
    with erp.desk() as desk:
        yield Ledger(desk)


@pytest.fixture(scope="module")
def hospital(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hospital]:
    """A hospital with two workers whose dead are not started again unless a test does it."""
    place = tmp_path_factory.mktemp("take-over")
    with a_hospital(
        place, erp, postgres=postgres, template=migrated_template, faults=True, restart=False, workers=2
    ) as hospital:
        hospital.shelf("STM-OR1", "HIP-40", on_hand=1000, reorder_point=2, receipt="RC-TAKE-OVER")
        yield hospital
        agrees(hospital)


def agrees(hospital: Hospital) -> None:
    books = hospital.hilum("reconcile")
    assert books["reconciled"], books["differences"]
    assert hospital.hilum("audit", "verify")["whole"]


def used(hospital: Hospital, number: int) -> list[str]:
    usages = [f"TAKE-OVER-{next(_numbers)}" for _ in range(number)]
    for usage in usages:
        assert hospital.uses(usage, HIP)["code"] == "AA"
    return usages


def executor(hospital: Hospital, name: str) -> str:
    [found] = hospital.query("SELECT state FROM executor WHERE id = $1", name)
    state: str = found["state"]
    return state


def test_a_killed_worker_s_cases_are_taken_over_by_its_peer(hospital: Hospital, ledger: Ledger) -> None:
    hospital.dies_at("delivery.sent:post_journal")
    usages = used(hospital, 12)
    dead = hospital.died()
    died_at = time.monotonic()
    [held] = hospital.query("SELECT count(*) AS n FROM flow_case WHERE state = 'running' AND executor = $1", dead)
    assert held["n"] > 0
    hospital.settles(seconds=30)
    assert time.monotonic() - died_at < 15
    happened_once(hospital, ledger, *usages)
    assert executor(hospital, dead) == "stopped"
    peer = WORKERS[dead]
    [said] = hospital.query(
        "SELECT count(*) AS n FROM audit_entry WHERE subject = $1 AND convert_from(entry, 'UTF8') LIKE $2",
        f"p/{dead}", f'%"executor.dead","actor":"system:{peer}"%',
    )  # fmt: skip
    assert said["n"] == 1
    hospital.revives()


def test_both_workers_die_and_the_one_that_returns_does_the_work_of_both(hospital: Hospital, ledger: Ledger) -> None:
    supervisor = hospital.supervisor
    assert supervisor is not None
    hospital.dies_at("delivery.begun:charge_usage")
    usages = used(hospital, 12)
    first = hospital.died()
    hospital.kill(WORKERS[first])
    everyone = list(supervisor.roles)
    supervisor.roles = [role for role in everyone if role.name != first]
    hospital.revives()
    hospital.settles(seconds=40)
    happened_once(hospital, ledger, *usages)
    assert executor(hospital, first) == "stopped"
    supervisor.roles = everyone
    hospital.revives()


@pytest.mark.parametrize("point", ["dispatch.before_commit", "delivery.begun:post_journal", "case.finishing"])
def test_a_worker_that_hangs_is_taken_over_and_has_no_second_effect_when_it_wakes(
    hospital: Hospital, ledger: Ledger, point: str
) -> None:
    hospital.freezes_at(point)
    usages = used(hospital, 6)
    frozen = hospital.froze()
    asleep_since = time.monotonic()
    hospital.settles(seconds=DEAD_AFTER_SECONDS + 20)
    assert time.monotonic() - asleep_since < DEAD_AFTER_SECONDS + 10
    happened_once(hospital, ledger, *usages)

    until(lambda: executor(hospital, frozen) == "stopped")  # Its peer may have done the work before it gave it up.
    hospital.thaws(frozen)
    process = hospital.process(frozen)
    until(lambda: process.poll() is not None, seconds=10)
    assert process.returncode == 70  # It noticed by itself, said why, and ended.
    hospital.settles()
    happened_once(hospital, ledger, *usages)
    hospital.revives()
    usages = used(hospital, 4)
    hospital.settles()
    happened_once(hospital, ledger, *usages)


def test_a_worker_whose_connection_is_cut_ends_and_its_next_process_goes_on(hospital: Hospital, ledger: Ledger) -> None:
    usages = used(hospital, 6)
    [cut] = hospital.query(
        "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity WHERE application_name = 'hilum worker-1'"
    )
    assert cut["n"] > 1
    process = hospital.process("worker-1")
    until(lambda: process.poll() is not None, seconds=5)
    assert process.returncode == 70
    hospital.revives()
    hospital.settles()
    happened_once(hospital, ledger, *usages)


def test_postgres_is_killed_and_nothing_that_was_acknowledged_is_lost(
    erp: Tryton, ledger: Ledger, tmp_path: Path
) -> None:
    """The platform's own server, with every safety on: it is started again, workers end and are started again."""
    address = ErpAddress(erp.base_url, erp.database, erp.api_key)
    with Hospital(tmp_path, estate=LAKESHORE, erp=address, policy=IMPATIENT, workers=2) as hospital:
        hospital.shelf("STM-OR1", "HIP-40", on_hand=1000, reorder_point=2, receipt="RC-POSTGRES")
        usages = [f"POSTGRES-{next(_numbers)}" for _ in range(30)]
        for usage in usages:
            hospital.uses_later(usage, HIP)
        outcomes = [hospital.ehr.next_line(30) for _ in range(10)]
        [server] = hospital.query("SELECT current_setting('data_directory') AS place")
        postmaster = int((Path(server["place"]) / "postmaster.pid").read_text().splitlines()[0])
        workers = [hospital.process(name) for name in WORKERS]
        os.kill(postmaster, signal.SIGKILL)
        outcomes += [hospital.ehr.next_line(30) for _ in range(20)]
        assert [outcome["code"] for outcome in outcomes] == ["AA"] * 30
        until(lambda: all(process.poll() is not None for process in workers), seconds=10)
        until(lambda: comes_to_rest(hospital), seconds=120)
        happened_once(hospital, ledger, *usages)
        stored = {m["control_id"] for m in hospital.query("SELECT control_id FROM message")}
        assert {outcome["control_id"] for outcome in outcomes} <= stored
        agrees(hospital)


def comes_to_rest(hospital: Hospital) -> bool:
    try:
        hospital.settles(seconds=120)
    except OSError:
        return False  # The server is being started again.
    return True
