"""FHIR XML as bytes to the same tree that its JSON twin reads to (R4 chapter 2.6: XML and JSON say the same).

No DTD, no entities, no network; depth and size within the limits of ``formats.xml``. Elements R4 does not know are kept under their
names, so that validation tells them; attributes and text in places where FHIR has none are findings at once.
"""

from __future__ import annotations

import re
from copy import deepcopy
from decimal import Decimal
from typing import Any

from lxml import etree

from hilum.formats import xml
from hilum.formats.fhir.errors import MAX_FINDINGS, FHIRError, FHIRFinding
from hilum.formats.fhir.json_reading import MAX_DEPTH, MAX_DIGITS, too_deep
from hilum.formats.fhir.lines import nearest, surrounded
from hilum.formats.fhir.paths import PLAIN_NAME
from hilum.formats.fhir.primitives import NUMBERS
from hilum.formats.fhir.tables import Element, Shape, resource_types, shape_of

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"

_ENCODING = re.compile(rb"\s*<\?xml[^>]*encoding\s*=\s*[\"']([^\"']*)[\"']")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})").fullmatch
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?").fullmatch
_PREFIX = "{" + FHIR + "}"


def read_xml(data: bytes) -> tuple[dict[str, Any], list[FHIRFinding]]:
    """The resource of an XML document and what is wrong with its writing; FHIRError when it is no FHIR XML."""
    root = _root(data)
    reader = _XmlReader()
    return reader.resource(root, _local(root), 0), reader.findings


def _local(node: Any) -> str:
    return str(node.tag).rpartition("}")[2]


def _root(data: bytes) -> Any:
    declared = _ENCODING.match(data)
    if declared and declared[1].lower() not in (b"utf-8", b"utf8", b"us-ascii", b"ascii"):
        raise FHIRError("structure", "The XML declares another encoding than UTF-8, which FHIR requires.", None, 1)
    try:
        read = xml.read(data)
    except xml.XmlError as error:
        code = "too-costly" if error.code in ("too-big", "too-deep") else "structure"
        raise FHIRError(code, f"No XML that can be read: {error.text}.", None, error.line) from None
    if read.doctype:
        raise FHIRError("structure", "The XML has a document type declaration; FHIR allows none, and none is read.")
    root = read.root
    if not str(root.tag).startswith(_PREFIX):
        raise FHIRError("structure", f"The root element is not in the namespace {FHIR}.", None, 1)
    if _local(root) not in resource_types():
        raise FHIRError("structure", "The root element is no resource type of R4.", None, 1)
    return root


def xml_lines_of(data: bytes, places: set[str]) -> dict[str, int]:
    """The line (1-based) of each place in a document that was read before; a missing element has its parent's line."""
    root = _root(data.removeprefix(b"\xef\xbb\xbf"))
    reader = _XmlReader({_local(root): root.sourceline}, surrounded(places))
    reader.resource(root, _local(root), 0)
    return nearest(places, reader.lines or {})


