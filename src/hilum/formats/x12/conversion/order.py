"""Orders and their changes, 850 and 860, to canonical orders."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats.canonical import Canonical, DocumentLine, Order
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.item_identifiers import named
from hilum.formats.x12.conversion.line_details import allowances, dated, description, iso_date, needed, taxes
from hilum.formats.x12.conversion.trading_parties import BUYERS, SELLERS, party
from hilum.formats.x12.document import Loop, Transaction, component, value
from hilum.formats.x12.rules.line_amounts import unit_price
from hilum.formats.x12.rules.report import amount

_PURPOSES = {"00": "original", "01": "cancel", "03": "cancel", "04": "change", "05": "change"}
_WANTED = ("002", "106", "074", "010", "037")
"""Kinds of date (DTM01) by which a buyer wants something: delivered, then shipped."""
_CHANGES = {"AI": "added", "DI": "deleted", "NC": "unchanged", "OA": "unchanged"}


def orders(transaction: Transaction) -> list[Canonical]:
    """A walked 850 or 860 as one order; FormatError without its number."""
    root = transaction.root
    if root is None:
        return []
    is_change = transaction.set_id == "860"
    header = root.first("BCH" if is_change else "BEG")
    number = needed(value(header, 3), f"{'BCH' if is_change else 'BEG'}03", "the order's number")
    usual = "change" if is_change else "original"
    # A duplicate or a confirmation is no new order: a code without a word of its own is told as it is.
    purpose = usual if (said := value(header, 1)) is None else _PURPOSES.get(said, said)
    if is_change and purpose == "original":
        purpose = usual
    places = root.inside("N1")
    lines = [_changed(loop, transaction) for loop in root.inside("POC")]
    lines += [_line(loop) for loop in root.inside("PO1")]
    return [
        Order(
            number=number,
            purpose=purpose,
            date=iso_date(value(header, 6 if is_change else 5)),
            currency=value(root.first("CUR"), 2),
            buyer=party(places, *BUYERS),
            seller=party(places, *SELLERS),
            ship_to=party(places, "ST"),
            bill_to=party(places, "BT"),
            requested=dated(root.every("DTM"), *_WANTED),
            contract=_contract(root, value(header, 8 if is_change else 6)),
            total=_total(root),
            lines=tuple(lines),
            allowances=allowances(root.inside("SAC"), None),
        )
    ]


def _contract(root: Loop, said: str | None) -> str | None:
    return value(root.first("REF", "CT"), 2) if said is None else said


def _total(root: Loop) -> Decimal | None:
    for loop in (*root.inside("CTT", "AMT"), root):
        for kind in ("TT", "1"):
            total = amount(loop.first("AMT", kind), 2)
            if total is not None:
                return total
    return None


def _line(loop: Loop) -> DocumentLine:
    segment = loop.first("PO1")
    names = named(segment, loop.first("LIN"))
    return DocumentLine(
        number=value(segment, 1),
        order_number=names.order_number,
        order_line=names.order_line,
        identifiers=names.identifiers,
        description=description(loop.inside("PO1-PID")),
        quantity=amount(segment, 2),
        unit=value(segment, 3),
        price=unit_price(amount(segment, 4), value(segment, 5)),
        lot=names.lot,
        serial=names.serial,
        allowances=allowances(loop.inside("PO1-SAC"), None),
        taxes=taxes([loop]),
    )


def _changed(loop: Loop, transaction: Transaction) -> DocumentLine:
    segment = loop.first("POC")
    names = named(segment, loop.first("LIN"))
    change = value(segment, 2)
    return DocumentLine(
        number=value(segment, 1),
        order_number=names.order_number,
        order_line=names.order_line,
        identifiers=names.identifiers,
        description=description(loop.inside("POC-PID")),
        quantity=amount(segment, 3),
        unit=component(segment, 5, 1, transaction.separators),
        price=unit_price(amount(segment, 6), value(segment, 7)),
        status=None if change is None else _CHANGES.get(change, "changed"),
        lot=names.lot,
        serial=names.serial,
        allowances=allowances(loop.inside("POC-SAC"), None),
        taxes=taxes([loop]),
    )


CONVERTERS: dict[str, Converter] = {"850": orders, "860": orders}
