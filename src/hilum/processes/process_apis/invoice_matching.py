"""Matching a supplier's invoice with its order and receipts, and entering it in the ERP when it matches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hilum.authoring import Api, Contract, Created, Erp, Example, Financial, PageRequest, Rejected
from hilum.authoring.platform import Platform
from hilum.model import DocumentRef
from hilum.model.procurement import InvoiceEntry, InvoiceEntryLine, PurchaseOrder, SupplierInvoice
from hilum.model.where import Equals, all_of
from hilum.processes.invoice_match import (
    BilledCharge,
    BilledInvoice,
    BilledLine,
    MatchException,
    match_invoice,
    read_charge_accounts,
    read_tolerances,
)

erp = Erp("erp")
matching = Api("invoice-matching")


class UnknownChargeAccount(Rejected, queue="finance-master", due_hours=24):
    """Write the ledger account of this kind of charge into tables/charge_accounts.csv, then repeat the request."""


class InvoiceToMatch(Contract, version=1, owner="finance"):
    """A supplier's invoice, and whether it is to be entered in the ERP when it matches."""

    invoice: Annotated[BilledInvoice, Financial]
    enter: bool = Field(default=False, description="Enter it as a draft when nothing is wrong with it.")


class Matched(Contract, version=1, owner="finance"):
    """What came of a match. With exceptions nothing was entered."""

    supplier: str
    number: str
    order: str
    facility: str | None = None
    outcome: Literal["matched", "exceptions"]
    exceptions: Annotated[tuple[MatchException, ...], Financial] = ()
    document: Annotated[DocumentRef, Financial] | None = Field(default=None, description="The draft in the ERP.")


def about_match(body: InvoiceToMatch) -> Mapping[str, Any]:
    """The supplier is the invoice's own; the facility that of the order, where there is one."""
    order = erp.order(body.invoice.order)
    facility = order.facility.value if order is not None and order.facility is not None else None
    return {"supplier": body.invoice.supplier, **({"facility": facility} if facility is not None else {})}


_EXAMPLE = BilledInvoice(
    supplier="ORTHO-SUPPLY", number="INV-2044", order="PO-118", invoiced_on=date(2026, 3, 2), total=Decimal("9620.00"),
    lines=(BilledLine(order_line="41", item="KNEE-99", quantity=Decimal(2), unit_price=Decimal("4810.00")),),
)  # fmt: skip


@matching.post(
    "/matches",
    resource="Invoice",
    about=about_match,
    examples=(
        Example(
            "Two knees as ordered",
            body=InvoiceToMatch(invoice=_EXAMPLE),
            answer=Matched(supplier="ORTHO-SUPPLY", number="INV-2044", order="PO-118", facility="ST-MARY", outcome="matched"),
        ),
    ),
)  # fmt: skip
def match(body: InvoiceToMatch, platform: Platform) -> Created[Matched]:
    """Match an invoice with its order and receipts. With `enter` it becomes a draft in the ERP when nothing is wrong."""
    order = erp.order(body.invoice.order)
    answer = matched(body.invoice, order, platform.estate.root, enter=body.enter)
    return Created(answer, f"/orders/{body.invoice.order}")


def matched(invoice: BilledInvoice, order: PurchaseOrder | None, estate: Path, *, enter: bool) -> Matched:
    """What comes of a match by the estate's own tables; with ``enter``, and without exceptions, a draft in the ERP."""
    tolerances = read_tolerances(estate / "tables" / "match_tolerances.csv")
    exceptions = match_invoice(invoice, order, _known(invoice), tolerances)
    document = None
    if enter and not exceptions:
        accounts = read_charge_accounts(estate / "tables" / "charge_accounts.csv")
        document = erp.enter_invoice(_entry(invoice, accounts))
    return Matched(
        supplier=invoice.supplier,
        number=invoice.number,
        order=invoice.order,
        facility=order.facility.value if order is not None and order.facility is not None else None,
        outcome="exceptions" if exceptions else "matched",
        exceptions=exceptions,
        document=document,
    )


def _known(invoice: BilledInvoice) -> tuple[SupplierInvoice, ...]:
    same = all_of([Equals("supplier", invoice.supplier), Equals("reference", invoice.number)])
    return erp.invoices(same, PageRequest(limit=20)).items


def _entry(invoice: BilledInvoice, accounts: Mapping[str, str]) -> InvoiceEntry:
    def charged(charge: BilledCharge) -> InvoiceEntryLine:
        account = accounts.get(charge.kind)
        if account is None:
            raise UnknownChargeAccount(charge.kind)
        return InvoiceEntryLine(description=charge.kind, quantity=Decimal(1), unit_price=charge.amount, account=account)

    return InvoiceEntry(
        supplier=invoice.supplier,
        reference=invoice.number,
        invoiced_on=invoice.invoiced_on,
        total={"amount": invoice.total, "currency": invoice.currency},
        lines=(
            *(
                InvoiceEntryLine(
                    description=line.item if line.item is not None else line.order_line,
                    quantity=line.quantity,
                    unit_price=line.unit_price,
                    order_line=line.order_line,
                )
                for line in invoice.lines
            ),
            *(charged(charge) for charge in invoice.charges),
        ),
    )
