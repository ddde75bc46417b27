"""Invoices, 810: the total is the lines, plus charges, less allowances, plus taxes (X12 810, TDS01 with two implied decimals)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from hilum.formats.x12.document import Loop, Segment, Transaction, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.item_numbers import check_item_numbers
from hilum.formats.x12.rules.line_amounts import extension, implied, off_and_on, tolerance
from hilum.formats.x12.rules.report import Report, amount
from hilum.formats.x12.rules.totals import check_count, check_hash, check_line_numbers

_TAX_CHARGES = ("H7", "H8", "D360", "D350")
"""Charge codes (SAC02) that are taxes; what TXI segments say beside them is their detail, not more tax."""


@dataclass(frozen=True, slots=True)
class Balance:
    """An invoice's total beside what its parts come to in the reading nearest to it.

    ``lines`` is the exact sum of the lines, ``net`` the same with their own allowances and charges, in whole cents;
    ``difference`` is how far the total is off, zero or a rounding when it balances.
    """

    total: Decimal
    lines: Decimal
    net: Decimal
    difference: Decimal
    balanced: bool


def balance(root: Loop) -> Balance | None:
    """The balance of a walked 810; None when it cannot be told: no TDS01, a line without a price, lines in other currencies.

    The standard does not say whether allowances, charges and taxes of the summary repeat those of the lines or come on
    top of them, and partners do either. The total balances when one of these readings gives it. A summary repeats the
    lines' allowances only if it has as much of them: what a line was promised off is not forgotten for a freight charge.
    """
    total = implied(root.first("TDS"), 1)
    if total is None or _has_another_currency(root):
        return None
    exact: list[Decimal] = []
    off_lines, on_lines, tax_on_lines = Decimal(0), Decimal(0), Decimal(0)
    for line in root.inside("IT1"):
        item = line.segments[0]
        amount_of_line = extension(amount(item, 2), amount(item, 4), value(item, 5))
        if amount_of_line is None:
            if value(item, 2) is None and value(item, 4) is None:
                continue
            return None
        exact.append(amount_of_line)
        if line.loops:
            with_sac = line.inside("IT1-SAC", "SLN")
            settled = off_and_on(with_sac, amount_of_line)
            if settled is None:
                return None
            off_lines += settled[0]
            on_lines += settled[1]
            tax_on_lines += _taxes(with_sac)
        if len(line.segments) > 1:
            tax_on_lines += _taxes([line])
    lines = sum(exact, Decimal(0))
    in_summary = off_and_on(root.inside("SAC"), lines)
    if in_summary is None:
        return None
    tax_in_summary = _taxes([root, *root.inside("SAC")])
    taxes = _readings(tax_on_lines, tax_in_summary, bool(tax_on_lines or tax_in_summary) and _charges_tax(root))
    off = min(
        abs(total - lines - less - more - tax)
        for less in _readings(off_lines, in_summary[0])
        for more in _readings(on_lines, in_summary[1])
        for tax in taxes
    )
    net = (lines + off_lines + on_lines).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return Balance(total, lines, net, off, not off or off <= tolerance(exact))


def _readings(on_lines: Decimal, in_summary: Decimal, elsewhere: bool = False) -> set[Decimal]:
    readings = {on_lines + in_summary}
    if on_lines and abs(in_summary) >= abs(on_lines):
        readings.add(in_summary)
    if elsewhere:
        readings.add(Decimal(0))
    return readings


def _taxes(loops: Iterable[Loop]) -> Decimal:
    total = Decimal(0)
    for loop in loops:
        for segment in loop.segments:
            if segment[0] == "TXI" and (tax := amount(segment, 2)) is not None:
                total += tax
    return total


def _charges_tax(root: Loop) -> bool:
    with_sac = [*root.inside("SAC"), *(loop for line in root.inside("IT1") for loop in line.inside("IT1-SAC"))]
    charges = (segment for loop in with_sac for segment in loop.every("SAC"))
    return any((code := value(segment, 2)) is not None and code.startswith(_TAX_CHARGES) for segment in charges)


def _has_another_currency(root: Loop) -> bool:
    own = value(root.first("CUR"), 2)
    if own is None:
        return False
    for line in root.inside("IT1"):
        said = value(line.first("CUR"), 2)
        if said is not None and said != own:
            return True
    return False


def check_total(transaction: Transaction, report: Report) -> None:
    """``810-total``: TDS01 is lines + charges - allowances + taxes, but for rounding; a note when that cannot be told."""
    root = transaction.root
    if root is None:
        return
    tds = root.first("TDS")
    found = balance(root)
    if found is None:
        if tds is not None:
            text = "the total cannot be checked: a price, an amount or the currency of a line is missing or another"
            report("810-total-unchecked", text, segment=tds, element=1, severity="information")
    elif not found.balanced:
        text = f"the total is not the lines plus charges less allowances plus taxes: it is off by {found.difference:f}"
        report("810-total", text, segment=tds, element=1)
    _check_terms(report, tds)


def _check_terms(report: Report, tds: Segment | None) -> None:
    total, due, discount = implied(tds, 1), implied(tds, 3), implied(tds, 4)
    if total is not None and due is not None and discount is not None and total - discount != due:
        report("810-terms", "the discounted amount is not the total less the discount", segment=tds, element=3)


def check_lines(transaction: Transaction, report: Report) -> None:
    """Line count, hash total, line numbers and item numbers."""
    root = transaction.root
    if root is None:
        return
    lines = root.inside("IT1")
    ctt = root.first("CTT")
    check_count(report, "810-line-count", ctt, (len(lines),), "IT1 segments")
    if value(ctt, 2) is not None:
        quantities = [text for line in lines if (text := value(line.segments[0], 2)) is not None]
        check_hash(report, "810-hash-total", ctt, (quantities,), "the quantities invoiced (IT102)")
    check_line_numbers(report, "810-line-number", lines, "IT1", "warning")
    check_item_numbers(report, lines)
    check_item_numbers(report, (inner for line in lines if line.loops for inner in line.inside("SLN")))


RULES: dict[str, tuple[Rule, ...]] = {"810": (check_total, check_lines)}
