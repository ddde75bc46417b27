"""Price and sales catalogues, 832, to records: items with their numbers, packs and prices."""

from __future__ import annotations

from typing import Any

from hilum.formats.canonical import Canonical, Record
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.line_details import description, plain
from hilum.formats.x12.conversion.record_parts import content, dates, item, parties
from hilum.formats.x12.document import Loop, Segment, Transaction, component, value
from hilum.formats.x12.rules.report import amount

_DATES = {"007": "effective", "036": "expires", "196": "begins", "197": "ends", "152": "effective"}


def catalogues(transaction: Transaction) -> list[Canonical]:
    """A walked 832 as one record with its ``items``."""
    root = transaction.root
    if root is None:
        return []
    header = root.first("BCT")
    told = content(
        purpose=value(header, 1),
        number=value(header, 2),
        version=value(header, 3),
        revision=value(header, 4),
        description=value(header, 9),
        currency=value(root.first("CUR"), 2),
        contract=value(root.first("REF", "CT"), 2),
        dates=dates(root.every("DTM"), _DATES),
        parties=parties(root.inside("N1")),
        items=[_item(loop, transaction) for loop in root.inside("LIN")],
    )
    return [Record(type="catalogue", control_number=transaction.control_number, content=told)]


def _item(loop: Loop, transaction: Transaction) -> dict[str, Any]:
    line = loop.first("LIN")
    return content(
        number=value(line, 1),
        **item(line),
        description=description([loop]),
        dates=dates(loop.every("DTM"), _DATES),
        packs=[_pack(pack) for pack in loop.every("PO4")] + [_level(inner) for inner in loop.inside("PKL")],
        prices=[_price(inner, inner.first("CTP"), transaction) for inner in loop.inside("CTP")],
    )


def _pack(segment: Segment) -> dict[str, Any]:
    return content(contains=plain(amount(segment, 1)), size=plain(amount(segment, 2)), unit=value(segment, 3))


def _level(loop: Loop) -> dict[str, Any]:
    segment = loop.first("PKL")
    price = loop.first("CTP")
    return content(
        gtin=value(segment, 2),
        unit=value(segment, 3),
        contains=plain(amount(segment, 4)),
        price=plain(amount(price, 3)),
        price_kind=value(price, 2),
    )


def _price(loop: Loop, segment: Segment | None, transaction: Transaction) -> dict[str, Any]:
    return content(
        kind=value(segment, 2),
        customer_class=value(segment, 1),
        price=plain(amount(segment, 3)),
        quantity=plain(amount(segment, 4)),
        unit=component(segment, 5, 1, transaction.separators),
        multiplier=plain(amount(segment, 7)),
        currency=value(loop.first("CUR"), 2),
        dates=dates(loop.every("DTM"), _DATES),
    )


CONVERTERS: dict[str, Converter] = {"832": catalogues}
