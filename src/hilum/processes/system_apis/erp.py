"""The ERP's API: items, suppliers, cost centres, orders, invoices, ledger.

Handlers ask the ERP with the caller's own conditions and tell the answer in the contract's words; nothing is filtered here.
Version 1 has what was published first and tells prices its own way (``erp_v1``); version 2 has everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hilum.authoring import Api, Created, Erp, Page, PageRequest, Problem
from hilum.model import ItemNumber
from hilum.model.where import Where, narrowed
from hilum.processes.system_apis import erp_examples as shown
from hilum.processes.system_apis.erp_contracts import (
    ErpAcknowledgement,
    ErpBalance,
    ErpBalanceQuery,
    ErpCostCentre,
    ErpCostCentreQuery,
    ErpInvoice,
    ErpInvoiceEntry,
    ErpInvoiceQuery,
    ErpItem,
    ErpItemQuery,
    ErpJournalEntry,
    ErpOrder,
    ErpOrderQuery,
    ErpPosting,
    ErpPostingQuery,
    ErpSupplier,
    ErpSupplierEntry,
    ErpSupplierQuery,
)
from hilum.processes.system_apis.erp_telling import (
    acknowledgement_asked,
    balance_told,
    cost_centre_told,
    invoice_asked,
    invoice_told,
    item_told,
    journal_entry_told,
    order_told,
    posting_told,
    supplier_asked,
    supplier_told,
)
from hilum.processes.system_apis.erp_v1 import ErpOrderV1, order_v1

erp = Erp("erp")
erp_api = Api("erp")

OF_SUPPLIER = {"supplier": "supplier"}
OF_SUPPLIER_AT_FACILITY = {"supplier": "supplier", "facility": "facility"}
AN_HOUR = 3600

# --- items, suppliers, cost centres: master data changes slowly, so an hour-old answer is better than none


@erp_api.list("/items", resource="Item", version=1, stale_seconds=AN_HOUR, examples=shown.ITEMS)
@erp_api.list("/items", resource="Item", version=2, stale_seconds=AN_HOUR, examples=shown.ITEMS)
def list_items(query: ErpItemQuery, where: Where, page: PageRequest) -> Page[ErpItem]:
    """Items of the item master, oldest first."""
    return erp.items(narrowed(where, query.model_dump()), page).each(item_told)


@erp_api.get("/items/{number}", resource="Item", version=1, stale_seconds=AN_HOUR, etag="", examples=shown.ITEM)
@erp_api.get("/items/{number}", resource="Item", version=2, stale_seconds=AN_HOUR, etag="", examples=shown.ITEM)
def read_item(number: str) -> ErpItem | None:
    """One item by its number."""
    found = erp.item(ItemNumber(value=number)) if 0 < len(number) <= 64 else None
    return item_told(found) if found is not None else None


@erp_api.list(
    "/suppliers",
    resource="Supplier",
    version=2,
    attributes=OF_SUPPLIER,
    stale_seconds=AN_HOUR,
    examples=shown.SUPPLIERS,
)
def list_suppliers(query: ErpSupplierQuery, where: Where, page: PageRequest) -> Page[ErpSupplier]:
    """Suppliers with addresses, contacts and tax numbers, oldest first; also those that are out of use."""
    return erp.suppliers(narrowed(where, query.model_dump()), page).each(supplier_told)


@erp_api.get(
    "/suppliers/{supplier}", resource="Supplier", version=2, attributes=OF_SUPPLIER, stale_seconds=AN_HOUR, etag="",
    examples=shown.SUPPLIER,
)  # fmt: skip
def read_supplier(supplier: str) -> ErpSupplier | None:
    """One supplier by its code."""
    found = erp.supplier(supplier)
    return supplier_told(found) if found is not None else None


def about_entry_of_supplier(body: ErpSupplierEntry) -> Mapping[str, Any]:
    return {"id": body.supplier, "supplier": body.supplier}


@erp_api.post(
    "/suppliers", resource="Supplier", version=2, about=about_entry_of_supplier, examples=shown.SUPPLIER_ENTRY
)
def create_supplier(body: ErpSupplierEntry) -> Created[ErpSupplier]:
    """Make a supplier known to the ERP, once for each code; refused when the code is another one's."""
    made = erp.create_supplier(supplier_asked(body))
    found = erp.supplier(made.number)
    if found is None:
        raise Problem(409, "supplier-gone", "The supplier was made and is not among the suppliers any more.")
    return Created(supplier_told(found), f"/suppliers/{made.number}")


@erp_api.list("/cost-centres", resource="CostCentre", version=2, stale_seconds=AN_HOUR, examples=shown.COST_CENTRES)
def list_cost_centres(query: ErpCostCentreQuery, where: Where, page: PageRequest) -> Page[ErpCostCentre]:
    """Cost centres in use, oldest first."""
    return erp.cost_centres(narrowed(where, query.model_dump()), page).each(cost_centre_told)


# --- orders


@erp_api.list("/orders", resource="Order", version=1, attributes=OF_SUPPLIER_AT_FACILITY, examples=shown.ORDERS_V1)
def list_orders_v1(query: ErpOrderQuery, where: Where, page: PageRequest) -> Page[ErpOrderV1]:
    """Purchase orders beyond the draft, oldest first; prices in US dollars. Version 2 says the currency."""
    return erp.orders(narrowed(where, query.model_dump()), page).each(order_v1)


@erp_api.get(
    "/orders/{number}",
    resource="Order",
    version=1,
    attributes=OF_SUPPLIER_AT_FACILITY,
    etag="",
    examples=shown.ORDER_V1,
)
def read_order_v1(number: str) -> ErpOrderV1 | None:
    """One purchase order by its number; prices in US dollars. Version 2 says the currency."""
    found = erp.order(number)
    return order_v1(found) if found is not None else None


