"""What a supplier answered to an order, kept as a note of the order: people at the ERP read it where they look anyway.

Tryton's purchases have no field for it. A note is only ever added, so two answers at once cannot overwrite each other; its
lines are for people, in the order in which they are written here, and its last line is the key it was written under.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from hilum.authoring.failures import ErpRefused
from hilum.connectors.tryton.client import Record, TrytonRest
from hilum.model import DocumentRef, SupplierAcknowledgement

_MODEL = "ir.note"
_FIELDS = ("message", "resource")
_TITLE, _PROMISED, _KEY = "Supplier's answer: ", "Promised for: ", "Key: "
_NO_DAY = "not said"


async def acknowledgements(rest: TrytonRest, orders: Sequence[int]) -> dict[int, tuple[SupplierAcknowledgement, ...]]:
    """The answers to each order, oldest first. A key that was written twice is one answer."""
    if not orders:
        return {}
    found = await rest.search(_MODEL, [("resource", "in", [_resource(order) for order in orders])], _FIELDS)
    answers: dict[int, dict[str, SupplierAcknowledgement]] = {}
    for note in found:
        read = _read(note["message"])
        if read is not None:
            order = int(note["resource"].partition(",")[2])
            answers.setdefault(order, {}).setdefault(*read)
    return {order: tuple(by_key.values()) for order, by_key in answers.items()}


class Answers:
    """Writing suppliers' answers down."""

    def __init__(self, rest: TrytonRest, system: str) -> None:
        self._rest = rest
        self._system = system

    async def find(self, number: str, answer: SupplierAcknowledgement, key: str) -> DocumentRef | None:
        """The answer under ``key``; ErpRefused when another one stands there, or when there is no such order."""
        order = await self._order(number)
        found = await self._rest.search(_MODEL, [("resource", "=", _resource(order))], _FIELDS)
        for note in found:
            read = _read(note["message"])
            if read is not None and read[0] == key:
                if read[1] != answer:
                    raise ErpRefused("another answer was written down under the same key", f"order {number}")
                return self._reference(number, note)
        return None

    async def write(self, number: str, answer: SupplierAcknowledgement, key: str) -> DocumentRef:
        order = await self._order(number)
        note = await self._rest.create(
            _MODEL, {"resource": _resource(order), "message": _message(answer, key)}, _FIELDS
        )
        found = await self.find(number, answer, key)  # When two wrote at once, both name the older note.
        return found if found is not None else self._reference(number, note)

    async def _order(self, number: str) -> int:
        domain = [("number", "=", number), ("state", "not in", ["draft", "cancelled"])]
        found = await self._rest.search("purchase.purchase", domain, ["number"], limit=1)
        if not found or found[0]["number"] != number:
            raise ErpRefused("there is no such order, or it was cancelled", f"order {number}")
        return int(found[0]["id"])

    def _reference(self, number: str, note: Record) -> DocumentRef:
        return DocumentRef(system=self._system, type="acknowledgement", number=number, id=str(note["id"]))


def _resource(order: int) -> str:
    return f"purchase.purchase,{order}"


def _message(answer: SupplierAcknowledgement, key: str) -> str:
    # Every line has its place, so that whatever a supplier writes is read back as what it wrote.
    promised = answer.promised_on.isoformat() if answer.promised_on is not None else _NO_DAY
    return "\n".join([f"{_TITLE}{answer.state}", f"{_PROMISED}{promised}", answer.note, f"{_KEY}{key}"])


def _read(message: str | None) -> tuple[str, SupplierAcknowledgement] | None:
    """Key and answer of a note that was written here; None for any other note."""
    lines = message.split("\n") if message is not None else []
    if len(lines) < 4 or not (
        lines[0].startswith(_TITLE) and lines[1].startswith(_PROMISED) and lines[-1].startswith(_KEY)
    ):
        return None
    promised = lines[1].removeprefix(_PROMISED)
    try:
        answer = SupplierAcknowledgement(
            state=lines[0].removeprefix(_TITLE),
            promised_on=None if promised == _NO_DAY else date.fromisoformat(promised),
            note="\n".join(lines[2:-1]),
        )
    except ValueError:
        return None  # Somebody at the ERP has written a note that looks like ours.
    return lines[-1].removeprefix(_KEY), answer
