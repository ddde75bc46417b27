"""What entries say about stored messages, and whether the messages still are what they say.

An entry of an action ``message.*`` about ``m/<shard>/<seq>`` carries the SHA-256 of the message's raw bytes as it was
when it arrived. Sealed messages are opened to compute it anew: with the keys a changed message is found, without them it is
only counted as sealed. What is stored in clear PostgreSQL computes itself, so the bytes never leave it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import asyncpg

from hilum.audit.entry import MalformedEntry, parse
from hilum.audit.expired import Expired, read_expired
from hilum.audit.parts import Leaf
from hilum.audit.unsealing import Opens
from hilum.audit.verifier import Damage, VerifyReport
from hilum.store import sealed_places
from hilum.store.sealed import NotOurs, Shredded

_SUBJECT = re.compile(r"m/(\d{1,9})/(\d{1,18})")
_BEGINNING = b'{"action":"message.'

_FOUND = """
    SELECT claim.ordinal, found.sealed, CASE WHEN found.sealed THEN message.raw END AS raw,
           CASE WHEN NOT found.sealed THEN sha256(message.raw) = claim.digest END AS same
    FROM unnest($1::int[], $2::bigint[], $3::bytea[]) WITH ORDINALITY AS claim (shard, seq, digest, ordinal)
    LEFT JOIN hilum.message ON message.shard = claim.shard AND message.seq = claim.seq
    CROSS JOIN LATERAL (SELECT substring(message.raw FROM 1 FOR 4) = '\\x93485301'::bytea AS sealed) AS found
"""
_PAGE = 500
"""Sealed messages that are fetched at once: their bytes come along."""


@dataclass(frozen=True, slots=True)
class MessageClaim:
    """An entry's word on one message: ``digest`` is 32 bytes of SHA-256 over its raw bytes."""

    leaf: Leaf
    shard: int
    seq: int
    digest: bytes


def message_claims(leaves: Iterable[Leaf]) -> list[MessageClaim]:
    """The claims among leaves. Entries that cannot be read claim nothing: the tree reports those."""
    claims: list[MessageClaim] = []
    for leaf in leaves:
        if leaf.entry is None or not leaf.entry.startswith(_BEGINNING):
            continue
        try:
            fields = parse(leaf.entry)
            digest = bytes.fromhex(fields["detail"]["sha256"])
        except (MalformedEntry, KeyError, TypeError, ValueError):
            continue
        address = _SUBJECT.fullmatch(fields["subject"])
        if address:
            claims.append(MessageClaim(leaf, int(address[1]), int(address[2]), digest))
    return claims


class MessageCheck:
    """Compares claims with the table ``hilum.message``, where there is one with the columns shard, seq and raw."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        report: VerifyReport,
        expired: Expired,
        protection: Opens | None,
    ) -> None:
        self._protection = protection
        self._connection = connection
        self._report = report
        self.expired = expired

    @classmethod
    async def begin(
        cls, connection: asyncpg.Connection, report: VerifyReport, protection: Opens | None = None
    ) -> "MessageCheck | None":
        columns = await connection.fetchval(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'hilum' AND table_name = 'message' "
            "AND column_name IN ('shard', 'seq', 'raw')"
        )
        if columns != 3:
            return None
        return cls(connection, report, await read_expired(connection), protection)

    async def check(self, leaves: Sequence[Leaf]) -> None:
        """Recompute the digests that the leaves claim; a changed or missing message is added to the report."""
        claims = message_claims(leaves)
        for first in range(0, len(claims), _PAGE):
            await self._check(claims[first : first + _PAGE])

    async def _check(self, claims: Sequence[MessageClaim]) -> None:
        records = await self._connection.fetch(
            _FOUND,
            [claim.shard for claim in claims],
            [claim.seq for claim in claims],
            [claim.digest for claim in claims],
        )
        verdicts: dict[int, bool | None] = {}
        unread: set[int] = set()
        for record in records:
            # A number is unique to a message only together with the time it arrived: should it occur twice, both count.
            place, same = record["ordinal"] - 1, record["same"]
            if record["sealed"]:
                same = await self._is_same(claims[place], record["raw"])
                if same is None:
                    unread.add(place)
                    continue
            verdicts[place] = same if verdicts.get(place, True) else False
        for place, claim in enumerate(claims):
            if place in verdicts:
                self._judge(claim, verdicts[place])
        self._report.messages_sealed += len(unread - verdicts.keys())

    async def _is_same(self, claim: MessageClaim, raw: bytes) -> bool | None:
        """Whether a sealed message is what it was; None when nobody can open it here, or any more."""
        if self._protection is None:
            return None
        try:
            plain = await self._protection.opened(raw, sealed_places.message_raw(claim.shard, claim.seq))
        except Shredded:
            return None
        except NotOurs:
            return False
        return sha256(plain).digest() == claim.digest

    def _judge(self, claim: MessageClaim, same: bool | None) -> None:
        subject, leaf = f"m/{claim.shard}/{claim.seq}", claim.leaf
        if same is None and self.expired.covers(claim.shard, claim.seq):
            self._report.messages_expired += 1
            return
        self._report.messages_checked += 1
        if same:
            return
        kind, what = (
            ("message-missing", "is gone, and no entry says that its retention had ended")
            if same is None
            else ("message-changed", "was changed: its raw bytes do not give the digest")
        )
        self._report.add(
            Damage(
                kind,
                f"message {subject} {what} (of leaf {leaf.leaf}, entry {leaf.seq} of shard {leaf.shard})",
                leaf.leaf,
                leaf.shard,
                leaf.seq,
                subject,
            )
        )
