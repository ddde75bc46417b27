"""FHIR as canonical documents and as a tree: amounts add up or stay a record, and what identifies a patient is marked."""

from __future__ import annotations

import copy
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hilum.formats import fhir
from hilum.formats.canonical import Claim, Invoice, Order, Record, Remittance, ShipNotice, as_json
from hilum.formats.outline import Outline

SAMPLE = Path(__file__).parent / "samples" / "knee_bundle.json"


@pytest.fixture
def knee() -> fhir.Document:
    return fhir.parse(SAMPLE.read_bytes())


def resource(document: fhir.Document, kind: str) -> Any:
    return next(one for one in document.entries() if one["resourceType"] == kind)


def converted(document: fhir.Document, kind: str) -> Any:
    index = [one["resourceType"] for one in document.entries()].index(kind)
    return fhir.convert(document)[index]


def test_a_claim_is_a_claim_with_its_people_followed_in_the_bundle(knee):
    claim = converted(knee, "Claim")

    assert isinstance(claim, Claim)
    assert (claim.type, claim.claim_number, claim.charge, claim.balanced) == (
        "institutional",
        "CLAIM-1",
        Decimal("1500.20"),
        True,
    )
    assert claim.patient is not None and (claim.patient.name, claim.patient.given_name) == ("Doe", "Ada")
    assert claim.payer is not None and claim.payer.name == "Lake Health Plan"
    assert claim.billing_provider is not None and claim.billing_provider.identifiers[0].scheme == "npi"
    assert claim.diagnoses == ("M17.11",)
    assert [(s.procedure, s.revenue_code, s.charge, s.units, s.service_to) for s in claim.services] == [
        ("27447", "0360", Decimal("1000.00"), Decimal(1), "2026-02-27"),
        ("KNEE-99", "0278", Decimal("500.20"), Decimal("2.0"), "2026-02-28"),
    ]


def test_a_claim_whose_total_is_not_its_lines_says_so(knee):
    resource(knee, "Claim")["total"]["value"] = Decimal("1500.21")

    assert converted(knee, "Claim").balanced is False


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "cancelled"),
        ("use", "preauthorization"),
        ("type", {"coding": [{"code": "pharmacy"}]}),
        ("item", [{"sequence": 1}]),
    ],
)
def test_what_is_no_claim_to_be_paid_stays_a_record(knee, path, value):
    resource(knee, "Claim")[path] = value
    record = converted(knee, "Claim")

    assert isinstance(record, Record)
    assert (record.type, record.control_number) == ("Claim", "CLAIM-1")
    assert record.content[path] == value


def test_an_explanation_of_benefit_whose_amounts_add_up_is_a_remittance(knee):
    paid = converted(knee, "ExplanationOfBenefit")

    assert isinstance(paid, Remittance)
    assert (paid.amount, paid.trace_number, paid.payment_date) == (Decimal("1200.00"), "TRACE-1", "2026-03-12")
    claim = paid.claims[0]
    assert (claim.claim_number, claim.payer_claim_number) == ("CLAIM-1", "EOB-1")
    assert (claim.charge, claim.paid, claim.patient_responsibility) == (
        Decimal("1500.20"),
        Decimal("1200.00"),
        Decimal("100.20"),
    )
    assert [(a.group, a.reason, a.amount) for s in claim.services for a in s.adjustments] == [
        ("CO", "45", Decimal("200.00")),
        ("PR", "1", Decimal("100.00")),
        ("PR", "3", Decimal("0.20")),
    ]


@pytest.mark.parametrize("cents", ["1199.99", "1200.01", "-1200.00"])
def test_an_explanation_of_benefit_that_is_a_cent_off_stays_a_record(knee, cents):
    resource(knee, "ExplanationOfBenefit")["payment"]["amount"]["value"] = Decimal(cents)

    assert isinstance(converted(knee, "ExplanationOfBenefit"), Record)


