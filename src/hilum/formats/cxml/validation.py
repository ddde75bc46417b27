"""Whether a cXML document is what the DTD wants, types what the DTD cannot say, and adds up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from hilum.formats.cxml.document import CxmlDocument
from hilum.formats.cxml.tables import OPAQUE, TABLE
from hilum.formats.findings import Finding
from hilum.formats.iso_codes import COUNTRIES, CURRENCIES
from hilum.formats.xml import MAX_FINDINGS, Element, finding_at, name_of, text_of
from hilum.formats.xml_content import TYPES, check, decimal_in

_UNIT = re.compile(r"[A-Z0-9]{1,3}")
_STATUS = re.compile(r"[1-6][0-9]{2}")
_UNSPSC = re.compile(r"[0-9]{8}(?:[0-9]{2})?")

_TYPES = {
    **TYPES,
    "currency": (lambda text: text in CURRENCIES, "an ISO 4217 currency"),
    "country": (lambda text: text in COUNTRIES, "an ISO 3166-1 country of two letters"),
    "unit": (lambda text: _UNIT.fullmatch(text) is not None, "a UN/CEFACT unit of measure (EA, BX, C62 ...)"),
    "status": (lambda text: _STATUS.fullmatch(text) is not None, "a status of three digits"),
}

_CENT = Decimal("0.01")


def validate(document: CxmlDocument) -> list[Finding]:
    """Findings, at most ``MAX_FINDINGS``; never raises.

    ``missing``, ``order``, ``repeated``, ``unexpected`` (a warning: later releases of the DTD know more), ``type``, ``code`` are
    structure; ``unspsc`` and ``currency`` warnings; ``order-total``, ``line-amount``, ``subtotal``, ``tax``, ``gross``, ``net``,
    ``due`` and ``sign`` say that amounts do not agree.
    """
    found = check(document.root, TABLE, name_of, types=_TYPES, opaque=OPAQUE, unknown="warning", each=_each)
    payload = document.payload
    if document.root.tag == "cXML" and document.kind in ("Request", "Message"):
        found.append(finding_at(document.root, "missing", "There is nothing in its Request or Message"))
    if document.root.tag == "cXML" and document.root.find("Header") is None and document.root.find("Response") is None:
        found.append(finding_at(document.root, "missing", "Header is required here"))
    if payload is not None:
        if document.kind in ("OrderRequest", "PunchOutOrderMessage"):
            found += _order_total(payload)
        elif document.kind == "InvoiceDetailRequest":
            found += _invoice(payload)
    return found[:MAX_FINDINGS]


def _each(element: Element, name: str, found: list[Finding]) -> None:
    if name == "Classification" and element.get("domain", "").upper() == "UNSPSC":
        if _UNSPSC.fullmatch(text_of(element) or str(element.get("code", ""))) is None:
            found.append(
                finding_at(element, "unspsc", "A UNSPSC code has 8 digits, or 10 with the business function", "warning")
            )
    elif name == "ConfirmationRequest":
        _confirmation(element, found)


def _confirmation(request: Element, found: list[Finding]) -> None:
    """Accepting or rejecting as a whole says nothing of items; detailing and excepting does (guide, "ConfirmationHeader")."""
    header = request.find("ConfirmationHeader")
    kind = header.get("type") if header is not None else None
    items = request.findall("ConfirmationItem")
    if kind in ("detail", "except", "backordered") and kind != "backordered" and not items:
        found.append(finding_at(request, "missing", "A confirmation of this type must have ConfirmationItem"))
    for item in items:
        told = [decimal_in(status.get("quantity")) for status in item.findall("ConfirmationStatus")]
        quantity = decimal_in(item.get("quantity"))
        if (
            quantity is not None
            and told
            and None not in told
            and sum(part for part in told if part is not None) != quantity
        ):
            found.append(
                finding_at(
                    item, "quantity", "The quantities of its ConfirmationStatus are not the quantity of the item"
                )
            )


# --- amounts ---------------------------------------------------------------------------------------------------------


def money(element: Element | None) -> Decimal | None:
    """The amount of ``<X><Money>1.00</Money></X>``."""
    return decimal_in(text_of(element.find("Money"))) if element is not None else None


def extended(quantity: Decimal | None, price_holder: Element) -> Decimal | None:
    """Quantity times unit price, through the PriceBasisQuantity where there is one; None where a part is missing."""
    price = money(price_holder.find("UnitPrice"))
    if quantity is None or price is None:
        return None
    basis = price_holder.find("PriceBasisQuantity")
    if basis is None:
        return quantity * price
    per, factor = decimal_in(basis.get("quantity")), decimal_in(basis.get("conversionFactor"))
    return quantity * factor * price / per if per and factor is not None else None


def unit_price(price_holder: Element | None) -> Decimal | None:
    """The price of one unit of the line; None where it is missing or its PriceBasisQuantity cannot be read."""
    return extended(Decimal(1), price_holder) if price_holder is not None else None


def _order_total(payload: Element) -> Iterable[Finding]:
    header = payload.find("OrderRequestHeader")
    punched = header is None
    if header is None:
        header = payload.find("PunchOutOrderMessageHeader")
    if header is None or header.get("type") == "delete" or header.find("Total/Modifications") is not None:
        return
    total, items = money(header.find("Total")), payload.findall("ItemIn" if punched else "ItemOut")
    if total is None or not items or any(item.get("parentLineNumber") for item in items):
        return
    amounts = []
    for item in items:
        detail = item.find("ItemDetail")
        amount = extended(decimal_in(item.get("quantity")), detail) if detail is not None else None
        if amount is None:
            return
        amounts.append(amount)
    goods, slack = sum(amounts, Decimal(0)), _CENT * max(1, len(amounts)) / 2
    # The guide counts neither shipping nor tax into Total; many senders do.
    extras = (money(header.find("Shipping")) or Decimal(0), money(header.find("Tax")) or Decimal(0))
    if not any(
        abs(total - goods - more) <= slack for more in (Decimal(0), extras[0], extras[1], extras[0] + extras[1])
    ):
        yield finding_at(
            header,
            "order-total",
            "Total is not the sum of quantity times unit price of the items",
            "warning" if punched else "error",
        )


def _invoice(payload: Element) -> list[Finding]:
    found: list[Finding] = []
    items = payload.findall("InvoiceDetailOrder/InvoiceDetailItem") + payload.findall(
        "InvoiceDetailOrder/InvoiceDetailServiceItem"
    )
    for item in items:
        if len(found) >= MAX_FINDINGS:
            return found
        told, meant = money(item.find("SubtotalAmount")), extended(decimal_in(item.get("quantity")), item)
        if told is not None and meant is not None and abs(told - meant) > _CENT:
            found.append(finding_at(item, "line-amount", "SubtotalAmount is not quantity times unit price"))
    if len(currencies(payload)) > 1:
        found.append(finding_at(payload, "currency", "The amounts are in more than one currency", "warning"))
    summary = payload.find("InvoiceDetailSummary")
    if summary is not None:
        found += _summary(payload, summary, items)
    return found


def _summary(payload: Element, summary: Element, items: list[Element]) -> Iterable[Finding]:
    zero = Decimal(0)
    subtotal, tax = money(summary.find("SubtotalAmount")), money(summary.find("Tax"))
    parts = [money(item.find("SubtotalAmount")) for item in items]
    parts += [
        money(part) for part in payload.findall("InvoiceDetailHeaderOrder/InvoiceDetailOrderSummary/SubtotalAmount")
    ]
    known = [part for part in parts if part is not None]
    if subtotal is not None and known and len(known) == len(parts) and sum(known, zero) != subtotal:
        yield finding_at(summary, "subtotal", "SubtotalAmount is not the sum of the lines' SubtotalAmount")
    details = [money(part) for part in summary.findall("Tax/TaxDetail/TaxAmount")]
    if (
        tax is not None
        and details
        and None not in details
        and abs(sum((part or zero for part in details), zero) - tax) > _CENT
    ):
        yield finding_at(summary, "tax", "Tax is not the sum of its TaxDetail amounts")
    if subtotal is None or tax is None:
        return
    handling, shipping = (
        money(summary.find("SpecialHandlingAmount")) or zero,
        money(summary.find("ShippingAmount")) or zero,
    )
    meant = subtotal + tax + handling + shipping
    gross = money(summary.find("GrossAmount"))
    if gross is not None and gross != meant:
        yield finding_at(
            summary, "gross", "GrossAmount is not SubtotalAmount + Tax + SpecialHandlingAmount + ShippingAmount"
        )
    charges, allowances = modifications(summary)
    discount = money(summary.find("InvoiceDetailDiscount")) or zero
    net = money(summary.find("NetAmount"))
    if (
        net is not None
        and charges is not None
        and allowances is not None
        and net != meant - discount + charges - allowances
    ):
        yield finding_at(summary, "net", "NetAmount is not the gross amount - discount + charges - allowances")
    due, deposit = money(summary.find("DueAmount")), money(summary.find("DepositAmount")) or zero
    if due is not None and net is not None and due != net - deposit:
        yield finding_at(summary, "due", "DueAmount is not NetAmount - DepositAmount")
    header = payload.find("InvoiceDetailRequestHeader")
    if (
        header is not None
        and header.get("purpose") in ("creditMemo", "lineLevelCreditMemo")
        and net is not None
        and net > 0
    ):
        yield finding_at(summary, "sign", "A credit memo writes its amounts negative")


def currencies(payload: Element) -> set[str]:
    """The currencies of all amounts; what an amount is worth in another one besides does not count."""
    return {currency for part in payload.iter("Money") if (currency := part.get("currency")) is not None}


def modifications(summary: Element) -> tuple[Decimal | None, Decimal | None]:
    """(charges, allowances) beside the lines: the totals, or else the sum of the single ones; None where one is a percentage."""
    charges, allowances = money(summary.find("TotalCharges")), money(summary.find("TotalAllowances"))
    if charges is None:
        costs = [money(part) for part in summary.findall("InvoiceHeaderModifications/Modification/AdditionalCost")]
        charges = None if None in costs else sum((part for part in costs if part is not None), Decimal(0))
    if allowances is None:
        cuts = [
            money(part.find("DeductionAmount"))
            for part in summary.findall("InvoiceHeaderModifications/Modification/AdditionalDeduction")
        ]
        allowances = None if None in cuts else sum((part for part in cuts if part is not None), Decimal(0))
    return charges, allowances
