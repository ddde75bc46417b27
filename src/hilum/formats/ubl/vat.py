"""The rules of EN 16931-1 for each VAT category: who must be registered, which rate, which base, which amount, which reason.

Categories of UNTDID 5305: S standard, Z zero, E exempt, AE reverse charge, K intra-community (rules BR-IC), G export, O outside
the scope, L Canary Islands (rules BR-AF), M Ceuta and Melilla (rules BR-AG).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from hilum.formats.findings import Finding
from hilum.formats.ubl.document import NS
from hilum.formats.ubl.rules import charges, has_tax_number, lines_of
from hilum.formats.ubl.totals import ZERO, amount_of, tax_agrees
from hilum.formats.xml import Element, finding_at, text_of

_RULES = {"S": "S", "Z": "Z", "E": "E", "AE": "AE", "K": "IC", "G": "G", "O": "O", "L": "AF", "M": "AG"}
_RATED = frozenset("SLM")
_REASONED = frozenset({"E", "AE", "K", "G", "O"})


@dataclass(frozen=True, slots=True)
class _Use:
    """One line, allowance or charge under a category: ``rule`` is 2, 3 or 4, the number of its registration rule."""

    rule: int
    category: Element
    code: str
    percent: Decimal | None
    amount: Decimal | None


def vat_findings(root: Element) -> Iterator[Finding]:
    """What the categories used by lines, allowances and charges ask of the parties, the rates and the VAT breakdown."""
    uses = list(_uses(root))
    breakdown = [
        (part, category, code)
        for part in root.iterfind("cac:TaxTotal/cac:TaxSubtotal", NS)
        if (category := part.find("cac:TaxCategory", NS)) is not None
        and (code := text_of(category.find("cbc:ID", NS))) is not None
    ]
    for code, short in _RULES.items():
        mine = [use for use in uses if use.code == code]
        parts = [(part, category) for part, category, of in breakdown if of == code]
        if not mine and not parts:
            continue
        yield from _breakdown_count(root, code, short, mine, len(parts))
        yield from _registered(root, code, short, {use.rule for use in mine})
        for use in mine:
            yield from _rate(use, code, short)
        yield from _breakdown(code, short, mine, parts)
    yield from _community(root, {code for _, _, code in breakdown})
    yield from _outside(root, uses, [code for _, _, code in breakdown])


def _uses(root: Element) -> Iterator[_Use]:
    for line in lines_of(root):
        for category in line.iterfind("cac:Item/cac:ClassifiedTaxCategory", NS):
            if (code := text_of(category.find("cbc:ID", NS))) is not None:
                yield _Use(
                    2, category, code, amount_of(category, "cbc:Percent"), amount_of(line, "cbc:LineExtensionAmount")
                )
    for charge, rule in ((False, 3), (True, 4)):
        for part in charges(root, charge):
            for category in part.iterfind("cac:TaxCategory", NS):
                if (code := text_of(category.find("cbc:ID", NS))) is not None:
                    amount = amount_of(part, "cbc:Amount")
                    signed = amount if charge or amount is None else -amount
                    yield _Use(rule, category, code, amount_of(category, "cbc:Percent"), signed)


def _breakdown_count(root: Element, code: str, short: str, mine: list[_Use], count: int) -> Iterator[Finding]:
    wanted = "at least one" if code in _RATED else "exactly one"
    if mine and (count == 0 or (count > 1 and code not in _RATED)):
        yield finding_at(
            root,
            f"BR-{short}-01",
            f"The VAT breakdown must have {wanted} entry of the category {code}, which lines use",
        )
    elif not mine and count:
        yield finding_at(
            root, f"BR-{short}-01", f"The VAT breakdown has an entry of the category {code}, which nothing uses"
        )


_SELLER = "cac:AccountingSupplierParty/cac:Party/cac:PartyTaxScheme"
_BUYER = "cac:AccountingCustomerParty/cac:Party/cac:PartyTaxScheme"
_AGENT = "cac:TaxRepresentativeParty/cac:PartyTaxScheme"


def _registered(root: Element, code: str, short: str, rules: set[int]) -> Iterator[Finding]:
    if code == "O":
        wrong = (
            has_tax_number(root, _SELLER, True)
            or has_tax_number(root, _AGENT, True)
            or has_tax_number(root, _BUYER, True)
        )
        text = "Outside the scope of VAT neither seller nor buyer may have a VAT identifier"
    else:
        wrong = not (has_tax_number(root, _SELLER, code in ("K", "G")) or has_tax_number(root, _AGENT, True))
        text = "This VAT category needs the VAT identifier of the seller or of the tax representative"
        if code in ("AE", "K"):
            legal = (
                code == "AE"
                and text_of(root.find("cac:AccountingCustomerParty/cac:Party/cac:PartyLegalEntity/cbc:CompanyID", NS))
                is not None
            )
            wrong = wrong or not (has_tax_number(root, _BUYER, True) or legal)
            text += ", and that of the buyer"
    if wrong:
        for rule in sorted(rules):
            yield finding_at(root, f"BR-{short}-0{rule}", text)


def _rate(use: _Use, code: str, short: str) -> Iterator[Finding]:
    rule = f"BR-{short}-0{use.rule + 3}"
    if code == "O":
        if use.percent is not None:
            yield finding_at(use.category, rule, "Outside the scope of VAT there is no rate")
    elif code == "S":
        if use.percent is None or use.percent <= 0:
            yield finding_at(use.category, rule, "The standard rate is above zero")
    elif code in _RATED:
        if use.percent is None or use.percent < 0:
            yield finding_at(use.category, rule, "The rate is zero or above")
    elif use.percent != 0:
        yield finding_at(use.category, rule, "The rate of this VAT category is zero")


def _breakdown(code: str, short: str, mine: list[_Use], parts: list[tuple[Element, Element]]) -> Iterator[Finding]:
    # One pass over the lines, not one for each entry of the breakdown: both lists are the sender's to make long.
    sums: dict[Decimal | None, Decimal] = {}
    unreadable: set[Decimal | None] = set()
    for use in mine:
        rate = use.percent if code in _RATED else None
        if use.amount is None:
            unreadable.add(rate)
        sums[rate] = sums.get(rate, ZERO) + (use.amount or ZERO)
    for part, category in parts:
        percent = amount_of(category, "cbc:Percent")
        rate = percent if code in _RATED else None
        taxable, tax = amount_of(part, "cbc:TaxableAmount"), amount_of(part, "cbc:TaxAmount")
        if taxable is not None and rate not in unreadable:
            away = abs(taxable - sums.get(rate, ZERO))
            if away >= 1 if code in _RATED else away != 0:
                yield finding_at(
                    part,
                    f"BR-{short}-08",
                    "The taxable amount is not the sum of its lines and charges less its allowances",
                )
        if tax is not None:
            if code in _RATED:
                if taxable is not None and not tax_agrees(taxable, tax, percent):
                    yield finding_at(part, f"BR-{short}-09", "The VAT amount is not the taxable amount times the rate")
            elif tax != 0:
                yield finding_at(part, f"BR-{short}-09", "The VAT amount of this category is zero")
        reason = any(
            text_of(category.find(name, NS)) is not None
            for name in ("cbc:TaxExemptionReason", "cbc:TaxExemptionReasonCode")
        )
        if reason != (code in _REASONED):
            need = "must" if code in _REASONED else "must not"
            yield finding_at(category, f"BR-{short}-10", f"This VAT category {need} have an exemption reason")


def _community(root: Element, codes: set[str]) -> Iterator[Finding]:
    if "K" not in codes:
        return
    period = root.find("cac:InvoicePeriod", NS)
    spans = period is not None and any(text_of(period.find(name, NS)) for name in ("cbc:StartDate", "cbc:EndDate"))
    if text_of(root.find("cac:Delivery/cbc:ActualDeliveryDate", NS)) is None and not spans:
        yield finding_at(
            root, "BR-IC-11", "An intra-community supply must say when it was delivered or which period it covers"
        )
    if (
        text_of(root.find("cac:Delivery/cac:DeliveryLocation/cac:Address/cac:Country/cbc:IdentificationCode", NS))
        is None
    ):
        yield finding_at(root, "BR-IC-12", "An intra-community supply must say to which country it was delivered")


def _outside(root: Element, uses: list[_Use], codes: list[str]) -> Iterator[Finding]:
    if "O" not in codes:
        return
    if len(codes) > 1:
        yield finding_at(root, "BR-O-11", "Beside a breakdown outside the scope of VAT there may be no other")
    for rule, number, what in ((2, 12, "line"), (3, 13, "allowance"), (4, 14, "charge")):
        if any(use.rule == rule and use.code != "O" for use in uses):
            yield finding_at(
                root,
                f"BR-O-{number}",
                f"With a breakdown outside the scope of VAT no {what} may have another VAT category",
            )
