"""Where claims and denials stand, made anew from everything that is known of them: reads facts, folds, writes.

In the caller's transaction, under ``claim_books.lock``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg

from hilum.masterdata.claim_tables import ClaimTables
from hilum.model.claim_life import (
    Adjudicated,
    Answered,
    Batch,
    Facts,
    FileAnswer,
    Standing,
    Submitted,
    answers_by_batch,
    decisions,
    standing,
)
from hilum.model.denial_life import Decided, Denied, denial_state

_SUBMITTED, _ANSWERED, _ADJUDICATED = "submitted", "answered", "adjudicated"
_CLAIM = (
    ("claim", "text"), ("state", "text"), ("since", "date"), ("source", "text"), ("codes", "text"), ("batch", "text"),
    ("facility", "text"), ("payer", "text"), ("payer_class", "text"), ("charge", "numeric"), ("adjudicated", "numeric"),
    ("paid", "numeric"), ("adjusted", "numeric"), ("patient", "numeric"), ("denied", "numeric"),
    ("awaits_original", "boolean"), ("paid_at", "text"), ("sent_on", "date"), ("service_from", "date"),
    ("service_to", "date"), ("first_known", "date"),
)  # fmt: skip
_DENIAL = (
    ("claim", "text"), ("source", "text"), ("line", "text"), ("group_code", "text"), ("reason", "text"), ("remarks", "text"),
    ("payer", "text"), ("payer_class", "text"), ("facility", "text"), ("amount", "numeric"), ("on_day", "date"),
    ("due_on", "date"), ("cause", "text"), ("state", "text"),
)  # fmt: skip
_SEPARATOR = "\x1f"  # Between codes on their way into the table: arrays of arrays of unequal length are none.


@dataclass
class _Known:
    """All rows about one claim."""

    rows: list[asyncpg.Record] = field(default_factory=list)
    denied: list[asyncpg.Record] = field(default_factory=list)
    decided: dict[tuple[str, str, str, str], list[asyncpg.Record]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Folded:
    claims: list[tuple[Any, ...]]
    denials: list[tuple[Any, ...]]


async def fold(connection: asyncpg.Connection, claims: Collection[str], tables: ClaimTables, *, now: datetime) -> None:
    """Bring ``claim`` and ``denial`` up to what is known of these claims."""
    if not claims:
        return
    tokens = sorted(claims)
    known = {token: _Known() for token in tokens}
    for row in await connection.fetch("SELECT * FROM claim_fact WHERE claim = ANY($1)", tokens):
        known[row["claim"]].rows.append(row)
    for row in await connection.fetch("SELECT * FROM denied_amount WHERE claim = ANY($1)", tokens):
        known[row["claim"]].denied.append(row)
    for row in await connection.fetch(
        """SELECT d.claim, d.source, d.line, d.group_code, d.reason AS why, d.amount, x.decision, x.kind, x.at
             FROM denial d JOIN denial_decision x ON x.denial = d.number WHERE d.claim = ANY($1)""",
        tokens,
    ):
        place = (row["source"], row["line"], row["group_code"], row["why"])
        known[row["claim"]].decided.setdefault(place, []).append(row)
    file_answers = await _file_answers(connection, known)
    replacing = await _replacing(connection, known)
    folded = await asyncio.to_thread(_folded, known, file_answers, replacing, tables)
    await _write_claims(connection, folded.claims, now)
    await _write_denials(connection, folded.denials, now)


async def _file_answers(connection: asyncpg.Connection, known: Mapping[str, _Known]) -> dict[str, list[FileAnswer]]:
    own = {row["source"] for each in known.values() for row in each.rows if row["kind"] == _SUBMITTED}
    if not own:
        return {}
    # With every batch of the same control numbers: to which of them an answer belongs, their days say together.
    batches = await connection.fetch(
        """SELECT DISTINCT b.* FROM claim_batch mine JOIN claim_batch b
               ON (b.partner = mine.partner AND b.group_number = mine.group_number) OR (b.file <> '' AND b.file = mine.file)
            WHERE mine.batch = ANY($1)""",
        sorted(own),
    )
    answers = await connection.fetch(
        """SELECT DISTINCT a.* FROM claim_batch b JOIN claim_file_answer a
               ON (a.group_number <> '' AND a.partner = b.partner AND a.group_number = b.group_number)
               OR (a.group_number = '' AND a.file <> '' AND a.file = b.file)
            WHERE b.batch = ANY($1)""",
        sorted(own),
    )
    return answers_by_batch(
        [
            Batch(row["batch"], row["partner"], row["group_number"], row["number"], row["file"], row["on_day"])
            for row in batches
        ],
        [
            FileAnswer(
                row["source"], row["line"], row["on_day"], row["accepted"], tuple(row["codes"]), row["partner"],
                row["group_number"], row["number"], row["file"], row["provider"],
            )
            for row in answers
        ],
    )  # fmt: skip


async def _replacing(connection: asyncpg.Connection, known: Mapping[str, _Known]) -> dict[str, list[Submitted]]:
    """Submissions under other claim numbers that replace or void one of these claims, by claim."""
    numbers: dict[str, set[str]] = {}
    for token, each in known.items():
        for row in each.rows:
            if row["payer_claim"] is not None:
                numbers.setdefault(row["payer_claim"], set()).add(token)
    found: dict[str, list[Submitted]] = {}
    if numbers:
        rows = await connection.fetch(
            "SELECT * FROM claim_fact WHERE kind = 'submitted' AND replaces = ANY($1)", sorted(numbers)
        )
        for row in rows:
            for token in numbers[row["replaces"]] - {row["claim"]}:
                found.setdefault(token, []).append(_submitted(row))
    return found


def _folded(
    known: Mapping[str, _Known],
    file_answers: Mapping[str, Sequence[FileAnswer]],
    replacing: Mapping[str, Sequence[Submitted]],
    tables: ClaimTables,
) -> _Folded:
    claims, denials = [], []
    for token, each in known.items():
        submissions = [_submitted(row) for row in each.rows if row["kind"] == _SUBMITTED]
        decided = [_adjudicated(row) for row in each.rows if row["kind"] == _ADJUDICATED]
        replaced_by = replacing.get(token, ())
        written_off = _written_off(each, decided)
        stands = standing(
            Facts(
                submissions, file_answers, [_answered(row) for row in each.rows if row["kind"] == _ANSWERED], decided,
                replaced_by, written_off,
            )
        )  # fmt: skip
        claims.append(_claim_row(token, each.rows, stands))
        if each.denied:
            denials += _denials(each, decided, [*submissions, *replaced_by], claims[-1], tables)
    return _Folded(claims, denials)


def _written_off(known: _Known, decided: Sequence[Adjudicated]) -> Decimal:
    """What was given up of decisions that still stand: a payer that denies anew has not been forgiven the new denial."""
    if not known.decided:
        return Decimal(0)
    now = {(each.source, each.line) for each in decisions(decided).standing}
    return sum(
        (
            rows[0]["amount"]
            for (source, line, _, _), rows in known.decided.items()
            if (source, line) in now and any(row["kind"] == "written_off" for row in rows)
        ),
        Decimal(0),
    )


def _claim_row(token: str, rows: Sequence[asyncpg.Record], stands: Standing) -> tuple[Any, ...]:
    ordered = sorted(rows, key=lambda row: (row["on_day"], row["source"], row["line"]))
    sent = [row for row in ordered if row["kind"] == _SUBMITTED]
    paid = [row for row in ordered if row["kind"] == _ADJUDICATED]
    # Whose it is and who owes it billing knows best; of a claim that nobody submitted it is what the remittance says.
    own = sent[-1] if sent else paid[-1] if paid else ordered[-1]
    days = [(row["service_from"], row["service_to"]) for row in (sent or paid)]
    begins = [first for first, _ in days if first is not None]
    ends = [last if last is not None else first for first, last in days if last is not None or first is not None]
    elsewhere = (
        sorted({row["facility"] for row in paid if row["facility"] not in ("", own["facility"])}) if sent else []
    )
    return (
        token, stands.state, stands.since, stands.source, _SEPARATOR.join(stands.codes), stands.batch, own["facility"],
        own["payer"], own["payer_class"], stands.charge, stands.adjudicated, stands.paid, stands.adjusted, stands.patient,
        stands.denied, stands.awaits_original, ",".join(elsewhere), sent[-1]["on_day"] if sent else None,
        min(begins, default=None), max(ends, default=None), ordered[0]["on_day"],
    )  # fmt: skip


def _denials(
    known: _Known,
    decided: Sequence[Adjudicated],
    submissions: Sequence[Submitted],
    claim: tuple[Any, ...],
    tables: ClaimTables,
) -> list[tuple[Any, ...]]:
    sorted_out = decisions(decided)
    rows = {(row["source"], row["line"]): row for row in known.rows if row["kind"] == _ADJUDICATED}
    facility, last_service = claim[6], claim[19]
    found = []
    for part in known.denied:
        decision = rows[part["source"], part["line"]]
        denied = Denied(
            part["source"], part["line"], part["group_code"], part["reason"], part["amount"], tuple(part["remarks"])
        )
        said = known.decided.get((denied.source, denied.line, denied.group, denied.reason), [])
        people = [Decided(row["decision"], row["kind"], row["at"].date()) for row in said]
        found.append(
            (
                part["claim"], denied.source, denied.line, denied.group, denied.reason, _SEPARATOR.join(denied.remarks),
                decision["payer"], decision["payer_class"], facility, denied.amount, decision["on_day"],
                tables.due(decision["payer_class"], last_service), tables.cause(denied.reason),
                denial_state(denied, sorted_out, submissions, people),
            )
        )  # fmt: skip
    return found


async def _write_claims(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]], now: datetime) -> None:
    names = [name for name, _ in _CLAIM]
    told = [_array(name) for name in names]
    changed = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    await connection.execute(
        f"""INSERT INTO claim ({", ".join(names)}, updated_at)
            SELECT {", ".join(told)}, $1 FROM unnest({_unnested(_CLAIM)}) AS t ({", ".join(names)}) ORDER BY claim
            ON CONFLICT (claim) DO UPDATE SET {changed}, updated_at = excluded.updated_at""",
        now, *_columns(rows, len(_CLAIM)),
    )  # fmt: skip


async def _write_denials(connection: asyncpg.Connection, rows: Sequence[tuple[Any, ...]], now: datetime) -> None:
    if not rows:
        return
    names = [name for name, _ in _DENIAL]
    changed = ", ".join(f"{name} = excluded.{name}" for name in ("facility", "due_on", "cause", "state"))
    await connection.execute(
        f"""INSERT INTO denial ({", ".join(names)}, updated_at)
            SELECT {", ".join(_array(name) for name in names)}, $1 FROM unnest({_unnested(_DENIAL)}) AS t ({", ".join(names)})
            ORDER BY on_day, source, line, group_code, reason
            ON CONFLICT (source, line, group_code, reason) DO UPDATE SET {changed}, updated_at = excluded.updated_at""",
        now, *_columns(rows, len(_DENIAL)),
    )  # fmt: skip


def _array(name: str) -> str:
    return f"string_to_array({name}, E'\\x1f')" if name in ("codes", "remarks") else name


def _unnested(columns: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"${at}::{kind}[]" for at, (_, kind) in enumerate(columns, start=2))


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[at] for row in rows] for at in range(width)]


def _submitted(row: asyncpg.Record) -> Submitted:
    return Submitted(
        row["source"], row["line"], row["on_day"], row["charge"], row["file"], row["frequency"], row["provider"], row["replaces"]
    )  # fmt: skip


def _answered(row: asyncpg.Record) -> Answered:
    return Answered(
        row["source"], row["line"], row["on_day"], row["status"], row["accepted"], row["file"], tuple(row["codes"])
    )


def _adjudicated(row: asyncpg.Record) -> Adjudicated:
    return Adjudicated(
        row["source"], row["line"], row["on_day"], row["status"], row["charge"], row["paid"], row["adjusted"], row["patient"],
        row["denied"], row["payer"], row["payer_claim"],
    )  # fmt: skip
