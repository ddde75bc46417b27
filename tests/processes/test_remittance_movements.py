"""What an 835 moves: the payer's own figures to the cent, and what does not add up is named."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats import x12
from hilum.formats.canonical import Remittance
from hilum.processes.patient_to_cash.posting import UnbalancedRemittance, must_balance
from hilum.processes.patient_to_cash.remittance import (
    Place,
    RemittanceAdvised,
    RemittedAdjustment,
    RemittedClaim,
    RemittedProviderAdjustment,
    imbalances,
    movements,
    remittance_advised,
)

REAL = Path(__file__).parents[3] / "shared" / "data" / "x12-hipaa"
MARY, NORTH = Place("ST-MARY", "commercial", "CC-10"), Place("NORTH-POINT", "medicare")
DAY = date(2026, 3, 2)
needs_corpora = pytest.mark.skipif(not REAL.exists(), reason="the corpora shared/data are not beside this checkout")


def of(file: str) -> list[RemittanceAdvised]:
    document = x12.parse((REAL / file).read_bytes())
    return [remittance_advised(r, {}) for r in x12.convert(document) if isinstance(r, Remittance)]


def claim(number: str, charge: str, paid: str, *adjustments: tuple[str, str, str], status: str = "1") -> RemittedClaim:
    taken = tuple(RemittedAdjustment(group=g, reason=r, amount=Decimal(a)) for g, r, a in adjustments)
    return RemittedClaim(
        claim=number, status=status, charge=Decimal(charge), paid=Decimal(paid), adjustments=taken, balanced=True
    )


def advice(amount: str, *claims: RemittedClaim, plb: tuple[tuple[str, str], ...] = ()) -> RemittanceAdvised:
    return RemittanceAdvised(
        number="HHP01/EFT-7", payer="HHP01", payee="1234567893", trace_number="EFT-7", paid_on=DAY, amount=Decimal(amount), claims=claims,
        provider_adjustments=tuple(
            RemittedProviderAdjustment(provider="1234567893", reason=reason, amount=Decimal(moved)) for reason, moved in plb
        ),
        difference=Decimal(0), balanced=True, digest="0" * 64,
    )  # fmt: skip


@needs_corpora
@pytest.mark.parametrize(
    ("file", "amount", "claims"),
    [
        ("lfh-x12/835_005010X221A1/medicare-part-a.835", "150000.00", 2),
        ("lfh-x12/835_005010X221A1/managed-care.835", "945.00", 2),
        ("lfh-x12/835_005010X221A1/secondary-payment.835", "1222.00", 2),
        ("lfh-x12/835_005010X221A1/cob-contractural-adjustment.835", "34.00", 1),
        ("tigershark/5010-835-example-1.txt", "1790", 3),
    ],
)
def test_a_real_remittance_moves_what_it_says(file, amount, claims):
    (found,) = of(file)
    assert (found.amount, len(found.claims), imbalances(found)) == (Decimal(amount), claims, [])
    moved = list(movements(found, MARY))
    paid = sum((m.amount for m in moved if m.kind == "payment"), Decimal(0))
    aside = sum((m.amount for m in moved if m.kind == "provider_adjustment"), Decimal(0))
    assert paid - aside == found.amount
    for at, each in enumerate(found.claims, start=1):
        own = [m for m in moved if m.line.startswith(f"c{at}") and not m.line[len(f"c{at}") :][:1].isdigit()]
        assert sum((m.amount for m in own), Decimal(0)) == each.charge
        patient = sum((m.amount for m in own if m.reason.startswith("PR-")), Decimal(0))
        assert each.patient_responsibility is None or patient == each.patient_responsibility


@needs_corpora
def test_every_real_remittance_that_does_not_balance_says_where_and_by_how_much():
    deviating, good = of("moov/example_5010_835/sample1.txt")
    assert [str(each) for each in imbalances(deviating)] == ["claim 1: 0.01 USD"] and not imbalances(good)
    (tertiary,) = of("lfh-x12/835_005010X221A1/tertiary-payment.835")
    assert [each.where for each in imbalances(tertiary)] == ["claim 1, service 1", "claim 1 and its services"]
    (large,) = of("oopfactory/INS/_835/_4010/FromNth/835_DeIdent_01.dat")
    assert str(imbalances(large)[0]) == "the payment and its claims: 33582.37 USD"


def test_every_claim_moves_where_its_payee_is():
    found = advice("150.00", claim("KNEE-1", "100.00", "100.00"), claim("HIP-2", "50.00", "50.00"), plb=())
    first, second = movements(found, NORTH)
    assert (first.facility, first.payer_class, first.claim) == ("NORTH-POINT", "medicare", "KNEE-1")
    assert (second.facility, second.claim) == ("NORTH-POINT", "HIP-2")


def test_an_adjustment_names_its_group_and_reason_and_its_place():
    (found,) = movements(advice("0", claim("KNEE-1", "10", "0", ("CR", "16", "10"))), MARY)
    assert (found.kind, found.reason, found.line) == ("adjustment", "CR-16", "c1a1")


def test_what_is_taken_back_comes_below_zero():
    back = claim("KNEE-1", "-100", "-80", ("CO", "45", "-20"), status="22")
    found = advice("-80", back)
    assert not imbalances(found) and back.is_reversal
    assert [m.amount for m in movements(found, MARY)] == [Decimal(-80), Decimal(-20)]


def test_a_provider_adjustment_lowers_the_payment_and_interest_raises_it():
    found = advice("95.00", claim("KNEE-1", "100", "100"), plb=(("WO", "10.00"), ("L6", "-5.00")))
    assert not imbalances(found)
    assert [(m.reason, m.amount) for m in movements(found, MARY)][1:] == [
        ("PLB-WO", Decimal(10)), ("PLB-L6", Decimal(-5)),
    ]  # fmt: skip


cents = st.decimals(min_value=-5000, max_value=5000, places=2)


@given(
    st.lists(
        st.tuples(cents, st.lists(st.tuples(st.sampled_from(["CO", "PR", "OA", "XX"]), cents), max_size=4)), max_size=8
    )
)
def test_charge_is_payment_and_adjustments_of_each_claim_whatever_the_figures(given):
    claims = [
        claim(f"C-{n}", str(paid + sum(a for _, a in taken)), str(paid), *((g, "45", str(a)) for g, a in taken))
        for n, (paid, taken) in enumerate(given)
    ]
    found = advice(str(sum((paid for paid, _ in given), Decimal(0))), *claims)
    assert not imbalances(found)
    moved = list(movements(found, MARY))
    for each in claims:
        assert sum((m.amount for m in moved if m.claim == each.claim), Decimal(0)) == each.charge
    assert len({m.line for m in moved}) == len(moved), "each movement has a place of its own"


@pytest.mark.parametrize("amount", ["0.005", "100000000000000.00", "12345678901234567890.1234567891"])
def test_an_amount_that_books_cannot_hold_is_the_payer_s_mistake_and_no_defect(amount):
    found = advice(amount, claim("KNEE-1", amount, amount))
    with pytest.raises(UnbalancedRemittance, match="fractions of a cent, or is larger"):
        must_balance(found)


@pytest.mark.parametrize("amount", ["0", "-1790", "100.0000", "99999999999999.99", "1E+3"])
def test_full_cents_are_full_cents_however_they_are_written(amount):
    must_balance(advice(amount, claim("KNEE-1", amount, amount)))


@pytest.mark.parametrize(
    ("status", "reason", "sequence"),
    [
        ("1", "45", ""),
        ("2", "45", "later"),
        ("3", "45", "later"),
        ("20", "45", "later"),
        ("22", "23", "later"),
        ("22", "45", ""),
    ],
)
def test_a_payer_is_a_later_one_by_its_word_or_by_what_it_says_of_those_before_it(status, reason, sequence):
    said = claim("KNEE-99", "100.00", "15.00", ("OA", reason, "80.00"), ("PR", "1", "5.00"), status=status)
    assert {each.sequence for each in movements(advice("15.00", said), MARY)} == {sequence}
