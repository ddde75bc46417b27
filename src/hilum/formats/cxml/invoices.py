"""What an InvoiceDetailRequest says: the invoice or credit memo with its lines, taxes and charges."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from hilum.formats import canonical
from hilum.formats.cxml.document import CxmlDocument
from hilum.formats.cxml.parts import header_party, item_identifiers, modification_of, party_of, shown_text
from hilum.formats.cxml.validation import currencies, money, unit_price
from hilum.formats.xml import Element, text_of
from hilum.formats.xml_content import decimal_in, is_date

CREDITS = ("creditMemo", "lineLevelCreditMemo")


def invoice_of(document: CxmlDocument, payload: Element) -> canonical.Invoice | None:
    """The invoice; None where it has no number or no amount. A credit memo's amounts come out positive."""
    header, summary = payload.find("InvoiceDetailRequestHeader"), payload.find("InvoiceDetailSummary")
    if header is None or summary is None:
        return None
    number, due, net = header.get("invoiceID"), money(summary.find("DueAmount")), money(summary.find("NetAmount"))
    total = net if net is not None else due
    if not number or total is None:
        return None
    credit = header.get("purpose") in CREDITS
    sign = -1 if credit and total < 0 else 1
    partners = {
        contact.get("role"): (partner, contact)
        for partner in header.findall("InvoicePartner")
        if (contact := partner.find("Contact")) is not None
    }
    shipping = header.find("InvoiceDetailShipping")
    to = (
        [contact for contact in shipping.findall("Contact") if contact.get("role") == "shipTo"]
        if shipping is not None
        else []
    )
    orders = payload.findall("InvoiceDetailOrder") or payload.findall("InvoiceDetailHeaderOrder")
    lines = tuple(
        _line(item, order_number(order), sign)
        for order in orders
        for item in order
        if item.tag in ("InvoiceDetailItem", "InvoiceDetailServiceItem")
    )
    allowances, taxes = _allowances(summary, sign), _taxes(summary, sign)
    subtotal, tax = money(summary.find("SubtotalAmount")), money(summary.find("Tax"))
    goods = (
        sum((line.amount for line in lines if line.amount is not None), Decimal(0))
        if lines
        else sign * (subtotal or Decimal(0))
    )
    moved = sum(((part.amount if part.charge else -part.amount) for part in allowances), Decimal(0))
    currency = summary.find(".//Money")
    return canonical.Invoice(
        number=number,
        credit=credit,
        date=header.get("invoiceDate"),
        due=_due(header),
        currency=currency.get("currency") if currency is not None else None,
        order_number=next((text for order in orders if (text := order_number(order)) is not None), None),
        buyer=_side(header_party(document, "To"), partners.get("soldTo") or partners.get("billTo")),
        seller=_side(header_party(document, "From"), partners.get("from") or partners.get("issuerOfInvoice")),
        ship_to=party_of(to[0]) if to else _partner(partners.get("shipTo")),
        remit_to=_partner(partners.get("remitTo")),
        total=sign * total,
        payable=sign * due if due is not None and due != total else None,
        net=sign * subtotal if subtotal is not None else None,
        lines=lines,
        allowances=allowances,
        taxes=taxes,
        balanced=sign * total == goods + moved + sign * (tax or Decimal(0)) and len(currencies(payload)) == 1,
    )


def order_number(order: Element) -> str | None:
    """The purchase order an InvoiceDetailOrder bills."""
    info = order.find("InvoiceDetailOrderInfo")
    if info is None:
        return None
    for tag in ("OrderReference", "OrderIDInfo", "SupplierOrderInfo"):
        reference = info.find(tag)
        if reference is not None and reference.get("orderID"):
            return reference.get("orderID")
    return None


def _partner(told: tuple[Element, Element] | None) -> canonical.Party | None:
    if told is None:
        return None
    partner, contact = told
    party = party_of(contact)
    if party is None:
        return None
    own = party_of(partner)
    return replace(party, identifiers=party.identifiers + (own.identifiers if own is not None else ()))


def _side(known: canonical.Party | None, partner: tuple[Element, Element] | None) -> canonical.Party | None:
    """A party of the header with the name and address its InvoicePartner gives it."""
    named = _partner(partner)
    if named is None or known is None:
        return named or known
    return replace(named, identifiers=known.identifiers + named.identifiers)


def _due(header: Element) -> str | None:
    """The day it is due: the invoice's day and the days of its payment terms; cXML has no due date of its own.

    Of several terms the longest counts: the shorter ones say until when a discount is given.
    """
    terms = (term for tag in ("InvoiceDetailPaymentTerm", "PaymentTerm") for term in header.findall(tag))
    days = [int(told) for term in terms if (told := term.get("payInNumberOfDays", "")).isdecimal() and len(told) <= 4]
    day = header.get("invoiceDate", "")[:10]
    if not days or not is_date(day):
        return None
    try:
        return (date.fromisoformat(day) + timedelta(days=max(days))).isoformat()
    except OverflowError:
        return None


def _line(item: Element, order: str | None, sign: int) -> canonical.DocumentLine:
    reference = item.find("InvoiceDetailItemReference")
    quantity = decimal_in(item.get("quantity"))
    amount = money(item.find("SubtotalAmount"))
    return canonical.DocumentLine(
        number=item.get("invoiceLineNumber"),
        order_number=order,
        order_line=reference.get("lineNumber") if reference is not None else None,
        identifiers=item_identifiers(reference, reference) if reference is not None else (),
        description=shown_text(reference.find("Description")) if reference is not None else None,
        quantity=sign * quantity if quantity is not None else None,
        unit=text_of(item.find("UnitOfMeasure")),
        price=unit_price(item),
        amount=sign * amount if amount is not None else None,
        lot=text_of(reference.find("SupplierBatchID")) if reference is not None else None,
        serial=_serial(reference) if reference is not None else None,
        taxes=_taxes(item, sign),
    )


def _serial(reference: Element) -> str | None:
    """An item's serial number, which older cXML has as an attribute."""
    told = text_of(reference.find("SerialNumber"))
    return told if told is not None else reference.get("serialNumber") or None


def _taxes(holder: Element, sign: int) -> tuple[canonical.Tax, ...]:
    tax = holder.find("Tax")
    if tax is None:
        return ()
    found = []
    for detail in tax.findall("TaxDetail"):
        if (amount := money(detail.find("TaxAmount"))) is not None:
            found.append(
                canonical.Tax(
                    amount=sign * amount,
                    kind=detail.get("category"),
                    rate_percent=decimal_in(detail.get("percentageRate")),
                )
            )
    whole = money(tax)
    if not found and whole:
        found.append(canonical.Tax(amount=sign * whole))
    return tuple(found)


def _allowances(summary: Element, sign: int) -> tuple[canonical.Allowance, ...]:
    found = []
    for tag, code in (("SpecialHandlingAmount", "special-handling"), ("ShippingAmount", "shipping")):
        if amount := money(summary.find(tag)):
            found.append(canonical.Allowance(charge=True, amount=sign * amount, code=code))
    if amount := money(summary.find("InvoiceDetailDiscount")):
        found.append(canonical.Allowance(charge=False, amount=sign * amount, code="discount"))
    for part in summary.findall("InvoiceHeaderModifications/Modification"):
        if (told := modification_of(part, sign)) is not None:
            found.append(told)
    return tuple(found)
