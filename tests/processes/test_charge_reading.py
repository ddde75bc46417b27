"""Charges as senders write them, where a wrong reading would be wrong money: FT1 by FT1, and line by line of a file."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.governance.loader import load_estate
from hilum.processes.implant_usage import ImplantUsed
from hilum.processes.patient_to_cash.charges import ChargeRecorded
from hilum.runtime.reception import Reader, Reception
from hilum.testing.charges import ChargeLine, charge_message

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
HEADER = "charge_id,kind,facility,account,department,charge_code,amount,service_date\n"


@cache
def reader() -> Reader:
    return Reader(load_estate(LAKESHORE))


def dft(*lines: ChargeLine, **changed: str) -> Reception:
    data = charge_message(lines, control_id="DFT-1").decode()
    for old, new in changed.items():
        assert f"|{old}|" in data
        data = data.replace(f"|{old}|", f"|{new}|")
    return reader().hl7("ehr", "mllp", "peer", data.encode())[0]


def line(**given: object) -> ChargeLine:
    return ChargeLine(**{"number": "C-1", "amount": Decimal("77.00"), **given})  # type: ignore[arg-type]


def one(reception: Reception) -> ChargeRecorded:
    assert reception.problem is None, reception.problem
    [event] = reception.events
    assert event.type == "ChargeRecorded"
    return ChargeRecorded.model_validate_json(event.payload)


def of_file(text: str) -> Reception:
    return reader().table("lab", "folder", "peer", text.encode())


@pytest.mark.parametrize(
    ("kind", "amount", "read_as", "signed", "takes_back"),
    [
        ("CG", "77.00", "charge", "77.00", None),
        ("CG", "-77.00", "credit", "-77.00", "C-1"),
        ("CR", "77.00", "credit", "-77.00", "C-1"),
        ("CR", "-77.00", "credit", "-77.00", "C-1"),
        ("CG", "0.00", "charge", "0.00", None),
        ("CR", "0", "credit", "0", "C-1"),
    ],
)
def test_a_credit_counts_below_zero_however_its_sender_writes_it(
    kind: str, amount: str, read_as: str, signed: str, takes_back: str | None
) -> None:
    read = one(dft(line(kind=kind, amount=Decimal(amount))))
    assert (read.kind, read.amount_usd, read.takes_back) == (read_as, Decimal(signed), takes_back)


def test_a_credit_with_a_number_of_its_own_names_its_charge() -> None:
    read = one(dft(line(number="C-9", kind="CR", takes_back="C-1")))
    assert (read.charge_id, read.takes_back, read.number) == ("C-9", "C-1", "ehr/C-9/credit")


def test_what_is_charged_for_each_unit_is_charged_as_often() -> None:
    data = (
        charge_message([line(amount=Decimal("12.50"), quantity=3)], control_id="D1")
        .decode()
        .replace("|3|12.50||", "|3||12.50|")
    )
    assert one(reader().hl7("ehr", "mllp", "peer", data.encode())[0]).amount_usd == Decimal("37.50")


@pytest.mark.parametrize(
    ("service", "day"), [("20260302", 2), ("20260302235900", 2), ("202603030130+0000", 2), ("20260303013000", 3)]
)
def test_the_service_day_is_the_hospitals(service: str, day: int) -> None:
    assert one(dft(line(), **{"202603021045": service})).service_on == date(2026, 3, day)


def test_implants_and_services_of_one_message_are_told_apart() -> None:
    reception = dft(
        line(),
        line(number="U-1", code="IMP-1001"),
        line(number="U-2", code="IMP-9999"),
        line(number="C-2", code="NEW-1"),
    )
    assert [event.type for event in reception.events] == [
        "ChargeRecorded",
        "ImplantUsed",
        "ImplantUsed",
        "ChargeRecorded",
    ]
    assert ImplantUsed.model_validate_json(reception.events[2].payload).usage_id == "U-2"


@pytest.mark.parametrize(
    ("was", "wrong", "says"),
    [
        ("CG", "PY", "FT1-6 is neither CG nor CR"),
        ("CG", "AJ", "FT1-6 is neither CG nor CR"),
        ("77.00", "12.345", "FT1-11 has fractions of a cent"),
        ("77.00", "1e30", "larger than books hold"),
        ("77.00", "NaN", "FT1-11 has fractions"),
        ("77.00", "12,50", "could not read a value"),
        ("77.00", "77.00&EUR", "FT1-11 is in EUR"),
        ("77.00", "", "FT1-11 is missing"),
        ("202603021045", "20261302", "names a moment that does not exist"),
        ("C-1", "", "FT1-2"),
    ],
)
def test_what_is_no_charge_is_refused_in_words(was: str, wrong: str, says: str) -> None:
    refused = dft(line(), **{was: wrong})
    assert refused.problem is not None and says in str(refused.problem) and refused.events == []


def test_a_file_is_read_line_by_line_under_its_own_systems_numbers() -> None:
    reception = of_file(
        HEADER
        + "C-1,CG,ST-MARY,ACC-1,GEN,LAB-3010,48.00,2026-03-02\nC-1,CR,ST-MARY,ACC-1,GEN,LAB-3010,48.00,03/02/2026\n"
    )
    assert reception.problem is None
    first, second = (ChargeRecorded.model_validate_json(event.payload) for event in reception.events)
    assert (first.number, first.amount_usd, second.number, second.amount_usd) == (
        "lab/C-1", Decimal("48.00"), "lab/C-1/credit", Decimal("-48.00"),
    )  # fmt: skip
    assert first.service_on == second.service_on


@pytest.mark.parametrize(
    "row",
    [
        "C-2,CG,ST-MARY,ACC-1,GEN,LAB-3010,48.005,2026-03-02",
        "C-2,CG,ST-MARY,ACC-1,GEN,LAB-3010,,2026-03-02",
        "C-2,CG,ST-MARY,ACC-1,GEN,LAB-3010,4O.00,2026-03-02",
        "C-2,PY,ST-MARY,ACC-1,GEN,LAB-3010,48.00,2026-03-02",
        "C-2,CG,,ACC-1,GEN,LAB-3010,48.00,2026-03-02",
        "C-2,CG,ST-MARY,ACC-1,GEN,LAB-3010,48.00,yesterday",
        "C-2,CG,ST-MARY,,,,,",
    ],
)
def test_one_bad_line_refuses_the_file_and_is_named(row: str) -> None:
    refused = of_file(HEADER + "C-1,CG,ST-MARY,ACC-1,GEN,LAB-3010,48.00,2026-03-02\n" + row + "\n")
    assert refused.events == [] and refused.problem is not None
    assert "line 3" in str(refused.problem) and "ACC-1" not in str(refused.problem)


@given(st.binary(max_size=400))
def test_whatever_bytes_a_file_holds_charges_or_a_refusal_come_out(data: bytes) -> None:
    reception = reader().table("lab", "folder", "peer", data)
    assert (reception.problem is None) == bool(reception.events)


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=12), min_size=6, max_size=14)
)
def test_whatever_an_ft1_holds_a_charge_or_a_refusal_comes_out(fields: list[str]) -> None:
    data = charge_message([line()], control_id="D1").decode().rsplit("FT1", 1)[0] + "FT1|" + "|".join(fields) + "\r"
    reception, _ = reader().hl7("ehr", "mllp", "peer", data.encode())
    assert (reception.problem is None) == bool(reception.events)
