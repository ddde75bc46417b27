"""One row per rule of R4: what is right passes, what is wrong is told by its issue type, its key and its place."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from hilum.formats import fhir
from hilum.formats.fhir.invariants import INVARIANTS
from hilum.formats.fhir.tables import invariant_keys, shape_of

SAMPLE = Path(__file__).parent / "samples" / "knee_bundle.json"
ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **elements}


def told(resource: Any) -> list[tuple[str, str | None, str | None]]:
    return [(f.code, f.key, f.location) for f in fhir.validate(fhir.build(resource))]


def test_the_knee_is_valid_from_the_patient_to_the_payment():
    assert fhir.validate(fhir.parse(SAMPLE.read_bytes())) == []


RIGHT: dict[str, dict[str, Any]] = {
    "an extension instead of a required primitive": {
        "resourceType": "Observation",
        "_status": ABSENT,
        "code": {"text": "x"},
    },
    "a primitive with both": patient(birthDate="1950", _birthDate=ABSENT),
    "an id beside a primitive": patient(birthDate="1950", _birthDate={"id": "a"}),
    "null where an extension stands": patient(name=[{"given": ["Ada", None], "_given": [None, ABSENT]}]),
    "only extensions in a list": patient(name=[{"_given": [ABSENT]}]),
    "a leap day": patient(birthDate="2024-02-29"),
    "a leap second": patient(deceasedDateTime="2016-12-31T23:59:60Z"),
    "a contained resource referred to": patient(
        contained=[{"resourceType": "Organization", "id": "o", "name": "St. Mary"}],
        managingOrganization={"reference": "#o"},
    ),
    "a contained resource that refers to its container": patient(
        contained=[
            {
                "resourceType": "Observation",
                "id": "o",
                "status": "final",
                "code": {"text": "x"},
                "subject": {"reference": "#"},
            }
        ]
    ),
    "a contained resource named by a canonical": {
        "resourceType": "QuestionnaireResponse",
        "contained": [{"resourceType": "Questionnaire", "id": "q", "status": "active"}],
        "questionnaire": "#q",
        "status": "completed",
    },
    "a logical reference": patient(managingOrganization={"identifier": {"value": "1"}, "type": "Organization"}),
    "a period within one day of unlike zones": patient(
        name=[{"family": "Doe", "period": {"start": "2026-03-01T23:00:00-05:00", "end": "2026-03-02T04:30:00Z"}}]
    ),
    "a period of unlike precision": patient(
        name=[{"family": "Doe", "period": {"start": "2026-03", "end": "2026-03-01"}}]
    ),
}


@pytest.mark.parametrize("resource", RIGHT.values(), ids=RIGHT.keys())
def test_what_r4_allows_passes(resource):
    assert told(resource) == []


WRONG: dict[str, tuple[dict[str, Any], tuple[str, str | None, str | None]]] = {
    "no type": ({"id": "1"}, ("required", None, "resourceType")),
    "a type of R5": ({"resourceType": "Transport"}, ("structure", None, "resourceType")),
    "a type of R4B": ({"resourceType": "SubscriptionStatus"}, ("structure", None, "resourceType")),
    "an element of R5": (
        {"resourceType": "Encounter", "status": "finished", "class": {"code": "IMP"}, "actualPeriod": {"start": "2026"}},
        ("structure", None, "Encounter.actualPeriod"),
    ),
    "a code of R5": ({"resourceType": "Encounter", "status": "completed", "class": {"code": "IMP"}}, ("code-invalid", None, "Encounter.status")),
    "a required primitive": ({"resourceType": "Observation", "code": {"text": "x"}}, ("required", None, "Observation.status")),
    "a required choice": (
        {"resourceType": "ChargeItem", "status": "billable", "code": {"text": "x"}},
        ("required", None, "ChargeItem.subject"),
    ),
    "a required choice of types": (
        {"resourceType": "SupplyRequest", "quantity": {"value": 1}},
        ("required", None, "SupplyRequest.item[x]"),
    ),
    "two of a choice": (patient(deceasedBoolean=True, deceasedDateTime="2026"), ("structure", None, "Patient.deceasedDateTime")),
    "two of a choice, one an extension": (
        patient(deceasedBoolean=True, _deceasedDateTime=ABSENT),
        ("structure", None, "Patient._deceasedDateTime"),
    ),
    "a type the choice does not have": (patient(deceasedString="x"), ("structure", None, "Patient.deceasedString")),
    "one where many": (patient(name={"family": "Doe"}), ("structure", None, "Patient.name")),
    "many where one": (patient(maritalStatus=[{"text": "x"}]), ("structure", None, "Patient.maritalStatus")),
    "many primitives where one": (patient(gender=["female"]), ("structure", None, "Patient.gender")),
    "text where an object": (patient(maritalStatus="M"), ("structure", None, "Patient.maritalStatus")),
    "object where text": (patient(gender={"value": "female"}), ("structure", None, "Patient.gender")),
    "an empty object": (patient(maritalStatus={}), ("invariant", "ele-1", "Patient.maritalStatus")),
    "only an id": (patient(maritalStatus={"id": "a"}), ("invariant", "ele-1", "Patient.maritalStatus")),
    "an empty array": (patient(name=[]), ("invariant", "ele-1", "Patient.name")),
    "an empty text": (patient(gender=""), ("invariant", "ele-1", "Patient.gender")),
    "null": (patient(gender=None), ("structure", None, "Patient.gender")),
    "null in a list of objects": (patient(name=[None]), ("structure", None, "Patient.name[0]")),
    "null in a list without its extension": (patient(name=[{"given": [None]}]), ("structure", None, "Patient.name[0].given[0]")),
    "extension lists of another length": (
        patient(name=[{"given": ["A", "B"], "_given": [ABSENT]}]),
        ("structure", None, "Patient.name[0]._given"),
    ),
    "an extension list of nulls": (patient(name=[{"given": ["A"], "_given": [None]}]), ("invariant", "ele-1", "Patient.name[0]._given")),
    "an extension object where a list": (patient(name=[{"_given": ABSENT}]), ("structure", None, "Patient.name[0]._given")),
    "a strange property beside a primitive": (patient(_gender={"value": "x"}), ("structure", None, "Patient.gender.value")),
    "an underscore before a complex element": (patient(_name=[ABSENT]), ("structure", None, "Patient._name")),
    "boolean as text": (patient(active="true"), ("value", None, "Patient.active")),
    "boolean as number": (patient(active=1), ("value", None, "Patient.active")),
    "a number for text": (patient(gender=1), ("value", None, "Patient.gender")),
    "integer beyond 32 bits": (patient(multipleBirthInteger=2**31), ("value", None, "Patient.multipleBirthInteger")),
    "rank zero": (patient(telecom=[{"system": "phone", "value": "1", "rank": 0}]), ("value", None, "Patient.telecom[0].rank")),
    "a date with time": (patient(birthDate="1950-02-28T00:00:00Z"), ("value", None, "Patient.birthDate")),
    "a day no calendar has": (patient(birthDate="2023-02-29"), ("value", None, "Patient.birthDate")),
    "a date of the year 0": (patient(birthDate="0000"), ("value", None, "Patient.birthDate")),
    "a date-time without zone": (patient(deceasedDateTime="2026-03-01T12:00:00"), ("value", None, "Patient.deceasedDateTime")),
    "an instant without seconds": (patient(meta={"lastUpdated": "2026-03-01T12:00Z"}), ("value", None, "Patient.meta.lastUpdated")),
    "an id too long": (patient(id="x" * 65), ("value", None, "Patient.id")),
    "an id with an underscore": (patient(id="a_b"), ("value", None, "Patient.id")),
    "a code with double spaces": ({"resourceType": "Binary", "contentType": "a  b"}, ("value", None, "Binary.contentType")),
    "a URI with a space": (patient(implicitRules="a b"), ("value", None, "Patient.implicitRules")),
    "text of spaces": (patient(name=[{"family": "  "}]), ("value", None, "Patient.name[0].family")),
    "text beyond a megabyte": (patient(name=[{"family": "A" * (1024 * 1024 + 1)}]), ("value", None, "Patient.name[0].family")),
    "text with a control character": (patient(name=[{"family": "A\x00B"}]), ("value", None, "Patient.name[0].family")),
    "base64 cut off": (patient(photo=[{"contentType": "a/b", "data": "AAA"}]), ("value", None, "Patient.photo[0].data")),
    "a UUID that is none": (patient(identifier=[{"system": "urn:uuid:7"}]), ("value", None, "Patient.identifier[0].system")),
    "an OID that is none": (patient(identifier=[{"system": "urn:oid:9.x"}]), ("value", None, "Patient.identifier[0].system")),
    "a code outside its set": (patient(gender="F"), ("code-invalid", None, "Patient.gender")),
    "a code in a list outside its set": (
        {"resourceType": "SearchParameter", "url": "urn:a", "name": "A", "status": "draft", "description": "a", "code": "a", "base": ["Patent"], "type": "token"},
        ("code-invalid", None, "SearchParameter.base[0]"),
    ),
    "a currency that is none": (
        {"resourceType": "Invoice", "status": "issued", "totalNet": {"value": 1, "currency": "USDollar"}},
        ("code-invalid", None, "Invoice.totalNet.currency"),
    ),
    "a concept outside its set": (
        {"resourceType": "Condition", "subject": {"display": "x"}, "clinicalStatus": {"coding": [{"system": "urn:x", "code": "active"}]}},
        ("code-invalid", None, "Condition.clinicalStatus"),
    ),
    "an extension without url": (patient(extension=[{"valueString": "x"}]), ("required", None, "Patient.extension[0].url")),
    "an extension with value and extension": (
        patient(extension=[{"url": "urn:a", "valueString": "x", "extension": [{"url": "b", "valueString": "y"}]}]),
        ("invariant", "ext-1", "Patient.extension[0]"),
    ),
    "an extension with two values": (
        patient(extension=[{"url": "urn:a", "valueString": "x", "valueCode": "y"}]),
        ("structure", None, "Patient.extension[0].valueCode"),
    ),
    "a reference that is no address": (patient(managingOrganization={"reference": "St. Mary"}), ("value", None, "Patient.managingOrganization.reference")),
    "a reference to no type of R4": (patient(managingOrganization={"reference": "Hospital/1"}), ("value", None, "Patient.managingOrganization.reference")),
    "a reference to the wrong type": (patient(managingOrganization={"reference": "Patient/1"}), ("structure", None, "Patient.managingOrganization")),
    "a reference to the wrong type by URL": (
        patient(managingOrganization={"reference": "https://ehr.example/fhir/Patient/1/_history/2"}),
        ("structure", None, "Patient.managingOrganization"),
    ),
    "a reference and a type that differ": (
        patient(managingOrganization={"reference": "Organization/1", "type": "Location"}),
        ("value", None, "Patient.managingOrganization.type"),
    ),
    "a local reference to nothing": (patient(managingOrganization={"reference": "#o"}), ("invariant", "ref-1", "Patient.managingOrganization.reference")),
    "a contained resource nobody refers to": (
        patient(contained=[{"resourceType": "Organization", "id": "o", "name": "x"}]),
        ("invariant", "dom-3", "Patient.contained"),
    ),
    "a contained resource of a container that refers to itself": (
        patient(contained=[{"resourceType": "Organization", "id": "o", "name": "x"}], link=[{"other": {"reference": "#"}, "type": "seealso"}]),
        ("invariant", "dom-3", "Patient.contained"),
    ),
    "a contained resource in a contained one": (
        patient(
            contained=[{"resourceType": "Organization", "id": "o", "name": "x", "contained": [{"resourceType": "Basic", "id": "b"}]}],
            managingOrganization={"reference": "#o"},
        ),
        ("invariant", "dom-2", "Patient.contained[0].contained"),
    ),
    "a contained resource with a version": (
        patient(contained=[{"resourceType": "Organization", "id": "o", "name": "x", "meta": {"versionId": "1"}}], managingOrganization={"reference": "#o"}),
        ("invariant", "dom-4", "Patient.contained[0].meta"),
    ),
    "a contained resource with a label": (
        patient(contained=[{"resourceType": "Organization", "id": "o", "name": "x", "meta": {"security": [{"code": "R"}]}}], managingOrganization={"reference": "#o"}),
        ("invariant", "dom-5", "Patient.contained[0].meta"),
    ),
    "a contained resource that is wrong itself": (
        patient(contained=[{"resourceType": "Organization", "id": "o"}], managingOrganization={"reference": "#o"}),
        ("invariant", "org-1", "Patient.contained[0]"),
    ),
    "a narrative with a script": (
        patient(text={"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'><script>x</script></div>"}),
        ("invariant", "txt-1", "Patient.text.div"),
    ),
    "a narrative with a handler": (
        patient(text={"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml' onclick='x'>x</div>"}),
        ("invariant", "txt-1", "Patient.text.div"),
    ),
    "a narrative that is no XHTML": (patient(text={"status": "generated", "div": "<p>x"}), ("invariant", "txt-1", "Patient.text.div")),
    "an empty narrative": (
        patient(text={"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'> <p/></div>"}),
        ("invariant", "txt-2", "Patient.text.div"),
    ),
    "a period that ends before it starts": (
        patient(name=[{"family": "x", "period": {"start": "2026-03-02", "end": "2026-03-01"}}]),
        ("invariant", "per-1", "Patient.name[0].period"),
    ),
    "a period that ends an instant before it starts": (
        patient(name=[{"family": "x", "period": {"start": "2026-03-01T12:00:00.2Z", "end": "2026-03-01T12:00:00.1Z"}}]),
        ("invariant", "per-1", "Patient.name[0].period"),
    ),
    "a telecom without system": (patient(telecom=[{"value": "1"}]), ("invariant", "cpt-2", "Patient.telecom[0]")),
    "a contact who is nobody": (patient(contact=[{"relationship": [{"text": "x"}]}]), ("invariant", "pat-1", "Patient.contact[0]")),
    "an organization at home": (
        {"resourceType": "Organization", "name": "x", "address": [{"use": "home", "city": "x"}]},
        ("invariant", "org-2", "Organization"),
    ),
    "an organization's home number": (
        {"resourceType": "Organization", "name": "x", "telecom": [{"use": "home", "system": "phone", "value": "1"}]},
        ("invariant", "org-3", "Organization"),
    ),
    "a unit without system": (
        {"resourceType": "SupplyRequest", "itemCodeableConcept": {"text": "x"}, "quantity": {"value": 1, "code": "1"}},
        ("invariant", "qty-3", "SupplyRequest.quantity"),
    ),
    "a simple quantity with a comparator": (
        {"resourceType": "Claim", "item": [{"sequence": 1, "productOrService": {"text": "x"}, "quantity": {"value": 1, "comparator": "<"}}]},
        ("invariant", "sqty-1", "Claim.item[0].quantity.comparator"),
    ),
    "an observation with a value and its absence": (
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "valueString": "x", "dataAbsentReason": {"text": "x"}},
        ("invariant", "obs-6", "Observation"),
    ),
    "a parameter of two kinds": (
        {"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "x", "part": [{"name": "y", "valueString": "z"}]}]},
        ("invariant", "inv-1", "Parameters.parameter[0]"),
    ),
    "a range upside down": (
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "valueRange": {"low": {"value": 2}, "high": {"value": 1}}},
        ("invariant", "rng-2", "Observation.valueRange"),
    ),
    "half a ratio": (
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "valueRatio": {"numerator": {"value": 2}}},
        ("invariant", "rat-1", "Observation.valueRatio"),
    ),
    "an appointment without times": (
        {"resourceType": "Appointment", "status": "booked", "participant": [{"actor": {"display": "x"}, "status": "accepted"}]},
        ("invariant", "app-3", "Appointment"),
    ),
    "an attachment of no type": (patient(photo=[{"data": "AAAA"}]), ("invariant", "att-1", "Patient.photo[0]")),
}  # fmt: skip


@pytest.mark.parametrize(("resource", "finding"), WRONG.values(), ids=WRONG.keys())
def test_what_r4_forbids_is_told(resource, finding):
    found = told(resource)

    assert finding in found
    assert len(found) <= 2 or resource["resourceType"] == "Claim"


def bundle(kind: str, *entries: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, **more, "entry": list(entries)}


GET = {"request": {"method": "GET", "url": "Patient"}}
ONE = {"fullUrl": "urn:oid:1.2", "resource": {"resourceType": "Basic", "code": {"text": "x"}}}

BUNDLES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a collection": (bundle("collection", ONE), set()),
    "a transaction": (bundle("transaction", GET, {**ONE, **GET}), set()),
    "a searchset with a total": (bundle("searchset", {**ONE, "search": {"mode": "match"}}, total=1), set()),
    "a response": (bundle("transaction-response", {"response": {"status": "201 Created"}}), set()),
    "two versions": (
        bundle(
            "collection",
            *({"fullUrl": "urn:oid:1.2", "resource": {"resourceType": "Basic", "code": {"text": "x"}, "meta": {"versionId": v}}} for v in "12"),
        ),
        set(),
    ),
    "a history of one resource": (
        bundle("history", *[{**ONE, **GET, "response": {"status": "200"}}] * 2, total=2),
        set(),
    ),
    "a total out of place": (bundle("collection", ONE, total=1), {"bdl-1"}),
    "a search out of place": (bundle("collection", {**ONE, "search": {"mode": "match"}}), {"bdl-2"}),
    "a transaction without request": (bundle("transaction", ONE), {"bdl-3"}),
    "a request out of place": (bundle("collection", {**ONE, **GET}), {"bdl-3"}),
    "a response out of place": (bundle("collection", {**ONE, "response": {"status": "200"}}), {"bdl-4"}),
    "a response without response": (bundle("batch-response", ONE), {"bdl-4"}),
    "an entry of nothing": (bundle("collection", {"fullUrl": "urn:oid:1.2"}), {"bdl-5"}),
    "a fullUrl twice": (bundle("collection", ONE, copy.deepcopy(ONE)), {"bdl-7"}),
    "a fullUrl of a version": (bundle("collection", {**ONE, "fullUrl": "http://x.example/Basic/1/_history/1"}), {"bdl-8"}),
    "a document of nothing": (bundle("document", ONE), {"bdl-9", "bdl-10", "bdl-11"}),
    "a message without header": (bundle("message", ONE), {"bdl-12"}),
}  # fmt: skip


@pytest.mark.parametrize(("resource", "keys"), BUNDLES.values(), ids=BUNDLES.keys())
def test_bundles_keep_the_rules_of_their_type(resource, keys):
    found = fhir.validate(fhir.build(resource))

    assert {f.key for f in found} == keys
    assert all(f.details() == {"key": f.key} and f.text.startswith(f"{f.key}: ") for f in found)


def test_an_entry_is_checked_as_what_it_is_and_told_where_it_is():
    found = told(bundle("collection", {"resource": patient(gender="x")}, {"resource": {"resourceType": "Coverage"}}))

    assert ("code-invalid", None, "Bundle.entry[0].resource.gender") in found
    assert ("required", None, "Bundle.entry[1].resource.beneficiary") in found


def test_references_between_entries_are_followed():
    other = {"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000002", "resource": patient()}
    wrong = patient(managingOrganization={"reference": other["fullUrl"]})
    lost = patient(managingOrganization={"reference": "urn:uuid:00000000-0000-4000-8000-000000000003"})
    found = fhir.validate(fhir.build(bundle("collection", other, {"resource": wrong}, {"resource": lost})))

    assert [(f.code, f.severity, f.location) for f in found] == [
        ("structure", "error", "Bundle.entry[1].resource.managingOrganization"),
        ("not-found", "warning", "Bundle.entry[2].resource.managingOrganization.reference"),
    ]


def test_a_search_as_reference_is_for_transactions():
    claimed = patient(managingOrganization={"reference": "Organization?identifier=1"})
    assert [f.severity for f in fhir.validate(fhir.build(claimed))] == ["warning"]
    assert told(bundle("transaction", {"resource": claimed, "request": {"method": "POST", "url": "Patient"}})) == []


def test_findings_say_the_line_and_nothing_of_the_content():
    data = b'{\n "resourceType": "Patient",\n "name": [\n  {"family": "Doe-Secret"},\n  {"family": ["Doe-Secret"]}\n ],\n "Doe Secret": 1,\n "gender": "Doe-Secret"\n}'
    found = fhir.validate(fhir.parse(data))

    assert {(f.location, f.line) for f in found} == {
        ("Patient.name[1].family", 5),
        ("Patient.gender", 8),
        ("Patient.?", 7),
    }
    assert "Secret" not in repr([(f.text, f.location) for f in found])


def test_no_document_has_more_findings_than_a_reader_wants():
    found = fhir.validate(fhir.build(patient(name=[{"family": ""}] * 1000)))

    assert len(found) == 301
    assert found[-1].code == "incomplete"


def test_content_built_deeper_than_any_reader_goes_is_told_without_a_fall():
    deep: dict[str, Any] = {"url": "urn:a", "valueString": "x"}
    for _ in range(5000):
        deep = {"url": "urn:a", "extension": [deep]}
    found = fhir.validate_resource(patient(extension=[deep]))

    assert [f.code for f in found] == ["too-costly"]
    with pytest.raises(fhir.FHIRError):
        fhir.build(patient(extension=[deep]))


def test_the_acknowledgement_is_a_valid_operation_outcome():
    document = fhir.parse(b'{"resourceType":"Claim"}')
    findings = fhir.validate(document)
    outcome = fhir.acknowledge(document, findings)

    assert outcome.type == "OperationOutcome"
    assert fhir.validate(outcome) == []
    assert {issue["expression"][0] for issue in outcome.resource["issue"]} >= {"Claim.status", "Claim.created"}
    assert fhir.acknowledge(document, []).get("issue.severity") == "information"
    with pytest.raises(fhir.FHIRError) as refused:
        fhir.parse(b"{")
    assert fhir.validate(fhir.acknowledge(None, [refused.value.finding])) == []


def test_every_rule_here_is_one_of_r4_and_the_rest_is_named():
    keys = {key for key, severity, _ in invariant_keys() if severity == "error"}

    assert fhir.evaluated() <= keys
    assert {key for key, _ in fhir.unevaluated()} == keys - fhir.evaluated()
    for name in INVARIANTS:
        assert shape_of(name).name == name
    left = {path.partition(".")[0] for _, path in fhir.unevaluated()}
    ours = "Patient Account Encounter Coverage Claim ClaimResponse ExplanationOfBenefit ChargeItem Invoice PaymentReconciliation"
    ours += " PaymentNotice Organization Practitioner PractitionerRole Location Device DeviceDefinition SupplyRequest SupplyDelivery"
    ours += " Task CoverageEligibilityRequest CoverageEligibilityResponse OperationOutcome Bundle Parameters"
    assert left.isdisjoint(ours.split())


def test_a_place_in_xml_does_not_repeat_a_name_that_only_the_sender_has():
    made_up = "k" * 5_000
    body = f'<Patient xmlns="http://hl7.org/fhir">\n<{made_up}/>\n<colour/></Patient>'
    found = fhir.validate(fhir.parse(body.encode()))

    assert [(f.location, f.line) for f in found if f.code == "structure"] == [("Patient.?", 2), ("Patient.colour", 3)]
