"""Remittances, claims and claim acknowledgements as canonical documents: golden pairs, and what their shapes cannot do without."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from hilum.formats import x12
from hilum.formats.canonical import Acknowledgement, Claim, Record, Remittance, as_json
from hilum.formats.findings import FormatError

SAMPLES = Path(__file__).parent / "samples" / "hipaa"
PAIRS = sorted(path.stem for path in SAMPLES.glob("*.json"))
RECORDS = ["270", "276", "277", "278_request", "278_response", "824", "834"]


def sample(name: str, *edits: tuple[str, str]) -> x12.Document:
    text = (SAMPLES / name).read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return x12.parse(text.encode())


@pytest.mark.parametrize("name", PAIRS)
def test_a_sample_becomes_the_document_beside_it(name: str):
    expected = json.loads((SAMPLES / f"{name}.json").read_text())
    assert [as_json(document) for document in x12.convert(sample(f"{name}.edi"))] == expected


@pytest.mark.parametrize("name", RECORDS)
def test_a_set_without_a_shape_stays_a_record(name: str):
    (document,) = x12.convert(sample(f"{name}.edi"))
    assert isinstance(document, Record)
    assert (document.type, document.control_number) == (name[:3], "0001")


def remittance(*edits: tuple[str, str]) -> Remittance:
    (found,) = x12.convert(sample("835.edi", *edits))
    assert isinstance(found, Remittance)
    return found


def test_adjustments_of_one_segment_are_told_one_by_one():
    (first, *_) = remittance(("CAS*CO*45*35**97*0~", "CAS*CO*45*30*1*97*4*2*253*1~")).claims
    assert [(a.group, a.reason, a.amount, a.quantity) for a in first.services[1].adjustments] == [
        ("CO", "45", Decimal(30), Decimal(1)),
        ("CO", "97", Decimal(4), Decimal(2)),
        ("CO", "253", Decimal(1), None),
        ("PR", "2", Decimal(15), None),
    ]
    assert first.balanced


def test_a_claim_out_of_balance_spoils_its_remittance_and_no_other_claim():
    found = remittance(("CAS*CO*45*-20", "CAS*CO*45*20"))
    assert [claim.balanced for claim in found.claims] == [True, True, False]
    assert not found.balanced
    assert found.difference == 0


def test_a_payment_out_of_balance_says_by_how_much():
    found = remittance(("BPR*I*430.25", "BPR*I*403.25"))
    assert (found.balanced, found.difference) == (False, Decimal("-27.00"))
    assert all(claim.balanced for claim in found.claims)


def test_units_and_money_of_a_remittance_reconcile():
    found = remittance()
    assert found.amount == sum(claim.paid for claim in found.claims) - sum(
        adjustment.amount for adjustment in found.provider_adjustments
    )
    for claim in found.claims:
        taken_off = sum((a.amount for a in claim.adjustments), Decimal(0))
        taken_off += sum((a.amount for service in claim.services for a in service.adjustments), Decimal(0))
        assert claim.charge - taken_off == claim.paid


def test_a_debit_is_no_credit():
    assert not remittance(("BPR*I*430.25*C*", "BPR*I*430.25*D*")).credit


def test_remarks_of_an_inpatient_claim_come_from_both_ends_of_its_outcome():
    found = remittance(("MOA***MA01~", "MIA*0***100*MA01***************N1*N2~"))
    assert found.claims[0].remarks == ("MA01", "N1", "N2")


def test_a_revenue_code_as_a_procedure_is_a_revenue_code():
    found = remittance(("SVC*HC:20610:RT*225", "SVC*NU:0360*225"))
    service = found.claims[0].services[1]
    assert (service.procedure, service.procedure_kind, service.revenue_code) == (None, None, "0360")


def test_a_remittance_without_a_payment_is_no_remittance():
    with pytest.raises(FormatError, match="BPR02"):
        x12.convert(sample("835.edi", ("BPR*I*430.25", "BPR*I*MUCH")))


def test_a_remittance_without_a_payee_is_no_remittance():
    with pytest.raises(FormatError, match="payee"):
        x12.convert(sample("835.edi", ("N1*PE*LAKESHORE ORTHOPEDICS", "N1*ZZ*LAKESHORE ORTHOPEDICS")))


@pytest.mark.parametrize(
    "edits",
    [
        [("CLP*HIP-12*1*200*185", "CLP*HIP-12*1**"), ("CAS*PR*1*15~\n", ""), ("BPR*I*430.25", "BPR*I*245.25")],
        [("CLP*HIP-12*1*200*185", "CLP*HIP-12*1*15*"), ("BPR*I*430.25", "BPR*I*245.25")],
        [("CAS*PR*1*15~", "CAS*PR*1*15**2*O~")],
    ],
)
def test_a_paid_claim_with_an_amount_missing_or_unreadable_is_never_balanced(edits: list[tuple[str, str]]):
    (remittance,) = x12.convert(sample("835.edi", *edits))
    assert isinstance(remittance, Remittance)
    assert [claim.balanced for claim in remittance.claims] == [True, False, True]
    assert (remittance.balanced, remittance.difference) == (False, Decimal(0))


@pytest.mark.parametrize(
    ("old", "new"),
    [("CAS*CO*45*35**97*0~", "CAS*CO*45*35**97*O~"), ("PLB*1234567893*20261231*", "PLB*1234567893*20261231*72:A*O*")],
)
def test_what_adds_up_only_because_an_amount_cannot_be_read_is_not_balanced(old: str, new: str):
    document = sample("835.edi", (old, new))
    (remittance,) = x12.convert(document)
    assert isinstance(remittance, Remittance)
    assert (remittance.balanced, remittance.difference) == (False, Decimal(0))
    assert any(finding.code == "6" and finding.severity == "error" for finding in x12.validate(document))


def test_a_claim_without_a_charge_is_no_claim():
    with pytest.raises(FormatError, match="CLM02"):
        x12.convert(sample("837p.edi", ("CLM*KNEE-99*350.5", "CLM*KNEE-99*")))


def test_each_claim_knows_its_own_patient_and_the_provider_they_share():
    knee, hip = x12.convert(sample("837p.edi"))
    assert isinstance(knee, Claim)
    assert isinstance(hip, Claim)
    assert knee.patient == knee.subscriber
    assert hip.patient is not None
    assert hip.subscriber is not None
    assert (hip.patient.given_name, hip.subscriber.given_name) == ("MINA", "OTTO")
    assert knee.billing_provider == hip.billing_provider


def test_a_claim_whose_lines_do_not_add_up_is_not_balanced():
    knee, hip = x12.convert(sample("837p.edi", ("CLM*KNEE-99*350.5", "CLM*KNEE-99*305.5")))
    assert isinstance(knee, Claim)
    assert isinstance(hip, Claim)
    assert (knee.balanced, hip.balanced) == (False, True)


def test_a_claim_that_lost_its_lines_is_not_balanced():
    lines = (SAMPLES / "837d.edi").read_text()
    start, end = lines.index("LX*1~"), lines.index("SE*")
    (found,) = x12.convert(x12.parse((lines[:start] + lines[end:]).encode()))
    assert isinstance(found, Claim)
    assert (found.services, found.balanced) == ((), False)


STATUSES = {
    "accepted into adjudication": ("A2:20:PR", True, "A2"),
    "forwarded": ("A0:16:AY", True, "A0"),
    "returned as unprocessable": ("A3:21:PR", False, "A3"),
    "missing information": ("A6:21:85", False, "A6"),
    "invalid information": ("A7:562:85", False, "A7"),
    "relational error": ("A8:496:85", False, "A8"),
    "not found": ("A4:35:PR", False, "A4"),
}


@pytest.mark.parametrize("name", STATUSES)
def test_a_category_decides_about_a_claim(name: str):
    status, accepted, code = STATUSES[name]
    (found,) = x12.convert(sample("277ca.edi", ("STC*A2:20:PR", f"STC*{status}")))
    assert isinstance(found, Acknowledgement)
    claim = next(item for item in found.items if item.reference == "KNEE-99")
    assert (claim.level, claim.accepted, claim.code, claim.reasons) == ("claim", accepted, code, (status,))


def test_a_second_status_that_rejects_rejects_the_claim():
    (found,) = x12.convert(
        sample("277ca.edi", ("STC*A2:20:PR*20260106*WQ*350.5", "STC*A2:20:PR*20260106*WQ*350.5******A7:562"))
    )
    assert isinstance(found, Acknowledgement)
    claim = next(item for item in found.items if item.reference == "KNEE-99")
    assert (claim.accepted, claim.code, claim.reasons) == (False, "A7", ("A2:20:PR", "A7:562"))
