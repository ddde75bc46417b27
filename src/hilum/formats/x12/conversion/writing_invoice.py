"""Canonical invoices to 810 transactions, as a supplier sends them."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats.canonical import DocumentLine, Invoice
from hilum.formats.findings import FormatError
from hilum.formats.x12.conversion.item_identifiers import pairs
from hilum.formats.x12.conversion.line_details import (
    allowance_segments,
    cents,
    needed,
    plain,
    tax_segments,
    x12_date,
)
from hilum.formats.x12.conversion.trading_parties import party_segments
from hilum.formats.x12.conversion.writing_order import hash_total
from hilum.formats.x12.writer import Element, NewTransaction


def invoice_to_810(invoice: Invoice, control_number: str | None = None) -> NewTransaction:
    """An invoice as the segments of an 810 for ``x12.build``; a credit is a credit memo (BIG07), its amounts as they are.

    FormatError when there is no date, when the total or an allowance has fractions of a cent, and when less than the total
    is to be paid: an 810 has no place for what was prepaid.
    """
    if invoice.payable is not None and invoice.payable != invoice.total:
        raise FormatError("TDS", "an 810 cannot say that something else than its total is to be paid", "payable")
    segments: list[list[Element]] = [
        [
            "BIG",
            x12_date(invoice.date, "BIG01", "the invoice's date"),
            needed(invoice.number, "BIG02", "the invoice's number"),
            None,
            invoice.order_number,
            None,
            None,
            "CR" if invoice.credit else "DI",
        ]
    ]
    if invoice.currency is not None:
        segments.append(["CUR", "SE", invoice.currency])
    parties = (("BY", invoice.buyer), ("SE", invoice.seller), ("ST", invoice.ship_to), ("RI", invoice.remit_to))
    for role, party in parties:
        segments += map(list, party_segments(role, party))
    if invoice.due is not None:
        segments.append(["ITD", "01", None, None, None, None, x12_date(invoice.due, "ITD06", "the day it is due")])
    for line in invoice.lines:
        segments += _line(line)
    segments.append(["TDS", cents(invoice.total, "TDS01")])
    segments += map(list, tax_segments(invoice.taxes))
    segments += map(list, allowance_segments(invoice.allowances))
    billed = sum((line.quantity for line in invoice.lines if line.quantity is not None), Decimal(0))
    segments.append(["CTT", str(len(invoice.lines)), hash_total(billed)])
    return NewTransaction(set_id="810", segments=segments, control_number=control_number)


def _line(line: DocumentLine) -> list[list[Element]]:
    about = (("PO", line.order_number), ("PL", line.order_line))
    segment: list[Element] = ["IT1", line.number, plain(line.quantity), line.unit, plain(line.price), None]
    segments = [[*segment, *pairs(line, about)]]
    segments += map(list, tax_segments(line.taxes))
    if line.description is not None:
        segments.append(["PID", "F", None, None, None, line.description])
    segments += map(list, allowance_segments(line.allowances))
    return segments
