"""The tables of collected charges: added once, kept aside with a cause, placed again, and counted (migration 0024).

Everything here runs in the caller's transaction. What a charge says is only ever added; where it stands changes beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import asyncpg

from hilum.authoring.revenue import NoPostingRule
from hilum.model.charge import Charge, ChargePlace

HELD, AGAIN, SKIPPED, OPEN, STAGED = "held", "again", "skipped", "open", "staged"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a charge's fact stands in the log."""

    shard: int
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Collected:
    """One charge to be written down: with its place in the books, or with the cause why it has none."""

    charge: Charge
    account: str | None  # Its token.
    place: Place
    placed: ChargePlace | None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class HeldSum:
    """What is kept aside at one facility for one cause. ``at_risk_usd`` counts credits like charges."""

    facility: str
    cause: str
    charges: int
    at_risk_usd: Decimal


async def add(connection: asyncpg.Connection, collection: str, found: Sequence[Collected], *, now: datetime) -> int:
    """Write charges down; how many were new. One that is known stays as it was."""
    if not found:
        return 0
    rows = [
        (
            each.charge.number, each.charge.facility, each.account, each.charge.department, each.charge.code,
            each.charge.charge_class, each.charge.payer, each.charge.service_on, each.charge.amount, each.charge.takes_back,
            each.place.shard, each.place.seq, each.place.at,
            HELD if each.placed is None else OPEN, each.cause, *_cells(each.placed),
        )
        for each in found
    ]  # fmt: skip
    added = await connection.fetchval(
        """WITH given AS (
               SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::date[],
                      $11::numeric[], $12::text[], $13::int[], $14::bigint[], $15::timestamptz[], $16::text[], $17::text[], $18::text[],
                      $19::text[], $20::text[])
                 AS g(charge, facility, account, department, code, charge_class, payer, service_on, amount, takes_back, shard, seq, at,
                      state, cause, place_class, cost_centre, payer_class)),
           new AS (
               INSERT INTO charge (charge, collection, facility, account, department, code, charge_class, payer, service_on, amount,
                                   takes_back, event_shard, event_seq, event_at, collected_at)
               SELECT charge, $1, facility, account, department, code, charge_class, payer, service_on, amount, takes_back, shard, seq,
                      at, $2 FROM given
               ON CONFLICT (charge) DO NOTHING RETURNING charge, event_shard, event_seq),
           stood AS (
               INSERT INTO charge_state (charge, facility, service_on, state, cause, place_class, cost_centre, payer_class)
               SELECT g.charge, g.facility, g.service_on, g.state, g.cause, g.place_class, g.cost_centre, g.payer_class
                 FROM given g JOIN new n ON n.charge = g.charge AND n.event_shard = g.shard AND n.event_seq = g.seq RETURNING 1)
           SELECT count(*) FROM stood""",
        collection, now, *([list(column) for column in zip(*rows, strict=True)]),
    )  # fmt: skip
    return int(added)


async def to_place_again(connection: asyncpg.Connection, collection: str, most: int) -> list[Charge]:
    """Charges whose cause was released, locked for this transaction."""
    rows = await connection.fetch(
        """SELECT c.* FROM charge_state s JOIN charge c USING (charge)
            WHERE s.state = 'again' AND c.collection = $1 ORDER BY c.charge LIMIT $2 FOR UPDATE OF s SKIP LOCKED""",
        collection, most,
    )  # fmt: skip
    return [charge_in(row) for row in rows]


async def place_again(
    connection: asyncpg.Connection, placed: Iterable[tuple[str, ChargePlace | None, str | None]]
) -> None:
    """Where these charges stand now: (number, place, None), or (number, None, cause) for one that is held still."""
    rows = [
        (number, HELD if place is None else OPEN, cause, *_cells(place)) for number, place, cause in placed
    ]  # fmt: skip
    if rows:
        await connection.execute(
            """UPDATE charge_state s SET state = g.state, cause = g.cause, place_class = g.place_class, cost_centre = g.cost_centre,
                      payer_class = g.payer_class
                 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
                   AS g(charge, state, cause, place_class, cost_centre, payer_class)
                WHERE s.charge = g.charge AND s.state IN ('again', 'open')""",
            *([list(column) for column in zip(*rows, strict=True)]),
        )  # fmt: skip


async def held(connection: asyncpg.Connection, causes: Iterable[tuple[str, str]]) -> list[HeldSum]:
    """What is kept aside for each of these (facility, cause); nothing for one of which nothing is.

    A fact that says its class itself (an implant) has a case of its own, which waits for the same cause and counts the same dollars:
    they are at risk once. Posting rules alone are nobody's but the books'.
    """
    wanted = sorted(set(causes))
    rows = await connection.fetch(
        """SELECT s.facility, s.cause, count(*) AS charges,
                  coalesce(sum(abs(c.amount)) FILTER (WHERE c.charge_class = '' OR starts_with(s.cause, $3)), 0) AS at_risk
             FROM unnest($1::text[], $2::text[]) AS w(facility, cause)
             JOIN charge_state s ON s.facility = w.facility AND s.cause = w.cause AND s.state = 'held'
             JOIN charge c USING (charge) GROUP BY 1, 2""",
        [facility for facility, _ in wanted], [cause for _, cause in wanted], f"{NoPostingRule.__name__}:",
    )  # fmt: skip
    return [HeldSum(row["facility"], row["cause"], row["charges"], row["at_risk"]) for row in rows]


def charge_in(row: asyncpg.Record) -> Charge:
    """A charge as its row tells it; the account stands there as a token only."""
    return Charge(
        number=row["charge"], account=None, facility=row["facility"], department=row["department"], code=row["code"],
        service_on=row["service_on"], amount=row["amount"], charge_class=row["charge_class"], payer=row["payer"],
        takes_back=row["takes_back"],
    )  # fmt: skip


def _cells(place: ChargePlace | None) -> tuple[str, str, str]:
    return ("", "", "") if place is None else (place.charge_class, place.cost_centre, place.payer_class)
