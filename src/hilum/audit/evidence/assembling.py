"""Assembling a package from the platform's own record, in one snapshot: threads, entries with proofs, who saw it.

Nothing protected is in it unless source bytes were asked for: values are masked by their contracts as everywhere.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from hilum.audit.entry import at_text
from hilum.audit.evidence.cover import cover_of
from hilum.audit.evidence.package import (
    ACCESSES,
    COVER,
    ENTRIES,
    HEADS,
    PAYLOADS,
    POSTINGS,
    TABLES,
    THREADS,
    json_bytes,
    json_lines,
    write_package,
)
from hilum.audit.evidence.postings import Postings, postings_of
from hilum.audit.evidence.scope import Scope, period_bounds
from hilum.audit.lineage import trace
from hilum.audit.lookup import beginnings
from hilum.audit.proofs import ProvedEntry, continuation_proof, proved_entries
from hilum.audit.signing import SignedHead, Signer, public_pem
from hilum.audit.thread import Address, Thread
from hilum.audit.thread_access import addresses_of
from hilum.audit.unsealing import Closed, Opens, opened
from hilum.audit.who_saw import Seen, subject_marks, who_saw
from hilum.authoring.estate import Estate
from hilum.store import sealed_places

MOST_THREADS = 20_000
_MOST_ACCESSES = 100_000
_HEAD = "size, root, at, key_id, signature"


_POSTED_THERE = """
    WITH there AS (SELECT j.source, j.facility, j.number FROM hilum.posting_journal AS j JOIN hilum.posting_source AS s USING (source)
                    WHERE j.facility = $3 AND s.staged_at >= $1)
    SELECT dc.case_id FROM there JOIN hilum.delivery_case AS dc ON dc.key = there.source || '/' || there.facility
    UNION ALL
    SELECT dc.case_id FROM there JOIN hilum.business_key AS k ON k.value = there.number AND k.subject LIKE 'd/%'
      JOIN hilum.delivery_case AS dc ON dc.key = substr(k.subject, 3)
    UNION ALL
    SELECT c.id FROM there JOIN hilum.business_key AS k ON k.value = substr(there.source, strpos(there.source, '/') + 1)
       AND k.kind = split_part(there.source, '/', 1) AND k.subject LIKE 'e/%'
      JOIN hilum.flow_case AS c ON c.event_shard = CASE WHEN k.subject LIKE 'e/%' THEN split_part(k.subject, '/', 2)::int END
       AND c.event_seq = CASE WHEN k.subject LIKE 'e/%' THEN split_part(k.subject, '/', 3)::bigint END
     WHERE c.created_at >= $1 AND c.created_at < $2"""
"""Cases of what the revenue books have at facility $3, whatever facility their event carries: by the key of the ERP's journal, by
the journal's number, and by the search key that a source is called by (remittance/HHP01/EFT-7), which counts before anything is
posted. What was staged before the period began belongs to cases of before."""


class NothingToPackage(LookupError):
    """Nothing is known by the key or in the period, or nothing of it is under a signed head yet."""


class TooMuchToPackage(ValueError):
    """More threads than one package holds: choose a shorter period or a facility."""


@dataclass(frozen=True)
class Sources:
    """What assembling needs of the installation.

    ``show_source`` gives the text of a message as it may be shown; ``protection`` opens what is sealed, and without it
    nothing sealed is in the package but its digest. ``policy_version`` is the digest of the policies in force.
    """

    estate: Estate
    signer: Signer
    show_source: Callable[[bytes], str]
    protection: Opens | None = None
    policy_version: str = ""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A package's bytes, its name and what is in it. ``pending`` entries about it are not under a head yet."""

    content: bytes
    digest: str
    subject: str
    head: SignedHead
    threads: int
    entries: int
    pending: int


