"""What suppliers answer to orders and changes, 855 and 865, to canonical order responses."""

from __future__ import annotations

from hilum.formats.canonical import Canonical, DocumentLine, OrderResponse
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.item_identifiers import named
from hilum.formats.x12.conversion.line_details import allowances, dated, description, iso_date, needed, taxes
from hilum.formats.x12.conversion.trading_parties import BUYERS, SELLERS, party
from hilum.formats.x12.document import Loop, Segment, Transaction, component, value
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
    is_order = loop.name == "PO1"
    item = loop.first("PO1" if is_order else "POC")
    answers = loop.inside("ACK")
    if not answers:
        status = whole if whole in ("accepted", "rejected") else None
        return [_line(loop, transaction, item, None, None, status)]
    return [_line(loop, transaction, item, answer, answer.first("ACK"), None) for answer in answers]


def _line(
    loop: Loop,
    transaction: Transaction,
    item: Segment | None,
    answer: Loop | None,
    ack: Segment | None,
    status: str | None,
) -> DocumentLine:
    is_order = loop.name == "PO1"
    code = value(ack, 1)
    own, other = named(item, loop.first("LIN")), named(ack)
    names = other if other.identifiers else own
    unit = value(item, 3) if is_order else component(item, 5, 1, transaction.separators)
    quantity = amount(ack, 2)
    if quantity is None and len(loop.inside("ACK")) < 2:
        quantity = amount(item, 2 if is_order else 3)
    return DocumentLine(
        number=value(item, 1),
        order_number=own.order_number,
        order_line=own.order_line,
        identifiers=names.identifiers,
        description=description(loop.inside("PO1-PID", "POC-PID")),
        quantity=quantity,
        unit=unit if value(ack, 3) is None else value(ack, 3),
        price=unit_price(amount(item, 4 if is_order else 6), value(item, 5 if is_order else 7)),
        status=status if code is None else LINE.get(code, code),
        promised=_promised(loop, answer, ack),
        lot=own.lot if other.lot is None else other.lot,
        serial=own.serial if other.serial is None else other.serial,
        allowances=allowances(loop.inside("PO1-SAC", "POC-SAC"), None),
        taxes=taxes([loop]),
    )


def _promised(loop: Loop, answer: Loop | None, ack: Segment | None) -> str | None:
    said = iso_date(value(ack, 5))
    if said is None and answer is not None:
        said = dated(answer.every("DTM"), *_PROMISED)
    if said is None and len(loop.inside("ACK")) < 2:
        for schedule in loop.inside("PO1-SCH", "POC-SCH"):
            said = iso_date(value(schedule.first("SCH"), 6))
            if said is not None:
                break
    return dated(loop.every("DTM"), *_PROMISED[:-1]) if said is None else said


CONVERTERS: dict[str, Converter] = {"855": responses, "865": responses}
