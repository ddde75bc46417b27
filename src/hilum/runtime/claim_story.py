"""Everything that is known of one claim, as people read it: where it stands, each fact, its journals, its denials.

Claims are found by tokens of their numbers; no number of a claim or patient is told from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import asyncpg

from hilum.model.where import Where
from hilum.runtime import denials
from hilum.runtime.claim_work import reason_words
from hilum.runtime.denials import DenialLine
from hilum.store.where_sql import platform_columns, sql_condition

_COLUMNS = platform_columns(facility="nullif(facility, '')", queue="'claims'")


@dataclass(frozen=True)
class ClaimLine:
    """Where a claim stands; ``number`` is what people call it whose own number is not for them."""

    number: int
    state: str
    since: date | None
    reasons: tuple[str, ...]
    facility: str
    payer: str
    payer_class: str
    charge: Decimal
    adjudicated: Decimal
    paid: Decimal
    adjusted: Decimal
    patient: Decimal
    denied: Decimal
    awaits_original: bool
    paid_at: str
    sent_on: date | None


@dataclass(frozen=True)
class ClaimEvent:
    """One fact of its life, in words, with the document that said it."""

    on: date
    kind: str
    source: str
    words: str
    charge: Decimal | None = None
    paid: Decimal | None = None
    adjusted: Decimal | None = None
    patient: Decimal | None = None
    denied: Decimal | None = None


@dataclass(frozen=True)
class ClaimJournal:
    """A journal of the ERP in which amounts of the claim stand; ``number`` is None while it is not posted."""

    source: str
    facility: str
    number: str | None
    posted_on: date | None
    amount: Decimal


@dataclass(frozen=True)
class ClaimStory:
    claim: ClaimLine
    events: tuple[ClaimEvent, ...]
    journals: tuple[ClaimJournal, ...]
    denials: tuple[DenialLine, ...]


@dataclass(frozen=True)
class ClaimSum:
    """Claims of one payer at one facility in one state: how many, for how much, and since when the oldest."""

    state: str
    payer: str
    facility: str
    claims: int
    charge: Decimal
    paid: Decimal
    denied: Decimal
    oldest: date | None


async def story(connection: asyncpg.Connection, claim: str) -> ClaimStory | None:
    """All about the claim with this token; None when nothing is known of it."""
    row = await connection.fetchrow("SELECT * FROM claim WHERE claim = $1", claim)
    if row is None:
        return None
    facts = await connection.fetch("SELECT * FROM claim_fact WHERE claim = $1", claim)
    files = await connection.fetch(
        """SELECT a.* FROM claim_batch b JOIN claim_file_answer a
               ON (a.group_number <> '' AND a.partner = b.partner AND a.group_number = b.group_number AND a.number IN ('', b.number))
               OR (a.group_number = '' AND a.file <> '' AND a.file = b.file)
            WHERE b.batch = $1""",
        row["batch"],
    )
    events = [_event(fact) for fact in facts] + [_file_event(answer) for answer in files]
    journals = await connection.fetch(
        """SELECT e.source, e.facility, j.number, j.posted_on, sum(e.moved) AS amount
             FROM staged_entry e LEFT JOIN posting_journal j USING (source, facility)
            WHERE e.claim = $1 OR e.source IN (SELECT 'write_off/' || x.reference FROM denial d JOIN denial_decision x ON x.denial = d.number
                                                WHERE d.claim = $1 AND x.kind = 'write_off')
            GROUP BY e.source, e.facility, j.number, j.posted_on ORDER BY j.posted_on NULLS LAST, e.source, e.facility""",
        claim,
    )
    return ClaimStory(
        _line(row),
        tuple(sorted(events, key=lambda each: (each.on, each.source))),
        tuple(ClaimJournal(**dict(journal)) for journal in journals),
        tuple(await denials.of_claim(connection, claim)),
    )


async def summed(connection: asyncpg.Connection, where: Where) -> list[ClaimSum]:
    """Claims by state, payer and facility; the largest sums first."""
    allowed = sql_condition(where, _COLUMNS)
    rows = await connection.fetch(
        f"""SELECT state, payer, facility, count(*) AS claims, sum(charge) AS charge, sum(paid) AS paid, sum(denied) AS denied,
                   min(since) AS oldest
              FROM claim WHERE {allowed.text} GROUP BY state, payer, facility ORDER BY sum(charge) DESC, state, payer, facility""",
        *allowed.parameters,
    )
    return [ClaimSum(**dict(row)) for row in rows]


def _line(row: asyncpg.Record) -> ClaimLine:
    told: dict[str, Any] = {name: row[name] for name in ClaimLine.__dataclass_fields__ if name != "reasons"}
    return ClaimLine(**told, reasons=tuple(reason_words(code) for code in row["codes"]))


def _event(fact: asyncpg.Record) -> ClaimEvent:
    amounts = {name: fact[name] for name in ("charge", "paid", "adjusted", "patient", "denied")}
    return ClaimEvent(on=fact["on_day"], kind=fact["kind"], source=fact["source"], words=_words(fact), **amounts)


def _words(fact: asyncpg.Record) -> str:
    if fact["kind"] == "submitted":
        kinds = {"7": "sent to replace an earlier claim", "8": "sent to void an earlier claim"}
        return kinds.get(fact["frequency"], "sent") + f" to {fact['payer']}"
    if fact["kind"] == "answered":
        return "; ".join(reason_words(code) for code in fact["codes"])
    if fact["status"] == "22":
        return f"{fact['payer']} took an earlier decision back"
    return f"{fact['payer']} decided (claim status {fact['status']})"


def _file_event(answer: asyncpg.Record) -> ClaimEvent:
    said = "its file was read" if answer["accepted"] else "its file came back"
    why = "; ".join(reason_words(code) for code in answer["codes"][:6])
    return ClaimEvent(
        on=answer["on_day"], kind="file", source=answer["source"], words=f"{said}: {why}" if why else said
    )
