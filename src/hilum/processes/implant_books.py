"""Do the books agree? Every implant usage against the shelf, the ledger and the orders that it should have caused.

Three witnesses are compared, record by record: what Hilum was told (events), what it believes it did (deliveries), and
what the systems have in their own books. A difference names the record and the amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

import asyncpg
import orjson

from hilum.processes.implant_usage import ImplantUsed, implant_usage
from hilum.security.sealing.sealer import Sealer
from hilum.store import sealed_places

_PREFIX = f"{implant_usage.name}/"
_REPLENISH = "replenish/"


class StockBooks(Protocol):
    """The inventory platform's own count: units taken, by reference."""

    async def movements(self) -> dict[str, int]: ...


class LedgerBooks(Protocol):
    """The ERP's own books: posted journals and placed orders by the key under which Hilum asked for them."""

    async def journals(self, key_prefix: str = "") -> list[Any]: ...

    async def replenishments(self, key_prefix: str = "") -> list[Any]: ...


@dataclass(frozen=True)
class Difference:
    """One record on which two books disagree."""

    record: str
    what: str
    expected: str
    found: str


@dataclass
class Books:
    """The result of a comparison; ``reconciled`` when nothing differs."""

    facts: int = 0
    cases: dict[str, int] = field(default_factory=dict)
    units_taken: int = 0
    cost_usd: Decimal = Decimal(0)
    journals: int = 0
    orders: int = 0
    charges: int = 0
    waiting_at_risk_usd: Decimal = Decimal(0)
    differences: list[Difference] = field(default_factory=list)

    @property
    def reconciled(self) -> bool:
        return not self.differences


async def reconcile(pool: asyncpg.Pool, sealer: Sealer, *, stock: StockBooks, ledger: LedgerBooks) -> Books:
    """Compare all implant usages of this platform with the systems' books."""
    books = Books()
    used = await _facts(pool, sealer)
    books.facts = len(used)
    states = {
        r["id"]: r["state"]
        for r in await pool.fetch("SELECT id, state FROM flow_case WHERE flow = $1", implant_usage.name)
    }
    for state in states.values():
        books.cases[state] = books.cases.get(state, 0) + 1
    for usage_id in used:
        if _PREFIX + usage_id not in states:
            books.differences.append(Difference(usage_id, "case", "one case", "none: the event was not dispatched"))
    deliveries = await pool.fetch("SELECT key, operation, request FROM delivery WHERE state = 'done'")
    await sealer.load(*(r["request"] for r in deliveries))
    done = {
        r["key"]: {**r, "request": sealer.read(r["request"], sealed_places.delivery_request(r["key"]))}
        for r in deliveries
    }
    _steps(books, used, states, done)
    await _shelves(books, used, done, stock)
    await _ledger(books, used, done, ledger)
    await _orders(books, done, ledger)
    books.charges = sum(1 for r in done.values() if r["operation"] == "charge_usage")
    books.waiting_at_risk_usd = await pool.fetchval(
        "SELECT coalesce(sum(at_risk_usd), 0) FROM work_item WHERE state = 'open'"
    )
    return books


async def _facts(pool: asyncpg.Pool, sealer: Sealer) -> dict[str, ImplantUsed]:
    rows = await pool.fetch("SELECT shard, seq, payload FROM event WHERE type = $1", ImplantUsed.type_name())
    await sealer.load(*(r["payload"] for r in rows))
    events = [
        ImplantUsed.model_validate_json(sealer.read(r["payload"], sealed_places.event_payload(r["shard"], r["seq"])))
        for r in rows
    ]
    return {event.usage_id: event for event in events}


def _steps(books: Books, used: Mapping[str, ImplantUsed], states: Mapping[str, str], done: Mapping[str, Any]) -> None:
    """A case that is done has its movement, its journal and its charge."""
    for usage_id in used:
        if states.get(_PREFIX + usage_id) != "done":
            continue
        for step in ("take_from_stock", "attribute_cost", "tell_billing"):
            if f"{_PREFIX}{usage_id}/{step}" not in done:
                books.differences.append(
                    Difference(usage_id, step, "delivered", "no delivery, though the case is done")
                )


async def _shelves(books: Books, used: Mapping[str, ImplantUsed], done: Mapping[str, Any], stock: StockBooks) -> None:
    taken = await stock.movements()
    for usage_id, event in used.items():
        expected = event.quantity if f"{_PREFIX}{usage_id}/take_from_stock" in done else 0
        found = taken.get(usage_id, 0)
        books.units_taken += found
        if found != expected:
            books.differences.append(Difference(usage_id, "units taken from the shelf", str(expected), str(found)))


async def _ledger(books: Books, used: Mapping[str, ImplantUsed], done: Mapping[str, Any], ledger: LedgerBooks) -> None:
    """Each posted journal belongs to one usage, once, and costs what was asked for."""
    # Other processes post journals too, remittances among them: they are no business of these books.
    ours = {key: row for key, row in done.items() if row["operation"] == "post_journal" and key.startswith(_PREFIX)}
    known = {f"{_PREFIX}{usage_id}/attribute_cost" for usage_id in used}
    posted: dict[str, list[Any]] = {}
    for journal in await ledger.journals(_PREFIX):
        if journal.key not in ours and journal.key not in known:
            continue  # Of another platform that writes into the same ledger.
        posted.setdefault(journal.key, []).append(journal)
        books.journals += 1
        books.cost_usd += sum((line.debit for line in journal.lines), Decimal(0))
    for key in sorted(set(ours) | set(posted)):
        found = posted.get(key, [])
        if len(found) != 1:
            books.differences.append(Difference(key, "journals in the ERP", "1", str(len(found))))
        elif key not in ours:
            books.differences.append(
                Difference(key, "delivery of the journal", "done", "the ERP has it, Hilum does not know")
            )
        else:
            asked = orjson.loads(ours[key]["request"])["journal"]["lines"]
            expected = sorted((x["account"], Decimal(x["debit"]), Decimal(x["credit"])) for x in asked)
            actual = sorted((line.account, line.debit, line.credit) for line in found[0].lines)
            if expected != actual:
                books.differences.append(Difference(key, "journal lines", _words(expected), _words(actual)))


def _words(lines: list[tuple[str, Decimal, Decimal]]) -> str:
    return ", ".join(
        f"{account} {'debit' if debit else 'credit'} {debit or credit}" for account, debit, credit in lines
    )


async def _orders(books: Books, done: Mapping[str, Any], ledger: LedgerBooks) -> None:
    placed: dict[str, list[Any]] = {}
    for order in await ledger.replenishments(_REPLENISH):
        placed.setdefault(order.key, []).append(order)
    for key, row in sorted(done.items()):
        if row["operation"] != "order_replenishment" or not key.startswith(_REPLENISH):
            continue  # A department's request orders too.
        found = placed.get(key, [])
        books.orders += len(found)
        if len(found) != 1:
            books.differences.append(Difference(key, "orders in the ERP", "1", str(len(found))))
            continue
        expected = orjson.loads(row["request"])["request"]["quantity_each"]
        if found[0].quantity_each != expected:
            books.differences.append(Difference(key, "ordered quantity", str(expected), str(found[0].quantity_each)))
