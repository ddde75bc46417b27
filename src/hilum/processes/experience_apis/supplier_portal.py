"""The supplier portal: a supplier sees its own orders and bills, answers orders and sends invoices.

Everything is bound to the caller's own supplier by policy: lists are asked for with it, single records outside it are not
there, and a write about another's order is refused before anything is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring import Api, Contract, Created, Erp, Example, Financial, Page, PageRequest
from hilum.authoring.platform import Platform
from hilum.model import Money
from hilum.model.procurement import PurchaseOrder, SupplierAcknowledgement, SupplierInvoice
from hilum.model.where import Has, Where, all_of
from hilum.processes.invoice_match import BilledCharge, BilledInvoice, BilledLine
from hilum.processes.process_apis.invoice_matching import matched

erp = Erp("erp")
portal = Api("supplier-portal")

OWN = {"supplier": "supplier", "facility": "facility"}


class PortalOrderLine(BaseModel):
    """What is wanted, what has arrived, what is still open; in the line's unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    item: str | None
    description: str
    unit: str
    ordered: Decimal
    received: Decimal
    open: Decimal = Field(description="Still to be delivered.")
    billable: Decimal = Field(description="Received and not billed yet.")
    unit_price: Annotated[Money, Financial]


class PortalOrder(Contract, version=1, owner="supply-chain"):
    """One of the supplier's orders."""

    number: str
    supplier: str
    facility: str | None
    state: str
    ordered_on: date | None
    answer: Literal["none", "accepted", "changed", "rejected"] = Field(description="The supplier's last answer.")
    lines: tuple[PortalOrderLine, ...]


class OrderAnswer(Contract, version=1, owner="supply-chain"):
    """The supplier's answer to an order."""

    state: Literal["accepted", "changed", "rejected"]
    promised_on: date | None = None
    note: str = Field(default="", max_length=500, pattern=r"^[^\x00-\x09\x0b-\x1f]*$")


class PortalInvoice(Contract, version=1, owner="finance"):
    """How one of the supplier's bills stands."""

    id: str
    number: str = Field(description="The supplier's own number.")
    supplier: str
    facility: str | None
    state: str
    orders: tuple[str, ...]
    total: Annotated[Money, Financial]
    open_amount: Annotated[Money, Financial] = Field(description="What is still to be paid.")


class PortalBill(Contract, version=1, owner="finance"):
    """A bill for one order, as the supplier sends it."""

    number: str = Field(min_length=1, max_length=64, pattern=r"^[\x20-\x7e]+$")
    order: str = Field(min_length=1, max_length=64)
    invoiced_on: date
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    total: Decimal = Field(max_digits=14, decimal_places=2)
    lines: tuple[BilledLine, ...] = Field(min_length=1, max_length=1000)
    charges: tuple[BilledCharge, ...] = Field(default=(), max_length=20)


class PortalBillOutcome(Contract, version=1, owner="finance"):
    """What became of a bill: taken in for payment, or what is wrong with it. The buyer's amounts are not told."""

    number: str
    order: str
    supplier: str
    facility: str | None
    outcome: Literal["taken", "not-taken"]
    reasons: tuple[str, ...] = Field(default=(), description="What has to be corrected, line by line.")


_ORDER = PortalOrder(
    number="PO-118", supplier="ORTHOVIA", facility="ST-MARY", state="processing", ordered_on=date(2026, 3, 2), answer="none",
    lines=(
        PortalOrderLine(
            id="41", item="KNEE-99", description="Knee system total cemented", unit="EA", ordered=Decimal(2),
            received=Decimal(1), open=Decimal(1), billable=Decimal(1), unit_price=Money.usd("4810.00"),
        ),
    ),
)  # fmt: skip


@portal.list("/orders", resource="Order", attributes=OWN, examples=(_ORDER,))
def my_orders(where: Where, page: PageRequest) -> Page[PortalOrder]:
    """List your orders, oldest first, with what is still to be delivered and what may be billed."""
    return erp.orders(where, page).each(_order_told)


@portal.get("/orders/{number}", resource="Order", attributes=OWN, etag="", examples=(_ORDER,))
def my_order(number: str) -> PortalOrder | None:
    """Read one of your orders."""
    found = erp.order(number)
    return _order_told(found) if found is not None else None


def about_order(number: str) -> Mapping[str, Any] | None:
    """The order as policies look at it; None when there is none of this number."""
    return _about(erp.order(number))


_ANSWER = OrderAnswer(state="accepted", promised_on=date(2026, 3, 6))


