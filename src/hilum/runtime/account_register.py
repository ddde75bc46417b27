"""The register of patient accounts: facts, merges and payers' answers, as tables (migration 0025).

Everything here runs in the caller's transaction. Facts are only ever added, each once, in whatever order they come; what an account
is, and which merges stand, is folded anew from all facts known of it. Numbers are tokens.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from hilum.model.identifiers import Identifier
from hilum.model.patient_account import AccountFact, AccountState, Merge, fold_account, fold_merges
from hilum.security.sealing.sealer import Sealer

ACCOUNT, MRN = "account", "mrn"
_CONTROL_ID = re.compile(r"(?=.*[0-9])[!-~]{1,199}")
TO_VERIFY, NOT_VERIFIED, STOPPED, NOT_ASKED = "to-verify", "not-verified", "stopped", "not-asked"
WAITING = (TO_VERIFY, NOT_VERIFIED)
"""A coverage of which its payer has not said anything yet."""


@dataclass(frozen=True)
class At:
    """The event that a fact stands in, sealed."""

    shard: int
    seq: int
    at: datetime


@dataclass(frozen=True)
class RegisteredFact:
    """A fact with its tokens: ``account`` and ``number`` with and without the authority."""

    event: At
    account: str
    number: str
    fact: AccountFact


@dataclass(frozen=True)
class RegisteredMerge:
    """A merge with its tokens."""

    event: At
    kind: str
    merge: Merge
    merged_number: str
    survivor_number: str
    facility: str


@dataclass(frozen=True)
class CoverageAnswer:
    """What is known of one inquiry after an attempt; ``attempt`` 0 says only that it is to be made."""

    inquiry: str
    attempt: int
    account: str
    number: str
    facility: str
    insurer: str
    on: date
    status: str
    reference: str
    at: datetime
    payer: str = ""


def token(sealer: Sealer, identifier: Identifier) -> str:
    """How the register calls an identifier: number and authority together."""
    return sealer.search_token(identifier.kind, str(identifier))


def number_token(sealer: Sealer, identifier: Identifier) -> str:
    """The token of the number alone, as search keys and other books have it."""
    return sealer.search_token(identifier.kind, identifier.value)


def message_word(sealer: Sealer, message_id: str) -> str:
    """A message's own number as a fact keeps it: what does not look like one may be anything, and stands as its token."""
    return message_id if _CONTROL_ID.fullmatch(message_id) else sealer.order_token(message_id)


async def add_facts(
    connection: asyncpg.Connection, facts: Sequence[RegisteredFact], *, now: datetime
) -> dict[str, AccountState]:
    """Add facts, each once, and fold the accounts they are of. Returns those whose fold was made anew, by account."""
    if not facts:
        return {}
    await connection.execute(
        """INSERT INTO account_fact (event_shard, event_seq, event_at, account, at, message, change, facility, mrn, patient_class,
                                     location, coverages)
           SELECT shard, seq, event_at, account, at, message, change, facility, mrn, class, location,
                  CASE WHEN coverages IS NULL THEN NULL ELSE string_to_array(coverages, ',') END
             FROM unnest($1::int[], $2::bigint[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
                  AS f (shard, seq, event_at, account, at, message, change, facility, mrn, class, location, coverages)
           ON CONFLICT DO NOTHING""",
        *_columns(
            [
                (
                    f.event.shard, f.event.seq, f.event.at, f.account, f.fact.at, f.fact.message, f.fact.change,
                    f.fact.facility, f.fact.mrn, f.fact.patient_class, f.fact.location,
                    None if f.fact.coverages is None else ",".join(f.fact.coverages),
                )
                for f in facts
            ]
        ),
    )  # fmt: skip
    numbers = {f.account: f.number for f in facts}
    # Whoever folds an account holds it: two that add at once would each fold without the other's facts.
    await lock(connection, numbers)
    known = await facts_of(connection, list(numbers))
    states = {account: fold_account(found) for account, found in known.items()}
    await connection.execute(
        """INSERT INTO patient_account (account, number, mrn, facility, status, patient_class, location, began_at, discharged_at,
                                        cancelled_at, waiting, facts, updated_at)
           SELECT account, number, mrn, facility, status, class, location, began_at, discharged_at, cancelled_at,
                  string_to_array(waiting, ','), facts, $13
             FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
                         $9::timestamptz[], $10::timestamptz[], $11::text[], $12::int[])
                  AS s (account, number, mrn, facility, status, class, location, began_at, discharged_at, cancelled_at, waiting, facts)
           ON CONFLICT (account) DO UPDATE SET
               mrn = excluded.mrn, facility = excluded.facility, status = excluded.status,
               patient_class = excluded.patient_class, location = excluded.location, began_at = excluded.began_at,
               discharged_at = excluded.discharged_at, cancelled_at = excluded.cancelled_at, waiting = excluded.waiting,
               facts = excluded.facts, updated_at = excluded.updated_at""",
        *_columns(
            [
                (
                    account, numbers[account], s.mrn, s.facility, s.status, s.patient_class, s.location, s.began_at,
                    s.discharged_at, s.cancelled_at, ",".join(s.waiting), len(known[account]),
                )
                for account, s in sorted(states.items())
            ]
        ),
        now,
    )  # fmt: skip
    return states


