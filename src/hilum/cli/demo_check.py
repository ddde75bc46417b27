"""The demo's second opinion: the day's generator knows what must come out, and never looked at the platform."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any

import orjson

from hilum.testing.day import Day
from hilum.testing.day_books import Remedies
from hilum.testing.hospital import Hospital


@dataclass(frozen=True)
class Line:
    """One figure: what the generator expects and what was found."""

    what: str
    expected: str
    found: str

    @property
    def good(self) -> bool:
        return self.expected == self.found


@dataclass
class Comparison:
    """All figures of a day."""

    lines: list[Line] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return all(line.good for line in self.lines)

    def as_fields(self) -> list[dict[str, Any]]:
        return [{**asdict(line), "good": line.good} for line in self.lines]


def compare(hospital: Hospital, day: Day, released: int) -> Comparison:
    """The platform and its neighbours against the generator's own books; ``released`` unknown items were mapped."""
    remedies = (
        Remedies(charge_codes=day.remedies().charge_codes)
        if released
        else replace(day.remedies(), charge_codes={}, places=(), contract_prices_usd={}, counted_more={})
    )
    books = day.books(remedies)
    result = Comparison()
    stored = hospital.query(
        "SELECT count(*) AS n, count(*) FILTER (WHERE status = 'refused') AS refused FROM message WHERE transport <> 'replay'"
    )[0]
    facts = hospital.query("SELECT count(*) AS n FROM event WHERE type = 'ImplantUsed'")[0]["n"]
    result.lines.append(Line("messages stored", str(day.sent.messages), str(stored["n"])))
    result.lines.append(Line("messages refused", str(day.sent.refused), str(stored["refused"])))
    result.lines.append(Line("facts, however often reported", str(day.sent.facts), str(facts)))
    shelves = {(p["location"], p["item"]): p["on_hand"] for p in hospital.positions()}
    wrong = [
        f"{'/'.join(shelf)}: {shelves.get(shelf)} not {n}"
        for shelf, n in sorted(books.on_hand.items())
        if shelves.get(shelf) != n
    ]
    result.lines.append(Line("shelves that are not as they should be", "none", ", ".join(wrong) or "none"))
    charges = sorted(c["usage_id"] for c in hospital.charges())
    result.lines.append(Line("charges at billing", str(len(books.charged)), str(len(charges))))
    result.lines.append(
        Line(
            "charges that should not be there, or twice",
            "none",
            ", ".join(set(charges) - books.charged) or ("none" if len(set(charges)) == len(charges) else "twice"),
        )
    )
    cost = sum(
        (
            Decimal(line["debit"])
            for delivery in hospital.requests("post_journal")
            if delivery["state"] == "done"
            for line in orjson.loads(delivery["request"])["journal"]["lines"]
        ),
        Decimal(0),
    )
    result.lines.append(Line("cost posted, USD", f"{books.total_cost_usd:.2f}", f"{cost:.2f}"))
    orders = hospital.query(
        "SELECT count(*) AS n FROM delivery WHERE operation = 'order_replenishment' AND state = 'done'"
    )[0]["n"]
    result.lines.append(Line("replenishment orders", str(len(books.replenished)), str(orders)))
    waiting = sorted((queue, cause, n) for _, queue, cause, n in hospital.work_queue())
    expected = sorted((w.queue, f"{w.failure}:{w.cause}", w.cases) for w in books.work_items)
    result.lines.append(Line("work items and what waits in them", str(expected), str(waiting)))
    return result
