"""Implant usage: an implant opened in theatre leaves the shelf, is reordered, is costed and is charged.

The flow reads top to bottom as the business process. An estate supplies the mapping that yields
``ImplantUsed``, the three crosswalks, and systems that play the roles ``stock``, ``erp`` and ``billing``.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import PositiveInt

from hilum.authoring import (
    Agreed,
    AtRisk,
    Billing,
    Contract,
    Crosswalk,
    Erp,
    Key,
    Phi,
    Rejected,
    Stock,
    flow,
    step,
)
from hilum.authoring import StockBelowZero as StockBelowZero  # Raised by `stock.take`; the estate must have its queue.
from hilum.model import (
    AccountNumber,
    ChargeableUsage,
    ChargeCode,
    ContractPrice,
    CostCentre,
    DepartmentCode,
    DocumentRef,
    FacilityCode,
    ItemNumber,
    Journal,
    JournalLine,
    LocationCode,
    Money,
    Movement,
    Replenishment,
    Shelf,
)

erp = Erp("erp")
stock = Stock("stock")
billing = Billing("billing")

item_by_charge_code = Crosswalk("charge_code_to_item")
item_by_device = Crosswalk("device_to_item")
location_by_department = Crosswalk("department_to_location")
cost_centre_by_department = Crosswalk("department_to_cost_centre")

IMPLANT_EXPENSE = "5100"
INVENTORY = "1300"


class ImplantUsed(
    Contract,
    version=1,
    identities=["usage_id", ("device_identifier", "serial")],
    owner="supply-chain",
):
    """One implant opened for one procedure, whoever reported it: EHR charge or inventory scan."""

    usage_id: Annotated[str, Key("usage")]  # The scan's own number: both reporters and every resend carry it.
    charge_code: ChargeCode | None = None
    device_identifier: Annotated[str, Key("device")] | None = None  # UDI-DI; with the serial it names one device.
    lot: str | None = None
    serial: Annotated[str, Key("serial")] | None = None
    description: str = ""
    quantity: Annotated[PositiveInt, Agreed]
    account: Annotated[AccountNumber, Phi]
    department: DepartmentCode
    facility: FacilityCode
    used_at: datetime
    charge_usd: Annotated[Decimal, AtRisk] | None = None


class UnknownItem(Rejected, queue="item-master", due_hours=8):
    """Add the charge code or device to the item crosswalk (`hilum crosswalk set`), then release."""


class UnknownDepartment(Rejected, queue="finance-master", due_hours=24):
    """Map the department to its stock location and cost centre (`hilum crosswalk set`), then release."""


class NoContractPrice(Rejected, queue="purchasing", due_hours=24):
    """Add the item to a supplier contract in the ERP, then release."""


@flow(
    on=ImplantUsed,
    key="usage_id",
    criticality="high",
    owner="supply-chain",
    recovery="Rejected cases wait in their queue and go on from the failed step when released; "
    "cases a system could not take wait for it and go on by themselves.",
)
def implant_usage(used: ImplantUsed) -> None:
    item = known_item(used)
    shelf = take_from_stock(item, used)  # The shelf is lighter already: count first, price second.
    price = contract_price(item, used)
    if shelf.needs_replenishment:
        replenish(price, shelf, used)
    attribute_cost(price, used)
    tell_billing(price, used)


@step
def known_item(used: ImplantUsed) -> ItemNumber:
    """The device identifier is printed on the box, the charge code was typed: the first wins."""
    facility = used.facility.value
    found = None
    if used.device_identifier is not None:
        found = item_by_device.lookup(used.device_identifier, facility=facility, on=used.used_at)
    if found is None and used.charge_code is not None:
        found = item_by_charge_code.lookup(used.charge_code.value, facility=facility, on=used.used_at)
    if found is None:
        given = used.charge_code.value if used.charge_code is not None else used.device_identifier
        raise UnknownItem(given, detail=used.description, at_risk_usd=used.charge_usd)
    return ItemNumber(value=found)


@step
def take_from_stock(item: ItemNumber, used: ImplantUsed) -> Shelf:
    location = location_by_department.lookup(used.department.value, facility=used.facility.value, on=used.used_at)
    if location is None:
        raise UnknownDepartment(f"{used.department.value} at {used.facility.value}", at_risk_usd=used.charge_usd)
    movement = Movement(
        location=LocationCode(value=location), item=item, quantity_each=used.quantity, reference=used.usage_id
    )
    return stock.take(movement)


@step
def contract_price(item: ItemNumber, used: ImplantUsed) -> ContractPrice:
    price = erp.contract_price(item, used.used_at.date())
    if price is None:
        raise NoContractPrice(item.value, at_risk_usd=used.charge_usd)
    return price


@step
def replenish(price: ContractPrice, shelf: Shelf, used: ImplantUsed) -> DocumentRef:
    request = Replenishment(
        item=price.item,
        facility=used.facility,
        location=shelf.location,
        quantity_each=shelf.shortfall_each,
        unit_price=price.unit_price,
        supplier=price.supplier,
        cost_centre=_cost_centre(used),
    )
    # One order between two receipts of the shelf, however many usages find it low.
    return erp.order_replenishment(
        request, key=f"replenish/{shelf.location.value}/{price.item.value}/{shelf.last_receipt}"
    )


@step
def attribute_cost(price: ContractPrice, used: ImplantUsed) -> DocumentRef:
    amount = (price.unit_price * Decimal(used.quantity)).rounded()
    journal = Journal(
        date=used.used_at.date(),
        description=f"Implant usage {used.usage_id}: {used.quantity} x {price.item.value}",
        currency=amount.currency,
        lines=(
            JournalLine(account=IMPLANT_EXPENSE, debit=amount.amount, cost_centre=_cost_centre(used)),
            JournalLine(account=INVENTORY, credit=amount.amount),
        ),
    )
    return erp.post_journal(journal)


@step
def tell_billing(price: ContractPrice, used: ImplantUsed) -> DocumentRef:
    usage = ChargeableUsage(
        usage_id=used.usage_id,
        account=used.account.value,
        account_authority=used.account.authority,
        item=price.item,
        charge_code=used.charge_code.value if used.charge_code is not None else price.item.value,
        description=used.description,
        quantity_each=used.quantity,
        unit_cost=price.unit_price,
        used_at=used.used_at.isoformat(),
        facility=used.facility,
        department=used.department.value,
        charge=Money.usd(used.charge_usd) if used.charge_usd is not None else None,
    )
    return billing.charge_usage(usage)


def _cost_centre(used: ImplantUsed) -> CostCentre:
    found = cost_centre_by_department.lookup(used.department.value, facility=used.facility.value, on=used.used_at)
    if found is None:
        raise UnknownDepartment(f"{used.department.value} at {used.facility.value}", at_risk_usd=used.charge_usd)
    return CostCentre(value=found)
