"""Canonical order responses to 855 transactions, as a supplier sends them."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats.canonical import DocumentLine, OrderResponse
from hilum.formats.x12.conversion.item_identifiers import pairs
from hilum.formats.x12.conversion.line_details import allowance_segments, needed, plain, tax_segments, x12_date
from hilum.formats.x12.conversion.trading_parties import party_segments
from hilum.formats.x12.conversion.writing_order import hash_total, order_line_segments
from hilum.formats.x12.writer import Element, NewTransaction

_WHOLE = {"accepted": "AD", "changed": "AC", "rejected": "RD"}
_LINE = {
    "accepted": "IA",
    "changed": "IC",
    "backordered": "IB",
    "rejected": "IR",
    "substituted": "IS",
    "deleted": "ID",
}


def order_response_to_855(response: OrderResponse, control_number: str | None = None) -> NewTransaction:
    """A response as the segments of an 855 for ``x12.build``.

    Lines that follow each other with the same number are answers to one line of the order: one PO1 with several ACK, whose
    quantity is the sum of theirs. The date stands for the order's date too, which a response does not know. FormatError
    without a date.
    """
    date = x12_date(response.date, "BAK09", "the response's date")
    status = _WHOLE.get(response.status, response.status)
    order = needed(response.order_number, "BAK03", "the order's number")
    segments: list[list[Element]] = [["BAK", "00", status, order, date, None, None, None, response.number, date]]
    if response.currency is not None:
        segments.append(["CUR", "BY", response.currency])
    for role, party in (("BY", response.buyer), ("SE", response.seller)):
        segments += map(list, party_segments(role, party))
    count, total = 0, Decimal(0)
    for answers in _by_order_line(response.lines):
        told = [answer.quantity for answer in answers if answer.quantity is not None]
        ordered = sum(told, Decimal(0)) if told else None
        total += Decimal(0) if ordered is None else ordered
        count += 1
        segments += _answered(answers, ordered)
    segments.append(["CTT", str(count), hash_total(total)])
    return NewTransaction(set_id="855", segments=segments, control_number=control_number)


def _by_order_line(lines: tuple[DocumentLine, ...]) -> list[list[DocumentLine]]:
    """Answers by the line they answer; those without a number stand for themselves."""
    found: list[list[DocumentLine]] = []
    for line in lines:
        if found and line.number is not None and found[-1][0].number == line.number:
            found[-1].append(line)
        else:
            found.append([line])
    return found


def _answered(answers: list[DocumentLine], ordered: Decimal | None) -> list[list[Element]]:
    item = next((line for line in answers if line.status != "substituted"), answers[0])
    segments = order_line_segments(item, ordered)
    segments += map(list, allowance_segments(item.allowances))
    segments += map(list, tax_segments(item.taxes))
    for line in answers:
        if line.status is None:
            continue
        status = _LINE.get(line.status, line.status)
        segment: list[Element] = ["ACK", status, plain(line.quantity), None if line.quantity is None else line.unit]
        if line.promised is None:
            segment += [None, None]
        else:
            segment += ["067", x12_date(line.promised, "ACK05", "the date promised")]
        segments.append([*segment, None, *pairs(line)])
    return segments
