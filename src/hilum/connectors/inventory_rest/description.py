"""What the connector relies on in the inventory platform's answers, looked at without moving anything (see ``governance.drift``).

The platform publishes no schema, so its answers are looked at: a position, the movements, and the refusal of a movement that
carries no key, which shows that the door is there, the token good and a refusal still a problem document. What ``take``
answers is a position with the movement's number; only its position is looked at.
"""

from __future__ import annotations

from typing import Any

import orjson

from hilum.authoring.failures import Refused
from hilum.connectors.inventory_rest.positions import Ask
from hilum.connectors.json_shapes import Parts, shape_of
from hilum.model.where import EVERYTHING
from hilum.model.where_json import as_json

POSITION = ("location", "item", "facility", "on_hand", "reorder_point", "par", "last_receipt")
MOVEMENT = ("reference", "quantity")


async def describe(ask: Ask) -> dict[str, Any]:
    """``Unavailable`` when the platform does not answer; an answer that is refused has no parts."""
    parts: Parts = {}
    unseen: list[str] = []
    search = {"filter": as_json(EVERYTHING), "limit": 20, "after": None}
    for method, path, body, fields, operation in (
        ("POST", "/positions/search", search, ("next", *(f"positions[].{name}" for name in POSITION)), "positions"),
        ("GET", "/movements", None, MOVEMENT, "movements"),
        ("GET", "/health", None, (), "ping"),
    ):
        answer = await ask(method, path, **({"json": body} if body is not None else {}))
        if answer.status_code in (401, 403):
            raise Refused(f"the platform refuses the token ({answer.status_code}) at {method} {path}")
        if answer.is_success:
            found, nothing_there = shape_of(f"{method} {path}", orjson.loads(answer.content), fields, operation)
            parts |= found
            unseen += nothing_there
    refusal = await ask("POST", "/movements", json={})
    media = refusal.headers.get("content-type", "").partition(";")[0]
    parts["POST /movements without a key"] = {
        "type": f"{refusal.status_code} {media}", "side": "given", "relied_on_by": ["take"],
    }  # fmt: skip
    return {"source": "inventory_rest", "parts": parts, "unseen": unseen}
