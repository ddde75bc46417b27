"""The inventory platform's API: what lies on which shelf, in units of issue."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hilum.authoring import Api, Contract, Example, Page, PageRequest, Stock
from hilum.model import InventoryPosition, ItemNumber, LocationCode
from hilum.model.where import Where, narrowed

stock = Stock("stock")
stock_api = Api("stock")

Code = Annotated[str, Field(min_length=1, max_length=64)]


class StockPosition(Contract, version=1, owner="supply-chain"):
    """How one item lies at one location now."""

    location: str
    item: str
    facility: str | None
    on_hand_each: int
    reorder_point_each: int = Field(description="At or below it the shelf is replenished.")
    par_level_each: int = Field(description="Up to which it is replenished.")
    last_receipt: str


class StockPositionQuery(Contract, version=1, owner="supply-chain"):
    """Which positions are asked for; nothing given: all that you may see."""

    facility: Code | None = None
    location: Code | None = None
    item: Code | None = None


_position = StockPosition(
    location="STM-OR1", item="KNEE-99", facility="ST-MARY", on_hand_each=3, reorder_point_each=2, par_level_each=6,
    last_receipt="RC-17",
)  # fmt: skip

OF_FACILITY = {"facility": "facility"}


@stock_api.list(
    "/positions", resource="InventoryPosition", attributes=OF_FACILITY,
    examples=(Example("Where the knees are", query={"item": "KNEE-99"}, answer=_position),),
)  # fmt: skip
def list_positions(query: StockPositionQuery, where: Where, page: PageRequest) -> Page[StockPosition]:
    """Positions of the facilities you work for, by location and item."""
    return stock.positions(narrowed(where, query.model_dump()), page).each(position_told)


@stock_api.get(
    "/positions/{location}/{item}", resource="InventoryPosition", attributes=OF_FACILITY, etag="",
    examples=(Example("One shelf", path={"location": "STM-OR1", "item": "KNEE-99"}, answer=_position),),
)  # fmt: skip
def read_position(location: str, item: str) -> StockPosition | None:
    """How one item lies at one location."""
    if not (0 < len(location) <= 64 and 0 < len(item) <= 64):
        return None
    found = stock.position(LocationCode(value=location), ItemNumber(value=item))
    return position_told(found) if found is not None else None


def position_told(found: InventoryPosition) -> StockPosition:
    return StockPosition(
        location=found.location.value,
        item=found.item.value,
        facility=found.facility.value if found.facility is not None else None,
        on_hand_each=found.on_hand_each,
        reorder_point_each=found.reorder_point_each,
        par_level_each=found.par_level_each,
        last_receipt=found.last_receipt,
    )