@erp_api.list("/orders", resource="Order", version=2, attributes=OF_SUPPLIER_AT_FACILITY, examples=shown.ORDERS)
def list_orders(query: ErpOrderQuery, where: Where, page: PageRequest) -> Page[ErpOrder]:
    """Purchase orders beyond the draft with what arrived and what was billed, oldest first."""
    return erp.orders(narrowed(where, query.model_dump()), page).each(order_told)


@erp_api.get(
    "/orders/{number}", resource="Order", version=2, attributes=OF_SUPPLIER_AT_FACILITY, etag="", examples=shown.ORDER
)
def read_order(number: str) -> ErpOrder | None:
    """One purchase order by its number."""
    found = erp.order(number)
    return order_told(found) if found is not None else None


def about_order(number: str) -> Mapping[str, Any] | None:
    """The order as policies look at it; None when there is no such order."""
    found = erp.order(number)
    if found is None:
        return None
    return {
        "id": found.number,
        "supplier": found.supplier,
        "facility": found.facility.value if found.facility is not None else None,
    }


@erp_api.post(
    "/orders/{number}/acknowledgements", action="acknowledge", resource="Order", version=2, about=about_order,
    examples=shown.ACKNOWLEDGEMENT,
)  # fmt: skip
def acknowledge_order(number: str, body: ErpAcknowledgement) -> Created[ErpAcknowledgement]:
    """Answer an order as its supplier. Every answer is kept with the order; the last one counts."""
    erp.acknowledge_order(number, acknowledgement_asked(body))
    return Created(body, f"/orders/{number}")


# --- invoices


@erp_api.list("/invoices", resource="Invoice", version=2, attributes=OF_SUPPLIER_AT_FACILITY, examples=shown.INVOICES)
def list_invoices(query: ErpInvoiceQuery, where: Where, page: PageRequest) -> Page[ErpInvoice]:
    """Suppliers' invoices and credit notes, oldest first; also drafts, and what the ERP only expects."""
    return erp.invoices(narrowed(where, query.model_dump()), page).each(invoice_told)


@erp_api.get(
    "/invoices/{id}", resource="Invoice", version=2, attributes=OF_SUPPLIER_AT_FACILITY, etag="", examples=shown.INVOICE
)
def read_invoice(id: str) -> ErpInvoice | None:
    """One invoice by the ERP's number of the record."""
    found = erp.invoice(id)
    return invoice_told(found) if found is not None else None


def about_entry_of_invoice(body: ErpInvoiceEntry) -> Mapping[str, Any]:
    """Whose invoice it is and for which facility, by the orders it bills: those are the ERP's word, not the caller's.

    ``Problem`` when it bills an order of somebody else, or orders of several facilities.
    """
    facilities = set()
    for number in dict.fromkeys(line.order for line in body.lines if line.order is not None):
        order = erp.order(number)
        billed = {line.order_line for line in body.lines if line.order == number}
        # An order that is not the supplier's is, to whoever enters the invoice, no order at all.
        if order is None or order.supplier != body.supplier or not billed <= {line.id for line in order.lines}:
            raise Problem(422, "no-such-order", f"{body.supplier} has no order {number} with these lines.")
        facilities.add(order.facility.value if order.facility is not None else None)
    if len(facilities) > 1:
        raise Problem(422, "several-facilities", "An invoice bills orders of one facility; enter one for each.")
    return {"supplier": body.supplier, "facility": facilities.pop() if facilities else None}


@erp_api.post("/invoices", resource="Invoice", version=2, about=about_entry_of_invoice, examples=shown.INVOICE_ENTRY)
def enter_invoice(body: ErpInvoiceEntry) -> Created[ErpInvoice]:
    """Enter a supplier's invoice as a draft that a person posts. It takes the place of what the ERP expected."""
    if any((line.order is None) != (line.order_line is None) for line in body.lines):
        raise Problem(422, "order-line", "A line names both its order and the order's line, or neither.")
    try:
        entry = invoice_asked(body)
    except ValidationError as error:
        reasons = "; ".join(dict.fromkeys(found["msg"].removeprefix("Value error, ") for found in error.errors()))
        raise Problem(422, "invoice", f"The invoice cannot be entered: {reasons}.") from None
    made = erp.enter_invoice(entry)
    found = erp.invoice(made.id)
    if found is None:
        raise Problem(409, "invoice-gone", "The invoice was entered and is not in the ERP any more.")
    return Created(invoice_told(found), f"/invoices/{made.id}")


# --- the ledger


@erp_api.list("/postings", resource="Posting", version=2, examples=shown.POSTINGS)
def list_postings(query: ErpPostingQuery, where: Where, page: PageRequest) -> Page[ErpPosting]:
    """Posted lines of the general ledger, oldest first."""
    return erp.postings(narrowed(where, query.model_dump()), page).each(posting_told)


@erp_api.get("/journal-entries/{number}", resource="Posting", version=2, examples=shown.JOURNAL_ENTRY)
def read_journal_entry(number: str) -> ErpJournalEntry | None:
    """One posted journal entry with its lines."""
    found = erp.journal_entry(number)
    return journal_entry_told(found) if found is not None else None


@erp_api.list("/balances", resource="Posting", version=2, examples=shown.BALANCES)
def list_balances(query: ErpBalanceQuery, where: Where, page: PageRequest) -> Page[ErpBalance]:
    """Accounts with what stands on them in the fiscal year of a day."""
    wanted = narrowed(where, query.model_dump(exclude={"on"}))
    return erp.balances(wanted, page, query.on).each(balance_told)
