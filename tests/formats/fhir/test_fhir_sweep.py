"""Every element of every resource of R4, filled, then broken one way at a time: each break is told at its place."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from hilum.formats import fhir
from hilum.formats.fhir.tables import Element, Shape, resource_types, shape_of

OURS = [
    "Patient", "Account", "Encounter", "Coverage", "Claim", "ClaimResponse", "ExplanationOfBenefit", "ChargeItem", "Invoice",
    "PaymentReconciliation", "PaymentNotice", "Organization", "Practitioner", "PractitionerRole", "Location", "Device",
    "DeviceDefinition", "SupplyRequest", "SupplyDelivery", "Task", "CoverageEligibilityRequest", "CoverageEligibilityResponse",
    "OperationOutcome", "Parameters", "RelatedPerson",
]  # fmt: skip

VALUES: dict[str, Any] = {
    "base64Binary": "S05FRQ==", "boolean": True, "canonical": "urn:example:c|1", "code": "each", "date": "2026-03-01",
    "dateTime": "2026-03-01T12:00:00Z", "decimal": Decimal("10.50"), "id": "KNEE-99", "instant": "2026-03-01T12:00:00.000Z",
    "integer": 7, "markdown": "Knee", "oid": "urn:oid:1.2.3", "positiveInt": 1, "string": "Knee", "time": "12:00:00",
    "unsignedInt": 0, "uri": "urn:example:u", "url": "https://st-mary.example/x", "xhtml": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Knee</div>",
    "uuid": "urn:uuid:00000000-0000-4000-8000-000000000001",
}  # fmt: skip
BAD: dict[str, list[Any]] = {
    "base64Binary": ["S05F=", 1], "boolean": ["true", 1], "canonical": ["a b"], "code": [" each", 3], "date": ["2026-13-01", "01/03/2026"],
    "dateTime": ["2026-03-01T12:00", "today"], "decimal": ["10.50", True], "id": ["a b", "x" * 65], "instant": ["2026-03-01"],
    "integer": [1.5, "7"], "markdown": [7], "oid": ["1.2.3"], "positiveInt": [0, -1], "string": [7, " "], "time": ["25:00:00"],
    "unsignedInt": [-1], "uri": ["a b"], "url": ["a b"], "xhtml": ["Knee"], "uuid": ["urn:uuid:1"],
}  # fmt: skip
# Types whose rules between elements do not let everything be filled at once.
WHOLE: dict[str, Any] = {
    "Extension": {"url": "urn:example:e", "valueString": "x"},
    "Quantity": {"value": Decimal("2.0"), "unit": "each", "system": "http://unitsofmeasure.org", "code": "1"},
    "Count": {"value": 2, "system": "http://unitsofmeasure.org", "code": "1"},
    "Age": {"value": 70, "system": "http://unitsofmeasure.org", "code": "a"},
    "Duration": {"value": 2, "system": "http://unitsofmeasure.org", "code": "h"},
    "Distance": {"value": 2, "system": "http://unitsofmeasure.org", "code": "m"},
    "Timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
    "Range": {"low": {"value": 1}, "high": {"value": 2}},
    "Resource": {"resourceType": "Basic", "code": {"text": "x"}},
    "Reference": {"display": "Knee"},
    "ContactPoint": {"system": "phone", "value": "+1 555 0100", "use": "work", "rank": 1},
    "CoverageEligibilityResponse.insurance.item": {"category": {"text": "x"}, "benefit": [{"type": {"text": "x"}}]},
    "Parameters.parameter": {"name": "x", "valueString": "x"},
}  # fmt: skip


def made(element: Element, depth: int) -> Any:
    """A value for an element, one of its list."""
    if element.check is not None:
        return sorted(element.codes)[0] if element.codes else VALUES[element.type]
    if element.type in WHOLE:
        return copy.deepcopy(WHOLE[element.type])
    if element.codes:
        system, _, code = sorted(element.codes)[0].partition("|")
        coding = {"system": system, "code": code}
        return {"coding": [coding]} if element.type == "CodeableConcept" else coding
    return filled(element.resolved(), depth + 1)


def filled(shape: Shape, depth: int = 0) -> dict[str, Any]:
    """An object of a type with all its elements: deep inside only the required ones, and of a choice the first."""
    value: dict[str, Any] = {"resourceType": shape.name} if shape.kind == "resource" else {}
    chosen: set[str] = set()
    required = {name for _, names in shape.required for name in names}
    for name, element in shape.elements.items():
        if element.choice is not None and element.choice in chosen:
            continue
        recursive = element.shape is shape or shape.name.startswith(element.type + ".") or element.type == shape.name
        if (depth > 2 and name not in required and name not in ("value", "text", "url")) or recursive:
            continue
        if name in ("contained", "extension", "modifierExtension") and depth:
            continue
        if name == "contained":
            continue
        chosen.add(element.choice or name)
        one = made(element, depth)
        if one == {}:
            continue
        value[name] = [one] if element.many else one
    if set(value) <= {"id"} and shape.kind != "resource":
        value["extension"] = [copy.deepcopy(WHOLE["Extension"])]
    return value


@pytest.mark.parametrize("name", OURS)
def test_a_resource_with_every_element_is_valid(name):
    found = fhir.validate_resource(filled(shape_of(name)))

    assert [(f.code, f.key, f.location) for f in found] == []


@pytest.mark.parametrize("name", sorted(resource_types() - {"Bundle"}))
def test_a_filled_resource_breaks_no_rule_of_structure(name):
    found = fhir.validate_resource(filled(shape_of(name)))

    assert {f.code for f in found} <= {"invariant"}  # Rules between elements of definitions do not let all be filled.


def places(value: dict[str, Any], shape: Shape, path: str) -> Iterator[tuple[dict[str, Any], Shape, Element, str]]:
    """Every element that is filled: its holder, the holder's type, the element, its place."""
    for name in list(value):
        element = shape.elements.get(name)
        if element is None:
            continue
        yield value, shape, element, f"{path}.{name}"
        if element.check is None and element.type != "Resource":
            inner = value[name][0] if element.many else value[name]
            if element.type not in ("Extension",):
                yield from places(inner, element.resolved(), f"{path}.{name}[0]" if element.many else f"{path}.{name}")


