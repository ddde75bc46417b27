"""Stories of a day on which things go wrong for business reasons: what waits, for whom, and how it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.crash.worlds import Ledger, a_hospital, case_of, charges_of, happened_once, nothing_happened

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.hospital import Hospital
from hilum.testing.neighbours.tryton import Tryton

pytestmark = [pytest.mark.erp, pytest.mark.slow]

KNEE, HIP, STENT, SCREW, MESH = "IMP-1001", "IMP-1002", "IMP-1003", "IMP-1005", "IMP-1006"


@pytest.fixture(scope="module")
def hospital(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hospital]:
    """One hospital for all stories: each has usages, codes and shelves of its own. In the end all books must agree."""
    place = tmp_path_factory.mktemp("stories")
    with a_hospital(place, erp, postgres=postgres, template=migrated_template) as hospital:
        for location in ("STM-OR1", "STM-CATH", "HBV-OR"):
            for item in ("KNEE-99", "HIP-40", "STENT-12", "SCREW-3", "MESH-20"):
                hospital.shelf(location, item, on_hand=100, reorder_point=2, par=6, receipt="RC-STORIES")
        yield hospital
        hospital.settles()
        books = hospital.hilum("reconcile")
        assert books["reconciled"], books["differences"]
        assert hospital.hilum("audit", "verify")["whole"]


@pytest.fixture(scope="module")
def ledger(erp: Tryton) -> Iterator[Ledger]:
    with erp.desk() as desk:
        yield Ledger(desk)


def waiting(hospital: Hospital, cause: str) -> tuple[int, str, int]:
    """The open work item of a cause: its number, its queue and how many wait."""
    [found] = [(item, queue, cases) for item, queue, why, cases in hospital.work_queue() if why == cause]
    return found


def test_fifty_usages_of_one_unknown_item_are_one_decision(hospital: Hospital, ledger: Ledger) -> None:
    usages = [f"FIFTY-{n}" for n in range(1, 51)]
    for usage in usages:
        hospital.uses(usage, "IMP-7777", charge_usd="62.00")
    hospital.settles()
    item, queue, cases = waiting(hospital, "UnknownItem:IMP-7777")
    assert (queue, cases) == ("item-master", 50)
    [money] = hospital.query("SELECT at_risk_usd FROM work_item WHERE id = $1", item)
    assert money["at_risk_usd"] == Decimal("3100.00")
    nothing_happened(hospital, ledger, "FIFTY-1")
    before = hospital.on_hand("STM-OR1", "SCREW-3")

    # Released in the moment after the fix: nobody has to wait for a cache.
    hospital.maps("charge_code_to_item", "IMP-7777", "SCREW-3")
    assert len(hospital.releases(item)) == 50
    hospital.settles()

    assert not [cause for _, _, cause, _ in hospital.work_queue() if cause == "UnknownItem:IMP-7777"]
    assert hospital.on_hand("STM-OR1", "SCREW-3") == before - 50
    happened_once(hospital, ledger, *usages)


def test_a_release_without_the_fix_waits_again_in_one_item(hospital: Hospital, ledger: Ledger) -> None:
    hospital.uses("NOFIX-1", "IMP-7778")
    hospital.settles()
    item, _, _ = waiting(hospital, "UnknownItem:IMP-7778")
    hospital.releases(item)
    hospital.settles()
    again, queue, cases = waiting(hospital, "UnknownItem:IMP-7778")
    assert (again != item, queue, cases) == (True, "item-master", 1)
    nothing_happened(hospital, ledger, "NOFIX-1")


@pytest.mark.parametrize("first", ["ehr", "scan"])
def test_what_the_ehr_and_the_scanner_both_report_is_one_fact(hospital: Hospital, ledger: Ledger, first: str) -> None:
    usage = f"BOTH-{first}"
    reports = [lambda: hospital.uses(usage, HIP), lambda: (hospital.scans(usage, HIP), hospital.reported(seconds=10))]
    for report in reports if first == "ehr" else reversed(reports):
        report()
    hospital.settles()
    happened_once(hospital, ledger, usage)
    stored = [m for m in hospital.messages() if usage.encode() in m["raw"]]
    assert [m["status"] for m in stored] == ["accepted", "duplicate"]


def test_a_resend_is_the_same_fact_whatever_number_it_carries(hospital: Hospital, ledger: Ledger) -> None:
    for control_id in ("CRESENT", "CRESENT", "CRESENT-WITH-A-NEW-NUMBER"):
        assert hospital.uses("RESENT-1", HIP, control_id=control_id)["code"] == "AA"
        hospital.settles()
    happened_once(hospital, ledger, "RESENT-1")


def test_two_implants_charged_in_one_message_are_two_usages(hospital: Hospital, ledger: Ledger) -> None:
    assert hospital.uses_several("PROCEDURE-1", {"PAIR-1": KNEE, "PAIR-2": STENT})["code"] == "AA"
    hospital.settles()
    happened_once(hospital, ledger, "PAIR-1", "PAIR-2")
    assert [m["item"] for u in ("PAIR-1", "PAIR-2") for m in hospital.movements(u)] == ["KNEE-99", "STENT-12"]


def test_reports_that_disagree_on_the_quantity_are_one_fact_and_a_conflict(hospital: Hospital, ledger: Ledger) -> None:
    hospital.uses("CONFLICT-1", SCREW, quantity=2)
    hospital.scans("CONFLICT-1", SCREW, quantity=3)
    hospital.reported(seconds=10)
    hospital.settles()
    happened_once(hospital, ledger, "CONFLICT-1")
    assert [m["quantity"] for m in hospital.movements("CONFLICT-1")] == [-2]
    conflicts = [
        (queue, cases) for _, queue, cause, cases in hospital.work_queue() if cause.startswith("ConflictingReport:")
    ]
    assert conflicts == [("conflicts", 1)]


def test_a_shelf_below_zero_is_counted_and_the_usage_goes_on(hospital: Hospital, ledger: Ledger) -> None:
    hospital.shelf("STM-CATH", "HIP-40", on_hand=1, reorder_point=0, receipt="RC-BELOW-ZERO")
    hospital.uses("BELOW-1", HIP, department="CATH", quantity=2)
    hospital.settles()
    item, queue, cases = waiting(hospital, "StockBelowZero:HIP-40 at STM-CATH")
    assert (queue, cases) == ("inventory-control", 1)
    nothing_happened(hospital, ledger, "BELOW-1")

    hospital.counts("STM-CATH", "HIP-40", 3)
    hospital.releases(item)
    hospital.settles()
    happened_once(hospital, ledger, "BELOW-1")
    assert hospital.on_hand("STM-CATH", "HIP-40") == 1


def test_an_item_without_a_contract_price_waits_for_purchasing(hospital: Hospital, ledger: Ledger) -> None:
    hospital.uses("PRICELESS-1", MESH)
    hospital.settles()
    item, queue, _ = waiting(hospital, "NoContractPrice:MESH-20")
    assert queue == "purchasing"
    assert len(hospital.movements("PRICELESS-1")) == 1  # Count first, price second: the shelf is lighter already.

    with agreed_price(ledger, "MESH-20", Decimal("412.50")):
        hospital.releases(item)
        hospital.settles()
    happened_once(hospital, ledger, "PRICELESS-1")
    [charge] = charges_of(hospital, "PRICELESS-1")
    assert charge["unit_cost"] == "412.50"


class agreed_price:
    """A price that is gone again afterwards: other tests need an item without one."""

    def __init__(self, ledger: Ledger, item: str, price: Decimal) -> None:
        self.desk, self.item, self.price = ledger.desk, item, price

    def __enter__(self) -> None:
        self.desk.agree_price(self.item, self.price)

    def __exit__(self, *_: Any) -> None:
        line = self.desk.search("purchase.product_supplier", [("template.code", "=", self.item)])
        prices = self.desk.search("purchase.product_supplier.price", [("product_supplier", "in", line)])
        self.desk.delete("purchase.product_supplier.price", prices)


def test_an_unknown_department_waits_once_for_its_location_and_once_for_its_cost_centre(
    hospital: Hospital, ledger: Ledger
) -> None:
    hospital.uses("DEPARTMENT-1", SCREW, department="HYBRID")
    hospital.settles()
    cause = "UnknownDepartment:HYBRID at ST-MARY"
    item, queue, _ = waiting(hospital, cause)
    assert queue == "finance-master"

    hospital.maps("department_to_location", "HYBRID", "STM-OR1")
    hospital.releases(item)
    hospital.settles()
    item, _, _ = waiting(hospital, cause)
    assert len(hospital.movements("DEPARTMENT-1")) == 1
    assert ledger.journals("DEPARTMENT-1") == []

    hospital.maps("department_to_cost_centre", "HYBRID", "CC-ORTHO")
    hospital.releases(item)
    hospital.settles()
    happened_once(hospital, ledger, "DEPARTMENT-1")


def test_a_closed_period_is_refused_by_the_erp_and_the_draft_is_posted_after_it_reopened(
    hospital: Hospital, ledger: Ledger
) -> None:
    used_at = datetime(datetime.now(UTC).year, 2, 3, 9, 30, tzinfo=UTC)
    month = f"{used_at:%Y-%m}"
    ledger.desk.close_period(month)
    try:
        hospital.uses("CLOSED-1", HIP, used_at=used_at)
        hospital.settles()
        assert case_of(hospital, "CLOSED-1")["state"] == "waiting"
        [(item, cases)] = [(i, n) for i, queue, _, n in hospital.work_queue() if queue == "erp-refusals"]
        assert cases == 1
        assert "posted" not in ledger.journals("CLOSED-1")
    finally:
        ledger.desk.reopen_period(month)
    hospital.releases(item)
    hospital.settles()
    happened_once(hospital, ledger, "CLOSED-1")


def test_what_is_skipped_with_a_reason_has_no_effect_and_stays_on_record(hospital: Hospital, ledger: Ledger) -> None:
    hospital.uses("SKIPPED-1", "IMP-7779")
    hospital.settles()
    item, _, _ = waiting(hospital, "UnknownItem:IMP-7779")
    with pytest.raises(ValueError, match="reason"):
        hospital.skips(item, reason=" ")
    hospital.skips(item, reason="Entered by mistake in a training session")
    hospital.settles()
    nothing_happened(hospital, ledger, "SKIPPED-1")
    assert case_of(hospital, "SKIPPED-1")["state"] == "skipped"
    [closed] = hospital.query("SELECT state, closed_by, reason FROM work_item WHERE id = $1", item)
    assert closed == {
        "state": "skipped",
        "closed_by": "person:analyst",
        "reason": "Entered by mistake in a training session",
    }


def test_a_replay_of_what_is_known_changes_nothing_and_says_so_first(hospital: Hospital, ledger: Ledger) -> None:
    hospital.uses("REPLAYED-1", HIP)
    hospital.settles()
    [message] = hospital.query("SELECT shard, seq FROM message WHERE control_id = 'CREPLAYED-1'")
    address = f"m/{message['shard']}/{message['seq']}"
    facts = "SELECT count(*) AS n FROM event"
    [before] = hospital.query(facts)
    for go in ("--dry-run", "--go"):
        job = hospital.hilum("replay", "request", address, go, "--reason", "a sceptic asks", "--wait", "20")["job"]
        assert job["state"] == "done"
        assert job["summary"] == "1 none"
    hospital.settles()
    assert hospital.query(facts) == [before]
    happened_once(hospital, ledger, "REPLAYED-1")


def test_a_replay_job_can_be_stopped_half_way(hospital: Hospital) -> None:
    for resend in range(3):
        hospital.uses("STOPPED-1", HIP, control_id=f"CSTOPPED-{resend}")
    job = hospital.hilum(
        "replay", "request", "--system", "ehr", "--rate", "0.5", "--go", "--reason", "too much was selected"
    )["job"]
    hospital.hilum("replay", "cancel", str(job["id"]))
    [stopped] = hospital.query("SELECT state, done, total FROM replay_job WHERE id = $1", job["id"])
    assert stopped["state"] == "cancelled"
    assert stopped["total"] is None or stopped["done"] < stopped["total"]


def test_a_patient_s_moves_reach_billing_in_order_though_billing_was_down(hospital: Hospital) -> None:
    hospital.billing.fault("busy")
    try:
        for trigger in ("A04", "A02", "A03"):
            for account in ("MOVES-1", "MOVES-2"):
                assert hospital.tells(trigger, account)["code"] == "AA"
    finally:
        hospital.billing.fault("ok")
    hospital.settles()
    history = {a["number"]: a["history"] for a in hospital.billing.ask("GET", "/accounts")}
    assert history["ACC-MOVES-1"] == history["ACC-MOVES-2"] == ["A04", "A02", "A03"]