async def assemble(
    connection: asyncpg.Connection,
    scope: Scope,
    sources: Sources,
    *,
    at: datetime,
    made_by: str,
    reason: str,
    with_payloads: bool = False,
) -> Assembled:
    """Everything about ``scope`` as one package. NothingToPackage, TooMuchToPackage, NoProof."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # A month of a large hospital takes longer to gather than anything else may.
        await connection.execute("SET LOCAL statement_timeout = 0")
        addresses = await _addresses(connection, scope, sources)
        if not addresses:
            raise NothingToPackage(f"nothing is known about {scope.subject}")
        record = await connection.fetchrow(f"SELECT {_HEAD} FROM hilum.audit_head ORDER BY size DESC LIMIT 1")
        if record is None:
            raise NothingToPackage("no head was signed yet: nothing can be proved")
        head = SignedHead.from_row(record)
        threads: list[Thread] = []
        for address in addresses:
            threads += await trace(connection, address, estate=sources.estate, limit=1, protection=sources.protection)
        accesses = await _accesses(connection, threads)
        places = {(mark.shard, mark.seq) for thread in threads for mark in thread.audit}
        postings = await postings_of(connection, threads)
        places |= {(access.shard, access.seq) for access in accesses} | postings.places
        entries, pending = await proved_entries(connection, places, head.size)
        proved = {(entry.shard, entry.seq) for entry in entries}
        accesses = [access for access in accesses if (access.shard, access.seq) in proved]
        raw = await _raw(connection, threads, sources)
        published = await _published(connection, head)
    # Telling a month of threads takes a while: not in the loop that beats this process's heart.
    return await asyncio.to_thread(
        _packed, scope, sources, threads, accesses, postings, entries, pending, raw, head, published,
        at=at, made_by=made_by, reason=reason, with_payloads=with_payloads,
    )  # fmt: skip


def _packed(
    scope: Scope,
    sources: Sources,
    threads: list[Thread],
    accesses: list[Seen],
    postings: Postings,
    entries: list[ProvedEntry],
    pending: int,
    raw: dict[Address, bytes | Closed],
    head: SignedHead,
    published: list[dict[str, Any]],
    *,
    at: datetime,
    made_by: str,
    reason: str,
    with_payloads: bool,
) -> Assembled:
    told = [_told(thread, raw, sources) for thread in threads]
    manifest: dict[str, Any] = {
        **scope.as_fields(),
        "estate": sources.estate.name,
        "estate_title": sources.estate.title,
        "made_at": at_text(at),
        "made_by": made_by,
        "reason": reason,
        "policy_version": sources.policy_version,
        "flows_version": sources.estate.flows_version,
        "with_payloads": with_payloads,
        "key_id": sources.signer.key_id,
        "public_key": public_pem(sources.signer.public_key),
        "head_size": head.size,
        "threads": len(threads),
        "entries": len(entries),
        "pending": pending,
    }
    files = {
        THREADS: json_lines(told),
        ENTRIES: json_lines([entry.as_fields() for entry in entries]),
        HEADS: json_bytes({"head": head.as_fields(), "published": published}),
        ACCESSES: json_lines([access.as_fields() for access in accesses]),
    }
    if postings.sources:
        files[POSTINGS] = json_lines(postings.sources)
        for digest, texts in postings.tables.items():
            files |= {f"{TABLES}{digest}/{name.rpartition('/')[2]}": text.encode() for name, text in texts.items()}
    if with_payloads:
        for address, content in raw.items():
            if isinstance(content, bytes):
                files[PAYLOADS + address.replace("/", "-")] = content
    files[COVER] = cover_of(manifest, threads, accesses, head, published, sources.estate).encode()
    content = write_package(manifest, files, sources.signer)
    return Assembled(content, sha256(content).hexdigest(), scope.subject, head, len(threads), len(entries), pending)


async def _addresses(connection: asyncpg.Connection, scope: Scope, sources: Sources) -> list[Address]:
    if scope.addresses:
        return list(scope.addresses)
    if scope.key is not None:
        start = await beginnings(connection, scope.key, sources.protection)
        if start.more:
            raise TooMuchToPackage(f"{scope.subject} leads to more than {len(start.addresses)} threads")
        return list(reversed(start.addresses))
    assert scope.period is not None
    begin, end = period_bounds(scope.period, ZoneInfo(sources.estate.time_zone))
    rows = await connection.fetch(
        f"""SELECT id FROM hilum.flow_case WHERE created_at >= $1 AND created_at < $2
              AND ($3::text IS NULL OR facility = $3 OR id IN ({_POSTED_THERE})) ORDER BY created_at, id LIMIT $4""",
        begin, end, scope.facility, MOST_THREADS + 1,
    )  # fmt: skip
    if len(rows) > MOST_THREADS:
        raise TooMuchToPackage(
            f"{scope.subject} holds more than {MOST_THREADS} cases: choose a shorter period or a facility"
        )
    return [f"c/{row['id']}" for row in rows]


async def _accesses(connection: asyncpg.Connection, threads: Sequence[Thread]) -> list[Seen]:
    subjects = dict.fromkeys(address for thread in threads for address in addresses_of(thread))
    return await who_saw(connection, marks=subject_marks(subjects), limit=_MOST_ACCESSES)


async def _raw(
    connection: asyncpg.Connection, threads: Sequence[Thread], sources: Sources
) -> dict[Address, bytes | Closed]:
    addresses = [message.address for thread in threads for message in thread.messages]
    places = [tuple(map(int, address.split("/")[1:])) for address in dict.fromkeys(addresses)]
    found: dict[Address, bytes | Closed] = {}
    rows = await connection.fetch(
        """SELECT m.shard, m.seq, m.raw FROM hilum.message AS m JOIN unnest($1::int[], $2::bigint[]) AS p(shard, seq)
               USING (shard, seq) ORDER BY m.shard, m.seq""",
        [shard for shard, _ in places], [seq for _, seq in places],
    )  # fmt: skip
    for row in rows:
        place = sealed_places.message_raw(row["shard"], row["seq"])
        found[f"m/{row['shard']}/{row['seq']}"] = await opened(sources.protection, row["raw"], place)
    return found


async def _published(connection: asyncpg.Connection, head: SignedHead) -> list[dict[str, Any]]:
    """The newest head of each place outside, and the proof that the package's head continues it."""
    rows = await connection.fetch(
        f"""SELECT p.place, {", ".join("h." + name for name in _HEAD.split(", "))}
              FROM hilum.head_publication AS p JOIN hilum.audit_head AS h ON h.size = p.size
             WHERE p.size <= $1 AND p.alarm IS NULL ORDER BY p.place""",
        head.size,
    )
    proved = []
    for row in rows:
        proof = await continuation_proof(connection, row["size"], head.size)
        steps = [b64encode(step).decode() for step in proof]
        proved.append({"place": row["place"], "head": SignedHead.from_row(row).as_fields(), "proof": steps})
    return proved


def _told(thread: Thread, raw: dict[Address, bytes | Closed], sources: Sources) -> dict[str, Any]:
    """A thread as the package holds it, with each transformation: what came, by what, into what."""
    told = asdict(thread)
    sources_by_address = {message.address: message for message in thread.messages}
    transformations = []
    for event in thread.events:
        contract = sources.estate.contracts.get(event.type)
        content = raw.get(event.message)
        message = sources_by_address.get(event.message)
        transformations.append(
            {
                "from": event.message,
                "source_sha256": None if message is None else message.sha256,
                "before": sources.show_source(content) if isinstance(content, bytes) else _why_not(content),
                "mapping": event.mapping,
                "contract": f"{event.type}@{event.version}",
                "contract_schema_sha256": None
                if contract is None or contract.contract_version != event.version
                else sha256(json_bytes(contract.model_json_schema())).hexdigest(),
                "to": event.address,
                "after": event.payload,
            }
        )
    told["transformations"] = transformations
    told["documents"] = [{"system": system, "document": document} for system, document in thread.documents]
    return told


def _why_not(content: Closed | None) -> str:
    return "past its retention" if content is None else content.why
