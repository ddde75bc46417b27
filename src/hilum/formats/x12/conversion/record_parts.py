"""Parts of the records that sets without a shape of their own become: parties, items, what is said of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hilum.formats.canonical import as_json
from hilum.formats.x12.conversion.item_identifiers import named
from hilum.formats.x12.conversion.line_details import iso_date
from hilum.formats.x12.conversion.trading_parties import party
from hilum.formats.x12.document import Loop, Segment, value

_ROLES = {
    "BY": "buyer",
    "BT": "bill_to",
    "SE": "seller",
    "SU": "supplier",
    "VN": "vendor",
    "ST": "ship_to",
    "SF": "ship_from",
    "MF": "manufacturer",
    "DS": "distributor",
    "DB": "distributor",
    "PR": "payer",
    "PE": "payee",
    "EN": "end_user",
    "UC": "consignee",
}

QUANTITIES = {
    "17": "on hand",
    "32": "sold",
    "33": "available",
    "39": "shipped",
    "63": "on order",
    "76": "returned",
    "QA": "current stock",
    "QH": "on hold",
    "QO": "out of stock",
    "QP": "on order",
    "QS": "sold",
    "QW": "withdrawn",
}
"""What a quantity is of, by qualifier (element 673); one without a word stays itself."""


def content(**parts: Any) -> dict[str, Any]:
    """The parts that there are, as JSON values: what is missing or empty is left out."""
    told = {name: as_json(part) for name, part in parts.items()}
    return {name: part for name, part in told.items() if part not in (None, [], {})}


def parties(loops: Iterable[Loop]) -> dict[str, Any]:
    """Parties by role; a role without a word is its code, and of two in one role the first is told."""
    told: dict[str, Any] = {}
    for loop in loops:
        role = value(loop.first("N1"), 1)
        if role is not None:
            told.setdefault(_ROLES.get(role, role), as_json(party([loop], role)))
    return told


def item(*segments: Segment | None) -> dict[str, Any]:
    """An item's numbers by scheme, with its lot and serial number."""
    names = named(*segments)
    numbers: dict[str, str] = {}
    for identifier in names.identifiers:
        numbers.setdefault("other" if identifier.scheme is None else identifier.scheme, identifier.value)
    return content(identifiers=numbers, lot=names.lot, serial=names.serial)


def dates(segments: Iterable[Segment], words: Mapping[str, str]) -> dict[str, str]:
    """Dates (DTM) by what they are: the word for the qualifier, or the qualifier."""
    told: dict[str, str] = {}
    for segment in segments:
        kind, day = value(segment, 1), iso_date(value(segment, 2))
        if kind is not None and day is not None:
            told.setdefault(words.get(kind, kind), day)
    return told


def kind_of_quantity(code: str | None) -> str | None:
    """The word for a quantity's qualifier, or the qualifier itself."""
    return None if code is None else QUANTITIES.get(code, code)
