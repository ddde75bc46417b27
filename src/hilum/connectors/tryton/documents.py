"""Making a document under a key: found first, finished when it was left as a draft, made once.

Creating and posting are two commits in Tryton, so a failure between them leaves a draft, which has no effect on books or
stock. The key stands in the document where it can be searched exactly. After a draft is made all documents with its key
are read again and one is chosen by a rule that every runner applies alike; only that one is carried on. Two runners with
one key therefore take the same document unless both create and read within the same few milliseconds; the platform's
lease on a delivery keeps even that from happening.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hilum.authoring.failures import ErpRefused
from hilum.connectors.tryton.client import Record, TrytonRest
from hilum.model import DocumentRef


@dataclass(frozen=True)
class Kind:
    """A sort of document: where its key stands, and which button leads on from which state."""

    model: str
    type: str
    key_field: str
    steps: Mapping[str, str]
    content: tuple[str, ...]  # The fields by which a draft is compared with what is asked for.


JOURNAL = Kind(
    "account.move",
    "journal",
    "description",
    {"draft": "post"},
    ("date", "lines.debit", "lines.credit", "lines.account.code", "lines.analytic_lines.account.code"),
)
ORDER = Kind(
    "purchase.purchase",
    "purchase order",
    "reference",
    {"draft": "quote", "quotation": "confirm"},
    ("party.name", "warehouse.code", "lines.quantity", "lines.unit_price", "lines.product.code"),
)

_STATE = ("number", "state")


class Documents:
    """Documents of one kind. ``digest`` reduces a record to what must agree with the request."""

    def __init__(self, rest: TrytonRest, system: str, kind: Kind, digest: Callable[[Record], Any]) -> None:
        self._rest = rest
        self._system = system
        self._kind = kind
        self._digest = digest

    async def find(self, key: str, wanted: Any) -> DocumentRef | None:
        """The document under ``key``, carried on to its last state; None when there is none.

        ErpRefused when only a draft is there and it says something else than ``wanted``: a person deletes it or posts it.
        """
        chosen = await self._choose(key)
        return None if chosen is None else await self._finish(chosen, key, wanted)

    async def make(self, key: str, wanted: Any, values: Mapping[str, Any]) -> DocumentRef:
        """Make the document under ``key`` and carry it on."""
        field = self._kind.key_field
        made = await self._rest.create(self._kind.model, {**values, field: key}, [*_STATE, *self._kind.content])
        chosen = await self._choose(key)
        if chosen is None:
            chosen = made
        elif chosen["id"] != made["id"]:
            await self._rest.delete(self._kind.model, made["id"])
        return await self._finish(chosen, key, wanted)

    async def _choose(self, key: str) -> Record | None:
        fields = [*_STATE, *self._kind.content]
        found = await self._rest.search(self._kind.model, [(self._kind.key_field, "=", key)], fields)
        return min(found, key=lambda document: (document["state"] == "draft", document["id"]), default=None)

    async def _finish(self, document: Record, key: str, wanted: Any) -> DocumentRef:
        if document["state"] == "draft" and self._digest(document) != wanted:
            raise ErpRefused(
                f"a draft {self._kind.type} with another content stands in the ERP", f"key {key}, id {document['id']}"
            )
        while (button := self._kind.steps.get(document["state"])) is not None:
            state = document["state"]
            try:
                document = await self._rest.press(self._kind.model, document["id"], button, _STATE)
            except ErpRefused:
                # Another request may have pressed it already: the state tells.
                again = await self._rest.search(self._kind.model, [("id", "=", document["id"])], _STATE)
                if not again or again[0]["state"] == state:
                    raise
                document = again[0]
        return DocumentRef(
            system=self._system,
            type=self._kind.type,
            number=document["number"],
            id=str(document["id"]),
            state=document["state"],
        )
