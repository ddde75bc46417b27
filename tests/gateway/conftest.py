"""One served door for each test of a module, on a loop that lives as long as the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.supply_door import SupplyDoor, supply_door
from tests.gateway.supply_estate import Order

Story = Callable[[SupplyDoor], Coroutine[Any, Any, None]]

ORDERS = (
    Order(number="PO-1", revision=1, facility="ST-MARY", supplier="ORTHO", bank_account="DE-440010023"),
    Order(number="PO-2", revision=1, facility="ST-LUKE", supplier="MEDLINE", bank_account="DE-770010099"),
    Order(number="PO-3", revision=1, facility="ST-MARY", supplier="MEDLINE", bank_account="DE-770010099"),
)


@pytest.fixture
def door(database_url: str, tmp_path: Path) -> Callable[..., None]:
    """``door(story)`` tells one story at a door that is open while it lasts."""

    def tell(story: Story, **settings: Any) -> None:
        async def telling() -> None:
            async with supply_door(database_url, tmp_path / "warehouse.json", **settings) as one:
                for order in ORDERS:
                    one.warehouse.keep(order)
                await story(one)

        asyncio.run(telling())

    return tell
