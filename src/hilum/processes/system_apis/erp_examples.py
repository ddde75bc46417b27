"""Calls of the ERP's API as its documents show them. Tests play them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hilum.authoring import Example
from hilum.model import Money
from hilum.processes.system_apis.erp_contracts import (
    ErpAcknowledgement,
    ErpAddress,
    ErpBalance,
    ErpContact,
    ErpCostCentre,
    ErpInvoice,
    ErpInvoiceEntry,
    ErpInvoiceEntryLine,
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
from hilum.processes.system_apis.erp_v1 import ErpOrderLineV1, ErpOrderV1

_item = ErpItem(number="KNEE-99", name="Knee system total cemented", unit="EA")
ITEM = (Example("A knee system", path={"number": "KNEE-99"}, answer=_item),)
ITEMS = (Example("The item master", query={"limit": 50}, answer=_item),)

_address = ErpAddress(street="400 Femur Way", postal_code="46580", city="Warsaw", subdivision="IN", country="US")
_contact = ErpContact(kind="email", value="orders@orthovia.example", name="Olga Brandt")
_supplier = ErpSupplier(
    supplier="Orthovia", name="Orthovia", active=True, payment_term="30 days", addresses=(_address,),
    contacts=(_contact,), tax_numbers=(ErpTaxNumber(kind="us_ein", value="99-1000017"),),
)  # fmt: skip
SUPPLIER = (Example("A supplier", path={"supplier": "Orthovia"}, answer=_supplier),)
SUPPLIERS = (Example("All suppliers", answer=_supplier),)

_entry = ErpSupplierEntry(
    supplier="Bonecraft", name="Bonecraft Instruments", payment_term="30 days",
    addresses=(ErpAddress(street="9 Anvil Lane", postal_code="55802", city="Duluth", subdivision="MN", country="US"),),
    contacts=(ErpContact(kind="email", value="sales@bonecraft.example", name="Ida Holm"),),
)  # fmt: skip
_entered = ErpSupplier(
    supplier=_entry.supplier, name=_entry.name, active=True, payment_term="30 days", addresses=_entry.addresses,
    contacts=_entry.contacts,
)  # fmt: skip
SUPPLIER_ENTRY = (Example("A new supplier", body=_entry, answer=_entered),)

COST_CENTRES = (Example("All cost centres", answer=ErpCostCentre(cost_centre="CC-ORTHO", name="Orthopaedic theatres")),)

_accepted = ErpAcknowledgement(state="accepted", promised_on=date(2026, 3, 9))
_order = ErpOrder(
    number="PO-000001", supplier="Orthovia", supplier_name="Orthovia", facility="ST-MARY", state="processing",
    ordered_on=date(2026, 3, 2),
    lines=(
        ErpOrderLine(
            id="1", item="KNEE-99", description="", unit="EA", ordered=Decimal(4), received=Decimal(4),
            invoiced=Decimal(0), unit_price=Money.usd("4810.00"),
        ),
    ),
    total=Money.usd("19240.00"), acknowledgements=(_accepted,),
)  # fmt: skip
ORDER = (Example("An order that has arrived", path={"number": "PO-000001"}, answer=_order),)
ORDERS = (
    Example("What is on its way to St. Mary", query={"facility": "ST-MARY", "state": "processing"}, answer=_order),
)
ACKNOWLEDGEMENT = (Example("The supplier accepts", path={"number": "PO-000003"}, body=_accepted, answer=_accepted),)

_order_v1 = ErpOrderV1(
    number="PO-000001", supplier="Orthovia", facility="ST-MARY", state="processing", ordered_on=date(2026, 3, 2),
    lines=(
        ErpOrderLineV1(
            item="KNEE-99", description="", unit="EA", quantity=Decimal(4), received=Decimal(4),
            unit_price=Decimal("4810.00"),
        ),
    ),
    total=Decimal("19240.00"),
)  # fmt: skip
ORDER_V1 = (Example("An order that has arrived", path={"number": "PO-000001"}, answer=_order_v1),)
ORDERS_V1 = (Example("All orders", answer=_order_v1),)

_invoice = ErpInvoice(
    id="2", number=None, reference="OV-10441", supplier="Orthovia", facility="ST-MARY", state="draft",
    invoiced_on=date(2026, 3, 10), untaxed=Money.usd("19240.00"), tax=Money.usd("0.00"), total=Money.usd("19240.00"),
    open_amount=Money.usd("0.00"), orders=("PO-000001",),
    lines=(
        ErpInvoiceLine(
            description="Knee system total cemented", item="KNEE-99", unit="EA", quantity=Decimal(4),
            unit_price=Money.usd("4810.00"), amount=Money.usd("19240.00"), order="PO-000001",
        ),
    ),
)  # fmt: skip
INVOICE = (Example("An invoice that waits to be posted", path={"id": "2"}, answer=_invoice),)
INVOICES = (Example("Drafts of one supplier", query={"supplier": "Orthovia", "state": "draft"}, answer=_invoice),)
INVOICE_ENTRY = (
    Example(
        "Four knees billed",
        body=ErpInvoiceEntry(
            supplier="Orthovia", reference="OV-10441", invoiced_on=date(2026, 3, 10), total=Money.usd("19240.00"),
            lines=(
                ErpInvoiceEntryLine(
                    description="Knee system total cemented", quantity=Decimal(4), unit_price=Decimal("4810.00"),
                    order="PO-000001", order_line="1",
                ),
            ),
        ),
        answer=_invoice,
    ),
)  # fmt: skip


def _posting(id: str, account: str, name: str, debit: str, credit: str, cost_centre: str | None) -> ErpPosting:
    return ErpPosting(
        id=id, entry="JE-2026-000001", date=date(2026, 3, 2), journal="SUPPLY", account=account, account_name=name,
        debit=Money.usd(debit), credit=Money.usd(credit), cost_centre=cost_centre, description="1 x KNEE-99",
    )  # fmt: skip


_debit = _posting("1", "5100", "Implant expense", "4810.00", "0.00", "CC-ORTHO")
_credit = _posting("2", "1300", "Inventory", "0.00", "4810.00", None)
POSTINGS = (Example("What a cost centre bore", query={"cost_centre": "CC-ORTHO"}, answer=_debit),)
JOURNAL_ENTRY = (
    Example(
        "One implant's cost",
        path={"number": "JE-2026-000001"},
        answer=ErpJournalEntry(
            number="JE-2026-000001", date=date(2026, 3, 2), journal="SUPPLY", description="implant_usage/U-1",
            lines=(_debit, _credit),
        ),
    ),
)  # fmt: skip
BALANCES = (
    Example(
        "Implant expense of the year",
        query={"on": "2026-03-02", "account": "5100"},
        answer=ErpBalance(
            account="5100", name="Implant expense", fiscal_year="2026", debit=Money.usd("4810.00"),
            credit=Money.usd("0.00"), balance=Money.usd("4810.00"),
        ),
    ),
)  # fmt: skip
