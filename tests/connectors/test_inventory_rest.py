"""The inventory platform's answers, as a flow meets them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.connectors.benches import TOKEN, movement

from hilum.authoring import Refused, StockBelowZero, Unavailable
from hilum.connectors.inventory_rest import InventoryRest
from hilum.model import Shelf
from hilum.testing.neighbours.launch import simulated_inventory
from hilum.testing.neighbours.process import Neighbour


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Neighbour]:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    shelf = {"location": "STM-OR1", "item": "KNEE-99", "on_hand": 3, "reorder_point": 2, "par": 6}
    with simulated_inventory(tmp_path, token_file=token, positions=[shelf]) as neighbour:
        yield neighbour


def take(inventory: Neighbour, quantity: int, *, key: str, token: str = TOKEN, item: str = "KNEE-99") -> Shelf:
    async def story() -> Shelf:
        stock = InventoryRest(inventory.url, token, timeout_seconds=2)
        try:
            return await stock.take(movement("U-1", quantity=quantity, item=item), key=key)
        finally:
            await stock.close()

    return asyncio.run(story())


def test_the_shelf_is_told_as_it_stood_after_the_movement_also_later(inventory: Neighbour) -> None:
    first = take(inventory, 1, key="U-1/take")
    take(inventory, 2, key="U-2/take")
    again = take(inventory, 1, key="U-1/take")

    assert (first.on_hand_each, first.reorder_point_each, first.par_level_each, first.last_receipt) == (2, 2, 6, "RC-0")
    assert first.needs_replenishment
    assert again == first


def test_a_shelf_that_holds_less_is_an_exception_for_inventory_control_until_it_is_counted(
    inventory: Neighbour,
) -> None:
    with pytest.raises(StockBelowZero) as raised:
        take(inventory, 4, key="U-1/take")
    assert (raised.value.cause, raised.value.queue) == ("KNEE-99 at STM-OR1", "inventory-control")

    inventory.ask("POST", "/counts", {"location": "STM-OR1", "item": "KNEE-99", "on_hand": 5}, token=TOKEN)

    assert take(inventory, 4, key="U-1/take").on_hand_each == 1


def test_a_receipt_fills_the_shelf_once_and_is_its_last(inventory: Neighbour) -> None:
    receipt = {"location": "STM-OR1", "item": "KNEE-99", "quantity": 4, "receipt": "RC-7"}
    inventory.ask("POST", "/receipts", receipt, token=TOKEN)
    inventory.ask("POST", "/receipts", receipt, token=TOKEN)

    shelf = take(inventory, 1, key="U-1/take")

    assert (shelf.on_hand_each, shelf.last_receipt) == (6, "RC-7")


@pytest.mark.parametrize(
    ("what", "item", "token", "cause"),
    [
        ("an unknown shelf", "HIP-40", TOKEN, "stock answered 404 no-such-shelf for HIP-40 at STM-OR1"),
        ("a token it does not know", "KNEE-99", "stolen", "stock answered 401 token"),
    ],
)
def test_what_the_platform_refuses_waits_for_a_person(
    inventory: Neighbour, what: str, item: str, token: str, cause: str
) -> None:
    with pytest.raises(Refused) as raised:
        take(inventory, 1, key="U-1/take", item=item, token=token)

    assert raised.value.cause == cause, what


def test_a_key_used_for_another_movement_is_refused(inventory: Neighbour) -> None:
    take(inventory, 1, key="U-1/take")

    with pytest.raises(Refused, match="key-reused"):
        take(inventory, 2, key="U-1/take")


def test_a_busy_platform_says_when_to_come_back(inventory: Neighbour) -> None:
    inventory.fault("busy", seconds=7, requests=1)

    with pytest.raises(Unavailable) as raised:
        take(inventory, 1, key="U-1/take")

    assert raised.value.retry_after_seconds == 7