async def lock(connection: asyncpg.Connection, names: Collection[str]) -> None:
    """Hold these names until the transaction ends, in one order for everybody."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(name, 25)) FROM unnest($1::text[]) AS n (name)", sorted(names)
    )


async def facts_of(connection: asyncpg.Connection, accounts: Collection[str]) -> dict[str, list[AccountFact]]:
    """All facts known of these accounts."""
    rows = await connection.fetch(
        """SELECT account, at, message, change, facility, mrn, patient_class, location, coverages FROM account_fact
            WHERE account = ANY($1)""",
        list(accounts),
    )
    found: dict[str, list[AccountFact]] = {}
    for row in rows:
        coverages = row["coverages"]
        found.setdefault(row["account"], []).append(
            AccountFact(
                row["at"], row["message"], row["change"], row["facility"], row["mrn"], row["patient_class"],
                row["location"], None if coverages is None else tuple(coverages),
            )
        )  # fmt: skip
    return found


async def state_of(connection: asyncpg.Connection, account: str) -> AccountState | None:
    """The account that the facts make; None when nothing is known of it."""
    found = (await facts_of(connection, [account])).get(account)
    return fold_account(found) if found is not None else None


async def add_merges(connection: asyncpg.Connection, merges: Sequence[RegisteredMerge]) -> list[RegisteredMerge]:
    """Add merges, each once, and find out anew which stand. Returns those of ``merges`` and their kin that cannot."""
    if not merges:
        return []
    await lock(connection, {f"merge/{kind}" for kind in {m.kind for m in merges}})
    await connection.executemany(
        """INSERT INTO merge_fact (event_shard, event_seq, event_at, kind, merged, survivor, merged_number, survivor_number,
                                   facility, at, message)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING""",
        [
            (
                m.event.shard, m.event.seq, m.event.at, m.kind, m.merge.merged, m.merge.survivor, m.merged_number,
                m.survivor_number, m.facility, m.merge.at, m.merge.message,
            )
            for m in merges
        ],
    )  # fmt: skip
    refused: list[RegisteredMerge] = []
    for kind in sorted({m.kind for m in merges}):
        touched = {t for m in merges if m.kind == kind for t in (m.merge.merged, m.merge.survivor)}
        kin = await _kin(connection, kind, touched)
        merged = fold_merges(m.merge for m in kin)
        numbers = {m.merge.merged: m.merged_number for m in kin} | {m.merge.survivor: m.survivor_number for m in kin}
        at = {(m.merge.merged, m.merge.survivor): m.merge.at for m in reversed(kin)}
        await connection.execute(
            "DELETE FROM merged_identifier WHERE kind = $1 AND merged = ANY($2)",
            kind,
            [m.merge.merged for m in kin],
        )
        await connection.executemany(
            """INSERT INTO merged_identifier (kind, merged, survivor, merged_number, survivor_number, at)
               VALUES ($1, $2, $3, $4, $5, $6)""",
            [
                (kind, gone, kept, numbers[gone], numbers[kept], at[gone, kept])
                for gone, kept in sorted(merged.into.items())
            ],
        )
        refused += [m for m in kin if m.merge in merged.refused]
    return refused


async def _kin(connection: asyncpg.Connection, kind: str, touched: Collection[str]) -> list[RegisteredMerge]:
    """All merges that hang together with these identifiers, oldest first."""
    rows = await connection.fetch(
        """WITH RECURSIVE kin AS (
               SELECT unnest($2::text[]) AS here
               UNION
               SELECT CASE WHEN m.merged = kin.here THEN m.survivor ELSE m.merged END FROM kin
                 JOIN merge_fact m ON m.kind = $1 AND (m.merged = kin.here OR m.survivor = kin.here)
           )
           SELECT * FROM merge_fact WHERE kind = $1 AND merged IN (SELECT here FROM kin) ORDER BY at, message, merged, survivor""",
        kind, sorted(touched),
    )  # fmt: skip
    return [
        RegisteredMerge(
            At(r["event_shard"], r["event_seq"], r["event_at"]), kind,
            Merge(r["at"], r["message"], r["merged"], r["survivor"]), r["merged_number"], r["survivor_number"],
            r["facility"],
        )
        for r in rows
    ]  # fmt: skip


async def survivor_of(connection: asyncpg.Connection, kind: str, identifier: str) -> str:
    """The token that stands for this one now: itself when it was never merged."""
    found: str = await connection.fetchval("SELECT hilum.survivor_of($1, $2)", kind, identifier)
    return found


async def merged_with(connection: asyncpg.Connection, kind: str, identifier: str) -> list[str]:
    """All tokens that are one with this one by now, itself among them: what to look for in books that keep what was told."""
    rows = await connection.fetch("SELECT hilum.merged_with($1, $2) AS here", kind, identifier)
    return sorted(row["here"] for row in rows)


async def numbers_with(connection: asyncpg.Connection, kind: str, number: str) -> list[str]:
    """The same for tokens of numbers alone, as search keys have them: all numbers that were merged with this one."""
    rows = await connection.fetch(
        """WITH RECURSIVE kin AS (
               SELECT $2::text AS here
               UNION
               SELECT CASE WHEN m.merged_number = kin.here THEN m.survivor_number ELSE m.merged_number END FROM kin
                 JOIN merged_identifier m ON m.kind = $1 AND (m.merged_number = kin.here OR m.survivor_number = kin.here)
           )
           SELECT here FROM kin""",
        kind, number,
    )  # fmt: skip
    return sorted(row["here"] for row in rows)


async def add_answers(connection: asyncpg.Connection, answers: Sequence[CoverageAnswer]) -> int:
    """Add what is known of inquiries, each attempt once; how many were news."""
    if not answers:
        return 0
    added = await connection.fetch(
        """INSERT INTO coverage_answer (inquiry, attempt, account, number, facility, insurer, payer, on_day, status, reference, at)
           SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::date[],
                                $9::text[], $10::text[], $11::timestamptz[])
           ON CONFLICT DO NOTHING RETURNING 1""",
        *_columns(
            [
                (a.inquiry, a.attempt, a.account, a.number, a.facility, a.insurer, a.payer, a.on, a.status, a.reference, a.at)
                for a in answers
            ]
        ),
    )  # fmt: skip
    return len(added)


async def answers_of(connection: asyncpg.Connection, inquiry: str) -> list[CoverageAnswer]:
    """All that is known of an inquiry, the latest attempt last."""
    rows = await connection.fetch("SELECT * FROM coverage_answer WHERE inquiry = $1 ORDER BY attempt", inquiry)
    return [_answer(row) for row in rows]


async def coverage_of(connection: asyncpg.Connection, accounts: Collection[str]) -> list[CoverageAnswer]:
    """Where each coverage of these accounts stands: the latest attempt of each inquiry, newest day first."""
    rows = await connection.fetch(
        """SELECT DISTINCT ON (inquiry) * FROM coverage_answer WHERE account = ANY($1) ORDER BY inquiry, attempt DESC""",
        list(accounts),
    )
    return sorted(map(_answer, rows), key=lambda a: (a.on, a.insurer, a.inquiry), reverse=True)


async def waiting_since(connection: asyncpg.Connection, before: datetime, limit: int) -> list[CoverageAnswer]:
    """Inquiries first reported or asked before ``before`` that are still without an answer, of accounts that are not cancelled."""
    rows = await connection.fetch(
        """SELECT DISTINCT ON (c.inquiry) c.* FROM coverage_answer c
            WHERE c.inquiry IN (SELECT inquiry FROM coverage_answer WHERE at < $1 AND status = ANY($2))
              AND NOT EXISTS (SELECT 1 FROM coverage_answer a WHERE a.inquiry = c.inquiry AND NOT a.status = ANY($2))
              AND NOT EXISTS (SELECT 1 FROM patient_account p WHERE p.account = c.account AND p.status = 'cancelled')
              AND NOT EXISTS (SELECT 1 FROM work_item_case w WHERE w.subject IN ('v/' || c.reference, 'c/verify_coverage/' || c.inquiry))
            ORDER BY c.inquiry, c.attempt DESC LIMIT $3""",
        before, list(WAITING), limit,
    )  # fmt: skip
    return [_answer(row) for row in rows]


def _answer(row: asyncpg.Record) -> CoverageAnswer:
    return CoverageAnswer(
        inquiry=row["inquiry"], attempt=row["attempt"], account=row["account"], number=row["number"],
        facility=row["facility"], insurer=row["insurer"], on=row["on_day"], status=row["status"],
        reference=row["reference"], at=row["at"], payer=row["payer"],
    )  # fmt: skip


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


__all__ = [
    "ACCOUNT",
    "MRN",
    "NOT_ASKED",
    "NOT_VERIFIED",
    "STOPPED",
    "TO_VERIFY",
    "WAITING",
    "At",
    "CoverageAnswer",
    "RegisteredFact",
    "RegisteredMerge",
    "add_answers",
    "add_facts",
    "add_merges",
    "answers_of",
    "coverage_of",
    "facts_of",
    "merged_with",
    "message_word",
    "number_token",
    "numbers_with",
    "state_of",
    "survivor_of",
    "token",
    "waiting_since",
]
