"""Version 1 of the ERP's API, for those who have not moved yet: prices are plain numbers, in US dollars without saying so."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from hilum.authoring import Contract, Financial, Problem
from hilum.model import PurchaseOrder
from hilum.processes.system_apis.erp_contracts import OrderState, Part

Price = Annotated[Decimal, Financial]


class ErpOrderLineV1(Part):
    """One line of an order."""

    item: str | None
    description: str
    unit: str
    quantity: Decimal
    received: Decimal
    unit_price: Price


class ErpOrderV1(Contract, version=1, owner="supply-chain"):
    """A purchase order beyond the draft; prices are in US dollars."""

    number: str
    supplier: str
    facility: str | None
    state: OrderState
    ordered_on: date | None
    lines: tuple[ErpOrderLineV1, ...]
    total: Price


def order_v1(order: PurchaseOrder) -> ErpOrderV1:
    """What version 1 can say of an order. ``Problem`` for one in another currency: its numbers would be taken for dollars."""
    if order.currency != "USD":
        raise Problem(409, "currency", "This order is not in US dollars, which version 1 cannot say; ask version 2.")
    return ErpOrderV1(
        number=order.number,
        supplier=order.supplier,
        facility=order.facility.value if order.facility is not None else None,
        state=order.state,
        ordered_on=order.ordered_on,
        lines=tuple(
            ErpOrderLineV1(
                item=line.item.value if line.item is not None else None,
                description=line.description,
                unit=line.unit,
                quantity=line.ordered,
                received=line.received,
                unit_price=line.unit_price.amount,
            )
            for line in order.lines
        ),
        total=order.total.amount,
    )