@pytest.mark.parametrize(
    ("path", "value"), [("status", "cancelled"), ("outcome", "error"), ("outcome", "queued"), ("payment", {})]
)
def test_an_explanation_that_paid_nothing_yet_stays_a_record(knee, path, value):
    resource(knee, "ExplanationOfBenefit")[path] = value

    assert isinstance(converted(knee, "ExplanationOfBenefit"), Record)


@pytest.mark.parametrize(
    ("category", "reason"), [("deductible", "1"), ("coinsurance", "2"), ("coins", "2"), ("copay", "3")]
)
def test_a_patients_share_has_its_reason(knee, category, reason):
    item = resource(knee, "ExplanationOfBenefit")["item"][1]
    item["adjudication"][0]["category"]["coding"][0]["code"] = category

    assert [a.reason for a in converted(knee, "ExplanationOfBenefit").claims[0].services[1].adjustments] == [reason]


def test_a_bulk_payment_is_a_remittance_when_the_decisions_are_there(knee):
    paid = converted(knee, "PaymentReconciliation")

    assert isinstance(paid, Remittance)
    assert (paid.amount, paid.balanced, paid.difference) == (Decimal("1190.00"), True, 0)
    assert [(a.reference, a.amount) for a in paid.provider_adjustments] == [("ADJ-1", Decimal("10.00"))]
    resource(knee, "PaymentReconciliation")["paymentAmount"]["value"] = Decimal("1195.00")
    off = converted(knee, "PaymentReconciliation")
    assert (off.balanced, off.difference) == (False, Decimal("5.00"))
    alone = fhir.build(resource(knee, "PaymentReconciliation"))
    assert isinstance(fhir.convert(alone)[0], Record)


def test_an_invoice_is_a_patients_invoice(knee):
    invoice = converted(knee, "Invoice")

    assert isinstance(invoice, Invoice)
    assert (invoice.number, invoice.total, invoice.net, invoice.currency, invoice.balanced) == (
        "INV-1",
        Decimal("106.00"),
        Decimal("100.00"),
        "USD",
        True,
    )
    assert invoice.buyer is not None and invoice.buyer.name == "Doe"
    assert [(line.amount, line.taxes[0].amount) for line in invoice.lines] == [(Decimal("100.00"), Decimal("6.00"))]
    resource(knee, "Invoice")["totalGross"]["value"] = Decimal("107.00")
    resource(knee, "Invoice")["totalNet"]["value"] = Decimal("101.00")
    assert converted(knee, "Invoice").balanced is False


def test_a_discount_lowers_the_line_whichever_sign_it_was_written_with(knee):
    resource(knee, "Invoice")["lineItem"][0]["priceComponent"][1]["amount"]["value"] = Decimal("20.00")

    assert converted(knee, "Invoice").lines[0].amount == Decimal("100.00")


def test_contained_people_are_followed(knee):
    claim = resource(knee, "Claim")
    claim["contained"] = [{"resourceType": "Patient", "id": "p", "name": [{"family": "Roe"}]}]
    claim["patient"] = {"reference": "#p"}

    assert converted(knee, "Claim").patient.name == "Roe"


def test_only_a_bundle_is_taken_apart():
    stock = fhir.build(
        {
            "resourceType": "List",
            "id": "L-1",
            "status": "current",
            "mode": "working",
            "entry": [{"item": {"display": "KNEE-99"}}],
        }
    )

    assert [one.type for one in fhir.convert(stock)] == ["List"]


def test_supply_goes_from_request_to_delivery(knee):
    order, notice = converted(knee, "SupplyRequest"), converted(knee, "SupplyDelivery")

    assert isinstance(order, Order) and isinstance(notice, ShipNotice)
    assert (order.number, order.seller.name, order.lines[0].quantity) == ("REQ-1", "Ortho Supply", 3)
    assert (order.lines[0].identifiers[0].scheme, order.lines[0].identifiers[0].value) == ("gtin", "00312345678906")
    assert (notice.order_numbers, notice.lines[0].identifiers[0].value) == (("REQ-1",), "00312345678906")
    resource(knee, "SupplyDelivery")["status"] = "completed"
    assert isinstance(converted(knee, "SupplyDelivery"), Record)
    del resource(knee, "SupplyRequest")["supplier"]
    assert isinstance(converted(knee, "SupplyRequest"), Record)


