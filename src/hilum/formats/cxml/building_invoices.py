"""Writing an InvoiceDetailRequest: a standard invoice, or a line level credit memo with its amounts negative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import groupby

from lxml import etree

from hilum.formats import canonical
from hilum.formats.cxml.building_parts import add, allowance_modifications, contact, item_id, money, plain, set_all
from hilum.formats.xml import Element
from hilum.formats.xml_content import is_date

_SUMMARY = {"special-handling": "SpecialHandlingAmount", "shipping": "ShippingAmount"}


def write_invoice(request: Element, invoice: canonical.Invoice) -> None:
    """The invoice below its Request. What the shape has no place for is left out; the caller compares."""
    sign = -1 if invoice.credit else 1
    payload = etree.SubElement(request, "InvoiceDetailRequest")
    header = etree.SubElement(payload, "InvoiceDetailRequestHeader", {"invoiceID": invoice.number})
    purpose = "lineLevelCreditMemo" if invoice.credit else "standard"
    set_all(header, purpose=purpose, operation="new", invoiceDate=invoice.date)
    etree.SubElement(header, "InvoiceDetailHeaderIndicator")
    indicator = etree.SubElement(header, "InvoiceDetailLineIndicator")
    if any(line.taxes for line in invoice.lines):
        indicator.set("isTaxInLine", "yes")
    for role, party in (("from", invoice.seller), ("soldTo", invoice.buyer), ("remitTo", invoice.remit_to)):
        # The credentials of the header already carry who the two sides are; the partner adds what a reader prints.
        named = party if role == "remitTo" or party is None else replace(party, identifiers=())
        if named is not None and named != canonical.Party():
            contact(etree.SubElement(header, "InvoicePartner"), named, role)
    if invoice.ship_to is not None:
        contact(etree.SubElement(header, "InvoiceDetailShipping"), invoice.ship_to, "shipTo")
    if invoice.due is not None and invoice.date is not None and is_date(invoice.due) and is_date(invoice.date[:10]):
        days = (date.fromisoformat(invoice.due[:10]) - date.fromisoformat(invoice.date[:10])).days
        etree.SubElement(header, "PaymentTerm", {"payInNumberOfDays": str(days)})
    for order, lines in groupby(invoice.lines, key=lambda line: line.order_number):
        element = etree.SubElement(payload, "InvoiceDetailOrder")
        info = etree.SubElement(element, "InvoiceDetailOrderInfo")
        if order is not None:
            etree.SubElement(
                etree.SubElement(info, "OrderReference", {"orderID": order}), "DocumentReference", {"payloadID": ""}
            )
        for line in lines:
            _item(element, line, invoice.currency, sign)
    _summary(payload, invoice, sign)


def _item(parent: Element, line: canonical.DocumentLine, currency: str | None, sign: int) -> None:
    item = etree.SubElement(parent, "InvoiceDetailItem")
    quantity = sign * line.quantity if line.quantity is not None else None
    set_all(item, invoiceLineNumber=line.number, quantity=plain(quantity))
    add(item, "UnitOfMeasure", line.unit)
    money(etree.SubElement(item, "UnitPrice"), line.price, currency)
    reference = etree.SubElement(item, "InvoiceDetailItemReference")
    set_all(reference, lineNumber=line.order_line)
    item_id(reference, line)
    add(reference, "Description", line.description, language=True)
    for part in line.identifiers:
        if part.scheme == "unspsc":
            add(reference, "Classification", part.value).set("domain", "UNSPSC")
    for part in line.identifiers:
        if part.scheme == "manufacturer":
            add(reference, "ManufacturerPartID", part.value)
    add(reference, "SerialNumber", line.serial)
    add(reference, "SupplierBatchID", line.lot)
    if line.amount is not None:
        money(etree.SubElement(item, "SubtotalAmount"), sign * line.amount, currency)
    _tax(item, line.taxes, currency, sign, always=False)


def _tax(parent: Element, taxes: Sequence[canonical.Tax], currency: str | None, sign: int, always: bool) -> None:
    if not taxes and not always:
        return
    element = etree.SubElement(parent, "Tax")
    money(element, sign * sum((tax.amount for tax in taxes), Decimal(0)), currency)
    add(element, "Description", "Tax", language=True)
    for tax in taxes:
        detail = etree.SubElement(element, "TaxDetail")
        set_all(detail, category=tax.kind, percentageRate=plain(tax.rate_percent))
        money(etree.SubElement(detail, "TaxAmount"), sign * tax.amount, currency)


def _summary(payload: Element, invoice: canonical.Invoice, sign: int) -> None:
    currency = invoice.currency
    summary = etree.SubElement(payload, "InvoiceDetailSummary")
    if invoice.net is not None:
        money(etree.SubElement(summary, "SubtotalAmount"), sign * invoice.net, currency)
    _tax(summary, invoice.taxes, currency, sign, always=True)
    left = list(invoice.allowances)
    for code, tag in _SUMMARY.items():
        for part in [part for part in left if part.charge and part.code == code and part.text is None][:1]:
            left.remove(part)
            money(etree.SubElement(summary, tag), sign * part.amount, currency)
    for part in [part for part in left if not part.charge and part.code == "discount" and part.text is None][:1]:
        left.remove(part)
        money(etree.SubElement(summary, "InvoiceDetailDiscount"), sign * part.amount, currency)
    allowance_modifications(summary, "InvoiceHeaderModifications", left, currency, sign)
    payable = invoice.total if invoice.payable is None else invoice.payable
    money(etree.SubElement(summary, "NetAmount"), sign * invoice.total, currency)
    if payable != invoice.total:
        money(etree.SubElement(summary, "DepositAmount"), sign * (invoice.total - payable), currency)
    money(etree.SubElement(summary, "DueAmount"), sign * payable, currency)
