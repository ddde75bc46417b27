"""Making a document under a key: found first, finished when it was left as a draft, made once.

Creating and posting are two commits in Tryton, so a failure between them leaves a draft, which has no effect on books or
stock. The key stands in the document where it can be searched exactly. Before a draft is carried on, all documents under
its key are read again; of several drafts the oldest goes on (or the one with which somebody went on), and only after the others are deleted. Deleting and posting
one record exclude each other in the database, so two runners with one key end with one document.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hilum.authoring.failures import ErpRefused, Unavailable
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
    named: str = "number"  # The field by which people find it; drafts have no number yet.
    chosen: Callable[[Record], bool] = lambda draft: False  # Whether somebody went on with this draft of several.

    @property
    def state(self) -> tuple[str, str]:
        return (self.named, "state")


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
INVOICE = Kind(
    "account.invoice",
    "supplier invoice",
    "description",
    {},  # It stays a draft: a person posts it.
    (
        "party.code", "reference", "invoice_date", "lines.description", "lines.quantity", "lines.unit_price",
        "lines.origin",
    ),
    named="reference",
    chosen=lambda invoice: any(line["origin"] is not None for line in invoice["lines"]),
)  # fmt: skip

_ROUNDS = 5


class Documents:
    """Documents of one kind. ``digest`` reduces a record to what must agree with the request."""

    def __init__(self, rest: TrytonRest, system: str, kind: Kind, digest: Callable[[Record], Any]) -> None:
        self._rest = rest
        self._system = system
        self._kind = kind
        self._digest = digest
        # Pressing takes a number from a series, one row in the database: at once is slower than one after the other.
        self._numbering = asyncio.Lock()

    async def find(self, key: str, wanted: Any) -> DocumentRef | None:
        """The document under ``key``, carried on to its last state; None when there is none.

        ErpRefused when only a draft is there and it says something else than ``wanted``: a person deletes it or posts it.
        """
        for _ in range(_ROUNDS):
            documents = await self._under(key)
            if not documents:
                return None
            chosen = documents[0]
            if chosen["state"] == "draft" and not await self._alone(documents):
                continue
            finished = await self._finish(chosen, key, wanted)
            if finished is not None:
                return finished
        raise Unavailable(self._system, f"another runner is working on the {self._kind.type} under the same key")

    async def make(self, key: str, wanted: Any, values: Mapping[str, Any]) -> DocumentRef:
        """Make the document under ``key`` and carry it on."""
        made = await self._rest.create(self._kind.model, {**values, self._kind.key_field: key}, self._kind.state)
        found = await self.find(key, wanted)
        if found is None:
            raise Unavailable(self._system, f"the draft {self._kind.type} {made['id']} vanished before it was posted")
        if found.id != str(made["id"]):
            await self.discard(made["id"])
        return found

    async def _under(self, key: str) -> list[Record]:
        """Every document under ``key``: those with an effect first, then the chosen draft, then drafts; each by age."""
        fields = [*self._kind.state, *self._kind.content]
        found = await self._rest.search(self._kind.model, [(self._kind.key_field, "=", key)], fields)
        return sorted(found, key=lambda d: (d["state"] == "draft", not self._kind.chosen(d), d["id"]))

    async def _alone(self, drafts: list[Record]) -> bool:
        """Delete all drafts but the first; False when one of them is a draft no more."""
        return all([await self.discard(draft["id"]) for draft in drafts[1:]])

    async def discard(self, document: int) -> bool:
        """Delete a draft; False when the ERP does not let go of it, as of anything but a draft."""
        try:
            await self._rest.delete(self._kind.model, document)
        except ErpRefused:
            return not await self._rest.search(self._kind.model, [("id", "=", document)], self._kind.state)
        return True

    async def _finish(self, document: Record, key: str, wanted: Any) -> DocumentRef | None:
        """Press button after button; None when the document was deleted meanwhile."""
        if document["state"] == "draft" and self._digest(document) != wanted:
            raise ErpRefused(
                f"a draft {self._kind.type} with another content stands in the ERP", f"key {key}, id {document['id']}"
            )
        while (button := self._kind.steps.get(document["state"])) is not None:
            state = document["state"]
            try:
                async with self._numbering:
                    document = await self._rest.press(self._kind.model, document["id"], button, self._kind.state)
            except ErpRefused:
                # Another request may have pressed it already: the state tells.
                again = await self._rest.search(self._kind.model, [("id", "=", document["id"])], self._kind.state)
                if not again:
                    return None
                if again[0]["state"] == state:
                    raise
                document = again[0]
        return DocumentRef(
            system=self._system,
            type=self._kind.type,
            number=document[self._kind.named],
            id=str(document["id"]),
            state=document["state"],
        )
