"""Price and sales catalogues, 832: every item once, prices that can be prices, item numbers that check."""

from __future__ import annotations

from hilum.formats.x12.document import Transaction, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.item_numbers import check_item_numbers
from hilum.formats.x12.rules.report import Report, amount
from hilum.formats.x12.rules.totals import check_count, check_line_numbers


def check_lines(transaction: Transaction, report: Report) -> None:
    """CTT01 counts the LIN segments; line numbers and item numbers are right."""
    root = transaction.root
    if root is None:
        return
    lines = root.inside("LIN")
    check_count(report, "832-line-count", root.first("CTT"), (len(lines),), "LIN segments")
    check_line_numbers(report, "832-line-number", lines, "LIN", "warning")
    check_item_numbers(report, root.anywhere("LIN", "SLN", "PKL"))


def check_prices(transaction: Transaction, report: Report) -> None:
    """``832-price``: no price is negative, and no price ends before it begins."""
    root = transaction.root
    if root is None:
        return
    for line in root.inside("LIN"):
        for loop in line.inside("CTP", "PKL"):
            for price in loop.every("CTP"):
                said = amount(price, 3)
                if said is not None and said < 0:
                    report("832-price", "a price is negative", loop=loop, segment=price, element=3)
            dates = {value(segment, 1): (segment, value(segment, 2)) for segment in loop.every("DTM")}
            begins, ends = dates.get("196"), dates.get("197")
            if begins is None or ends is None or begins[1] is None or ends[1] is None:
                continue
            if len(begins[1]) == len(ends[1]) and ends[1] < begins[1]:
                report("832-price", "a price ends before it begins", loop=loop, segment=ends[0], element=2)


RULES: dict[str, tuple[Rule, ...]] = {"832": (check_lines, check_prices)}
