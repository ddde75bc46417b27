"""The ERP's nouns in the words of its API."""

from __future__ import annotations

from hilum.model import (
    AccountBalance,
    CostCentreRecord,
    FacilityCode,
    InvoiceEntry,
    InvoiceEntryLine,
    Item,
    ItemNumber,
    JournalEntry,
    LedgerPosting,
    PurchaseOrder,
    Supplier,
    SupplierAcknowledgement,
    SupplierAddress,
    SupplierContact,
    SupplierInvoice,
    TaxIdentifier,
)
from hilum.processes.system_apis.erp_contracts import (
    ErpAcknowledgement,
    ErpAddress,
    ErpBalance,
    ErpContact,
    ErpCostCentre,
    ErpInvoice,
    ErpInvoiceEntry,
    ErpInvoiceLine,
    ErpItem,
    ErpJournalEntry,
    ErpOrder,
    ErpOrderLine,
    ErpPosting,
    ErpSupplier,
    ErpSupplierEntry,
    ErpTaxNumber,
)


def item_told(item: Item) -> ErpItem:
    return ErpItem(number=item.number.value, name=item.name, unit=item.unit)


def supplier_told(supplier: Supplier) -> ErpSupplier:
    return ErpSupplier(
        supplier=supplier.code,
        name=supplier.name,
        active=supplier.active,
        payment_term=supplier.payment_term,
        addresses=tuple(ErpAddress(**address.model_dump()) for address in supplier.addresses),
        contacts=tuple(ErpContact(**contact.model_dump()) for contact in supplier.contacts),
        tax_numbers=tuple(ErpTaxNumber(**number.model_dump()) for number in supplier.tax_identifiers),
    )


def supplier_asked(entry: ErpSupplierEntry) -> Supplier:
    return Supplier(
        code=entry.supplier,
        name=entry.name,
        payment_term=entry.payment_term,
        addresses=tuple(SupplierAddress(**address.model_dump()) for address in entry.addresses),
        contacts=tuple(SupplierContact(**contact.model_dump()) for contact in entry.contacts),
        tax_identifiers=tuple(TaxIdentifier(**number.model_dump()) for number in entry.tax_numbers),
    )


def cost_centre_told(centre: CostCentreRecord) -> ErpCostCentre:
    return ErpCostCentre(cost_centre=centre.code, name=centre.name)


def order_told(order: PurchaseOrder) -> ErpOrder:
    return ErpOrder.model_validate(
        {
            "number": order.number,
            "supplier": order.supplier,
            "supplier_name": order.supplier_name,
            "facility": _code(order.facility),
            "state": order.state,
            "ordered_on": order.ordered_on,
            "lines": [
                ErpOrderLine(
                    id=line.id,
                    item=_code(line.item),
                    description=line.description,
                    unit=line.unit,
                    ordered=line.ordered,
                    received=line.received,
                    invoiced=line.invoiced,
                    unit_price=line.unit_price,
                )
                for line in order.lines
            ],
            "total": order.total,
            "acknowledgements": [acknowledgement_told(answer) for answer in order.acknowledgements],
        }
    )


def acknowledgement_told(answer: SupplierAcknowledgement) -> ErpAcknowledgement:
    return ErpAcknowledgement.model_validate(answer.model_dump())


def acknowledgement_asked(answer: ErpAcknowledgement) -> SupplierAcknowledgement:
    return SupplierAcknowledgement(state=answer.state, promised_on=answer.promised_on, note=answer.note)


def invoice_told(invoice: SupplierInvoice) -> ErpInvoice:
    return ErpInvoice.model_validate(
        {
            **invoice.model_dump(exclude={"facility", "lines"}),
            "facility": _code(invoice.facility),
            "lines": [
                ErpInvoiceLine(
                    description=line.description,
                    item=_code(line.item),
                    unit=line.unit,
                    quantity=line.quantity,
                    unit_price=line.unit_price,
                    amount=line.amount,
                    order=line.order,
                )
                for line in invoice.lines
            ],
        }
    )


def invoice_asked(entry: ErpInvoiceEntry) -> InvoiceEntry:
    """ValueError when it does not add up, or a line bills nothing."""
    lines = tuple(
        InvoiceEntryLine(
            description=line.description,
            quantity=line.quantity,
            unit_price=line.unit_price,
            order_line=line.order_line,
            account=line.account,
        )
        for line in entry.lines
    )
    return InvoiceEntry(
        supplier=entry.supplier,
        reference=entry.reference,
        invoiced_on=entry.invoiced_on,
        total=entry.total,
        lines=lines,
    )


def posting_told(posting: LedgerPosting) -> ErpPosting:
    return ErpPosting.model_validate(posting.model_dump())


def journal_entry_told(entry: JournalEntry) -> ErpJournalEntry:
    return ErpJournalEntry.model_validate(entry.model_dump())


def balance_told(balance: AccountBalance) -> ErpBalance:
    return ErpBalance.model_validate(balance.model_dump())


def _code(identifier: ItemNumber | FacilityCode | None) -> str | None:
    return identifier.value if identifier is not None else None
