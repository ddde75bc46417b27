"""What suppliers answer to orders and changes, 855 and 865, to canonical order responses."""

from __future__ import annotations

from dataclasses import replace

from hilum.formats.canonical import Canonical, DocumentLine, OrderResponse
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.item_identifiers import named
from hilum.formats.x12.conversion.line_details import allowances, dated, description, iso_date, needed, taxes
from hilum.formats.x12.conversion.trading_parties import BUYERS, SELLERS, party
from hilum.formats.x12.document import Loop, Transaction, component, value
from hilum.formats.x12.rules.line_amounts import unit_price
from hilum.formats.x12.rules.report import amount

WHOLE = {
    "AC": "changed",
    "AD": "accepted",
    "AE": "changed",
    "AK": "accepted",
    "AP": "accepted",
    "AT": "accepted",
    "RD": "rejected",
    "RF": "rejected",
    "RJ": "rejected",
}
"""What a supplier says to the whole order, by acknowledgement type (element 587); a code without a word stays itself."""
LINE = {
    "AC": "accepted",
    "AR": "accepted",
    "IA": "accepted",
    "BP": "backordered",
    "IB": "backordered",
    "DR": "changed",
    "IC": "changed",
    "IP": "changed",
    "IQ": "changed",
    "ID": "deleted",
    "IR": "rejected",
    "R1": "rejected",
    "R2": "rejected",
    "R3": "rejected",
    "R4": "rejected",
    "R5": "rejected",
    "R6": "rejected",
    "R7": "rejected",
    "R8": "rejected",
    "R9": "rejected",
    "RJ": "rejected",
    "IS": "substituted",
}
"""What a supplier says to a line, by line item status (element 668)."""
_PROMISED = ("069", "067", "068", "017", "139", "010")
"""Kinds of date that a supplier promises: delivery, then shipment."""


def responses(transaction: Transaction) -> list[Canonical]:
    """A walked 855 or 865 as one response, with a line for each answer to a line; FormatError without the order's number."""
    root = transaction.root
    if root is None:
        return []
    header = root.first("BAK" if transaction.set_id == "855" else "BCA")
    place = "BAK03" if transaction.set_id == "855" else "BCA03"
    order_number = needed(value(header, 3), place, "the order's number")
    said = value(header, 2)
    status = None if said is None else WHOLE.get(said, said)
    lines = [line for loop in root.inside("PO1", "POC") for line in _lines(loop, transaction, status)]
    number, places_of_dates = (8, (9, 4)) if transaction.set_id == "855" else (9, (10, 11, 6))
    dates = (iso_date(value(header, at)) for at in places_of_dates)
    places = root.inside("N1")
    return [
        OrderResponse(
            order_number=order_number,
            number=value(header, number),
            status=_of_lines(lines) if status is None else status,
            date=next((date for date in dates if date is not None), None),
            currency=value(root.first("CUR"), 2),
            buyer=party(places, *BUYERS),
            seller=party(places, *SELLERS),
            lines=tuple(lines),
        )
    ]


def _of_lines(lines: list[DocumentLine]) -> str:
    """What answers to all lines come to, where nothing is said of the whole (BCA02 is optional)."""
    said = {line.status for line in lines}
    if said <= {"accepted", None}:
        return "accepted"
    return "rejected" if said <= {"rejected", "deleted"} else "changed"


def _lines(loop: Loop, transaction: Transaction, whole: str | None) -> list[DocumentLine]:
    """A line for each answer; one for a line that is not answered itself, with the status of the whole."""
    ordered = _ordered(loop, transaction)
    answers = loop.inside("ACK")
    if not answers:
        scheduled = _scheduled(loop) if ordered.promised is None else ordered.promised
        status = whole if whole in ("accepted", "rejected") else None
        return [replace(ordered, status=status, promised=scheduled)]
    if len(answers) == 1:
        scheduled = _scheduled(loop)
        ordered = ordered if scheduled is None else replace(ordered, promised=scheduled)
    else:
        ordered = replace(ordered, quantity=None)
    return [_answered(ordered, answer) for answer in answers]


def _ordered(loop: Loop, transaction: Transaction) -> DocumentLine:
    """The line as it was ordered, with the date that stands for the whole of it."""
    is_order = loop.name == "PO1"
    item = loop.first("PO1" if is_order else "POC")
    names = named(item, loop.first("LIN"))
    price, basis = (4, 5) if is_order else (6, 7)
    return DocumentLine(
        number=value(item, 1),
        order_number=names.order_number,
        order_line=names.order_line,
        identifiers=names.identifiers,
        description=description(loop.inside("PO1-PID", "POC-PID")),
        quantity=amount(item, 2 if is_order else 3),
        unit=value(item, 3) if is_order else component(item, 5, 1, transaction.separators),
        price=unit_price(amount(item, price), value(item, basis)),
        promised=dated(loop.every("DTM"), *_PROMISED[:-1]),
        lot=names.lot,
        serial=names.serial,
        allowances=allowances(loop.inside("PO1-SAC", "POC-SAC"), None),
        taxes=taxes([loop]),
    )


def _answered(ordered: DocumentLine, answer: Loop) -> DocumentLine:
    """What one ACK says of a line; what it does not say is as it was ordered."""
    ack = answer.first("ACK")
    code, unit, quantity = value(ack, 1), value(ack, 3), amount(ack, 2)
    names = named(ack)
    promised = iso_date(value(ack, 5))
    if promised is None:
        promised = dated(answer.every("DTM"), *_PROMISED)
    return replace(
        ordered,
        identifiers=names.identifiers if names.identifiers else ordered.identifiers,
        quantity=ordered.quantity if quantity is None else quantity,
        unit=ordered.unit if unit is None else unit,
        status=None if code is None else LINE.get(code, code),
        promised=ordered.promised if promised is None else promised,
        lot=ordered.lot if names.lot is None else names.lot,
        serial=ordered.serial if names.serial is None else names.serial,
    )


def _scheduled(loop: Loop) -> str | None:
    for schedule in loop.inside("PO1-SCH", "POC-SCH"):
        day = iso_date(value(schedule.first("SCH"), 6))
        if day is not None:
            return day
    return None


CONVERTERS: dict[str, Converter] = {"855": responses, "865": responses}
