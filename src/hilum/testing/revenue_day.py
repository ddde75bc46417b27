"""A day of the revenue cycle at Lakeshore: everything that EHR, laboratory, billing, clearinghouse and bank send, and what the books
must say afterwards.

``make_revenue_day(seed, size=1.0, on=day)`` is deterministic. At size 1 it has 20,000 encounters, 60,000 charges, 5,000 claims and
40 remittances, and what real days have: late charges, credits before their charges, codes that nobody knows, admissions that never
were, merges after posting, claim files that come back, answers before the file they answer, reversals before their originals,
recoupments, interest, a remittance that does not add up, one sent twice, one trace number for two payments, deposits that are
missing, short or returned. Names and numbers are made up and look it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from hilum.testing.revenue_day_access import Access, Encounter, Shares
from hilum.testing.revenue_day_arrivals import Arrival
from hilum.testing.revenue_day_books import RevenueBooks, reckon
from hilum.testing.revenue_day_catalogue import DayCharge
from hilum.testing.revenue_day_claims import BankLine, Claims, DayClaim, Payment

ENCOUNTERS, CHARGES, CLAIMS, PAYMENTS = 20_000, 60_000, 5_000, 40
SMALLEST = 0.005


@dataclass(frozen=True)
class RevenueDay:
    """A generated day. ``arrivals`` are in the order in which they come; ``members`` is whom the payer insures."""

    on: date
    arrivals: tuple[Arrival, ...]
    encounters: Sequence[Encounter]
    charges: Sequence[DayCharge]
    claims: Sequence[DayClaim]
    payments: Sequence[Payment]
    bank: Sequence[BankLine]
    members: Sequence[dict[str, str]]

    def of(self, *, morning: bool) -> list[Arrival]:
        """What comes on the day, or in the morning after the night that posts it."""
        return [each for each in self.arrivals if each.morning is morning]

    def books(self) -> RevenueBooks:
        """The books when all of it was taken in, two nights have passed, and nobody has worked any exception yet."""
        stands = Counter[bool](each.cancelled and bool(each.charged) for each in self.encounters)
        return reckon(self.charges, self.claims, self.payments, self.bank, cancelled_with_charges=stands[True])


def make_revenue_day(seed: int, *, on: date, size: float = 1.0, shares: Shares | None = None) -> RevenueDay:
    """Make a day. ``ValueError`` for one so small that not everything could happen in it."""
    if size < SMALLEST:
        raise ValueError(f"a revenue day of size {size} is too small: it needs {SMALLEST}")
    rng = random.Random(seed)
    access = Access(
        rng, on, encounters=round(ENCOUNTERS * size), charges=round(CHARGES * size), shares=shares if shares is not None else Shares()
    )  # fmt: skip
    claims = Claims(rng, on, claims=round(CLAIMS * size), payments=round(PAYMENTS * size))
    # Names carry the order: whoever reads a folder by name takes its files as they came.
    found = sorted((*access.arrivals, *claims.arrivals), key=lambda each: each.at)
    arrivals = tuple(
        replace(each, name=f"{number:05}-{each.name}") if each.name else each for number, each in enumerate(found)
    )
    return RevenueDay(
        on, arrivals, access.encounters, access.charges, claims.claims, claims.payments, claims.bank, access.members
    )  # fmt: skip
