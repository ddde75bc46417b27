"""Payment orders, 820, to records: who pays whom how much, and the open items it is for."""

from __future__ import annotations

from typing import Any

from hilum.formats.canonical import Canonical, Record
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.line_details import iso_date, plain
from hilum.formats.x12.conversion.record_parts import content, dates, parties
from hilum.formats.x12.document import Loop, Transaction, value
from hilum.formats.x12.rules.report import amount

_KINDS = {"IV": "invoice", "PO": "order", "CM": "credit memo", "R7": "payable", "AP": "receivable"}
_PARTIES = ("N1", "1000A", "1000B", "1000")
_ITEMS = ("RMR", "2300A", "2300B", "2300")
_CHANGES = ("ADX", "2320A", "2320B", "2320")


def payments(transaction: Transaction) -> list[Canonical]:
    """A walked 820 as one record with its ``items`` (RMR); account numbers (BPR) are left out."""
    root = transaction.root
    if root is None:
        return []
    header, trace = root.first("BPR"), root.first("TRN")
    before_4010 = root.first("BPS")
    told = content(
        amount=amount(header if before_4010 is None else before_4010, 2),
        credit=None if value(header, 3) is None else value(header, 3) == "C",
        method=value(header, 4),
        date=iso_date(value(header, 16)),
        trace_number=value(trace, 2),
        currency=value(root.first("CUR"), 2),
        dates=dates(root.every("DTM"), {"097": "transaction", "007": "effective", "009": "process"}),
        parties=parties(root.inside(*_PARTIES)),
        items=[_item(loop) for loop in root.anywhere(*_ITEMS)] + [_open_item(loop) for loop in root.inside("RMT")],
    )
    return [Record(type="payment", control_number=transaction.control_number, content=told)]


def _item(loop: Loop) -> dict[str, Any]:
    segment = loop.first("RMR")
    kind = value(segment, 1)
    return content(
        kind=None if kind is None else _KINDS.get(kind, kind),
        number=value(segment, 2),
        paid=plain(amount(segment, 4)),
        billed=plain(amount(segment, 5)),
        discount=plain(amount(segment, 6)),
        adjustments=[
            content(amount=plain(amount(inner.first("ADX"), 1)), reason=value(inner.first("ADX"), 2))
            for inner in loop.inside(*_CHANGES)
        ],
        dates=dates(loop.every("DTM"), {"003": "invoice", "097": "transaction"}),
    )


def _open_item(loop: Loop) -> dict[str, Any]:
    segment = loop.first("RMT")
    kind = value(segment, 1)
    return content(
        kind=None if kind is None else _KINDS.get(kind, kind),
        number=value(segment, 2),
        paid=plain(amount(segment, 3)),
        billed=plain(amount(segment, 4)),
    )


CONVERTERS: dict[str, Converter] = {"820": payments}
