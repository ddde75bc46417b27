"""Payment orders, 820: what is paid is the sum of what it is for (X12 820, BPR02 and RMR04)."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats.x12.document import Transaction, value
from hilum.formats.x12.rules import Rule, premium
from hilum.formats.x12.rules.report import Report, amount


def check_total(transaction: Transaction, report: Report) -> None:
    """``820-total``: BPR02 is the sum of RMR04 and of the adjustments that stand for themselves (ADX of an entity).

    An adjustment of an open item is in its RMR04 already. Guide sets have their own rule (``premium``).
    """
    root, definition = transaction.root, transaction.definition
    if root is None or definition is None or definition.guide:
        return
    header = root.first("BPR")
    paid = amount(header, 2)
    parts = [amount(item.first("RMR"), 4) for item in root.anywhere("RMR")]
    parts += [amount(loop.first("ADX"), 1) for entity in root.inside("ENT") for loop in entity.inside("ADX")]
    if paid is None or not parts or None in parts:
        return
    total = sum((part for part in parts if part is not None), Decimal(0))
    if total != (-paid if value(header, 3) == "D" and total < 0 else paid):
        report("820-total", "the payment is not the sum of its items and adjustments", segment=header, element=2)


RULES: dict[str, tuple[Rule, ...]] = {"820": (*premium.RULES["820"], check_total)}
