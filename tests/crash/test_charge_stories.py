"""A day's charges on the whole platform and the real ERP: what stands in the ledger in the morning, what waits, what comes late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from tests.crash.charging import YESTERDAY, Charging, charge
from tests.crash.payments import TODAY, Payments, usd
from tests.crash.worlds import a_hospital

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.charges import charge_message
from hilum.testing.neighbours.tryton import Tryton

pytestmark = [pytest.mark.erp, pytest.mark.slow]
LAST_DAY = TODAY.replace(day=1) - timedelta(days=1)
FIRST_DAY = TODAY.replace(day=1)


@pytest.fixture(scope="module")
def hospital(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Charging]:
    place = tmp_path_factory.mktemp("charges")
    with a_hospital(place, erp, postgres=postgres, template=migrated_template) as hospital, erp.desk() as desk:
        yield Charging(Payments(hospital, desk, count(1)), count(1))
        assert hospital.hilum("audit", "verify")["whole"]


def test_a_days_charges_and_credits_stand_in_the_ledger_and_billing_says_the_same(hospital: Charging) -> None:
    platform = hospital.payments.hospital
    assert hospital.sends(charge("C-1", "100.00"), charge("C-2", "20.00", code="PH-2500", department="GEN")) == "AA"
    assert hospital.sends(charge("C-1", "30.00", kind="CR"), charge("H-0", "1.00", code="NEW-1")) == "AA"
    assert hospital.sends(charge("H-1", "7.00"), facility="HARBOR-VIEW") == "AA"
    hospital.collected("ehr/C-1", "ehr/C-2", "ehr/C-1/credit", "ehr/H-0", "ehr/H-1")
    hospital.night()
    day = f"charges/ST-MARY/{YESTERDAY}/1"
    assert hospital.payments.books(day) == {
        ("ST-MARY", "1200"): usd("90.00"), ("ST-MARY", "4140"): usd("-70.00"), ("ST-MARY", "4120"): usd("-20.00"),
    }  # fmt: skip
    assert hospital.payments.days(day) == [YESTERDAY]
    assert hospital.payments.books(f"charges/HARBOR-VIEW/{YESTERDAY}/1") == {
        ("HARBOR-VIEW", "1200"): usd("7.00"), ("HARBOR-VIEW", "4140"): usd("-7.00"),
    }  # fmt: skip
    # From the journal's number back to each charge.
    [number] = [row["number"] for row in platform.query("SELECT number FROM posting_journal WHERE source = $1", day)]
    shown = asyncio.run(hospital.drilled(number))
    assert [(each.charge, each.amount, each.rule) for each in shown] == [
        ("ehr/C-1", usd("100.00"), "CHG-PRO"), ("ehr/C-1/credit", usd("-30.00"), "CHG-PRO"), ("ehr/C-2", usd("20.00"), "CHG-PHA"),
    ]  # fmt: skip
    assert all(each.event.startswith("e/") for each in shown)
    # What is held waits for finance with its dollars, is told to billing all the same, and posts as a late charge.
    item = hospital.payments.waiting("UnknownChargeCode:NEW-1")
    assert (item["queue"], item["at_risk_usd"]) == ("finance-master", usd("1.00"))
    platform.settles()
    charged = {(c["usage_id"], c["kind"]): usd(c["amount"]) for c in platform.billing.ask("GET", "/charges")}
    assert charged == {
        ("C-1", "CG"): usd("100.00"), ("C-1", "CR"): usd("-30.00"), ("C-2", "CG"): usd("20.00"), ("H-0", "CG"): usd("1.00"),
        ("H-1", "CG"): usd("7.00"),
    }  # fmt: skip
    platform.maps("charge_code_to_class", "NEW-1", "supply")
    platform.releases(item["id"])
    hospital.placed("ehr/H-0")
    hospital.night()
    late = f"charges/ST-MARY/{YESTERDAY}/2"
    assert hospital.payments.books(late) == {("ST-MARY", "1200"): usd("1.00"), ("ST-MARY", "4150"): usd("-1.00")}
    hospital.night()
    assert len(hospital.batches()) == 2, "a night without charges posts nothing"


def test_a_closed_period_is_respected_and_what_it_owed_is_accrued_and_taken_back(hospital: Charging) -> None:
    platform, desk = hospital.payments.hospital, hospital.payments.desk
    hospital.sends(
        charge("L-1", "300.00", service_on=LAST_DAY), charge("L-2", "40.00", service_on=LAST_DAY, code="NEW-2")
    )
    hospital.collected("ehr/L-1", "ehr/L-2")
    hospital.night(schedule="period_ending", day=FIRST_DAY + timedelta(days=2))
    period = f"{LAST_DAY:%Y-%m}"
    accrued = {("ST-MARY", "1250"): usd("340.00"), ("ST-MARY", "4100"): usd("-340.00")}
    assert hospital.payments.books(f"accrual/ST-MARY/{period}") == accrued
    assert hospital.payments.days(f"accrual/ST-MARY/{period}") == [LAST_DAY]
    back = hospital.payments.books(f"accrual-reversal/ST-MARY/{period}")
    assert back == {place: -amount for place, amount in accrued.items()}
    assert hospital.payments.days(f"accrual-reversal/ST-MARY/{period}") == [FIRST_DAY]
    # What was accrued posts in the period that took it back; what comes after the period was closed, in the next open one.
    hospital.sends(charge("L-3", "8.00", service_on=LAST_DAY))
    hospital.collected("ehr/L-3")
    desk.close_period(period)
    try:
        hospital.night()
    finally:
        desk.reopen_period(period)
    sources = [source for source in hospital.batches() if f"/{LAST_DAY}/" in source]
    assert [hospital.payments.days(source) for source in sources] == [[FIRST_DAY], [FIRST_DAY]]
    amounts = sorted(hospital.payments.books(source)["ST-MARY", "1200"] for source in sources)
    assert amounts == [usd("8.00"), usd("300.00")]
    assert platform.query("SELECT state FROM charge_state WHERE charge = 'ehr/L-2'")[0]["state"] == "held"


def test_the_same_messages_again_change_nothing(hospital: Charging) -> None:
    before = hospital.payments.hospital.query("SELECT count(*) AS charges, sum(amount) AS amount FROM charge")
    sources = hospital.batches()
    assert hospital.sends(charge("C-1", "100.00"), control_id="AGAIN-1") == "AA"
    hospital.payments.hospital.settles()
    hospital.night()
    assert hospital.payments.hospital.query("SELECT count(*) AS charges, sum(amount) AS amount FROM charge") == before
    assert hospital.batches() == sources


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("FT1-6", "|PY|"), ("FT1-11", "|12.345|"), ("FT1-11", "|1e30|"), ("FT1-11", "|NaN|"), ("FT1-11", "|12,50|")],
)
def test_what_is_no_charge_is_refused_to_its_sender_and_collected_by_nobody(
    hospital: Charging, field: str, wrong: str
) -> None:
    good = {"FT1-6": b"|CG|", "FT1-11": b"|77.00|"}[field]
    data = charge_message([charge("G-1", "77.00")], control_id=f"G{next(hospital.payments.numbers)}")
    assert good in data
    answer = hospital.payments.hospital.ehr.send(data.replace(good, wrong.encode()).decode())
    assert answer["code"] == "AE"
    assert not hospital.payments.hospital.query("SELECT 1 FROM charge WHERE charge = 'ehr/G-1'")
