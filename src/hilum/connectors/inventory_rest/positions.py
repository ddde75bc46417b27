"""Positions over REST: searched by the platform itself, which is told the condition (``POST /positions/search``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import orjson

from hilum.authoring.api import Page, PageRequest
from hilum.authoring.failures import Refused
from hilum.authoring.paging import cursor_after, foreign_cursor, position_in, size_of
from hilum.model.identifiers import FacilityCode, ItemNumber, LocationCode
from hilum.model.supply import InventoryPosition
from hilum.model.where import Equals, Nothing, Where, all_of
from hilum.model.where_json import as_json

Ask = Callable[..., Awaitable[httpx2.Response]]
"""One request by method, path and content; ``Unavailable`` when nobody answers."""

_LIST = "positions"


class Positions:
    """Questions about what lies where."""

    def __init__(self, ask: Ask, system: str) -> None:
        self._ask = ask
        self._system = system

    async def page(self, where: Where, page: PageRequest) -> Page[InventoryPosition]:
        """Positions by ``location``, ``item`` and ``facility``, in the platform's own order."""
        after = position_in(_LIST, page)
        if isinstance(where, Nothing):
            return Page(())
        found = await self._search(where, size_of(page), after)
        following = found["next"]
        return Page(
            tuple(_position(told) for told in found["positions"]),
            cursor_after(_LIST, following) if following is not None else None,
        )

    async def one(self, location: LocationCode, item: ItemNumber) -> InventoryPosition | None:
        where = all_of([Equals("location", location.value), Equals("item", item.value)])
        found = (await self._search(where, 1, None))["positions"]
        return _position(found[0]) if found else None

    async def _search(self, where: Where, limit: int, after: str | None) -> Any:
        body = {"filter": as_json(where), "limit": limit, "after": after}
        answer = await self._ask("POST", "/positions/search", json=body)
        if answer.status_code == 422 and after is not None:
            raise foreign_cursor()
        if not answer.is_success:
            raise Refused(f"{self._system} answered {answer.status_code} when its positions were read")
        return orjson.loads(answer.content)


def _position(told: dict[str, Any]) -> InventoryPosition:
    return InventoryPosition(
        location=LocationCode(value=told["location"]),
        item=ItemNumber(value=told["item"]),
        facility=FacilityCode(value=told["facility"]) if told["facility"] is not None else None,
        on_hand_each=told["on_hand"],
        reorder_point_each=told["reorder_point"],
        par_level_each=told["par"],
        last_receipt=told["last_receipt"],
    )