@portal.post(
    "/orders/{number}/answers", action="acknowledge", resource="Order", about=about_order,
    examples=(Example("All of it on Friday", path={"number": "PO-118"}, body=_ANSWER, answer=_ANSWER),),
)  # fmt: skip
def answer_order(number: str, body: OrderAnswer) -> Created[OrderAnswer]:
    """Answer an order: accepted, changed or rejected, with the day you promise. The last answer counts."""
    told = SupplierAcknowledgement(state=body.state, promised_on=body.promised_on, note=body.note)
    erp.acknowledge_order(number, told)
    return Created(body, f"/orders/{number}")


_INVOICE = PortalInvoice(
    id="12", number="INV-2044", supplier="ORTHOVIA", facility="ST-MARY", state="posted", orders=("PO-118",),
    total=Money.usd("4810.00"), open_amount=Money.usd("4810.00"),
)  # fmt: skip


@portal.list("/invoices", resource="Invoice", attributes=OWN, examples=(_INVOICE,))
def my_invoices(where: Where, page: PageRequest) -> Page[PortalInvoice]:
    """List how your bills stand: drafts are being checked, posted ones will be paid."""
    sent = all_of([where, Has("reference")])  # What the ERP only expects has no number of the supplier's.
    return erp.invoices(sent, page).each(_invoice_told)


def about_bill(body: PortalBill) -> Mapping[str, Any] | None:
    """The order that is billed; None when there is none of this number."""
    return _about(erp.order(body.order))


@portal.post(
    "/invoices",
    resource="Invoice",
    about=about_bill,
    examples=(
        Example(
            "One knee",
            body=PortalBill(
                number="INV-2044", order="PO-118", invoiced_on=date(2026, 3, 9), total=Decimal("4810.00"),
                lines=(BilledLine(order_line="41", item="KNEE-99", quantity=Decimal(1), unit_price=Decimal("4810.00")),),
            ),
            answer=PortalBillOutcome(
                number="INV-2044", order="PO-118", supplier="ORTHOVIA", facility="ST-MARY", outcome="taken"
            ),
        ),
    ),
)  # fmt: skip
def send_bill(body: PortalBill, platform: Platform) -> Created[PortalBillOutcome]:
    """Send a bill for an order. It is matched with order and receipts at once and taken in when nothing is wrong with it."""
    order = erp.order(body.order)
    supplier = order.supplier if order is not None else ""
    outcome = matched(
        BilledInvoice(
            supplier=supplier, number=body.number, order=body.order, invoiced_on=body.invoiced_on, currency=body.currency,
            total=body.total, lines=body.lines, charges=body.charges,
        ),
        order, platform.estate.root, enter=True,
    )  # fmt: skip
    answer = PortalBillOutcome(
        number=body.number,
        order=body.order,
        supplier=supplier,
        facility=outcome.facility,
        outcome="not-taken" if outcome.exceptions else "taken",
        reasons=tuple(
            f"line {e.line}: {e.kind.replace('-', ' ')}" if e.line is not None else e.kind.replace("-", " ")
            for e in outcome.exceptions
        ),
    )
    return Created(answer, f"/orders/{body.order}")


def _about(order: PurchaseOrder | None) -> Mapping[str, Any] | None:
    if order is None:
        return None
    facility = order.facility.value if order.facility is not None else None
    return {"id": order.number, "supplier": order.supplier, "facility": facility}


def _order_told(order: PurchaseOrder) -> PortalOrder:
    return PortalOrder.model_validate(
        {
            "number": order.number,
            "supplier": order.supplier,
            "facility": order.facility.value if order.facility is not None else None,
            "state": order.state,
            "ordered_on": order.ordered_on,
            "answer": order.acknowledgements[-1].state if order.acknowledgements else "none",
            "lines": tuple(
                PortalOrderLine(
                    id=line.id, item=line.item.value if line.item is not None else None, description=line.description,
                    unit=line.unit, ordered=line.ordered, received=line.received,
                    open=max(line.ordered - line.received, Decimal(0)),
                    billable=max(line.received - line.invoiced, Decimal(0)), unit_price=line.unit_price,
                )
                for line in order.lines
            ),
        }
    )  # fmt: skip


def _invoice_told(invoice: SupplierInvoice) -> PortalInvoice:
    return PortalInvoice(
        id=invoice.id, number=str(invoice.reference), supplier=invoice.supplier,
        facility=invoice.facility.value if invoice.facility is not None else None, state=invoice.state,
        orders=invoice.orders, total=invoice.total, open_amount=invoice.open_amount,
    )  # fmt: skip