def told_at(resource: dict[str, Any], *where: str) -> bool:
    found = [f for f in fhir.validate_resource(resource) if f.severity == "error"]
    return any(f.location is not None and f.location.startswith(where) for f in found)


@pytest.mark.parametrize("name", OURS)
def test_each_way_to_break_each_element_is_told_at_its_place(name):
    resource = filled(shape_of(name))
    count = 0
    for holder, shape, element, place in list(places(resource, shape_of(name), name)):
        field, right = element.name, holder[element.name]
        parent = place.rpartition(".")[0]

        def broken(wrong: Any, holder: dict[str, Any] = holder, field: str = field) -> dict[str, Any]:
            holder[field] = wrong
            return resource

        # An array for one, one for an array.
        assert told_at(broken(right[0] if element.many else [right]), place), place
        for wrong in (None, [], {}, [None], "" if element.check else 7):
            assert told_at(broken(wrong), place, parent), (place, wrong)
        if element.check is not None:
            for wrong in BAD[element.type]:
                assert told_at(broken([wrong] if element.many else wrong), place), (place, wrong)
            if element.codes:
                assert told_at(broken(["no-such"] if element.many else "no-such"), place), place
        else:
            stranger = {**(right[0] if element.many else right), "colour": "red"}
            assert told_at(broken([stranger] if element.many else stranger), place), place
        del holder[field]
        required = {n: label for label, names in shape.required for n in names}
        if field in required:
            assert told_at(resource, f"{parent}.{required[field]}"), place
        if element.choice is not None:
            others = [o for o in shape.choices[element.choice] if o != field]
            if others:
                other = random.Random(place).choice(others)
                holder[other] = made(shape.elements[other], 3)
                holder[field] = right
                assert told_at(resource, f"{parent}.{field}", f"{parent}.{other}"), (place, other)
                del holder[other], holder[field]
        rest = list(holder.items())
        holder.clear()
        holder.update({field: right, **dict(rest)})
        count += 1
    assert count > 15
    assert fhir.validate_resource(resource) == []
