"""A premium payment is the sum of what it pays (X12 005010X218 section 1.10); the plain 820 pays invoices and is not asked."""

from __future__ import annotations

from hilum.formats.x12.definitions import RELEASES
from hilum.formats.x12.document import Transaction
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.amounts import ZERO, added, number, shown
from hilum.formats.x12.rules.report import Report


def total(transaction: Transaction, report: Report) -> None:
    """BPR02 is the sum of RMR04 and of the adjustments (ADX) of organizations and persons; RMR04 is RMR05 with its own ADX."""
    root = transaction.root
    if root is None or transaction.definition is None or transaction.definition.convention in RELEASES:
        return
    header = root.first("BPR")
    paid = number(header, 2)
    expected, remitted = ZERO, False
    for remittance in root.anywhere("2300A", "2300B", "2300"):
        remitted = True
        open_item = remittance.first("RMR")
        if open_item is None:
            continue
        expected += added(open_item, 4)
        billed, adjustments = number(open_item, 5), ZERO
        for change in remittance.inside("2320A", "2320B", "2320"):
            adjustments += added(change.segments[0], 1)
        if billed is not None and billed + adjustments != added(open_item, 4):
            report(
                "820-item-balance",
                "the payment of this item (RMR04) differs from what was billed and adjusted (RMR05, ADX) by "
                + shown(added(open_item, 4) - billed - adjustments),
                loop=remittance,
                segment=open_item,
                element=4,
                severity="warning",
            )
    for change in root.anywhere("2200A", "2200B", "2200"):
        expected += added(change.segments[0], 1)
    if remitted and paid is not None and paid != expected:
        report(
            "820-total",
            f"the payment (BPR02) differs from the sum of its items and adjustments (RMR04, ADX) by {shown(paid - expected)}",
            segment=header,
            element=2,
        )


RULES: dict[str, tuple[Rule, ...]] = {"820": (total,)}
