"""Purge certificates: what was removed, how much of it, under which rule; signed with the log's key and named in the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import asyncpg
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hilum.audit.certificates import PURGED, PURPOSE
from hilum.audit.entry import Entry, at_text, canonical_detail
from hilum.audit.signing import Signer, is_statement_signed
from hilum.audit.writer import append

FORMAT = "hilum-purge-certificate"
ACTOR = "system:retention"


@dataclass(frozen=True, slots=True)
class PurgeCertificate:
    """A certificate as it is stored. ``statement`` is the exact JSON that was signed."""

    id: int
    at: datetime
    rule: str
    table_name: str
    rows: int
    held_rows: int
    statement: bytes
    key_id: str
    signature: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """What it says."""
        said: dict[str, Any] = orjson.loads(self.statement)
        return said

    def is_signed_by(self, public_key: Ed25519PublicKey) -> bool:
        return is_statement_signed(public_key, PURPOSE, self.statement, self.signature)


async def certify(
    connection: asyncpg.Connection,
    signer: Signer,
    *,
    rule: str,
    table_name: str,
    rows: int,
    held_rows: int,
    says: Mapping[str, Any],
    now: datetime,
    subject: str | None = None,
) -> int:
    """Sign and store a certificate, with its audit entry, in the transaction of the purge; its number."""
    number: int = await connection.fetchval("SELECT nextval(pg_get_serial_sequence('hilum.purge_certificate', 'id'))")
    statement = canonical_detail(
        {
            **says, "format": FORMAT, "version": 1, "number": number, "at": at_text(now), "rule": rule, "table": table_name,
            "rows": rows, "held_rows": held_rows, "key_id": signer.key_id,
        }
    )  # fmt: skip
    await connection.execute(
        """INSERT INTO hilum.purge_certificate (id, at, rule, table_name, rows, held_rows, statement, key_id, signature)
           OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        number, now, rule, table_name, rows, held_rows, statement, signer.key_id, signer.sign_statement(PURPOSE, statement),
    )  # fmt: skip
    detail = {
        "certificate": number, "rule": rule, "table": table_name, "rows": rows, "held_rows": held_rows,
        "sha256": sha256(statement).hexdigest(), **({"before": says["before"]} if "before" in says else {}),
    }  # fmt: skip
    about = f"purge/{table_name}" if subject is None else subject
    await append(connection, [Entry(now, ACTOR, PURGED, about, detail)])
    return number


async def certificates(connection: asyncpg.Connection, *, limit: int = 100) -> list[PurgeCertificate]:
    """The newest certificates, the newest first."""
    rows = await connection.fetch("SELECT * FROM hilum.purge_certificate ORDER BY id DESC LIMIT $1", limit)
    return [PurgeCertificate(**dict(row)) for row in rows]
