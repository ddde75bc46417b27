"""The claim books' tables: documents, the facts they hold about claims, and where each claim stands (migration 0023).

Everything here runs in the caller's transaction, which has taken ``lock``: where a claim stands is folded from all of its facts,
and nobody may add one between the reading and the writing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

import asyncpg
from pydantic import BaseModel

from hilum.authoring.claims import BookedAnswers, BookedBatch, BookedRemittance

_LOCK = 0x68696C756D0017
_FACT = (
    "claim", "kind", "source", "line", "on_day", "facility", "payer", "payer_class", "provider", "sequence", "frequency",
    "replaces", "file", "status", "accepted", "codes", "payer_claim", "charge", "paid", "adjusted", "patient", "denied",
    "service_from", "service_to",
)  # fmt: skip
_FILE_ANSWER = (
    "source", "line", "on_day", "accepted", "code", "codes", "partner", "group_number", "number", "file", "provider",
)  # fmt: skip
_VALUES = attrgetter(*(name for name in _FACT if name != "source"))  # In this order: the source is the third column.
_DENIED = ("source", "line", "claim", "group_code", "reason", "remarks", "amount")


class BookedBefore(ValueError):
    """The document was booked with other content; the text says which."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of ``claim_fact``: what a document says of a claim, which is named by its token."""

    claim: str
    kind: str
    line: str
    on_day: date
    facility: str = ""
    payer: str = ""
    payer_class: str = ""
    provider: str = ""
    sequence: str = ""
    frequency: str = ""
    replaces: str | None = None
    file: str = ""
    status: str = ""
    accepted: bool | None = None
    codes: tuple[str, ...] = ()
    payer_claim: str | None = None
    charge: Decimal | None = None
    paid: Decimal | None = None
    adjusted: Decimal | None = None
    patient: Decimal | None = None
    denied: Decimal | None = None
    service_from: date | None = None
    service_to: date | None = None

    def row(self, source: str) -> tuple[Any, ...]:
        claim, kind, *others = _VALUES(self)
        return claim, kind, source, *others


@dataclass(frozen=True, slots=True)
class DeniedAmount:
    """What of a decision was denied for one reason."""

    line: str
    claim: str
    group_code: str
    reason: str
    remarks: tuple[str, ...]
    amount: Decimal


async def lock(connection: asyncpg.Connection) -> None:
    """One writer at a time: documents are few, and a claim stands where all of its facts bring it."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


def digest_of(document: BaseModel) -> bytes:
    return hashlib.sha256(document.model_dump_json().encode()).digest()


async def add_batch(connection: asyncpg.Connection, batch: BookedBatch, facts: Sequence[Fact], now: datetime) -> bool:
    """Write down what was sent; whether it was news. ``BookedBefore`` when the batch stands there with other content."""
    digest = digest_of(batch)
    new = await connection.fetchval(
        """INSERT INTO claim_batch (batch, partner, interchange, group_number, number, file, on_day, claims, charge, digest, booked_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (batch) DO NOTHING RETURNING 1""",
        batch.batch, batch.partner, batch.interchange, batch.group, batch.number, batch.file, batch.on, len(batch.claims),
        sum((each.charge for each in batch.claims), Decimal(0)), digest, now,
    )  # fmt: skip
    if not new:
        known = await connection.fetchval("SELECT digest FROM claim_batch WHERE batch = $1", batch.batch)
        _same(batch.batch, known, digest)
        return False
    await _copy(connection, "claim_fact", _FACT, [fact.row(batch.batch) for fact in facts])
    return True


async def add_document(
    connection: asyncpg.Connection,
    document: BookedAnswers | BookedRemittance,
    facts: Sequence[Fact],
    now: datetime,
    *,
    denied: Sequence[DeniedAmount] = (),
) -> bool:
    """Write down what was said of claims and files; whether it was news. ``BookedBefore`` as for a batch."""
    files = document.files if isinstance(document, BookedAnswers) else ()
    digest = digest_of(document)
    new = await connection.fetchval(
        """INSERT INTO claim_document (source, kind, on_day, facts, digest, booked_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (source) DO NOTHING RETURNING 1""",
        document.source, "answers" if isinstance(document, BookedAnswers) else "remittance", document.on,
        len(facts) + len(files), digest, now,
    )  # fmt: skip
    if not new:
        known = await connection.fetchval("SELECT digest FROM claim_document WHERE source = $1", document.source)
        _same(document.source, known, digest)
        return False
    await _copy(connection, "claim_fact", _FACT, [fact.row(document.source) for fact in facts])
    if isinstance(document, BookedAnswers):
        await _copy(
            connection,
            "claim_file_answer",
            _FILE_ANSWER,
            [
                (
                    document.source, each.line, document.on, each.accepted, each.code, each.codes, document.partner, each.group,
                    each.number, each.file, each.provider,
                )
                for each in files
            ],
        )  # fmt: skip
    await _copy(
        connection,
        "denied_amount",
        _DENIED,
        [
            (document.source, each.line, each.claim, each.group_code, each.reason, each.remarks, each.amount)
            for each in denied
        ],
    )
    return True


async def concerned(connection: asyncpg.Connection, facts: Iterable[Fact]) -> set[str]:
    """The claims that facts say something of: their own, and those whose numbers at a payer they replace."""
    claims = {fact.claim for fact in facts}
    replaced = {fact.replaces for fact in facts if fact.replaces is not None}
    if replaced:
        rows = await connection.fetch(
            "SELECT DISTINCT claim FROM claim_fact WHERE payer_claim = ANY($1)", list(replaced)
        )
        claims |= {row["claim"] for row in rows}
    return claims


async def claims_of_files(connection: asyncpg.Connection, answers: BookedAnswers) -> set[str]:
    """The claims in the batches that answers about files may be meant for."""
    rows = await connection.fetch(
        """SELECT DISTINCT f.claim FROM claim_fact f JOIN claim_batch b ON b.batch = f.source
            WHERE f.kind = 'submitted' AND ((b.partner = $1 AND b.group_number = ANY($2)) OR (b.file <> '' AND b.file = ANY($3)))""",
        answers.partner,
        [each.group for each in answers.files if each.group],
        [each.file for each in answers.files if each.file],
    )
    return {row["claim"] for row in rows}


async def _copy(
    connection: asyncpg.Connection, table: str, columns: Collection[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    if rows:
        await connection.copy_records_to_table(table, schema_name="hilum", columns=list(columns), records=rows)


def _same(source: str, known: bytes, digest: bytes) -> None:
    if known != digest:
        raise BookedBefore(f"{source} was booked before and said something else")
