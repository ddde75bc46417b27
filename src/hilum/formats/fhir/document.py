"""A FHIR document: one resource (a Bundle is one too) or the lines of an NDJSON file, with the bytes it was read from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal

from hilum.formats.fhir.errors import FHIRError, FHIRFinding
from hilum.formats.fhir.json_reading import decode, read_value, refuse_depth
from hilum.formats.fhir.paths import look_up
from hilum.formats.fhir.xml_reading import read_xml

Form = Literal["json", "ndjson", "xml"]
Resource = dict[str, Any]

# A complete object on the first line and another on the next: pretty-printed JSON never looks so.
_TWO_LINES = re.compile(r"\s*\{[^\n]*\}[ \t\r]*\n\s*\{")
_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{|<)")
_NAMESPACE = b'"http://hl7.org/fhir"'
_LOOKED_AT = 4096


@dataclass(slots=True)
class Document:
    """``resources`` are the top-level resources as plain JSON values, numbers with a point or exponent as exact Decimals.

    They may be edited in place; ``write`` notices. ``lines`` has for each resource the line it starts on (1-based), and
    ``problems`` what reading already found wrong. ``source`` is None in a document that was built here.
    """

    resources: list[Resource]
    form: Form = "json"
    source: bytes | None = None
    problems: list[FHIRFinding] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)

    @property
    def resource(self) -> Resource:
        """The first resource; FHIRError in an NDJSON file without a readable line."""
        if not self.resources:
            raise FHIRError("structure", "No line of the file could be read as a resource.")
        return self.resources[0]

    @property
    def type(self) -> str | None:
        """The resourceType of the first resource."""
        named = self.resources[0].get("resourceType") if self.resources else None
        return named if isinstance(named, str) else None

    def get(self, path: str) -> Any:
        """What stands at a path such as ``Claim.insurance[0].coverage.reference`` in the first resource, else None."""
        return look_up(self.resources[0], path) if self.resources else None

    def entries(self) -> Iterator[Resource]:
        """Each top-level resource, a Bundle replaced by the resources of its entries (and theirs, should one be a Bundle)."""
        waiting = list(reversed(self.resources))
        while waiting:
            resource = waiting.pop()
            inner = resource.get("entry")
            if resource.get("resourceType") != "Bundle" or not isinstance(inner, list):
                yield resource
                continue
            held = [entry.get("resource") for entry in inner if isinstance(entry, dict)]
            waiting += [resource for resource in reversed(held) if isinstance(resource, dict)]

    def copy(self) -> Document:
        """The same content to be edited without touching this document."""
        return Document(deepcopy(self.resources), self.form, self.source, list(self.problems), list(self.lines))


def parse(data: bytes) -> Document:
    """A resource or Bundle in JSON or XML, or resources in NDJSON. FHIRError when the bytes are none of these.

    What can be read though it is written badly (a property twice, a byte order mark, a bad line between good ones) is kept in
    ``problems`` and told by ``validate``.
    """
    text, problems = decode(data)
    start = text.lstrip(" \t\r\n")[:1]
    if start == "<":
        resource, found = read_xml(data[3:] if data.startswith(b"\xef\xbb\xbf") else data)
        return Document([resource], "xml", data, problems + found, [1])
    if start != "{":
        expected = "FHIR content starts with { (JSON, NDJSON) or < (XML)."
        raise FHIRError("structure", "The bytes are empty. " + expected if not start else expected)
    if _TWO_LINES.match(text):
        return _parse_lines(text, data, problems)
    value, found = read_value(text)
    return Document([value], "json", data, problems + found, [1])


def _parse_lines(text: str, data: bytes, problems: list[FHIRFinding]) -> Document:
    document = Document([], "ndjson", data, problems)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value, found = read_value(line, number)
        except FHIRError as error:
            document.problems.append(FHIRFinding(error.code, error.text, None, "error", number))
            continue
        if not isinstance(value, dict):
            document.problems.append(FHIRFinding("structure", "The line is no JSON object.", None, "error", number))
            continue
        document.problems += [FHIRFinding(f.code, f.text, f.location, f.severity, number) for f in found]
        document.resources.append(value)
        document.lines.append(number)
    return document


def build(*resources: Resource, form: Form = "json") -> Document:
    """A document of resources made here: one, or several as NDJSON."""
    for resource in resources:
        refuse_depth(resource)
    if len(resources) > 1:
        form = "ndjson"
    return Document(list(resources), form, None, [], list(range(1, len(resources) + 1)))


def recognise(data: bytes) -> bool:
    """Whether the start of the bytes looks like FHIR: ``resourceType`` in JSON, the FHIR namespace in XML."""
    head = bytes(data[:_LOOKED_AT])
    if not _START.match(head):
        return False
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _NAMESPACE in head or _NAMESPACE.replace(b'"', b"'") in head
    # resourceType need not come first: servers that sort their properties put it after a long contained list.
    return b'"resourceType"' in head or b'"resourceType"' in data[: 64 * _LOOKED_AT]
