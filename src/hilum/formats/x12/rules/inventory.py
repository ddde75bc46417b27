"""Stock and its movements: inventory advice, 846, and product transfer and resale, 867."""

from __future__ import annotations

from hilum.formats.x12.document import Loop, Transaction, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.item_numbers import check_item_numbers
from hilum.formats.x12.rules.report import Report, amount
from hilum.formats.x12.rules.totals import check_count, check_hash

_MAY_BE_NEGATIVE = frozenset({"BN", "IA", "PA", "RU", "RV", "SA"})
"""PTD01 of movements that go back or correct: their quantities may be below zero."""


def check_advice(transaction: Transaction, report: Report) -> None:
    """846: count, hash total and item numbers; ``846-quantity``: a line says a quantity, and none on hand is negative."""
    root = transaction.root
    if root is None:
        return
    lines = root.inside("LIN")
    for line in lines:
        if not line.inside("QTY") and line.first("SDQ") is None:
            text = "an item has no quantity"
            report("846-quantity", text, loop=line, segment=line.first("LIN"), snip=4, severity="warning")
    _check_totals(report, root, "846", len(lines))
    for loop in root.anywhere("QTY"):
        segment = loop.first("QTY")
        said = amount(segment, 2)
        if said is not None and said < 0:
            report("846-quantity", "a quantity is negative", loop=loop, segment=segment, element=2)
    check_item_numbers(report, root.anywhere("LIN", "SLN"))


def check_transfers(transaction: Transaction, report: Report) -> None:
    """867: count, hash total, item numbers; ``867-quantity``: only what goes back or corrects is negative."""
    root = transaction.root
    if root is None:
        return
    items = [loop for loop in root.anywhere("QTY") if loop.first("LIN") is not None]
    _check_totals(report, root, "867", len(items))
    for movement in root.inside("PTD"):
        kind = value(movement.first("PTD"), 1)
        for loop in movement.inside("QTY"):
            segment = loop.first("QTY")
            said = amount(segment, 2)
            if said is not None and said < 0 and kind not in _MAY_BE_NEGATIVE:
                text = "a quantity is negative in a movement that neither returns nor corrects"
                report("867-quantity", text, loop=loop, segment=segment, element=2)
    check_item_numbers(report, root.anywhere("QTY"))


def _check_totals(report: Report, root: Loop, rule: str, lines: int) -> None:
    summary = next(iter(root.inside("CTT")), root)
    ctt = summary.first("CTT")
    check_count(report, f"{rule}-line-count", ctt, (lines,), "LIN segments")
    quantities = [text for loop in root.anywhere("QTY") if (text := value(loop.first("QTY"), 2)) is not None]
    check_hash(report, f"{rule}-hash-total", ctt, (quantities,), "the quantities (QTY02)")


RULES: dict[str, tuple[Rule, ...]] = {"846": (check_advice,), "867": (check_transfers,)}
