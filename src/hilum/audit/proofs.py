"""Proofs that an outsider checks: one entry under one signed head, and one head as the beginning of a later one."""

from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hilum.audit.merkle import (
    LeafRange,
    complete_subtrees,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    range_hashes,
    verify_inclusion,
)
from hilum.audit.signing import SignedHead
from hilum.audit.tiles import TileAddress, node_from_tile, tile_of


class NoProof(Exception):
    """What was asked for is not in the log or not under a head yet, or the stored hashes do not suffice."""


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That ``entry`` is leaf ``leaf`` of the tree under ``head``: everything needed to check it but the public key."""

    leaf: int
    shard: int
    seq: int
    entry: bytes
    path: list[bytes]
    head: SignedHead

    def problems(self, public_key: Ed25519PublicKey) -> list[str]:
        """Why the proof does not hold; empty when it does."""
        found: list[str] = []
        if not self.head.is_signed_by(public_key):
            found.append(f"the head of {self.head.size} leaves is not signed by this key")
        if not verify_inclusion(leaf_hash(self.entry), self.leaf, self.head.size, self.path, self.head.root):
            found.append(f"entry {self.seq} of shard {self.shard} is not leaf {self.leaf} under the signed root")
        return found

    def as_fields(self) -> dict[str, Any]:
        """JSON values; the path from the leaf upwards in base64, as RFC 9162 section 2.1.3.2 consumes it."""
        return {
            "proof": "hilum-audit-inclusion",
            "version": 1,
            "leaf": self.leaf,
            "shard": self.shard,
            "seq": self.seq,
            "entry": self.entry.decode(errors="backslashreplace"),
            "entry_base64": b64encode(self.entry).decode(),
            "leaf_hash": b64encode(leaf_hash(self.entry)).decode(),
            "path": [b64encode(step).decode() for step in self.path],
            "head": self.head.as_fields(),
        }

    @classmethod
    def from_fields(cls, fields: object) -> "InclusionProof":
        """The reverse of ``as_fields``; NoProof when it is not one."""
        if not isinstance(fields, dict) or fields.get("proof") != "hilum-audit-inclusion" or fields.get("version") != 1:
            raise NoProof("this is not an inclusion proof of version 1")
        try:
            return cls(
                int(fields["leaf"]),
                int(fields["shard"]),
                int(fields["seq"]),
                b64decode(fields["entry_base64"], validate=True),
                [b64decode(step, validate=True) for step in fields["path"]],
                SignedHead.from_fields(fields["head"]),
            )
        except (KeyError, TypeError, ValueError) as failure:
            raise NoProof(f"the inclusion proof cannot be read: {failure}") from failure


async def inclusion_proof(connection: asyncpg.Connection, leaf: int) -> InclusionProof:
    """The proof of one leaf under the newest head, from a handful of tiles; NoProof says what stands in the way."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        record = await connection.fetchrow(
            "SELECT size, root, at, key_id, signature FROM hilum.audit_head ORDER BY size DESC LIMIT 1"
        )
        size = 0 if record is None else record["size"]
        if record is None or not 0 <= leaf < size:
            raise NoProof(f"leaf {leaf} is not under a signed head: the newest covers {size} leaves")
        place = await connection.fetchrow(
            "SELECT r.shard, e.seq, e.entry FROM (SELECT * FROM hilum.audit_range WHERE first_leaf <= $1 "
            "ORDER BY first_leaf DESC LIMIT 1) AS r JOIN hilum.audit_entry AS e "
            "ON e.shard = r.shard AND e.seq = r.first_seq + $1 - r.first_leaf WHERE $1 < r.first_leaf + r.count",
            leaf,
        )
        if place is None:
            raise NoProof(f"the entry of leaf {leaf} is missing: run hilum audit verify")
        path = await _hashes(connection, inclusion_ranges(leaf, size))
        return InclusionProof(leaf, place["shard"], place["seq"], place["entry"], path, SignedHead.from_row(record))


