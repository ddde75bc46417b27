"""Department requests: what a department asks for is priced by contract, agreed to when it costs much, and ordered."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hilum.authoring import Contract, Crosswalk, Erp, Key, Rejected, flow, step
from hilum.authoring.approving import ApprovalAsked, ApprovalDesk, agreed
from hilum.authoring.approving import ApprovalRejected as ApprovalRejected  # Raised by `agreed`; the estate must have
from hilum.authoring.approving import NeedsApproval as NeedsApproval  # their queue.
from hilum.model.identifiers import CostCentre, DepartmentCode, FacilityCode, ItemNumber, LocationCode
from hilum.model.ledger import DocumentRef
from hilum.model.money import Money
from hilum.model.supply import ContractPrice, Replenishment

erp = Erp("erp")
desk = ApprovalDesk("approvals")
location_by_department = Crosswalk("department_to_location")
cost_centre_by_department = Crosswalk("department_to_cost_centre")

FREE_UP_TO = Money.usd("2500.00")
"""What a department may ask for without anybody else agreeing."""


class RequestedLine(BaseModel):
    """One item that is wanted, by the ERP's number of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: str = Field(min_length=1, max_length=64)
    quantity_each: int = Field(gt=0, le=100_000)


class DepartmentRequested(Contract, version=1, identities=["request"], owner="supply-chain"):
    """A department asked for items."""

    request: Annotated[str, Key("request")]
    department: Annotated[DepartmentCode, Key("requester")]
    facility: FacilityCode
    lines: tuple[RequestedLine, ...] = Field(min_length=1, max_length=20)
    reason: str = ""
    needed_by: date | None = None
    requested_by: str
    requested_at: AwareDatetime


class UnknownRequestedItem(Rejected, queue="item-master", due_hours=24):
    """The ERP has no such item. Tell the department its number, or add it to the item master and release."""


class NoPriceForRequest(Rejected, queue="purchasing", due_hours=24):
    """No supplier's contract covers the item. Agree a price in the ERP, then release."""


class UnknownRequester(Rejected, queue="finance-master", due_hours=24):
    """Map the department to its stock location and cost centre (`hilum crosswalk set`), then release."""


@flow(
    on=DepartmentRequested,
    key="request",
    criticality="normal",
    owner="supply-chain",
    recovery="Rejected requests wait in their queue; each line is ordered once, however often the case goes on.",
)
def department_request(requested: DepartmentRequested) -> None:
    prices = [priced(line.item, requested) for line in requested.lines]
    total = cost_of(prices, requested)
    if total.amount > FREE_UP_TO.amount:
        somebody_agreed(total, requested)
    for number, price in enumerate(prices):
        order(number, price, requested)


@step
def priced(item: str, requested: DepartmentRequested) -> ContractPrice:
    number = ItemNumber(value=item)
    if erp.item(number) is None:
        raise UnknownRequestedItem(item)
    price = erp.contract_price(number, requested.requested_at.date())
    if price is None:
        raise NoPriceForRequest(item)
    return price


def cost_of(prices: list[ContractPrice], requested: DepartmentRequested) -> Money:
    """What all lines cost, to the cent by line."""
    amounts = [
        (price.unit_price * Decimal(line.quantity_each)).rounded().amount
        for price, line in zip(prices, requested.lines, strict=True)
    ]
    return Money(amount=sum(amounts, Decimal(0)), currency=prices[0].unit_price.currency)


@step
def somebody_agreed(total: Money, requested: DepartmentRequested) -> int:
    return agreed(
        desk,
        ApprovalAsked(
            kind="Request", subject=requested.request, digest=request_digest(requested, total),
            requested_by=requested.requested_by, facility=requested.facility.value,
            department=requested.department.value, amount_usd=int(total.amount.to_integral_value(rounding="ROUND_CEILING")),
        ),
        at_risk=total,
    )  # fmt: skip


@step
def order(number: int, price: ContractPrice, requested: DepartmentRequested) -> DocumentRef:
    """One order for each line: its contract may be another supplier's."""
    department, facility = requested.department.value, requested.facility.value
    location = location_by_department.lookup(department, facility=facility, on=requested.requested_at)
    centre = cost_centre_by_department.lookup(department, facility=facility, on=requested.requested_at)
    if location is None or centre is None:
        raise UnknownRequester(f"{department} at {facility}")
    wanted = Replenishment(
        item=price.item,
        facility=requested.facility,
        location=LocationCode(value=location),
        quantity_each=requested.lines[number].quantity_each,
        unit_price=price.unit_price,
        supplier=price.supplier,
        cost_centre=CostCentre(value=centre),
    )
    return erp.order_replenishment(wanted, key=f"request/{requested.request}/{number + 1}")


def request_digest(requested: DepartmentRequested, total: Money) -> str:
    """``sha256:<hex>`` of what is agreed to: the request and what it costs."""
    text = f"{requested.model_dump_json()}\x1f{total.amount}\x1f{total.currency}"
    return f"sha256:{sha256(text.encode()).hexdigest()}"