def test_everything_converts_to_json_with_amounts_as_strings(knee):
    told = [as_json(one) for one in fhir.convert(knee)]

    assert len(told) == 11
    assert '"1500.20"' in json.dumps(told)


# --- outlines ------------------------------------------------------------------------------------------------------------


def leaves(node: Outline, path: str = "") -> dict[str, Outline]:
    place = f"{path}.{node.label}" if path else node.label
    found = {place: node} if node.value is not None else {}
    for child in node.children:
        found |= leaves(child, place)
    return found


def test_the_outline_shows_everything_and_marks_who_it_is_about(knee):
    shown = leaves(fhir.outline(knee))
    at = "Bundle.entry[0].resource"

    for name in (
        "identifier[0].value",
        "name[0].family",
        "name[0].given[0]",
        "telecom[0].value",
        "birthDate",
        "gender",
    ):
        assert shown[f"{at}.{name}"].protected, name
    for name in ("address[0].city", "address[0].state", "address[0].postalCode", "managingOrganization.reference"):
        assert shown[f"{at}.{name}"].protected, name
    assert shown[f"{at}._birthDate.extension[0].valueDateTime"].protected
    assert shown["Bundle.entry[0].fullUrl"].protected
    assert shown["Bundle.entry[0].request.ifNoneExist"].protected
    assert shown["Bundle.entry[3].resource.subscriberId"].protected
    claim = "Bundle.entry[4].resource"
    for name in ("identifier[0].value", "item[0].servicedDate", "billablePeriod.start", "patient.reference"):
        assert shown[f"{claim}.{name}"].protected, name
    for name in (
        "status",
        "use",
        "created",
        "total.value",
        "total.currency",
        "item[0].quantity.value",
        "type.coding[0].code",
    ):
        assert not shown[f"{claim}.{name}"].protected, name
    assert shown[f"{claim}.total.value"].value == "1500.20"
    assert not shown["Bundle.entry[1].resource.name"].protected  # St. Mary is no patient.
    assert not shown["Bundle.entry[6].resource.paymentDate"].protected


def test_a_masked_outline_holds_nothing_of_the_patient(knee):
    masked = json.dumps(fhir.outline(knee).as_json(lambda text: "***"))

    for secret in ("Doe", "Ada", "MRN-7", "555 0100", "1950", "1 Lake Road", "SUB-1", "CLAIM-1", "2026-02-27", "SER-1"):
        assert secret not in masked, secret
    assert "St. Mary" in masked and "1500.20" in masked


def test_content_r4_does_not_know_is_marked_wherever_it_stands():
    for content in (
        {"resourceType": "Organization", "name": "St. Mary", "patientName": "Doe"},
        {"resourceType": "Hospital", "patientName": "Doe"},
        {"resourceType": "Organization", "name": {"patient": ["Doe"]}},
        {"resourceType": "Organization", "address": ["Doe"]},
        {"resourceType": "Location", "managingOrganization": {"reference": "Patient/Doe", "display": "Doe"}},
        {"Doe and daughter": "Doe"},
    ):
        assert "Doe" not in json.dumps(fhir.outline(fhir.build(copy.deepcopy(content))).as_json(lambda text: "***"))


def test_an_extension_of_a_patients_resource_is_marked_whole_but_for_its_url():
    held = {"url": "urn:example:birthsex", "valueCode": "F"}
    shown = leaves(fhir.outline(fhir.build({"resourceType": "Patient", "extension": [held]})))

    assert shown["Patient.extension[0].valueCode"].protected
    assert not shown["Patient.extension[0].url"].protected


