"""A document as bytes: the very bytes it was read from while nothing changed, else its content with every digit kept."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from hilum.formats.fhir.document import Document, parse
from hilum.formats.fhir.errors import FHIRError
from hilum.formats.fhir.xml_writing import xml_bytes

_LARGEST = 2**63 - 1


def write(document: Document) -> bytes:
    """The document as bytes. FHIRError when it holds what its form cannot say (a float, an object in an XML attribute)."""
    if document.source is not None and _unchanged(document):
        return document.source
    if document.form == "xml":
        return xml_bytes(document.resource)
    if document.form == "ndjson":
        return b"".join(json_bytes(resource) + b"\n" for resource in document.resources)
    return json_bytes(document.resource)


def json_bytes(value: Any) -> bytes:
    """Compact JSON; Decimals as they are written (1.00 stays 1.00), properties in their order."""
    try:
        return orjson.dumps(
            value, default=_exactly, option=orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
        )
    except TypeError:
        try:
            return orjson.dumps(_without_long_integers(value), default=_exactly)
        except TypeError:
            text = "The content has a value JSON does not know; FHIR has strings, booleans, integers and Decimals."
            raise FHIRError("structure", text) from None


def _exactly(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value).encode("ascii"))
    raise TypeError("no JSON value")


def _without_long_integers(value: Any) -> Any:
    """orjson writes integers of 64 bits; longer ones go as Decimals."""
    if isinstance(value, dict):
        return {name: _without_long_integers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_long_integers(part) for part in value]
    return Decimal(value) if type(value) is int and abs(value) > _LARGEST else value


def _unchanged(document: Document) -> bool:
    """Whether the content is still what the source says, to the digit: 1.0 and 1.00 are equal numbers but other content."""
    assert document.source is not None
    before = parse(document.source).resources
    return before == document.resources and json_bytes(before) == json_bytes(document.resources)