class _XmlReader:
    def __init__(self, lines: dict[str, int] | None = None, wanted: set[str] | None = None) -> None:
        self.findings: list[FHIRFinding] = []
        self.lines = lines
        """Filled with the line of every place of ``wanted`` when a dict is given."""
        self.wanted = wanted or set()

    def tell(self, text: str, node: Any, place: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(FHIRFinding("structure", text, place, "error", node.sourceline))

    def resource(self, node: Any, place: str, depth: int) -> dict[str, Any]:
        name = _local(node)
        resource: dict[str, Any] = {"resourceType": name}
        shape = shape_of(name) if name in resource_types() else None
        self.children(node, shape, resource, place, depth + 1)
        return resource

    def children(self, node: Any, shape: Shape | None, into: dict[str, Any], place: str, depth: int) -> None:
        """Reads the child elements of a node into a JSON object."""
        if depth > MAX_DEPTH // 2:
            raise too_deep(node.sourceline)
        if node.text and node.text.strip():
            self.tell("Text stands where FHIR has elements only; values are in the attribute value.", node, place)
        last = -1
        counts: dict[str, int] = {}
        for child in node:
            if not isinstance(child.tag, str):
                self.tell("An entity reference stands in the content; FHIR allows none.", node, place)
                continue
            namespace, _, name = child.tag.rpartition("}")
            element = shape.elements.get(name) if shape is not None else None
            count = counts[name] = counts.get(name, -1) + 1
            # A name that R4 does not have is the sender's own, as long as he likes.
            shown = name if element is not None or PLAIN_NAME(name) else "?"
            counted = element.many if element is not None else count > 0
            here = f"{place}.{shown}[{count}]" if counted else f"{place}.{shown}"
            if self.lines is not None and here in self.wanted:
                self.lines.setdefault(here, child.sourceline)
            if child.tail and child.tail.strip():
                self.tell("Text stands where FHIR has elements only; values are in the attribute value.", child, here)
            if namespace[1:] != (XHTML if name == "div" and element is not None else FHIR):
                self.tell("The element is not in its namespace.", child, here)
            if element is not None:
                if element.order < last:
                    self.tell("The element comes after one that R4 puts behind it.", child, here)
                last = max(last, element.order)
            self.put(into, name, element, count, self.value(child, element, here, depth), child, depth)

    def put(
        self, into: dict[str, Any], name: str, element: Element | None, count: int, value: Any, child: Any, depth: int
    ) -> None:
        """Adds one child under its JSON name; the extras of a primitive go under ``_name``, nulls keep the lists in step."""
        parts = [(name, value)]
        if element is not None and element.check is not None:
            parts.append(("_" + name, self.extra(child, element, name, depth)))
        for key, part in parts:
            if count == 0 and (element is None or not element.many):
                if part is not None:
                    into[key] = part
                continue
            # One too many becomes a list as well, which validation tells.
            kept = into.get(key)
            if kept is None and part is None:
                continue
            if not isinstance(kept, list):
                kept = into[key] = [] if kept is None else [kept]
            kept += [None] * (count - len(kept))
            kept.append(part)

    def value(self, node: Any, element: Element | None, place: str, depth: int) -> Any:
        if element is None:
            into: dict[str, Any] = {key: value for key, value in node.attrib.items() if key in ("id", "value", "url")}
            self.children(node, None, into, place, depth + 1)
            return into
        if element.type == "xhtml":
            return _markup(node)
        if element.check is not None:
            for attribute in node.attrib:
                if attribute not in ("id", "value"):
                    self.tell("The element has an attribute that FHIR does not know.", node, place)
            return _typed(node.get("value"), element.type)
        if element.type == "Resource":
            held = [child for child in node if isinstance(child.tag, str)]
            if len(held) != 1 or node.attrib:
                self.tell("Exactly one resource must stand here.", node, place)
            return self.resource(held[0], place, depth + 1) if held else {}
        shape = element.resolved()
        complex_value: dict[str, Any] = {}
        for attribute, text in node.attrib.items():
            if attribute == "id" or (attribute == "url" and element.type == "Extension"):
                complex_value[attribute] = text
            else:
                self.tell("The element has an attribute that FHIR does not know.", node, place)
        self.children(node, shape, complex_value, place, depth + 1)
        return complex_value

    def extra(self, node: Any, element: Element, name: str, depth: int) -> dict[str, Any] | None:
        """The id and extensions of a primitive element, what JSON keeps under ``_name``."""
        if element.type == "xhtml" or (node.get("id") is None and not len(node)):
            return None
        found: dict[str, Any] = {} if node.get("id") is None else {"id": node.get("id")}
        self.children(node, shape_of("Element"), found, name, depth + 1)
        return found


def _typed(text: str | None, kind: str) -> Any:
    """The JSON value of a value attribute; what is not written as its type demands stays text, which validation tells."""
    if text is None:
        return None
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind in NUMBERS and len(text) <= MAX_DIGITS:
        if _INTEGER(text):
            return int(text)
        if kind == "decimal" and _DECIMAL(text):
            return Decimal(text)
    return text


def _markup(node: Any) -> str:
    alone = deepcopy(node)
    alone.tail = None
    etree.cleanup_namespaces(alone)
    return etree.tostring(alone, encoding="unicode")