def test_lines_are_outlined_one_by_one():
    shown = fhir.outline(
        fhir.parse(b'{"resourceType":"Patient","id":"P-1"}\n{"resourceType":"Organization","id":"O-1"}\n')
    )

    assert [(child.label, child.note) for child in shown.children] == [("[0]", "Patient"), ("[1]", "Organization")]
    assert [child.children[0].protected for child in shown.children] == [True, False]


def test_amounts_say_their_currency_and_two_currencies_are_no_sum(knee):
    assert (converted(knee, "Claim").currency, converted(knee, "ExplanationOfBenefit").currency) == ("USD", "USD")
    assert converted(knee, "PaymentReconciliation").currency == "USD"
    resource(knee, "Claim")["item"][0]["net"]["currency"] = "CAD"
    resource(knee, "Invoice")["totalGross"]["currency"] = "CAD"
    assert isinstance(converted(knee, "Claim"), Record)
    assert isinstance(converted(knee, "Invoice"), Record)
    resource(knee, "ExplanationOfBenefit")["payment"]["amount"]["currency"] = "CAD"
    assert isinstance(converted(knee, "ExplanationOfBenefit"), Record)


def test_a_bulk_payment_in_another_currency_than_the_decisions_stays_a_record(knee):
    resource(knee, "PaymentReconciliation")["paymentAmount"]["currency"] = "CAD"

    assert isinstance(converted(knee, "PaymentReconciliation"), Record)


def test_a_bulk_payment_that_names_a_decision_twice_stays_a_record(knee):
    payment = resource(knee, "PaymentReconciliation")
    paid = next(detail for detail in payment["detail"] if "response" in detail)
    payment["detail"].append(copy.deepcopy(paid))

    assert isinstance(converted(knee, "PaymentReconciliation"), Record)


def test_ten_thousand_references_are_followed_as_quickly_as_one(knee):
    many = 10_000
    charges = [{"resourceType": "ChargeItem", "id": f"c{at}", "code": {"text": f"C-{at}"}} for at in range(many)]
    lines = [{"chargeItemReference": {"reference": f"#c{many - 1}"}} for _ in range(many)]
    resource(knee, "Invoice").update(contained=charges, lineItem=lines)
    payment = resource(knee, "PaymentReconciliation")
    payment["detail"] = payment["detail"] * many
    begun = time.process_time()

    assert {line.description for line in converted(knee, "Invoice").lines} == {f"C-{many - 1}"}
    assert isinstance(converted(knee, "PaymentReconciliation"), Record)
    assert time.process_time() - begun < 4


def test_what_is_taken_off_the_whole_invoice_is_told_and_counted(knee):
    invoice = resource(knee, "Invoice")
    invoice["totalGross"]["value"], invoice["totalNet"]["value"] = Decimal("99.00"), Decimal("93.00")
    assert converted(knee, "Invoice").balanced is False
    invoice["totalPriceComponent"] = [
        {"type": "discount", "code": {"text": "family"}, "amount": {"value": Decimal("-10.00"), "currency": "USD"}},
        {"type": "surcharge", "amount": {"value": Decimal("2.00"), "currency": "USD"}},
        {"type": "tax", "factor": Decimal("0.01"), "amount": {"value": Decimal("1.00"), "currency": "USD"}},
    ]
    told = converted(knee, "Invoice")

    assert told.balanced is True
    assert [(part.charge, part.amount, part.text) for part in told.allowances] == [
        (False, Decimal("10.00"), "family"),
        (True, Decimal("2.00"), None),
    ]
    assert [(tax.amount, tax.rate_percent) for tax in told.taxes] == [(Decimal("1.00"), Decimal(1))]


def test_a_summary_of_the_lines_is_not_counted_twice(knee):
    resource(knee, "Invoice")["totalPriceComponent"] = [
        {"type": "tax", "amount": {"value": Decimal("6.00"), "currency": "USD"}}
    ]

    assert (converted(knee, "Invoice").taxes, converted(knee, "Invoice").balanced) == ((), True)
