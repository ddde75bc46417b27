"""A FHIR document as a tree for a reader, with what may tell who a patient is marked to be masked.

Marked is, in a resource that is or may be about a patient, everything but codes, booleans, numbers and amounts, what names a
code system or a profile, and the dates of processing (HIPAA counts dates of service among what identifies). Extensions there
are marked whole, and what R4 does not know is marked wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hilum.formats.fhir.document import Document
from hilum.formats.fhir.paths import PLAIN_NAME
from hilum.formats.fhir.references import classify
from hilum.formats.fhir.tables import Element, Shape, resource_types, shape_of
from hilum.formats.outline import Outline

IMPERSONAL = frozenset(
    {
        "ActivityDefinition", "CapabilityStatement", "CatalogEntry", "ChargeItemDefinition", "CodeSystem",
        "CompartmentDefinition", "ConceptMap", "DeviceDefinition", "Endpoint", "EventDefinition",
        "ExampleScenario", "GraphDefinition", "HealthcareService", "ImplementationGuide", "InsurancePlan",
        "Library", "Location", "Measure", "Medication", "MedicationKnowledge", "MessageDefinition",
        "NamingSystem", "ObservationDefinition", "OperationDefinition", "Organization",
        "OrganizationAffiliation", "PlanDefinition", "Practitioner", "PractitionerRole", "Questionnaire",
        "SearchParameter", "SpecimenDefinition", "StructureDefinition", "StructureMap", "Substance",
        "TerminologyCapabilities", "TestScript", "ValueSet",
    }
)  # fmt: skip
"""Resources about places, organizations, staff, things and definitions: no patient's."""

_OPEN_TYPES = frozenset({"boolean", "code", "decimal", "integer", "positiveInt", "unsignedInt", "canonical"})
_OPEN_SHAPES = frozenset({"Coding", "Money", "Quantity", "Count", "Duration", "Distance", "Meta"})
_OPEN_ELEMENTS = frozenset({("Identifier", "system"), ("Reference", "type"), ("Extension", "url")})
_CLOSED_ELEMENTS = frozenset(
    {("Patient", "multipleBirthInteger"), ("Patient", "gender"), ("RelatedPerson", "gender"), ("Person", "gender")}
)
_PROCESSING_DATES = frozenset(
    {
        "authoredOn",
        "created",
        "enteredDate",
        "issued",
        "lastModified",
        "lastUpdated",
        "paymentDate",
        "recorded",
        "timestamp",
    }
)
_DATES = frozenset({"date", "dateTime", "instant", "time"})
_OWN_DATE = frozenset(
    {"Invoice", "ClaimResponse.payment", "ExplanationOfBenefit.payment", "PaymentReconciliation.detail"}
)
"""Where an element called ``date`` is that of the paper or the payment."""


def outline(document: Document) -> Outline:
    """The document as a tree: labels are element names with their index, notes are the types R4 gives them."""
    if document.form != "ndjson":
        return _resource(document.resources[0], None)
    root = Outline("ndjson", note=f"{len(document.resources)} resources")
    root.children = [_resource(resource, f"[{index}]") for index, resource in enumerate(document.resources)]
    return root


def _resource(value: Any, label: str | None) -> Outline:
    name = value.get("resourceType") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in resource_types():
        return Outline(label or "resource", note="unknown resource", children=_unknown(value))
    node = Outline(label or name, note=name if label else None)
    _fill(node, value, shape_of(name), personal=name not in IMPERSONAL)
    return node


def _fill(node: Outline, value: Any, shape: Shape, personal: bool, closed: bool = False) -> None:
    """The children of a JSON object; ``closed`` when all below is marked, whatever its type."""
    if not isinstance(value, dict):
        node.children = _unknown(value)
        return
    if shape.name == "Reference" and not personal:
        personal = _to_a_person(value)
    for name, part in value.items():
        element = shape.elements.get(name)
        if element is None:
            if name == "resourceType" and shape.kind == "resource":
                continue
            if name.startswith("_") and name[1:] in shape.elements:
                for child, one in _nodes(node, name, part):
                    if one is not None:
                        _fill(child, one, shape_of("Element"), personal, closed or personal)
            else:
                node.children.append(Outline(name if PLAIN_NAME(name) else "?", children=_unknown(part)))
        elif element.check is not None:
            marked = (
                personal and (closed or not _is_open(shape, element)) and (shape.name, name) != ("Extension", "url")
            )
            for child, one in _nodes(node, name, part):
                _leaf(child, one, marked)
        elif element.type == "Resource":
            for child, one in _nodes(node, name, part):
                made = _resource(one, child.label)
                child.note, child.children = made.note, made.children
        else:
            below = closed or (personal and element.type in ("Extension", "Age", "Address"))
            for child, one in _nodes(node, name, part, element.type if "." not in element.type else None):
                _fill(child, one, element.resolved(), personal, below)


def _nodes(node: Outline, name: str, part: Any, note: str | None = None) -> Iterator[tuple[Outline, Any]]:
    """A new child of the node for every value under a name."""
    labelled = (
        [(f"{name}[{index}]", one) for index, one in enumerate(part)] if isinstance(part, list) else [(name, part)]
    )
    for label, one in labelled:
        child = Outline(label, note=note)
        node.children.append(child)
        yield child, one


def _leaf(child: Outline, value: Any, marked: bool) -> None:
    if isinstance(value, (dict, list)):
        child.children = _unknown(value)
    elif value is not None:
        child.value = _text(value)
        child.protected = marked


def _unknown(value: Any) -> list[Outline]:
    """Content R4 gives no place: shown, and all of it marked."""
    if isinstance(value, dict):
        pairs = [(name if PLAIN_NAME(name) else "?", part) for name, part in value.items()]
    elif isinstance(value, list):
        pairs = [(f"[{index}]", part) for index, part in enumerate(value)]
    else:
        return [] if value is None else [Outline("value", _text(value), protected=True)]
    return [
        Outline(name, children=_unknown(part))
        if isinstance(part, (dict, list))
        else Outline(name, None if part is None else _text(part), protected=part is not None)
        for name, part in pairs
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _is_open(shape: Shape, element: Element) -> bool:
    place = (shape.name, element.name)
    if place in _CLOSED_ELEMENTS:
        return False
    if shape.name in _OPEN_SHAPES or element.type in _OPEN_TYPES or place in _OPEN_ELEMENTS:
        return True
    if element.type in _DATES:
        return element.name in _PROCESSING_DATES or (element.name == "date" and shape.name in _OWN_DATE)
    return False


def _to_a_person(reference: dict[str, Any]) -> bool:
    """Whether a reference may point to somebody's resource; what does not say is taken to."""
    literal = reference.get("reference")
    named = classify(literal)[1] if isinstance(literal, str) else None
    named = named or reference.get("type")
    return not (isinstance(named, str) and named in IMPERSONAL)
