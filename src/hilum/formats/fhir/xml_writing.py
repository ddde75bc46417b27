"""A resource as FHIR XML, elements in the order R4 gives them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lxml import etree

from hilum.formats.fhir.errors import FHIRError
from hilum.formats.fhir.tables import Element, Shape, resource_types, shape_of
from hilum.formats.fhir.xml_reading import FHIR

_TAG = "{" + FHIR + "}"
_NAMESPACES: Any = {None: FHIR}


def xml_bytes(resource: Any) -> bytes:
    """The resource as UTF-8 XML; FHIRError where it has what R4 does not know, since XML has no place for it."""
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(name, str) or name not in resource_types():
        raise _unwritable("a resource without a type of R4")
    root = etree.Element(_TAG + name, nsmap=_NAMESPACES)
    try:
        _children(root, resource, shape_of(name))
    except ValueError:
        raise _unwritable("a character XML cannot hold") from None
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _unwritable(what: str) -> FHIRError:
    return FHIRError("structure", f"The content cannot be written as XML: it has {what}. Validate it first.")


def _children(node: Any, value: Any, shape: Shape) -> None:
    if not isinstance(value, dict):
        raise _unwritable("something else where R4 has an object")
    told: dict[str, Element] = {}
    for name in value:
        element = shape.elements.get(name) or shape.elements.get(name.removeprefix("_"))
        if element is None:
            if name == "resourceType" and shape.kind == "resource":
                continue
            raise _unwritable("an element that R4 does not know")
        told[element.name] = element
    for name, element in sorted(told.items(), key=lambda item: item[1].order):
        mains, besides = value.get(name), value.get("_" + name)
        if not element.many:
            mains, besides = [mains], [besides]
        mains, besides = mains if isinstance(mains, list) else [], besides if isinstance(besides, list) else []
        for index in range(max(len(mains), len(besides))):
            main = mains[index] if index < len(mains) else None
            _one(node, element, main, besides[index] if index < len(besides) else None, shape)


def _one(node: Any, element: Element, main: Any, beside: Any, shape: Shape) -> None:
    if (element.name == "id" and shape.kind != "resource") or (element.name == "url" and shape.name == "Extension"):
        node.set(element.name, _text(main))
    elif element.type == "xhtml":
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        try:
            node.append(etree.fromstring(str(main), parser))
        except (etree.XMLSyntaxError, ValueError):
            raise _unwritable("a narrative that is no XHTML") from None
    elif element.type == "Resource":
        holder = etree.SubElement(node, _TAG + element.name)
        kind = main.get("resourceType") if isinstance(main, dict) else None
        if not isinstance(kind, str) or kind not in resource_types():
            raise _unwritable("a resource without a type of R4")
        _children(etree.SubElement(holder, _TAG + kind), main, shape_of(kind))
    elif element.check is not None:
        child = etree.SubElement(node, _TAG + element.name)
        if beside is not None:
            _children(child, beside, shape_of("Element"))
        if main is not None:
            child.set("value", _text(main))
    else:
        _children(etree.SubElement(node, _TAG + element.name), main, element.resolved())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, Decimal)):
        return str(value)
    raise _unwritable("something else where R4 has a primitive")
