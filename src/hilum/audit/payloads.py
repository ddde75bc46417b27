"""What entries say about stored events, and whether the events still are what they say.

The entry of a message says how many events were made of it and, under ``payloads``, the SHA-256 over the SHA-256 digests
of their plain payloads, in the order of their numbers. Entries of earlier releases say nothing of payloads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import asyncpg

from hilum.audit.entry import MalformedEntry, parse
from hilum.audit.expired import Expired
from hilum.audit.parts import Leaf
from hilum.audit.unsealing import Opens
from hilum.audit.verifier import Damage, VerifyReport
from hilum.store import sealed_places
from hilum.store.sealed import NotOurs, Shredded, is_sealed

_SUBJECT = re.compile(r"m/(\d{1,9})/(\d{1,18})")
_BEGINNING = b'{"action":"message.'
_PAGE = 500


@dataclass(frozen=True, slots=True)
class PayloadClaim:
    """An entry's word on the events of one message."""

    leaf: Leaf
    shard: int
    message_seq: int
    events: int
    digest: str


def payload_claims(leaves: Sequence[Leaf]) -> list[PayloadClaim]:
    """The claims among leaves. Entries that cannot be read claim nothing: the tree reports those."""
    claims = []
    for leaf in leaves:
        if leaf.entry is None or not leaf.entry.startswith(_BEGINNING):
            continue
        try:
            fields = parse(leaf.entry)
        except MalformedEntry:
            continue
        detail, address = fields["detail"], _SUBJECT.fullmatch(fields["subject"])
        events, digest = detail.get("events"), detail.get("payloads")
        if address and type(events) is int and isinstance(digest, str):
            claims.append(PayloadClaim(leaf, int(address[1]), int(address[2]), events, digest))
    return claims


class PayloadCheck:
    """Compares claims with ``hilum.event``. ``expired`` is what retention says it removed."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        report: VerifyReport,
        expired: Expired,
        protection: Opens | None,
    ) -> None:
        self._connection = connection
        self._report = report
        self._expired = expired
        self._protection = protection

    async def check(self, leaves: Sequence[Leaf]) -> None:
        """Recompute the digests that the leaves claim; changed, missing and added events are added to the report."""
        claims = payload_claims(leaves)
        for first in range(0, len(claims), _PAGE):
            await self._check(claims[first : first + _PAGE])

    async def _check(self, claims: Sequence[PayloadClaim]) -> None:
        found: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
        for row in await self._connection.fetch(
            """SELECT e.shard, e.message_seq, e.seq, e.payload FROM hilum.event AS e
                 JOIN unnest($1::int[], $2::bigint[]) AS c(shard, message_seq) USING (shard, message_seq)
                ORDER BY e.shard, e.seq""",
            [claim.shard for claim in claims], [claim.message_seq for claim in claims],
        ):  # fmt: skip
            found.setdefault((row["shard"], row["message_seq"]), []).append((row["seq"], row["payload"]))
        for claim in claims:
            await self._judge(claim, found.get((claim.shard, claim.message_seq), []))

    async def _judge(self, claim: PayloadClaim, events: list[tuple[int, bytes]]) -> None:
        about = f"m/{claim.shard}/{claim.message_seq}"
        if len(events) < claim.events:
            if not events and self._expired.covers(claim.shard, claim.message_seq):
                return
            missing = claim.events - len(events)
            self._tell(claim, "event-missing", f"{missing} of the {claim.events} events made of {about} are gone")
            return
        if len(events) > claim.events:
            added = ", ".join(f"e/{claim.shard}/{seq}" for seq, _ in events)
            self._tell(claim, "event-added", f"{about} made {claim.events} events, but {added} say they came of it")
            return
        digests = b""
        for seq, payload in events:
            place = sealed_places.event_payload(claim.shard, seq)
            if not is_sealed(payload):
                digests += sha256(payload).digest()
                continue
            try:
                if self._protection is None:
                    self._report.events_sealed += len(events)
                    return
                digests += sha256(await self._protection.opened(payload, place)).digest()
            except Shredded:
                self._report.events_sealed += len(events)
                return
            except NotOurs:
                self._tell(
                    claim, "event-changed", f"event e/{claim.shard}/{seq} of {about} was changed: it does not open"
                )
                return
        self._report.events_checked += len(events)
        if sha256(digests).hexdigest() != claim.digest:
            names = ", ".join(f"e/{claim.shard}/{seq}" for seq, _ in events)
            self._tell(
                claim, "event-changed", f"event {names} of {about} was changed: its payload does not give the digest"
            )

    def _tell(self, claim: PayloadClaim, kind: str, text: str) -> None:
        leaf = claim.leaf
        where = f"{text} (of leaf {leaf.leaf}, entry {leaf.seq} of shard {leaf.shard})"
        self._report.add(Damage(kind, where, leaf.leaf, leaf.shard, leaf.seq, leaf.subject))

    async def finish(self) -> None:
        """That every event came of a message that an entry tells of."""
        for row in await self._connection.fetch(
            """SELECT e.shard, e.seq, e.message_seq FROM hilum.event AS e WHERE NOT EXISTS (
                   SELECT FROM hilum.audit_entry AS a WHERE a.subject = 'm/' || e.shard || '/' || e.message_seq)
                ORDER BY e.shard, e.seq LIMIT 100"""
        ):
            address = f"e/{row['shard']}/{row['seq']}"
            text = f"event {address} says it came of m/{row['shard']}/{row['message_seq']}, of which no entry tells"
            self._report.add(Damage("event-added", text, None, row["shard"], None, address))
