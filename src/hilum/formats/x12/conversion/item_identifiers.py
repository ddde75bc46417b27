"""Item numbers between X12 and canonical lines: pairs of qualifier (element 235) and number (element 234)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hilum.formats.canonical import DocumentLine, Identifier
from hilum.formats.x12.document import Segment
from hilum.formats.x12.rules.item_numbers import item_numbers

SCHEMES = {
    "VN": "vendor",
    "VP": "vendor",
    "VC": "vendor",
    "BP": "buyer",
    "IN": "buyer",
    "CB": "buyer",
    "PI": "buyer",
    "MG": "manufacturer",
    "UK": "gtin",
    "EN": "gtin",
    "EO": "gtin",
    "UP": "upc",
    "UI": "upc",
    "UA": "upc-case",
    "N1": "ndc",
    "N2": "ndc",
    "N3": "ndc",
    "N4": "ndc",
    "ND": "ndc",
    "HI": "hibc",
    "HC": "hcpcs",
    "SK": "sku",
    "IB": "isbn",
    "FS": "nsn",
    "MN": "model",
}
"""Whose number it is, by qualifier; a qualifier that has no word here is the scheme itself."""

_QUALIFIERS = {
    "vendor": "VN",
    "buyer": "BP",
    "manufacturer": "MG",
    "upc": "UP",
    "upc-case": "UA",
    "ndc": "N4",
    "hibc": "HI",
    "hcpcs": "HC",
    "sku": "SK",
    "isbn": "IB",
    "nsn": "FS",
    "model": "MN",
}
_GTIN = {8: "EO", 12: "UP", 13: "EN"}
_ABOUT = {"LT": "lot", "B8": "lot", "SN": "serial", "PO": "order", "ON": "order", "PL": "line"}
"""Pairs that say something about the item instead of naming it."""


@dataclass(frozen=True, slots=True)
class Named:
    """What the pairs of a segment say: the item's numbers, its lot and serial number, and the order it is for."""

    identifiers: tuple[Identifier, ...]
    lot: str | None
    serial: str | None
    order_number: str | None
    order_line: str | None


def named(*segments: Segment | None) -> Named:
    """What the pairs of these segments say, the first of each kind where a lot, serial or order comes twice."""
    identifiers: list[Identifier] = []
    told: dict[str, str] = {}
    for segment in segments:
        for _, qualifier, number in item_numbers(segment) if segment is not None else ():
            text = number.strip()
            if qualifier in _ABOUT:
                told.setdefault(_ABOUT[qualifier], text)
            elif text:
                found = Identifier(value=text, scheme=SCHEMES.get(qualifier, qualifier))
                if found not in identifiers:
                    identifiers.append(found)
    return Named(tuple(identifiers), told.get("lot"), told.get("serial"), told.get("order"), told.get("line"))


def qualifier_of(identifier: Identifier) -> str:
    """The qualifier to write an identifier with: a GTIN's by its length, ``ZZ`` for one of a scheme that X12 does not know."""
    if identifier.scheme == "gtin":
        return _GTIN.get(len(identifier.value), "UK")
    if identifier.scheme is None:
        return "ZZ"
    if identifier.scheme in _QUALIFIERS:
        return _QUALIFIERS[identifier.scheme]
    return identifier.scheme if len(identifier.scheme) == 2 and identifier.scheme.isalnum() else "ZZ"


def pairs(line: DocumentLine, also: Iterable[tuple[str, str | None]] = ()) -> list[str]:
    """The pairs to write for a line: its identifiers, then lot, serial and order where it has them, then ``also``."""
    written: list[str] = []
    for identifier in line.identifiers:
        written += [qualifier_of(identifier), identifier.value]
    for qualifier, number in (("LT", line.lot), ("SN", line.serial), *also):
        if number is not None:
            written += [qualifier, number]
    return written
