"""Two books side by side: what the ledger has otherwise is named with its record and its dollars."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.model import LedgerPosting, Money
from hilum.model.book_control import MOST_NAMED, BookedJournal, BookedSide, charge_disagreements, ledger_disagreements
from hilum.model.patient_billing import BilledCharge

DAY = date(2026, 3, 2)
SIDES = (
    BookedSide(account="1050", debit=Decimal("1200.00")),
    BookedSide(account="1200", debit=Decimal("180.00"), credit=Decimal("1500.00")),
    BookedSide(account="4900", cost_centre="CC-ORTHO", debit=Decimal("120.00")),
)
JOURNAL = BookedJournal(source="remittance/HHP01/EFT-7", facility="ST-MARY", number="JE-7", on=DAY, sides=SIDES)


def line(
    account: str, debit: str = "0", credit: str = "0", *, entry: str = "JE-7", centre: str | None = None, id: str = "1"
) -> LedgerPosting:
    return LedgerPosting(
        id=id, entry=entry, date=DAY, journal="HIL", account=account, account_name=account, cost_centre=centre,
        debit=Money(amount=Decimal(debit), currency="USD"), credit=Money(amount=Decimal(credit), currency="USD"),
    )  # fmt: skip


THERE = [
    line("1050", "1200.00"), line("1200", "180.00"), line("1200", credit="1500.00"), line("4900", "120.00", centre="CC-ORTHO"),
]  # fmt: skip


def test_books_that_agree_say_nothing_however_the_ledger_splits_its_lines():
    assert ledger_disagreements([JOURNAL], THERE) == []
    split = [line("1050", "700.00"), line("1050", "500.00"), *THERE[1:]]
    assert ledger_disagreements([JOURNAL], split) == []


@pytest.mark.parametrize(
    "there, account, difference",
    [
        ([line("1050", "1100.00"), *THERE[1:]], "1050", "-100.00"),
        ([line("1050", credit="1200.00"), *THERE[1:]], "1050", "-2400.00"),
        ([*THERE[:2], *THERE[3:]], "1200", "1500.00"),
        ([*THERE, line("2150", "10.00")], "2150", "10.00"),
        ([*THERE, *THERE[:1]], "1050", "1200.00"),
    ],
    ids=["less", "the other way", "a side is missing", "an account too many", "twice"],
)
def test_what_differs_is_named_by_journal_and_account_with_its_dollars(there, account, difference):
    [found] = ledger_disagreements([JOURNAL], there)
    assert (found.record, found.facility, found.day) == ("remittance/HHP01/EFT-7/ST-MARY", "ST-MARY", DAY)
    assert (found.account, found.difference) == (account, Decimal(difference))
    assert "JE-7" in found.what


def test_sides_that_both_grew_differ_although_their_balance_is_the_same():
    [found] = ledger_disagreements([JOURNAL], [*THERE, line("1050", "5.00"), line("1050", credit="5.00")])
    assert (found.account, found.difference) == ("1050", 0)


def test_a_cost_centre_that_was_changed_is_two_differences_that_cancel_out():
    found = ledger_disagreements([JOURNAL], [*THERE[:3], line("4900", "120.00", centre="CC-EYE")])
    assert [(each.account, each.difference) for each in found] == [
        ("4900", Decimal("120.00")),
        ("4900", Decimal("-120.00")),
    ]


def test_a_journal_that_is_gone_is_one_difference_over_its_total():
    [found] = ledger_disagreements([JOURNAL], [line("1050", "1200.00", entry="JE-8")])
    assert found.what == "journal JE-7 is not in the ledger"
    assert (found.expected, found.found) == (Decimal("1500.00"), 0)


@given(st.permutations(THERE))
def test_the_order_of_the_ledgers_lines_means_nothing(there):
    assert ledger_disagreements([JOURNAL], there) == []


def charge(number: str, amount: str, payer: str = "HHP01") -> BilledCharge:
    return BilledCharge(number=number, payer=payer, amount=Decimal(amount))


HERE = [
    charge("ehr/C-1", "100.00"), charge("ehr/C-1/credit", "-100.00"), charge("lab/9", "12.50"), charge("usage/U-1", "6200.00", "")
]  # fmt: skip
BILLED = [charge("C-1", "100.00"), charge("C-1", "-100.00"), charge("lab:9", "12.50"), charge("U-1", "6200.00", "")]


def test_charges_agree_by_whichever_number_billing_knows_them():
    assert charge_disagreements("ST-MARY", DAY, HERE, BILLED) == []
    assert charge_disagreements("ST-MARY", DAY, HERE, BILLED[::-1]) == []


@pytest.mark.parametrize(
    "here, billed, what, difference",
    [
        (HERE, BILLED[1:], "charge ehr:C-1 is not at billing", "-100.00"),
        (HERE, [BILLED[0], *BILLED[2:]], "credit ehr:C-1 is not at billing", "100.00"),
        (HERE[:3], BILLED, "charge U-1 is at billing alone", "6200.00"),
        (HERE, [*BILLED[:2], charge("lab:9", "125.00"), BILLED[3]], "charge lab:9 differs at billing", "112.50"),
        (HERE, [*BILLED[:2], charge("lab:9", "12.50", "MCARE"), BILLED[3]], "charge lab:9 differs at billing", "0.00"),
    ],
    ids=["a charge", "a credit", "billing alone", "another price", "another plan"],
)
def test_each_charge_that_differs_is_named(here, billed, what, difference):
    [found] = charge_disagreements("ST-MARY", DAY, here, billed)
    assert (found.what, found.difference) == (what, Decimal(difference))


def test_a_whole_file_that_is_missing_names_the_first_and_sums_the_rest():
    many = [charge(f"lab/{number:04}", "2.00") for number in range(MOST_NAMED + 40)]
    found = charge_disagreements("ST-MARY", DAY, many, [])
    assert len(found) == MOST_NAMED + 1
    assert sum(each.difference for each in found) == Decimal("-2.00") * len(many)
