"""Canonical documents as JSON values."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hilum.formats.canonical import Invoice, Party, Record, as_json


@pytest.mark.parametrize(
    ("amount", "written"),
    [("100", "100"), ("1E+2", "100"), ("0.10", "0.10"), ("-0.000001", "-0.000001"), ("1E-9", "0.000000001")],
)
def test_amounts_are_plain_decimal_strings(amount, written):
    assert as_json(Decimal(amount)) == written


@pytest.mark.parametrize("bomb", ["1E+99999", "-1E-99999", "0E+99999"])
def test_a_number_of_seven_characters_does_not_become_a_hundred_thousand(bomb):
    assert as_json(Record(type="Invoice", content={"total": [Decimal(bomb)]}))["content"] == {"total": [bomb]}


def test_what_is_missing_is_left_out():
    told = as_json(Invoice(number="I-1", total=Decimal("5.00"), seller=Party(name="ORTHO"), balanced=True))
    assert told == {
        "kind": "invoice",
        "number": "I-1",
        "credit": False,
        "seller": {"name": "ORTHO"},
        "total": "5.00",
        "balanced": True,
    }
