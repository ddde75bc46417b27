"""Stock movements over REST: ``POST /movements`` with an idempotency key, problems as RFC 9457 documents."""

from __future__ import annotations

from typing import Any, ClassVar

import httpx2
import orjson

from hilum.authoring.api import Page, PageRequest
from hilum.authoring.failures import Refused, StockBelowZero, Unavailable
from hilum.connectors.asking import exchange
from hilum.connectors.inventory_rest import description
from hilum.connectors.inventory_rest.positions import Positions
from hilum.model.identifiers import ItemNumber, LocationCode
from hilum.model.supply import InventoryPosition, Movement, Shelf
from hilum.model.where import Where

INSUFFICIENT = "insufficient"
"""The last part of the problem type by which the platform says that a shelf holds less than was to be taken."""


class InventoryRest:
    """The inventory platform at ``url``, spoken to with a bearer ``token``."""

    # The platform answers a repeated Idempotency-Key with the first answer: nothing has to be searched for.
    idempotent_commands: ClassVar[frozenset[str]] = frozenset({"take"})

    def __init__(
        self,
        url: str,
        token: str,
        timeout_seconds: float = 5.0,
        *,
        system: str = "stock",
        connections: int = 16,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._system = system
        self._http = httpx2.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}", "accept": "application/json"},
            timeout=timeout_seconds,
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            transport=transport,
            trust_env=False,  # A proxy of the environment must not see stock movements.
        )
        self._positions = Positions(self._ask, system)

    async def positions(self, where: Where, page: PageRequest) -> Page[InventoryPosition]:
        return await self._positions.page(where, page)

    async def position(self, location: LocationCode, item: ItemNumber) -> InventoryPosition | None:
        return await self._positions.one(location, item)

    async def take(self, movement: Movement, *, key: str) -> Shelf:
        """Take stock from a shelf; the shelf as it stood after this movement, also when the key is repeated.

        ``StockBelowZero`` when the shelf holds less; ``Refused`` for an unknown shelf and for a key that was used
        for something else; ``Unavailable`` when nobody answered or the answer was to come back later.
        """
        body = {
            "location": movement.location.value,
            "item": movement.item.value,
            "quantity": movement.quantity_each,
            "reference": movement.reference,
            "reason": movement.reason,
        }
        answer = await self._ask("POST", "/movements", json=body, headers={"idempotency-key": key})
        if answer.status_code == 409 and _problem(answer)[0] == INSUFFICIENT:
            raise StockBelowZero(f"{movement.item.value} at {movement.location.value}", _problem(answer)[1])
        shelf = self._content(answer, movement)
        return Shelf(
            location=LocationCode(value=shelf["location"]),
            item=ItemNumber(value=shelf["item"]),
            on_hand_each=shelf["on_hand"],
            reorder_point_each=shelf["reorder_point"],
            par_level_each=shelf["par"],
            last_receipt=shelf["last_receipt"],
            movement=shelf["movement"],
        )

    async def movements(self) -> dict[str, int]:
        """Units taken from shelves by reference, as the platform has them in its books."""
        taken: dict[str, int] = {}
        answer = await self._ask("GET", "/movements")
        if not answer.is_success:
            raise Refused(f"{self._system} answered {answer.status_code} when its movements were read")
        for movement in orjson.loads(answer.content):
            reference = movement["reference"]
            taken[reference] = taken.get(reference, 0) - movement["quantity"]  # What leaves is negative.
        return taken

    async def describe(self) -> dict[str, Any]:
        """What the platform's answers look like now, for contract tests; moves nothing."""
        return await description.describe(self._ask)

    async def ping(self) -> None:
        """Return when the platform answers ``GET /health``; raise ``Unavailable`` when it does not."""
        answer = await self._ask("GET", "/health")
        if answer.status_code != 200:
            raise Unavailable(self._system, f"its health answers {answer.status_code}")

    async def close(self) -> None:
        await self._http.aclose()

    async def _ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        return await exchange(self._http, self._system, method, path, **request)

    def _content(self, answer: httpx2.Response, movement: Movement) -> Any:
        if answer.is_success:
            return orjson.loads(answer.content)
        name, title = _problem(answer)
        # A refused token concerns all; anything else concerns this shelf. The cause is what one decision fixes.
        where = "" if answer.status_code in (401, 403) else f" for {movement.item.value} at {movement.location.value}"
        raise Refused(f"{self._system} answered {answer.status_code} {name or 'without a reason'}{where}", title)


def _problem(answer: httpx2.Response) -> tuple[str, str]:
    """The last part of the problem's type and its title; empty when the answer is no problem document."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return "", ""
    try:
        document = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    kind = str(document.get("type", "")).rpartition("/")[2].rpartition(":")[2]
    return kind, str(document.get("title", ""))
