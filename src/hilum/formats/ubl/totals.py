"""The sums of EN 16931-1: lines into totals, allowances and charges, VAT, and what is due (BR-CO-10 to BR-CO-17)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal

from hilum.formats.findings import Finding
from hilum.formats.ubl.document import NS
from hilum.formats.ubl.rules import charges, lines_of
from hilum.formats.xml import Element, finding_at, text_of
from hilum.formats.xml_content import decimal_in

ZERO = Decimal(0)


def amount_of(holder: Element, name: str) -> Decimal | None:
    """The amount of a child; None where it is missing or no number."""
    return decimal_in(text_of(holder.find(name, NS)))


def rounded(value: Decimal) -> Decimal:
    """To two decimals as XPath's round() does: a half goes up, also below zero (-2.345 becomes -2.34)."""
    return ((value * 100 + Decimal("0.5")).to_integral_value(ROUND_FLOOR)) / 100


def total(values: list[Decimal | None]) -> Decimal | None:
    """The sum; None where one is missing, for then nothing can be said about it."""
    known = [value for value in values if value is not None]
    return sum(known, ZERO) if len(known) == len(values) else None


_SUMMED = frozenset(
    f"{{{NS['cbc']}}}{name}Amount"
    for name in (
        "",
        "AllowanceTotal",
        "ChargeTotal",
        "LineExtension",
        "Payable",
        "PayableRounding",
        "Prepaid",
        "Price",
        "TaxExclusive",
        "TaxInclusive",
    )
)


def foreign_amounts(root: Element, currency: str | None) -> Iterator[Element]:
    """Amounts that are added up with others and are in another currency than the document; VAT may be told in two of them."""
    pricing = text_of(root.find("cbc:PricingCurrencyCode", NS))
    for element in root.iter(*_SUMMED):
        own = element.get("currencyID")
        priced = own == pricing and str(element.tag).endswith("}PriceAmount")
        if own and currency is not None and own != currency and not priced:
            yield element


def total_findings(root: Element) -> Iterator[Finding]:
    """The document totals against what they are the sum of; a missing or unreadable part is reported elsewhere."""
    totals = root.find("cac:LegalMonetaryTotal", NS)
    yield from _tax_totals(root)
    if totals is None:
        return
    lines = lines_of(root)
    net = amount_of(totals, "cbc:LineExtensionAmount")
    meant = total([amount_of(line, "cbc:LineExtensionAmount") for line in lines])
    if lines and net is not None and meant is not None and net != rounded(meant):
        yield finding_at(totals, "BR-CO-10", "LineExtensionAmount is not the sum of the lines' net amounts")
    moved: dict[bool, Decimal | None] = {}
    for charge, name, rule, what in (
        (False, "cbc:AllowanceTotalAmount", "BR-CO-11", "allowances"),
        (True, "cbc:ChargeTotalAmount", "BR-CO-12", "charges"),
    ):
        told = moved[charge] = amount_of(totals, name)
        parts = total([amount_of(part, "cbc:Amount") for part in charges(root, charge)])
        if parts is not None and (told or ZERO) != rounded(parts):
            yield finding_at(totals, rule, f"{name[4:]} is not the sum of the document's {what}")
    exclusive, inclusive = amount_of(totals, "cbc:TaxExclusiveAmount"), amount_of(totals, "cbc:TaxInclusiveAmount")
    if (
        net is not None
        and exclusive is not None
        and exclusive != rounded(net - (moved[False] or ZERO) + (moved[True] or ZERO))
    ):
        yield finding_at(
            totals,
            "BR-CO-13",
            "TaxExclusiveAmount is not LineExtensionAmount - AllowanceTotalAmount + ChargeTotalAmount",
        )
    currency = text_of(root.find("cbc:DocumentCurrencyCode", NS))
    taxes = root.findall("cac:TaxTotal/cbc:TaxAmount", NS)
    own = [tax for tax in taxes if len(taxes) == 1 or tax.get("currencyID") == currency]
    tax = decimal_in(text_of(own[0])) if own else (ZERO if not taxes else None)
    if exclusive is not None and inclusive is not None and tax is not None and inclusive != rounded(exclusive + tax):
        yield finding_at(totals, "BR-CO-15", "TaxInclusiveAmount is not TaxExclusiveAmount + the total VAT amount")
    due = amount_of(totals, "cbc:PayableAmount")
    prepaid, rounding = (
        amount_of(totals, "cbc:PrepaidAmount") or ZERO,
        amount_of(totals, "cbc:PayableRoundingAmount") or ZERO,
    )
    if inclusive is not None and due is not None and rounded(due - rounding) != rounded(inclusive - prepaid):
        yield finding_at(
            totals, "BR-CO-16", "PayableAmount is not TaxInclusiveAmount - PrepaidAmount + PayableRoundingAmount"
        )


def _tax_totals(root: Element) -> Iterator[Finding]:
    for tax in root.iterfind("cac:TaxTotal", NS):
        subtotals = tax.findall("cac:TaxSubtotal", NS)
        told, meant = amount_of(tax, "cbc:TaxAmount"), total([amount_of(part, "cbc:TaxAmount") for part in subtotals])
        if subtotals and told is not None and meant is not None and told != rounded(meant):
            yield finding_at(tax, "BR-CO-14", "The total VAT amount is not the sum of the VAT breakdown")
        for part in subtotals:
            taxable, amount = amount_of(part, "cbc:TaxableAmount"), amount_of(part, "cbc:TaxAmount")
            if (
                taxable is not None
                and amount is not None
                and not tax_agrees(taxable, amount, amount_of(part, "cac:TaxCategory/cbc:Percent"))
            ):
                yield finding_at(part, "BR-CO-17", "The VAT amount is not the taxable amount times the rate")


def tax_agrees(taxable: Decimal, amount: Decimal, percent: Decimal | None) -> bool:
    """Whether a VAT amount is the taxable amount times its rate; less than one unit of difference is let pass, for the rate may
    have been applied line by line."""
    if not percent:
        return abs(amount) < Decimal("0.5")
    return abs(abs(amount) - rounded(abs(taxable) * percent / 100)) < 1