async def consistency_proof(connection: asyncpg.Connection, old_size: int) -> tuple[list[bytes], SignedHead]:
    """The proof that the newest head's tree begins with the tree of ``old_size`` leaves, and that head."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        record = await connection.fetchrow(
            "SELECT size, root, at, key_id, signature FROM hilum.audit_head ORDER BY size DESC LIMIT 1"
        )
        if record is None or not 0 < old_size <= record["size"]:
            raise NoProof(f"no signed head covers {old_size} leaves")
        return await _hashes(connection, consistency_ranges(old_size, record["size"])), SignedHead.from_row(record)


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    """An entry and its path to the root of a head that stands elsewhere."""

    leaf: int
    shard: int
    seq: int
    entry: bytes
    path: list[bytes]

    def as_fields(self) -> dict[str, Any]:
        return {
            "leaf": self.leaf,
            "shard": self.shard,
            "seq": self.seq,
            "entry": self.entry.decode(errors="backslashreplace"),
            "path": [b64encode(step).decode() for step in self.path],
        }


async def proved_entries(
    connection: asyncpg.Connection, places: Iterable[tuple[int, int]], size: int
) -> tuple[list[ProvedEntry], int]:
    """The entries at (shard, seq), each with its path under the tree of ``size`` leaves, and how many have no leaf there.

    The connection is inside a transaction whose snapshot holds that tree. NoProof when a tile is missing.
    """
    wanted = sorted(set(places))
    records = await connection.fetch(
        "SELECT r.first_leaf + e.seq - r.first_seq AS leaf, e.shard, e.seq, e.entry "
        "FROM unnest($1::int[], $2::bigint[]) AS p (shard, seq) JOIN hilum.audit_entry AS e USING (shard, seq) "
        "CROSS JOIN LATERAL (SELECT * FROM hilum.audit_range WHERE shard = e.shard AND first_seq <= e.seq "
        "ORDER BY first_seq DESC LIMIT 1) AS r "
        "WHERE e.seq < r.first_seq + r.count AND r.first_leaf + e.seq - r.first_seq < $3 ORDER BY leaf",
        [shard for shard, _ in wanted],
        [seq for _, seq in wanted],
        size,
    )
    spans = [inclusion_ranges(record["leaf"], size) for record in records]
    hashes = dict(
        zip(flat := sorted({s for path in spans for s in path}), await _hashes(connection, flat), strict=True)
    )
    proved = [
        ProvedEntry(record["leaf"], record["shard"], record["seq"], record["entry"], [hashes[span] for span in path])
        for record, path in zip(records, spans, strict=True)
    ]
    return proved, len(wanted) - len(proved)


async def continuation_proof(connection: asyncpg.Connection, old_size: int, size: int) -> list[bytes]:
    """The proof that the tree of ``size`` leaves begins with that of ``old_size``; NoProof when a tile is missing."""
    return await _hashes(connection, consistency_ranges(old_size, size))


async def leaves_about(connection: asyncpg.Connection, subject: str) -> list[int]:
    """The leaves of the entries about a subject, in order; entries that no head covers yet have none."""
    records = await connection.fetch(
        "SELECT r.first_leaf + e.seq - r.first_seq AS leaf FROM hilum.audit_entry AS e CROSS JOIN LATERAL "
        "(SELECT * FROM hilum.audit_range WHERE shard = e.shard AND first_seq <= e.seq ORDER BY first_seq DESC LIMIT 1) AS r "
        "WHERE e.subject = $1 AND e.seq < r.first_seq + r.count ORDER BY leaf",
        subject,
    )
    return [record["leaf"] for record in records]


async def _hashes(connection: asyncpg.Connection, ranges: Iterable[LeafRange]) -> list[bytes]:
    spans = list(ranges)
    addresses: set[TileAddress] = {tile_of(node) for span in spans for node in complete_subtrees(*span)}
    records = await connection.fetch(
        "SELECT level, tile, hashes FROM hilum.audit_tile "
        "WHERE (level, tile) IN (SELECT * FROM unnest($1::smallint[], $2::bigint[]))",
        [level for level, _ in addresses],
        [tile for _, tile in addresses],
    )
    tiles = {(record["level"], record["tile"]): record["hashes"] for record in records}

    def node(height: int, index: int) -> bytes:
        address = tile_of((height, index))
        if address not in tiles:
            raise NoProof(f"tile {address[1]} of level {address[0]} is missing: run hilum audit verify")
        try:
            hashed: bytes = node_from_tile((height, index), tiles[address])
        except ValueError as damage:
            raise NoProof(f"{damage}: run hilum audit verify") from damage
        return hashed

    return range_hashes(spans, node)
