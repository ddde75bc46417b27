"""Items, prices and shelves: the nouns of the supply chain."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from hilum.model.identifiers import CostCentre, FacilityCode, ItemNumber, LocationCode
from hilum.model.money import Money


class Item(BaseModel):
    """An item as its authority, the ERP, knows it."""

    model_config = ConfigDict(frozen=True)

    number: ItemNumber
    name: str
    unit: str = "EA"


class ContractPrice(BaseModel):
    """What the supplier agreed to, for one unit."""

    model_config = ConfigDict(frozen=True)

    item: ItemNumber
    unit_price: Money
    supplier: str
    contract: str = ""


class Shelf(BaseModel):
    """One item at one location after a movement, as the inventory platform counts it."""

    model_config = ConfigDict(frozen=True)

    location: LocationCode
    item: ItemNumber
    on_hand_each: int
    reorder_point_each: int
    par_level_each: int
    last_receipt: str = Field(
        description="The shelf's last receipt: one replenishment is asked for between two receipts."
    )
    movement: str = Field(description="The inventory platform's number of the movement that left the shelf so.")

    @property
    def needs_replenishment(self) -> bool:
        return self.on_hand_each <= self.reorder_point_each

    @property
    def shortfall_each(self) -> int:
        return max(self.par_level_each - self.on_hand_each, 0)


class InventoryPosition(BaseModel):
    """How one item lies at one location now, as the inventory platform counts it, in units of issue."""

    model_config = ConfigDict(frozen=True)

    location: LocationCode
    item: ItemNumber
    facility: FacilityCode | None = Field(default=None, description="None when the platform knows no such location.")
    on_hand_each: int
    reorder_point_each: int
    par_level_each: int
    last_receipt: str


class Movement(BaseModel):
    """Stock taken from a location; a positive quantity leaves the shelf."""

    model_config = ConfigDict(frozen=True)

    location: LocationCode
    item: ItemNumber
    quantity_each: int = Field(gt=0)
    reference: str
    reason: str = "consumption"


class Replenishment(BaseModel):
    """What the ERP is asked to buy for a shelf."""

    model_config = ConfigDict(frozen=True)

    item: ItemNumber
    facility: FacilityCode
    location: LocationCode
    quantity_each: int = Field(gt=0)
    unit_price: Money
    supplier: str
    cost_centre: CostCentre | None = None


class ChargeableUsage(BaseModel):
    """What billing is told: this item was used for this account and may be charged."""

    model_config = ConfigDict(frozen=True)

    usage_id: str
    account: str
    account_authority: str
    item: ItemNumber
    charge_code: str
    description: str
    quantity_each: int = Field(gt=0)
    unit_cost: Money
    used_at: str
    facility: FacilityCode
    department: str
    charge: Money | None = Field(default=None, description="The price to the patient for all of it, where it is known.")

    @property
    def extended_cost(self) -> Money:
        return (self.unit_cost * Decimal(self.quantity_each)).rounded()
