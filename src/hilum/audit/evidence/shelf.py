"""Requests for packages, and the shelf on which packages lie until the archive has them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson

from hilum.audit.entry import Entry
from hilum.audit.evidence.assembling import Assembled
from hilum.audit.evidence.scope import Scope
from hilum.audit.lookup import beginnings
from hilum.audit.unsealing import Opens
from hilum.audit.veil import PROTECTED_KINDS
from hilum.audit.writer import append


@dataclass(frozen=True, slots=True)
class Request:
    """A package that somebody, or the calendar, wants archived."""

    id: int
    scope: Scope
    with_payloads: bool
    actor: str
    reason: str
    requested_at: datetime

    @property
    def number(self) -> str:
        return f"EV-{self.id}"


@dataclass(frozen=True, slots=True)
class ShelvedPackage:
    """A package as the table knows it."""

    digest: str
    request: int | None
    subject: str
    size_bytes: int
    made_at: datetime
    kept_in: str | None
    kept_as: str | None
    kept_at: datetime | None


class UnknownKey(LookupError):
    """Nothing is known by the key that was to be archived."""


async def scope_of_key(connection: asyncpg.Connection, key: str, protection: Opens | None) -> Scope:
    """A key as a scope that may be written down: by the addresses it leads to, called by its token when it is protected."""
    start = await beginnings(connection, key, protection)
    if not start.addresses:
        raise UnknownKey("nothing is known by this key; it may be spelled otherwise, or be past its retention")
    kinds = PROTECTED_KINDS if protection is None else PROTECTED_KINDS | set(protection.kinds)
    shown = key
    if any(kind in kinds for kind in start.kinds):
        tokens = [] if protection is None else protection.search_values(key)
        shown = tokens[0] if tokens else "protected"
    return Scope(f"key/{shown}", addresses=tuple(reversed(start.addresses)))


async def ask_for(
    connection: asyncpg.Connection,
    scope: Scope,
    *,
    actor: str,
    reason: str,
    now: datetime,
    with_payloads: bool = False,
    scheduled: bool = False,
) -> int | None:
    """Write a request down, with its audit entry; None when the calendar asked for the same before."""
    async with connection.transaction():
        stated = {"addresses": list(scope.addresses)} if scope.addresses else {}
        number: int | None = await connection.fetchval(
            """INSERT INTO hilum.evidence_request (subject, scope, with_payloads, actor, reason, scheduled, requested_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id""",
            scope.subject, orjson.dumps(scope.as_fields() | stated).decode(), with_payloads, actor, reason, scheduled, now,
        )  # fmt: skip
        if number is not None:
            detail = {"scope": scope.subject, "reason": reason, "with_payloads": with_payloads}
            await append(connection, [Entry(now, actor, "evidence.requested", f"evidence/EV-{number}", detail)])
    return number


async def open_requests(connection: asyncpg.Connection, limit: int = 50) -> list[Request]:
    """Requests that have not become an event yet, the oldest first."""
    rows = await connection.fetch(
        "SELECT * FROM hilum.evidence_request WHERE taken_at IS NULL ORDER BY id LIMIT $1", limit
    )
    return [_request(row) for row in rows]


async def the_request(connection: asyncpg.Connection, number: int) -> Request | None:
    row = await connection.fetchrow("SELECT * FROM hilum.evidence_request WHERE id = $1", number)
    return None if row is None else _request(row)


def _request(row: asyncpg.Record) -> Request:
    stated = orjson.loads(row["scope"])
    scope = Scope(
        row["subject"],
        period=stated.get("period"),
        facility=stated.get("facility"),
        addresses=tuple(stated.get("addresses", ())),
    )
    return Request(row["id"], scope, row["with_payloads"], row["actor"], row["reason"], row["requested_at"])


async def shelved(connection: asyncpg.Connection, request: int) -> ShelvedPackage | None:
    """The package of a request, if it was assembled."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM hilum.evidence_package WHERE request = $1", request)
    return None if row is None else ShelvedPackage(**dict(row))


async def shelve(
    connection: asyncpg.Connection, made: Assembled, *, request: int | None, now: datetime, actor: str
) -> None:
    """Put a package on the shelf, with its audit entry; whoever was first with the same request wins."""
    async with connection.transaction():
        put = await connection.fetchval(
            """INSERT INTO hilum.evidence_package (digest, request, subject, size_bytes, head_size, made_at, content)
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING 1""",
            made.digest, request, made.subject, len(made.content), made.head.size, now, made.content,
        )  # fmt: skip
        if put:
            detail = {"scope": made.subject, "sha256": made.digest, "threads": made.threads, "entries": made.entries}
            await append(connection, [Entry(now, actor, "evidence.made", f"evidence/{made.digest}", detail)])


async def content_of(connection: asyncpg.Connection, digest: str) -> bytes | None:
    """The bytes of a package on the shelf; None when there are none (any more)."""
    found: bytes | None = await connection.fetchval(
        "SELECT content FROM hilum.evidence_package WHERE digest = $1", digest
    )
    return found


async def note_kept(
    connection: asyncpg.Connection, digest: str, *, kept_in: str, kept_as: str, now: datetime, actor: str
) -> bool:
    """Note where a package is kept, with the audit entry; False when that was known or there is no such package."""
    async with connection.transaction():
        noted = await connection.fetchval(
            """UPDATE hilum.evidence_package SET kept_in = $2, kept_as = $3, kept_at = $4
                WHERE digest = $1 AND kept_at IS NULL RETURNING 1""",
            digest, kept_in, kept_as, now,
        )  # fmt: skip
        if noted:
            detail = {"archive": kept_in, "reference": kept_as, "sha256": digest}
            await append(connection, [Entry(now, actor, "evidence.archived", f"evidence/{digest}", detail)])
    return bool(noted)


_COLUMNS = "digest, request, subject, size_bytes, made_at, kept_in, kept_as, kept_at"


async def packages(connection: asyncpg.Connection, limit: int = 100) -> list[ShelvedPackage]:
    """The newest packages, kept or not."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM hilum.evidence_package ORDER BY made_at DESC, digest LIMIT $1", limit
    )
    return [ShelvedPackage(**dict(row)) for row in rows]
