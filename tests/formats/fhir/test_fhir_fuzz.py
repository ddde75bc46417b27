"""Whatever bytes and whatever JSON come: typed errors, findings within bounds, and no fall anywhere behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import fhir
from hilum.formats.canonical import as_json
from hilum.formats.fhir import FHIRError
from hilum.formats.fhir.tables import resource_types, shape_of

SAMPLE = (Path(__file__).parent / "samples" / "knee_bundle.json").read_bytes()
XML = fhir.xml_bytes(fhir.parse(SAMPLE).resource)


def survive(data: bytes) -> None:
    fhir.recognise(data)
    try:
        document = fhir.parse(data)
    except FHIRError as error:
        assert fhir.validate(fhir.acknowledge(None, [error.finding])) == []
        return
    findings = fhir.validate(document)
    assert len(findings) <= 301
    assert fhir.validate(fhir.acknowledge(document, findings)) == []
    assert fhir.write(document) == data
    if document.resources:
        json.dumps(fhir.outline(document).as_json())
    json.dumps([as_json(one) for one in fhir.convert(document)])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_document_or_a_typed_error(data):
    survive(data)
    survive(b'{"resourceType":"Patient","a":' + data)
    survive(b'<Patient xmlns="http://hl7.org/fhir">' + data)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SAMPLE) - 1), st.integers(1, 40), st.binary(max_size=6))
def test_a_bundle_cut_and_patched_anywhere_is_survived(start, length, patch):
    survive(SAMPLE[:start] + patch + SAMPLE[start + length :])
    start = start * len(XML) // len(SAMPLE)
    survive(XML[:start] + patch + XML[start + length :])


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=2) | st.sampled_from(["", "#", "x", "Patient/1", "2026", "urn:uuid:1", " "]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["resourceType", "id", "extension", "url", "valueString", "_valueString", "value", "code", "coding", "system", "reference", "type", "start", "end", "low", "high", "name", "entry", "fullUrl", "request", "resource", "contained", "meta", "versionId", "amount", "item", "net", "detail", "response", "payment", "total", "category"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    """A resource of a real type with real element names and anything for values."""
    name = draw(st.sampled_from(sorted(resource_types())))
    elements = draw(st.lists(st.sampled_from(sorted(shape_of(name).elements)), max_size=6))
    beside = draw(st.lists(st.sampled_from(sorted("_" + one for one in shape_of(name).elements)), max_size=2))
    return {"resourceType": name, **{one: draw(ANY) for one in [*elements, *beside]}}


@settings(max_examples=250, deadline=None)
@given(resources())
def test_any_values_under_real_names_are_survived(resource):
    survive(fhir.json_bytes(resource))
    survive(fhir.json_bytes({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}]}))
    try:
        survive(fhir.xml_bytes(resource))
    except FHIRError as error:
        assert error.code == "structure"


CONVERTED = ["Claim", "ExplanationOfBenefit", "PaymentReconciliation", "Invoice", "SupplyRequest", "SupplyDelivery"]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CONVERTED), st.data())
def test_a_real_resource_with_any_one_value_replaced_is_survived(kind, data):
    document = fhir.parse(SAMPLE)
    resource = next(one for one in document.entries() if one["resourceType"] == kind)
    holder: Any = resource
    for _ in range(data.draw(st.integers(1, 5))):
        keys = sorted(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(holder[key], (dict, list)) or not holder[key]:
            break
        parent, holder = holder, holder[key]
    else:
        holder = parent
    holder[key] = data.draw(ANY)
    survive(fhir.json_bytes(document.resource))
