"""The ERP goes away in every way it can: usage keeps being accepted, what waits goes on by itself, nothing happens twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from tests.crash.charging import Charging, charge
from tests.crash.payments import DENIED, TAKEN_BACK, TODAY, Payments, usd
from tests.crash.payments import KNEE as PAID
from tests.crash.worlds import Ledger, a_hospital, charges_of, happened_once, locked_numbers, until

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.hospital import Hospital
from hilum.testing.neighbours.faulty_proxy import Fault, FaultyProxy
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.remittances import PayerRemittance

pytestmark = [pytest.mark.erp, pytest.mark.slow]

KNEE, HIP, SCREW = "IMP-1001", "IMP-1002", "IMP-1005"
CREATE_JOURNAL = r"POST /erp/rest/model/account\.move\?"
POST_JOURNAL = r"POST /erp/rest/model/account\.move/\d+/post"
PLACE_ORDER = r"POST /erp/rest/model/purchase\.purchase/\d+/quote"

# Real time, only less of it: a time-out of two seconds, a circuit that is tried again after half a second.
POLICY = {
    "timeout_seconds": 2.0,
    "attempts": 2,
    "backoff_seconds": 0.05,
    "breaker_failures": 3,
    "breaker_open_seconds": 0.5,
}

_numbers = count(1)
_nights = count(1)  # Minutes of the hour in which charges are gathered.


@pytest.fixture(scope="module")
def line(erp: Tryton) -> Iterator[FaultyProxy]:
    with FaultyProxy(erp.base_url, delay_seconds=3.0) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def hospital(
    erp: Tryton,
    line: FaultyProxy,
    postgres: EmbeddedPostgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hospital]:
    """One hospital behind one bad line. In the end all books must agree."""
    place = tmp_path_factory.mktemp("outages")
    with a_hospital(
        place, erp, postgres=postgres, template=migrated_template, erp_url=line.url, policy=POLICY
    ) as hospital:
        for item in ("KNEE-99", "HIP-40", "SCREW-3"):
            hospital.shelf("STM-OR1", item, on_hand=100, reorder_point=2, par=6, receipt="RC-OUTAGES")
        yield hospital
        line.mode = Fault.NONE
        hospital.settles()
        books = hospital.hilum("reconcile")
        assert books["reconciled"], books["differences"]
        assert hospital.hilum("audit", "verify")["whole"]


@pytest.fixture(scope="module")
def ledger(erp: Tryton) -> Iterator[Ledger]:
    with erp.desk() as desk:
        yield Ledger(desk)


@pytest.fixture(autouse=True)
def mended(line: FaultyProxy) -> Iterator[None]:
    yield
    line.mode = Fault.NONE


def accepted(hospital: Hospital, number: int, code: str = HIP) -> list[str]:
    """So many usages are sent and acknowledged as quickly as on any day."""
    usages = [f"OUTAGE-{next(_numbers)}" for _ in range(number)]
    for usage in usages:
        outcome = hospital.uses(usage, code)
        assert (outcome["code"], outcome["attempts"]) == ("AA", 1)
        assert outcome["seconds"] < 2.0
    return usages


def states(hospital: Hospital, usages: list[str]) -> list[str]:
    """The states of the cases that were opened so far."""
    ids = [f"implant_usage/{usage}" for usage in usages]
    return [row["state"] for row in hospital.query("SELECT state FROM flow_case WHERE id = ANY($1)", ids)]


def parked(hospital: Hospital, usages: list[str]) -> None:
    until(lambda: states(hospital, usages) == ["parked"] * len(usages))


def attempts_on(hospital: Hospital, usage: str, step: str) -> list[str]:
    """The outcomes of the attempts at a delivery, oldest first."""
    rows = hospital.query(
        "SELECT outcome FROM delivery_attempt WHERE key = $1 AND outcome IS NOT NULL ORDER BY attempt",
        f"implant_usage/{usage}/{step}",
    )
    return [row["outcome"] for row in rows]


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.SLOW, Fault.BUSY])
def test_usage_is_accepted_while_the_erp_is_away_and_goes_on_by_itself(
    hospital: Hospital, ledger: Ledger, line: FaultyProxy, fault: Fault
) -> None:
    line.mode = fault
    usages = accepted(hospital, 4)
    parked(hospital, usages)
    [breaker] = hospital.query("SELECT state FROM breaker WHERE system = 'erp'")
    assert breaker["state"] in ("open", "half_open")
    usages += accepted(hospital, 2)  # Accepted behind an open circuit too.
    parked(hospital, usages)
    for usage in usages:
        assert len(hospital.movements(usage)) == 1  # The shelf does not wait for the ledger.
        assert ledger.journals(usage) == []

    line.mode = Fault.NONE
    hospital.settles()
    happened_once(hospital, ledger, *usages)
    [breaker] = hospital.query("SELECT state FROM breaker WHERE system = 'erp'")
    assert breaker["state"] == "closed"


@pytest.mark.parametrize(
    ("request_that_fails", "fault"),
    [
        pytest.param(CREATE_JOURNAL, Fault.DOWN, id="cut before the journal is made"),
        pytest.param(CREATE_JOURNAL, Fault.ANSWER_LOST, id="made, and the answer lost"),
        pytest.param(POST_JOURNAL, Fault.BUSY, id="busy between making and posting"),
        pytest.param(POST_JOURNAL, Fault.ANSWER_LOST, id="posted, and the answer lost"),
    ],
)
def test_a_journal_is_posted_once_and_leaves_no_draft(
    hospital: Hospital, ledger: Ledger, line: FaultyProxy, request_that_fails: str, fault: Fault
) -> None:
    line.fail(request_that_fails, fault)
    [usage] = accepted(hospital, 1)
    hospital.settles()
    happened_once(hospital, ledger, usage)
    outcomes = attempts_on(hospital, usage, "attribute_cost")
    assert outcomes[0] == "unavailable"
    # What the first attempt had left in the ERP was found; only where it left nothing was the command given again.
    assert outcomes[-1] == ("done" if fault is Fault.DOWN else "found")


def test_a_journal_made_by_a_request_that_arrives_after_its_time_out_has_no_second_effect(
    hospital: Hospital, ledger: Ledger, line: FaultyProxy
) -> None:
    line.fail(CREATE_JOURNAL, Fault.SLOW)
    [usage] = accepted(hospital, 1)
    hospital.settles()
    time.sleep(line.delay_seconds)  # The late request has been carried out by now.
    assert ledger.journals(usage).count("posted") == 1
    assert len(charges_of(hospital, usage)) == 1


def test_a_lock_in_the_erp_between_making_and_posting_is_waited_for(
    hospital: Hospital, ledger: Ledger, erp: Tryton
) -> None:
    with locked_numbers(erp):
        usages = accepted(hospital, 3)
        until(lambda: all("unavailable" in attempts_on(hospital, usage, "attribute_cost") for usage in usages))
        for usage in usages:
            assert ledger.journals(usage) == ["draft"]
        usages += accepted(hospital, 1)
    hospital.settles()
    happened_once(hospital, ledger, *usages)


def test_two_usages_that_find_a_shelf_low_place_one_order_though_the_first_got_stuck_half_way(
    hospital: Hospital, ledger: Ledger, line: FaultyProxy
) -> None:
    hospital.shelf("STM-OR1", "KNEE-99", on_hand=3, reorder_point=2, par=6, receipt="RC-STUCK")
    for _ in range(int(POLICY["attempts"])):
        line.fail(PLACE_ORDER, Fault.BUSY)
    usages = [*accepted(hospital, 1, KNEE), *accepted(hospital, 1, KNEE)]
    hospital.settles()
    happened_once(hospital, ledger, *usages)
    assert len(ledger.orders("STM-OR1", "KNEE-99", "RC-STUCK")) == 1
    [asked] = hospital.query("SELECT count(*) AS n FROM delivery_case WHERE key = 'replenish/STM-OR1/KNEE-99/RC-STUCK'")
    assert asked["n"] == 2
    hospital.shelf("STM-OR1", "KNEE-99", on_hand=100, receipt="RC-OUTAGES")


def test_the_platform_is_restarted_in_the_middle_of_an_outage(
    hospital: Hospital, ledger: Ledger, line: FaultyProxy
) -> None:
    line.mode = Fault.DOWN
    before = accepted(hospital, 3)
    parked(hospital, before)
    line.mode = Fault.SLOW
    during = accepted(hospital, 3)
    begun = time.monotonic()
    hospital.stop_platform()
    assert time.monotonic() - begun < 9.0  # It does not wait for a system that does not answer.
    hospital.start_platform()
    hospital.uses("RESTARTED-1", HIP)  # The EHR finds its connection closed and opens another.
    after = accepted(hospital, 2)
    line.mode = Fault.NONE
    hospital.settles()
    happened_once(hospital, ledger, *before, *during, "RESTARTED-1", *after)


def test_the_erp_is_killed_in_the_middle_of_its_work(hospital: Hospital, ledger: Ledger, erp: Tryton) -> None:
    usages = accepted(hospital, 8, SCREW)
    until(lambda: "done" in states(hospital, usages))
    erp.kill()
    try:
        usages += accepted(hospital, 4, SCREW)
    finally:
        erp.start()
    hospital.settles()
    happened_once(hospital, ledger, *usages)


@pytest.mark.parametrize("neighbour", ["inventory", "billing"])
def test_an_answer_lost_by_the_shelf_or_by_billing_takes_and_charges_once(
    hospital: Hospital, ledger: Ledger, neighbour: str
) -> None:
    getattr(hospital, neighbour).fault("cut", requests=1)
    [usage] = accepted(hospital, 1)
    hospital.settles()
    happened_once(hospital, ledger, usage)


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.BUSY, Fault.ANSWER_LOST])
def test_a_remittance_that_meets_an_outage_is_taken_in_and_posted_once_when_it_ends(
    hospital: Hospital, line: FaultyProxy, ledger: Ledger, fault: Fault
) -> None:
    payments = Payments(hospital, ledger.desk, _numbers)
    trace = f"OUTAGE-{fault.name}"
    line.mode = fault
    before = payments.ended()
    payments.drops_unseen(PayerRemittance(trace, [PAID, DENIED, TAKEN_BACK], paid_on=TODAY))
    until(lambda: payments.ended() > before)
    parked = "SELECT 1 FROM flow_case WHERE id = $1 AND state = 'parked'"
    until(lambda: bool(hospital.query(parked, f"post_remittance/HHP01/{trace}")))
    line.mode = Fault.NONE
    hospital.settles()
    assert payments.state(f"HHP01/{trace}") == "done"
    assert payments.books(f"remittance/HHP01/{trace}") == {
        ("ST-MARY", "1050"): usd("1020.00"), ("ST-MARY", "1200"): -usd("1650.00"), ("ST-MARY", "1210"): usd("80.00"),
        ("ST-MARY", "1220"): usd("450.00"), ("ST-MARY", "4900"): usd("100.00"),
    }  # fmt: skip
    assert len(payments.days(f"remittance/HHP01/{trace}")) == 1, "one journal, however often it was asked for"


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.BUSY, Fault.ANSWER_LOST])
def test_charges_that_meet_an_outage_are_taken_in_and_posted_once_when_it_ends(
    hospital: Hospital, line: FaultyProxy, ledger: Ledger, fault: Fault
) -> None:
    charging = Charging(Payments(hospital, ledger.desk, _numbers), _nights)
    # A day and a facility of its own: the ERP is shared, and a batch is called by both.
    on = TODAY - timedelta(days=3 + list(Fault).index(fault))
    number = f"OUTAGE-{fault.name}"
    line.mode = fault
    lines = charge(number, "100.00", service_on=on), charge(number, "30.00", kind="CR", service_on=on)
    assert charging.sends(*lines, facility="HARBOR-VIEW") == "AA"
    charging.collected(f"ehr/{number}", f"ehr/{number}/credit")
    charging.night_falls()
    until(lambda: bool(hospital.query("SELECT 1 FROM flow_case WHERE flow = 'post_charges' AND state = 'parked'")))
    line.mode = Fault.NONE
    hospital.settles()
    source = f"charges/HARBOR-VIEW/{on}/1"
    assert charging.payments.books(source) == {
        ("HARBOR-VIEW", "1200"): usd("70.00"),
        ("HARBOR-VIEW", "4140"): -usd("70.00"),
    }
    assert len(charging.payments.days(source)) == 1, "one journal, however often it was asked for"
