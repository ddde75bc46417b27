"""Writing an Invoice or a CreditNote, with the VAT breakdown EN 16931 wants as far as the document tells it."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats import canonical
from hilum.formats.ubl.building_parts import (
    allowances,
    amount,
    basic,
    day_and_time,
    delivery,
    inside,
    item,
    party,
    quantity,
    tax_category,
)
from hilum.formats.xml import Element

ZERO = Decimal(0)


def write_invoice(root: Element, invoice: canonical.Invoice) -> None:
    """The invoice below its root. What the shape has no place for is left out; the caller compares."""
    currency = invoice.currency
    basic(root, "ID", invoice.number)
    day_and_time(root, "Issue", invoice.date)
    if not invoice.credit:
        basic(root, "DueDate", invoice.due)
    basic(root, "CreditNoteTypeCode" if invoice.credit else "InvoiceTypeCode", "381" if invoice.credit else "380")
    basic(root, "DocumentCurrencyCode", currency)
    if invoice.order_number is not None:
        basic(inside(root, "OrderReference"), "ID", invoice.order_number)
    party(inside(root, "AccountingSupplierParty"), "Party", invoice.seller)
    party(inside(root, "AccountingCustomerParty"), "Party", invoice.buyer)
    party(root, "PayeeParty", invoice.remit_to)
    delivery(root, invoice.ship_to, "Requested", None)
    if invoice.credit and invoice.due is not None:
        means = inside(root, "PaymentMeans")
        basic(means, "PaymentMeansCode", "1")
        basic(means, "PaymentDueDate", invoice.due)
    only = invoice.taxes[0] if len({(tax.kind, tax.rate_percent) for tax in invoice.taxes}) == 1 else None
    allowances(root, invoice.allowances, currency, only)
    _taxes(root, invoice, only)
    _totals(root, invoice)
    for line in invoice.lines:
        _line(root, line, invoice, only)


def _moved(invoice: canonical.Invoice, charge: bool) -> Decimal:
    return sum((part.amount for part in invoice.allowances if part.charge is charge), ZERO)


def _taxes(root: Element, invoice: canonical.Invoice, only: canonical.Tax | None) -> None:
    if not invoice.taxes:
        return
    element = inside(root, "TaxTotal")
    amount(element, "TaxAmount", sum((tax.amount for tax in invoice.taxes), ZERO), invoice.currency)
    if len(invoice.taxes) == 1 and invoice.taxes[0].kind is None and invoice.taxes[0].rate_percent is None:
        return
    for tax in invoice.taxes:
        part = inside(element, "TaxSubtotal")
        amount(part, "TaxableAmount", _taxable(invoice, tax, only), invoice.currency)
        amount(part, "TaxAmount", tax.amount, invoice.currency)
        tax_category(part, "TaxCategory", tax)


def _taxable(invoice: canonical.Invoice, tax: canonical.Tax, only: canonical.Tax | None) -> Decimal | None:
    """What a tax was taken on; None where the document does not tell, for lines without a tax may belong to any of several."""
    amounts = [line.amount for line in invoice.lines if line.amount is not None]
    if only is not None and len(invoice.taxes) == 1 and len(amounts) == len(invoice.lines):
        return sum(amounts, ZERO) + _moved(invoice, True) - _moved(invoice, False)
    if invoice.allowances or not all(len(line.taxes) == 1 for line in invoice.lines):
        return None
    mine = [
        line
        for line in invoice.lines
        if (line.taxes[0].kind, line.taxes[0].rate_percent) == (tax.kind, tax.rate_percent)
    ]
    return sum((line.amount for line in mine if line.amount is not None), ZERO) if mine else None


def _totals(root: Element, invoice: canonical.Invoice) -> None:
    totals, currency = inside(root, "LegalMonetaryTotal"), invoice.currency
    amount(totals, "LineExtensionAmount", invoice.net, currency)
    if invoice.net is not None:
        amount(totals, "TaxExclusiveAmount", invoice.net + _moved(invoice, True) - _moved(invoice, False), currency)
    amount(totals, "TaxInclusiveAmount", invoice.total, currency)
    for charge, name in ((False, "AllowanceTotalAmount"), (True, "ChargeTotalAmount")):
        if any(part.charge is charge for part in invoice.allowances):
            amount(totals, name, _moved(invoice, charge), currency)
    payable = invoice.total if invoice.payable is None else invoice.payable
    if payable < invoice.total:
        amount(totals, "PrepaidAmount", invoice.total - payable, currency)
    elif payable > invoice.total:
        amount(totals, "PayableRoundingAmount", payable - invoice.total, currency)
    amount(totals, "PayableAmount", payable, currency)


def _line(root: Element, line: canonical.DocumentLine, invoice: canonical.Invoice, only: canonical.Tax | None) -> None:
    currency = invoice.currency
    element = inside(root, "CreditNoteLine" if invoice.credit else "InvoiceLine")
    basic(element, "ID", line.number)
    quantity(element, "CreditedQuantity" if invoice.credit else "InvoicedQuantity", line)
    amount(element, "LineExtensionAmount", line.amount, currency)
    if line.order_line is not None:
        reference = inside(element, "OrderLineReference")
        basic(reference, "LineID", line.order_line)
        if line.order_number is not None:
            basic(inside(reference, "OrderReference"), "ID", line.order_number)
    if not invoice.credit:
        allowances(element, line.allowances, currency)
    for tax in line.taxes:
        total = inside(element, "TaxTotal")
        amount(total, "TaxAmount", tax.amount, currency)
        if tax.kind is not None or tax.rate_percent is not None:
            part = inside(total, "TaxSubtotal")
            amount(part, "TaxAmount", tax.amount, currency)
            tax_category(part, "TaxCategory", tax)
    if invoice.credit:
        allowances(element, line.allowances, currency)
    told = item(element, line)
    category = line.taxes[0] if line.taxes else only
    if category is not None and category.kind is not None:
        tax_category(told, "ClassifiedTaxCategory", category)
        # ItemInstance comes behind the category in the order of an Item.
        for instance in told.findall("{*}ItemInstance"):
            told.append(instance)
    if line.price is not None:
        amount(inside(element, "Price"), "PriceAmount", line.price, currency)
