"""Stock and its movements, 846 and 867, to records: items with their quantities."""

from __future__ import annotations

from typing import Any

from hilum.formats.canonical import Canonical, Record
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.line_details import description, iso_date, plain
from hilum.formats.x12.conversion.record_parts import content, dates, item, kind_of_quantity, parties
from hilum.formats.x12.document import Loop, Transaction, component, value
from hilum.formats.x12.rules.report import amount

_DATES = {"007": "effective", "011": "shipped", "018": "available", "036": "expires", "150": "from", "151": "to"}
_MOVEMENTS = {
    "BN": "return",
    "IA": "inventory adjustment",
    "RV": "return to vendor",
    "SS": "stock sale",
    "SA": "adjustment",
}


def advices(transaction: Transaction) -> list[Canonical]:
    """A walked 846 as one record: each of its ``items`` with its ``quantities``."""
    root = transaction.root
    if root is None:
        return []
    header = root.first("BIA")
    told = content(
        number=value(header, 3),
        report=value(header, 2),
        purpose=value(header, 1),
        date=iso_date(value(header, 4)),
        currency=value(root.first("CUR"), 2),
        dates=dates(root.every("DTM"), _DATES),
        parties=parties(root.inside("N1")),
        items=[_stocked(loop, transaction) for loop in root.inside("LIN")],
    )
    return [Record(type="inventory_advice", control_number=transaction.control_number, content=told)]


def _stocked(loop: Loop, transaction: Transaction) -> dict[str, Any]:
    line = loop.first("LIN")
    return content(
        number=value(line, 1),
        **item(line),
        description=description([loop]),
        dates=dates(loop.every("DTM"), _DATES),
        quantities=[_quantity(inner, transaction) for inner in loop.inside("QTY")],
        parties=parties(loop.inside("LIN-N1")),
    )


def _quantity(loop: Loop, transaction: Transaction) -> dict[str, Any]:
    segment, unit = loop.first("QTY"), component(loop.first("QTY"), 3, 1, transaction.separators)
    if unit is None:
        unit = component(loop.first("UIT"), 1, 1, transaction.separators)
    return content(
        kind=kind_of_quantity(value(segment, 1)),
        quantity=plain(amount(segment, 2)),
        unit=unit,
        price=plain(amount(loop.first("UIT"), 2)),
        dates=dates(loop.every("DTM"), _DATES),
    )


def transfers(transaction: Transaction) -> list[Canonical]:
    """A walked 867 as one record: its ``movements`` (PTD) with the parties to each and its ``items``."""
    root = transaction.root
    if root is None:
        return []
    header = root.first("BPT")
    told = content(
        number=value(header, 2),
        purpose=value(header, 1),
        date=iso_date(value(header, 3)),
        report=value(header, 4),
        currency=value(root.first("CUR"), 2),
        dates=dates(root.every("DTM"), _DATES),
        parties=parties(root.inside("N1")),
        movements=[_movement(loop, transaction) for loop in root.inside("PTD")],
    )
    return [Record(type="product_transfer", control_number=transaction.control_number, content=told)]


def _movement(loop: Loop, transaction: Transaction) -> dict[str, Any]:
    kind = value(loop.first("PTD"), 1)
    return content(
        kind=None if kind is None else _MOVEMENTS.get(kind, kind),
        reference=value(loop.first("PTD"), 5),
        order_number=value(loop.first("PRF"), 1),
        dates=dates(loop.every("DTM"), _DATES),
        parties=parties(loop.inside("PTD-N1")),
        items=[_moved(inner, transaction) for inner in loop.inside("QTY")],
    )


def _moved(loop: Loop, transaction: Transaction) -> dict[str, Any]:
    return {
        **content(number=value(loop.first("LIN"), 1), **item(loop.first("LIN")), description=description([loop])),
        **_quantity(loop, transaction),
    }


CONVERTERS: dict[str, Converter] = {"846": advices, "867": transfers}
