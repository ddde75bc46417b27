"""What the books must say at the end of a day, reckoned from what really happened in theatre.

This is the oracle: it knows the usages, never the platform. A usage in a place that is mapped, of an item that is
known, from a shelf that holds enough, leaves the shelf; with a contract price it is costed and charged, and its shelf
is reordered once when it is found at or under its reorder point. Everything else waits for a person.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from hilum.testing.day_catalogue import Catalogue, Place
from hilum.testing.day_messages import Usage

ShelfKey = tuple[str, str]
"""(location, item)"""

QUEUES = {
    "UnknownItem": "item-master",
    "UnknownDepartment": "finance-master",
    "StockBelowZero": "inventory-control",
    "NoContractPrice": "purchasing",
}


@dataclass(frozen=True)
class Position:
    """A shelf as the day finds it."""

    location: str
    item: str
    on_hand: int
    reorder_point: int
    par: int
    last_receipt: str = "RC-0"

    @property
    def key(self) -> ShelfKey:
        return self.location, self.item


@dataclass(frozen=True)
class Waiting:
    """One work item: one cause, however many cases wait for it."""

    failure: str
    queue: str
    cause: str
    cases: int
    charge_usd: Decimal


@dataclass(frozen=True)
class Remedies:
    """What people did about the exceptions; books reckoned with it are those after everything was released."""

    charge_codes: Mapping[str, str] = field(default_factory=dict)  # Charge code to item.
    places: tuple[Place, ...] = ()
    contract_prices_usd: Mapping[str, Decimal] = field(default_factory=dict)  # By item.
    counted_more: Mapping[ShelfKey, int] = field(default_factory=dict)  # Found on the shelf beyond its books.


@dataclass(frozen=True)
class Books:
    """The end of the day. Money in USD, quantities in units of issue (each)."""

    on_hand: Mapping[ShelfKey, int]
    cost_usd: Mapping[str, Decimal]  # By cost centre: debits of the expense account, credits of inventory.
    journals: int
    charged: frozenset[str]  # Usage ids that billing has a charge for.
    replenished: frozenset[ShelfKey]  # Each by exactly one order.
    work_items: tuple[Waiting, ...]

    @property
    def total_cost_usd(self) -> Decimal:
        return sum(self.cost_usd.values(), Decimal(0))


def reckon(
    usages: Iterable[Usage], positions: Iterable[Position], catalogue: Catalogue, remedies: Remedies | None = None
) -> Books:
    """Go through the usages in the order they happened.

    Only shelves on which every usage is of one quantity run short in a generated day, so that the order in which
    the platform takes them changes neither units nor money.
    """
    done = remedies if remedies is not None else Remedies()
    shelf_of = {position.key: position for position in positions}
    on_hand = {key: p.on_hand + done.counted_more.get(key, 0) for key, p in shelf_of.items()}
    cost: dict[str, Decimal] = defaultdict(Decimal)
    charged: set[str] = set()
    replenished: set[ShelfKey] = set()
    waiting: Counter[tuple[str, str]] = Counter()
    at_stake: dict[tuple[str, str], Decimal] = defaultdict(Decimal)

    for usage in sorted(usages, key=lambda u: u.at):
        item = usage.item if usage.item is not None else done.charge_codes.get(usage.charge_code)
        place = usage.place if usage.place is not None else _mapped(usage, done.places)
        stopped: tuple[str, str] | None = None
        if item is None:
            stopped = "UnknownItem", usage.charge_code
        elif place is None:
            stopped = "UnknownDepartment", f"{usage.department} at {usage.facility}"
        elif on_hand[place.location, item] < usage.quantity:
            stopped = "StockBelowZero", f"{item} at {place.location}"
        else:
            shelf = place.location, item
            on_hand[shelf] -= usage.quantity
            price = catalogue.products[item].contract_price_usd
            if price is None:
                price = done.contract_prices_usd.get(item)
            if price is None:
                stopped = "NoContractPrice", item
            else:
                if on_hand[shelf] <= shelf_of[shelf].reorder_point:
                    replenished.add(shelf)
                cost[place.cost_centre] += (price * usage.quantity).quantize(Decimal("0.01"))
                charged.add(usage.usage_id)
        if stopped is not None:
            waiting[stopped] += 1
            at_stake[stopped] += usage.charge_usd

    return Books(
        on_hand=on_hand,
        cost_usd=dict(cost),
        journals=len(charged),
        charged=frozenset(charged),
        replenished=frozenset(replenished),
        work_items=tuple(
            Waiting(failure, QUEUES[failure], cause, cases, at_stake[failure, cause])
            for (failure, cause), cases in sorted(waiting.items())
        ),
    )


def _mapped(usage: Usage, places: Iterable[Place]) -> Place | None:
    return next((p for p in places if (p.facility, p.department) == (usage.facility, usage.department)), None)
