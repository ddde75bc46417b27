"""Canonical orders to 850 transactions, as a hospital sends them."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats.canonical import DocumentLine, Order
from hilum.formats.x12.conversion.item_identifiers import pairs
from hilum.formats.x12.conversion.line_details import allowance_segments, needed, plain, tax_segments, x12_date
from hilum.formats.x12.conversion.trading_parties import party_segments
from hilum.formats.x12.writer import Element, NewTransaction

_PURPOSES = {"original": "00", "cancel": "01", "change": "04"}


def order_to_850(order: Order, control_number: str | None = None) -> NewTransaction:
    """An order as the segments of an 850 for ``x12.build``.

    FormatError when there is no date, or an allowance has fractions of a cent. What is longer than X12 allows is not cut:
    validation finds it. A 850 has no place for what is promised, shipped or answered.
    """
    segments: list[list[Element]] = [
        [
            "BEG",
            _PURPOSES.get(order.purpose, order.purpose),
            "SA",
            needed(order.number, "BEG03", "the order's number"),
            None,
            x12_date(order.date, "BEG05", "the order's date"),
            order.contract,
        ]
    ]
    if order.currency is not None:
        segments.append(["CUR", "BY", order.currency])
    segments += map(list, allowance_segments(order.allowances))
    if order.requested is not None:
        segments.append(["DTM", "002", x12_date(order.requested, "DTM02", "the date requested")])
    for role, party in (("BY", order.buyer), ("SE", order.seller), ("ST", order.ship_to), ("BT", order.bill_to)):
        segments += map(list, party_segments(role, party))
    for line in order.lines:
        segments += order_line_segments(line)
        segments += map(list, allowance_segments(line.allowances))
        segments += map(list, tax_segments(line.taxes))
    ordered = sum((line.quantity for line in order.lines if line.quantity is not None), Decimal(0))
    segments.append(["CTT", str(len(order.lines)), hash_total(ordered)])
    if order.total is not None:
        segments.append(["AMT", "TT", plain(order.total)])
    return NewTransaction(set_id="850", segments=segments, control_number=control_number)


def order_line_segments(line: DocumentLine, quantity: Decimal | None = None) -> list[list[Element]]:
    """PO1 and PID of a line, with another quantity than its own where one is given."""
    quantity = line.quantity if quantity is None else quantity
    about = (("PO", line.order_number), ("PL", line.order_line))
    segment: list[Element] = ["PO1", line.number, plain(quantity), None if quantity is None else line.unit]
    segment += [plain(line.price), None, *pairs(line, about)]
    segments = [segment]
    if line.description is not None:
        segments.append(["PID", "F", None, None, None, line.description])
    return segments


def hash_total(total: Decimal) -> str | None:
    """CTT02 where the plain sum of quantities fits it; nothing for a sum of none."""
    text = plain(abs(total))
    return text if total and text is not None and len(text.replace(".", "")) <= 10 else None
