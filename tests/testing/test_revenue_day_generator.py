"""The generated revenue day: the same from the same seed, everything in it that should be, and accounts as the estate has them."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hilum.testing import revenue_day_catalogue as catalogue
from hilum.testing.revenue_day import RevenueDay, make_revenue_day

DAY = date(2026, 3, 2)
TABLES = Path(__file__).parents[2] / "estates" / "lakeshore" / "tables"


@pytest.fixture(scope="module")
def day() -> RevenueDay:
    return make_revenue_day(7, on=DAY, size=0.025)


def rows(name: str) -> list[dict[str, str]]:
    with (TABLES / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_seed_is_one_day_and_another_seed_another(day: RevenueDay) -> None:
    again, other = make_revenue_day(7, on=DAY, size=0.025), make_revenue_day(8, on=DAY, size=0.025)
    assert [each.data for each in again.arrivals] == [each.data for each in day.arrivals]
    assert again.books() == day.books() and other.books().balance != day.books().balance


def test_sizes_are_those_of_the_day_and_scale(day: RevenueDay) -> None:
    assert (len(day.encounters), len(day.charges), len(day.claims)) == (500, 1500, 125)
    twice = make_revenue_day(7, on=DAY, size=0.05)
    assert (len(twice.encounters), len(twice.charges), len(twice.claims)) == (1000, 3000, 250)
    with pytest.raises(ValueError, match="too small"):
        make_revenue_day(7, on=DAY, size=0.001)


@pytest.mark.parametrize("seed", range(5))
def test_every_book_of_a_day_balances_and_every_kind_of_thing_happens(seed: int) -> None:
    day = make_revenue_day(seed, on=DAY, size=0.01)
    books = day.books()
    assert sum(books.balance.values()) == 0
    assert {state for _, state in books.claims} == {
        "paid", "partly_denied", "denied", "reversed", "unknown", "accepted", "rejected", "received", "submitted",
    }  # fmt: skip
    assert {state for _, state in books.cash} == {"matched", "differs", "returned", "open", "not_expected"}
    triggers = Counter(each.data.split(b"|", 9)[8].split(b"^")[1] for each in day.arrivals if each.by == "ehr")
    assert {b"A04", b"A08", b"A03", b"A11", b"A40", b"P03"} <= set(triggers)
    assert any(each.cancelled and each.charged for each in day.encounters)
    assert {each.service_on for each in day.charges} > {DAY, DAY - timedelta(days=1)}
    assert all(each.remittance().total >= 0 for each in day.payments)


def test_things_come_in_the_order_in_which_nobody_expects_them(day: RevenueDay) -> None:
    texts = [(each.name, each.data) for each in day.arrivals if each.name]
    place = {name.partition("-")[2]: at for at, (name, _) in enumerate(texts)}
    numbers = {name[4:8] for name in place if name.startswith("999-")}
    assert any(place[f"999-{number}.x12"] < place[f"837-{number}.x12"] for number in numbers)
    paid = [(payment.arrives, claim) for payment in day.payments for claim in payment.claims]
    back = {claim.claim: at for at, claim in paid if claim.status == "22"}
    assert any(at > back[claim.claim] for at, claim in paid if claim.status != "22" and claim.claim in back)
    credits = [each for each in day.charges if each.amount < 0]
    assert credits and sum(each.by == "ehr" and each.repeats for each in day.arrivals)
    assert len(set(texts)) == len(texts)


def test_every_decision_of_a_payer_adds_up(day: RevenueDay) -> None:
    decided = [claim for payment in day.payments for claim in payment.claims]
    assert decided
    for claim in decided:
        off = sum((amount for _, _, amount in claim.adjustments), Decimal(0))
        assert claim.charge == claim.paid + off, claim.claim
    assert [each.trace[-3:] for each in day.payments if not each.balances] == ["OFF"]


def test_the_accounts_that_are_expected_are_those_that_the_estate_posts_to() -> None:
    kinds = {(row["group"], row["reason"]): row["kind"] for row in rows("adjustment_kinds.csv")}
    named = {row["account"]: row["name"] for row in rows("accounts.csv")}
    assert {code: named[code] for code in catalogue.ACCOUNTS} == catalogue.ACCOUNTS
    by_rule = {
        (row["kind"], row["reason"], row["charge_class"]): (row["debit"], row["credit"])
        for row in rows("posting_rules.csv")
        if not row["sequence"]
    }
    of_later = {row["kind"]: row["credit"] for row in rows("posting_rules.csv") if row["sequence"]}
    assert (
        of_later["payment"] == of_later["contractual"] == catalogue.PATIENTS_OWE
        and not of_later["patient_responsibility"]
    )
    classes = {row["code"]: row["target"] for row in rows("charge_code_to_class.csv")}
    for service in (*catalogue.SERVICES, *catalogue.LABORATORY):
        assert by_rule["charge", "", classes[service.code]] == (catalogue.PAYERS_OWE, service.revenue)
    assert catalogue.UNKNOWN_SERVICE.code not in classes
    for (group, reason), account in catalogue.TAKEN_OFF.items():
        kind = kinds[group, reason if (group, reason) in kinds else ""]
        assert by_rule[kind, "", ""] == ((account, catalogue.PAYERS_OWE) if account is not None else ("", ""))
    for reason, account in catalogue.MOVED.items():
        assert by_rule["provider_adjustment", f"PLB-{reason}", ""] == (account, catalogue.TRANSIT)
    assert by_rule["payment", "", ""] == (catalogue.TRANSIT, catalogue.PAYERS_OWE)
    assert by_rule["deposit", "", ""] == (catalogue.BANK, catalogue.TRANSIT)
    centres = {row["code"]: row["target"] for row in rows("department_to_cost_centre.csv")}
    assert centres == catalogue.COST_CENTRES and catalogue.UNMAPPED_DEPARTMENT not in centres
    facilities = {row["code"]: row["target"] for row in rows("payee_to_facility.csv")}
    accounts = {row["code"]: row["target"] for row in rows("bank_account_to_facility.csv")}
    for hospital in catalogue.HOSPITALS:
        assert facilities[hospital.npi] == accounts[hospital.bank_account] == hospital.code
