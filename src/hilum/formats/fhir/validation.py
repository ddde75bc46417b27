"""Whether a document is R4: one walk over its resources by the tables, and the rules on the way.

Every type is checked by its own table: names, cardinalities, JSON types, primitive formats, required code sets, choices,
extensions beside primitives, references, contained resources, invariants. What is not checked: profiles, extensions'
definitions, bindings weaker than required, terminology beyond enumerated sets, and the rules ``invariants.unevaluated`` names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from hilum.formats.fhir.bundles import BundleContext, bundle_faults
from hilum.formats.fhir.document import Document
from hilum.formats.fhir.errors import MAX_FINDINGS, FHIRFinding
from hilum.formats.fhir.invariants import INVARIANTS
from hilum.formats.fhir.json_reading import MAX_DEPTH
from hilum.formats.fhir.lines import lines_of
from hilum.formats.fhir.narrative import narrative_faults
from hilum.formats.fhir.paths import PLAIN_NAME
from hilum.formats.fhir.primitives import MAX_KEPT_DIGITS
from hilum.formats.fhir.references import classify
from hilum.formats.fhir.tables import Element, Shape, resource_types, shape_of
from hilum.formats.fhir.xml_reading import xml_lines_of
from hilum.formats.findings import Severity

Json = dict[str, Any]
Where = tuple["Where | None", str]
"""A place as its parent and the last step: joined to a path only for a finding."""

_EXPECTED = {
    "date": "a date such as 2026, 2026-03 or 2026-03-01",
    "dateTime": "a date, or a date and time with seconds and zone",
    "instant": "a date and time with seconds and zone",
    "time": "a time with seconds and no zone",
    "code": "a code without spaces at its ends or doubled within",
    "id": "1 to 64 letters, digits, - and .",
    "oid": "urn:oid: and an OID",
    "uuid": "urn:uuid: and a lower case UUID",
    "string": "a text with something visible and no control characters",
    "markdown": "a text with something visible and no control characters",
    "boolean": "true or false, without quotes",
    "decimal": "a number, without quotes",
    "integer": "a whole number of 32 bits, without quotes",
    "unsignedInt": "a whole number from 0 on, without quotes",
    "positiveInt": "a whole number from 1 on, without quotes",
    "base64Binary": "base64 text",
    "xhtml": "a div of XHTML",
}


def validate(document: Document) -> list[FHIRFinding]:
    """Everything wrong with a document; empty when it is valid R4. Never raises; at most MAX_FINDINGS and one that says so.

    Codes are FHIR issue types (``required``, ``structure``, ``value``, ``code-invalid``, ``invariant``, ``extension``,
    ``not-found``). Locations are FHIRPath; in an NDJSON document the line tells which resource is meant.
    """
    findings = list(document.problems)
    for index, resource in enumerate(document.resources):
        found = validate_resource(resource, MAX_FINDINGS + 1 - len(findings))
        if document.form == "ndjson" and index < len(document.lines):
            found = [_on_line(finding, document.lines[index]) for finding in found]
        findings += found
        if len(findings) > MAX_FINDINGS:
            break
    if len(findings) > MAX_FINDINGS:
        text = f"There is more wrong; the first {MAX_FINDINGS} findings are told."
        findings[MAX_FINDINGS:] = [FHIRFinding("incomplete", text)]
    return _placed(document, findings)


def validate_resource(resource: Any, limit: int = MAX_FINDINGS) -> list[FHIRFinding]:
    """Everything wrong with one resource given as JSON values, up to ``limit`` findings."""
    walk = _Walk(max(limit, 0))
    walk.resource(resource, None, None)
    return walk.findings[:limit]


def _placed(document: Document, findings: list[FHIRFinding]) -> list[FHIRFinding]:
    """The findings with the lines their places are on, as far as the source has them."""
    places = {f.location for f in findings if f.line is None and f.location is not None}
    if not places or document.source is None or document.form == "ndjson":
        return findings
    lines = lines_of(document.source, places) if document.form == "json" else xml_lines_of(document.source, places)
    return [_on_line(f, lines.get(f.location or "")) if f.line is None else f for f in findings]


def _on_line(finding: FHIRFinding, line: int | None) -> FHIRFinding:
    return replace(finding, line=line)


@dataclass(slots=True)
class _Root:
    """What a reference inside a resource can resolve to, and what was referred to."""

    contained: dict[str, str | None]
    bundle: BundleContext | None
    referred: set[str] = field(default_factory=set)
    inside: str | None = None
    """The id of the contained resource being walked."""


class _Walk:
    def __init__(self, limit: int) -> None:
        self.findings: list[FHIRFinding] = []
        self.limit = limit
        self.types = resource_types()
        self.depth = 0

    # --- telling ---

    def tell(
        self,
        code: str,
        text: str,
        where: Where | None,
        name: str | None = None,
        severity: Severity = "error",
        key: str | None = None,
    ) -> None:
        if len(self.findings) > self.limit:
            return
        steps = [name] if name else []
        while where is not None:
            where, last = where
            steps.append(last)
        path = ".".join(reversed(steps)) or None
        self.findings.append(FHIRFinding(code, f"{key}: {text}" if key else text, path, severity, None, key))

    def broken(self, key: str, text: str, where: Where | None, name: str | None = None) -> None:
        self.tell("invariant", text, where, name, "error", key)

    # --- resources ---

    def resource(self, value: Any, where: Where | None, bundle: BundleContext | None) -> None:
        """A resource of its own: at the top, in an entry, in Parameters."""
        shape = self.known(value, where)
        if shape is None:
            return
        if where is None:
            where = (None, shape.name)
        parts = value.get("contained")
        contained: dict[str, str | None] = {}
        if isinstance(parts, list):
            for part in parts:
                if isinstance(part, dict) and isinstance(part.get("id"), str):
                    kind = part.get("resourceType")
                    contained[part["id"]] = kind if isinstance(kind, str) else None
        root = _Root(contained, bundle)
        if shape.name == "Bundle":
            context, faults = bundle_faults(value)
            root.bundle = context
            for key, text, place in faults:
                self.broken(key, text, where, place)
        self.object(value, shape, where, root)
        for name in contained:
            if name not in root.referred:
                self.broken(
                    "dom-3", "a contained resource must be referred to from within the resource", where, "contained"
                )
                break

    def known(self, value: Any, where: Where | None) -> Shape | None:
        if type(value) is not dict:
            self.tell("structure", "A resource must be a JSON object.", where)
            return None
        name = value.get("resourceType")
        if name is None:
            self.tell("required", "A resource must say its resourceType.", where, "resourceType")
            return None
        if type(name) is not str or name not in self.types:
            self.tell("structure", "The resourceType is no resource of R4.", where, "resourceType")
            return None
        return shape_of(name)

    def contained(self, value: Any, where: Where, root: _Root) -> None:
        shape = self.known(value, where)
        if shape is None:
            return
        if "contained" in value:
            self.broken("dom-2", "a contained resource must not contain resources", where, "contained")
        meta = value.get("meta")
        if type(meta) is dict:
            if "versionId" in meta or "lastUpdated" in meta:
                self.broken("dom-4", "a contained resource has no versionId and no lastUpdated", where, "meta")
            if "security" in meta:
                self.broken("dom-5", "a contained resource has no security label", where, "meta")
        inside = value.get("id")
        if inside is None:
            self.tell("required", "A contained resource needs an id.", where, "id")
        before, root.inside = root.inside, inside if type(inside) is str else None
        self.object(value, shape, where, root)
        root.inside = before

    # --- objects ---

    def object(self, value: Json, shape: Shape, where: Where, root: _Root) -> None:
        """All properties of a JSON object against the elements of its type."""
        # This is the hot loop: one comparison or call per property as long as all is well.
        if len(self.findings) > self.limit:
            return
        self.depth += 1
        if self.depth > MAX_DEPTH:
            # What was read is less deep; what was built or edited by a program may be anything.
            self.tell("too-costly", f"More than {MAX_DEPTH} objects stand inside one another.", where)
            self.depth -= 1
            return
        elements = shape.elements
        chosen: dict[str, str] | None = None
        for name, part in value.items():
            element = elements.get(name)
            if element is None:
                if name == "resourceType" and shape.kind == "resource":
                    continue
                if name[:1] == "_" and (element := elements.get(name[1:])) is not None and element.check is not None:
                    self.beside(value, element, part, where, root)
                    if element.choice is None or element.name in value:
                        continue
                else:
                    shown = name if PLAIN_NAME(name) else "?"
                    self.tell("structure", f"{shape.name} has no such element in R4.", where, shown)
                    continue
            elif element.many:
                if type(part) is not list:
                    self.tell("structure", "The element repeats and must be a JSON array.", where, name)
                elif not part:
                    self.broken("ele-1", "an array must not be empty; leave the element out", where, name)
                elif element.check is not None:
                    self.primitives(value, element, part, where, root)
                else:
                    for index, one in enumerate(part):
                        self.complex(one, element, (where, f"{name}[{index}]"), root)
            elif element.check is not None:
                if not element.check(part):
                    self.unfit(part, element, where, name)
                elif element.codes is not None:
                    if part not in element.codes:
                        self.tell(
                            "code-invalid",
                            f"The code is not in the required value set {element.value_set}.",
                            where,
                            name,
                        )
                elif element.type == "xhtml":
                    for key, text in narrative_faults(part):
                        self.broken(key, text, where, name)
                elif part.__class__ is str:
                    if part[0] == "#":
                        self.refer(part, element, root)
                elif part.__class__ is Decimal and len(part.as_tuple().digits) > MAX_KEPT_DIGITS:
                    text = f"The number has more than {MAX_KEPT_DIGITS} digits; other systems may not keep them all."
                    self.tell("value", text, where, name, "warning")
            else:
                self.complex(part, element, (where, name), root)
            if element.choice is not None:
                if chosen is None:
                    chosen = {}
                if chosen.setdefault(element.choice, element.name) != element.name:
                    self.tell("structure", f"Only one type of {element.choice}[x] may be given.", where, name)
        if not shape.must <= value.keys() or len(shape.must) != len(shape.required):
            for name, names in shape.required:
                if not any(one in value or "_" + one in value for one in names):
                    self.tell("required", f"{shape.name} requires it (min 1).", where, name)
        if not value or (len(value) == 1 and "id" in value):
            self.broken("ele-1", "an element must have a value or children", where)
        else:
            for rule in INVARIANTS.get(shape.name, ()):
                if not rule.holds(value):
                    self.broken(rule.key, rule.text, where)
        self.depth -= 1

    def complex(self, value: Any, element: Element, where: Where, root: _Root) -> None:
        kind = element.type
        if kind == "Resource":
            if where[1].startswith("contained["):
                self.contained(value, where, root)
            else:
                self.resource(value, where, root.bundle)
            return
        if type(value) is not dict:
            text = (
                "must not be null"
                if value is None
                else "is one JSON object"
                if type(value) is list
                else "is a JSON object"
            )
            self.tell("structure", f"A {kind} {text}.", where)
            return
        self.object(value, element.shape or element.resolved(), where, root)
        if kind == "Reference":
            self.reference(value, element, where, root)
        elif kind == "Quantity" and element.targets is not None and "comparator" in value:
            self.broken("sqty-1", "a simple quantity has no comparator", where, "comparator")
        elif element.codes is not None and not _in_value_set(value, kind, element.codes):
            self.tell("code-invalid", f"No coding is in the required value set {element.value_set}.", where)

    # --- primitives ---

    def unfit(self, value: Any, element: Element, where: Where, name: str) -> None:
        if value is None:
            self.tell("structure", "null stands for nothing outside an array; leave the element out.", where, name)
        elif type(value) is list:
            self.tell("structure", "The element does not repeat and must be no array.", where, name)
        elif type(value) is dict:
            self.tell("structure", f"A {element.type} is no JSON object.", where, name)
        elif value == "":
            self.broken("ele-1", "a value must not be empty; leave the element out", where, name)
        else:
            expected = _EXPECTED.get(element.type, f"a {element.type}")
            self.tell("value", f"The value is no {element.type}: it must be {expected}.", where, name)

    def primitives(self, value: Json, element: Element, parts: list[Any], where: Where, root: _Root) -> None:
        """The items of a repeating primitive; null only where the sibling array has something."""
        name = element.name
        check, codes = element.check, element.codes
        assert check is not None
        beside = value.get("_" + name)
        for index, part in enumerate(parts):
            if part is None:
                held = beside[index] if isinstance(beside, list) and index < len(beside) else None
                if held is None:
                    self.tell(
                        "structure",
                        "null may stand in an array only where extensions stand instead.",
                        where,
                        f"{name}[{index}]",
                    )
            elif not check(part):
                self.unfit(part, element, where, f"{name}[{index}]")
            elif codes is not None and part not in codes:
                text = f"The code is not in the required value set {element.value_set}."
                self.tell("code-invalid", text, where, f"{name}[{index}]")
            elif part.__class__ is str and part[0] == "#":
                self.refer(part, element, root)

    def beside(self, value: Json, element: Element, part: Any, where: Where, root: _Root) -> None:
        """The ``_name`` beside a primitive: its id and extensions."""
        name = element.name
        if element.many != (type(part) is list):
            text = "must be an array, as its element" if element.many else "must be no array"
            self.tell("structure", f"The property with id and extensions {text}.", where, "_" + name)
            return
        items = part if element.many else [part]
        main = value.get(name)
        if element.many and isinstance(main, list) and len(main) != len(items):
            self.tell(
                "structure", "The arrays of values and of their extensions must be of one length.", where, "_" + name
            )
        if element.many and not any(item is not None for item in items):
            self.broken("ele-1", "an array of extensions must hold at least one", where, "_" + name)
        shape = shape_of("Element")
        for index, item in enumerate(items):
            if item is None and element.many:
                continue
            step = f"{name}[{index}]" if element.many else name
            if type(item) is not dict:
                self.tell(
                    "structure",
                    "Beside a primitive stands a JSON object with its id and extensions.",
                    where,
                    "_" + name,
                )
                continue
            valued = (
                name in value
                if not element.many
                else isinstance(main, list) and index < len(main) and main[index] is not None
            )
            if valued and item.keys() == {"id"}:
                continue
            self.object(item, shape, (where, step), root)

    # --- references ---

    def refer(self, text: str, element: Element, root: _Root) -> None:
        if element.type in ("uri", "url", "canonical"):
            self.note_reference(text, root)

    def note_reference(self, text: str, root: _Root) -> None:
        if text != "#":
            root.referred.add(text[1:])
        elif root.inside is not None:
            root.referred.add(root.inside)

    def reference(self, value: Json, element: Element, where: Where, root: _Root) -> None:
        literal = value.get("reference")
        told = value.get("type")
        target = told if type(told) is str and told in self.types else None
        if type(literal) is str and literal.strip():
            kind, named = classify(literal)
            if kind == "contained":
                self.note_reference(literal, root)
                if literal != "#" and literal[1:] not in root.contained:
                    self.broken("ref-1", "a local reference needs a contained resource of that id", where, "reference")
                named = root.contained.get(literal[1:])
            elif kind == "malformed":
                text = (
                    "A reference is Type/id with a type of R4, a URL, a urn:uuid:, a urn:oid: or # and a contained id."
                )
                self.tell("value", text, where, "reference")
            elif kind == "search" and not (root.bundle and root.bundle.type == "transaction"):
                text = "A search stands as reference; only servers that take it in a transaction resolve it."
                self.tell("business-rule", text, where, "reference", "warning")
            elif root.bundle is not None:
                if literal in root.bundle.targets:
                    named = root.bundle.targets[literal]
                elif kind == "urn":
                    self.tell("not-found", "No entry of the Bundle has this fullUrl.", where, "reference", "warning")
            if named is not None and target is not None and named != target:
                self.tell("value", "The reference and its type name different types of resource.", where, "type")
            target = named or target
        if target is not None and element.targets is not None and target not in element.targets:
            allowed = " or ".join(sorted(element.targets))
            self.tell("structure", f"The reference must point to {allowed}.", where)


def _in_value_set(value: Json, kind: str, codes: frozenset[str]) -> bool:
    """Whether a Coding or CodeableConcept has a code of a required value set; other kinds are not bound so in R4."""
    codings = value.get("coding") if kind == "CodeableConcept" else [value] if kind == "Coding" else None
    if kind not in ("CodeableConcept", "Coding"):
        return True
    if not isinstance(codings, list):
        # Nothing coded: an extension, such as a data-absent-reason, may say why.
        return "extension" in value
    return any(isinstance(one, dict) and f"{one.get('system')}|{one.get('code')}" in codes for one in codings)
