"""Invoices, 810, to canonical invoices, with their balance told."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from hilum.formats.canonical import Canonical, DocumentLine, Invoice
from hilum.formats.findings import FormatError
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.item_identifiers import named
from hilum.formats.x12.conversion.line_details import allowances, description, iso_date, needed, taxes
from hilum.formats.x12.conversion.trading_parties import BUYERS, SELLERS, party
from hilum.formats.x12.document import Loop, Transaction, value
from hilum.formats.x12.rules.invoice import balance
from hilum.formats.x12.rules.line_amounts import extension, implied, unit_price
from hilum.formats.x12.rules.report import amount

_CREDITS = frozenset({"CN", "CR"})
"""Transaction types (BIG07) that give back: credit invoice, credit memo."""


def invoices(transaction: Transaction) -> list[Canonical]:
    """A walked 810 as one invoice; FormatError without its number or its total (TDS01, two implied decimals)."""
    root = transaction.root
    if root is None:
        return []
    header = root.first("BIG")
    number = needed(value(header, 2), "BIG02", "the invoice's number")
    total = implied(root.first("TDS"), 1)
    if total is None:
        raise FormatError("1", "the invoice's total is missing or no number", "TDS01")
    found = balance(root)
    places = root.inside("N1")
    lines = tuple(_line(loop) for loop in root.inside("IT1"))
    order = value(header, 4)
    if order is None:
        order = next((line.order_number for line in lines if line.order_number is not None), None)
    return [
        Invoice(
            number=number,
            credit=total < 0 or value(header, 7) in _CREDITS,
            date=iso_date(value(header, 1)),
            due=next((due for terms in root.every("ITD") if (due := iso_date(value(terms, 6))) is not None), None),
            currency=value(root.first("CUR"), 2),
            order_number=order,
            buyer=party(places, *BUYERS, "BT"),
            seller=party(places, *SELLERS),
            ship_to=party(places, "ST"),
            remit_to=party(places, "RI", "RE", "PE"),
            total=total,
            net=None if found is None or not found.balanced else found.net,
            lines=lines,
            allowances=allowances(root.inside("SAC"), None if found is None else found.lines),
            taxes=taxes([root, *root.inside("SAC")]),
            balanced=found is not None and found.balanced,
        )
    ]


def _line(loop: Loop) -> DocumentLine:
    segment = loop.first("IT1")
    names = named(segment)
    exact = extension(amount(segment, 2), amount(segment, 4), value(segment, 5))
    return DocumentLine(
        number=value(segment, 1),
        order_number=names.order_number,
        order_line=names.order_line,
        identifiers=names.identifiers,
        description=description(loop.inside("IT1-PID")),
        quantity=amount(segment, 2),
        unit=value(segment, 3),
        price=unit_price(amount(segment, 4), value(segment, 5)),
        amount=None if exact is None else _rounded(exact),
        lot=names.lot,
        serial=names.serial,
        allowances=allowances(loop.inside("IT1-SAC", "SLN"), exact),
        taxes=taxes([loop, *loop.inside("IT1-SAC", "SLN")]),
    )


def _rounded(exact: Decimal) -> Decimal:
    """To the cent, halves away from zero, as invoices are."""
    return (exact * 100).to_integral_value(ROUND_HALF_UP) / 100


CONVERTERS: dict[str, Converter] = {"810": invoices}
