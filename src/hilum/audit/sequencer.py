"""The sequencer: merges what the shards' writers committed into one Merkle tree and signs its head.

One works at a time, whoever holds the advisory lock. All it knows is in the database, so it can be killed anywhere:
ranges, tiles and head commit together, and a head that was committed but not yet published is published by the next
run. It refuses to build on a right edge that does not give the last signed root, on a head it did not sign, and on a
database that is older than the published heads.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from hilum.audit.heads import HeadsDamaged, HeadsFile
from hilum.audit.merkle import HASH_BYTES
from hilum.audit.signing import SignedHead, Signer
from hilum.audit.tiles import TileAddress, TileTree, right_edge

logger = logging.getLogger(__name__)

BATCH_ENTRIES = 5000
"""At most so many entries of each shard are integrated in one transaction."""

_LOCK = "hashtextextended('hilum.audit.sequencer', 0)"
_HEAD_COLUMNS = "size, root, at, key_id, signature"

# PostgreSQL hashes the leaves: the entries never leave it.
_LEAVES = """
    SELECT count(*) AS entries, string_agg(leaf, ''::bytea ORDER BY seq) AS hashes
    FROM (
        SELECT seq, sha256('\\x00'::bytea || entry) AS leaf FROM hilum.audit_entry
        WHERE shard = $1 AND seq >= $2 AND seq < $3
    ) AS leaves
"""

_SHARDS = """
    SELECT s.shard, s.next_seq, coalesce(r.first_seq + r.count, 1) AS integrated
    FROM hilum.audit_shard AS s
    LEFT JOIN LATERAL (
        SELECT first_seq, count FROM hilum.audit_range WHERE shard = s.shard ORDER BY first_seq DESC LIMIT 1
    ) AS r ON true
    ORDER BY s.shard
"""


class AuditDamaged(Exception):
    """The stored log contradicts itself or what was published; nothing was added to it. ``hilum audit verify`` says more."""


@dataclass(frozen=True, slots=True)
class _Range:
    shard: int
    first_seq: int
    count: int
    hashes: bytes


class Sequencer:
    """Extends the tree of one database. ``clock`` gives the time, with its zone, that heads carry."""

    def __init__(
        self, pool: asyncpg.Pool, signer: Signer, clock: Callable[[], datetime], *, heads_file: Path | None = None
    ) -> None:
        self._pool = pool
        self._signer = signer
        self._clock = clock
        self._heads_file = None if heads_file is None else HeadsFile(heads_file)
        self.problem: str | None = None
        """Why nothing, or one shard, is not being integrated, in words for an operator; None while all is well."""

    async def run(self, stop_event: asyncio.Event, interval_seconds: float = 0.5) -> None:
        """Integrate until stopped, and once more then, so that a clean stop leaves nothing pending.

        A damaged log or an unreachable database is logged and kept in ``problem``, and tried again at each interval.
        """
        while True:
            stopping = stop_event.is_set()
            try:
                await self.run_once()
            except (AuditDamaged, HeadsDamaged) as damage:
                self._report(str(damage))
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as failure:
                self._report(f"the audit log could not be extended: {type(failure).__name__}: {failure}")
            if stopping:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(stop_event.wait(), interval_seconds)

    def _report(self, problem: str) -> None:
        if problem != self.problem:
            logger.error("%s", problem)
        self.problem = problem

    async def run_once(self) -> int:
        """Integrate everything committed so far; returns the number of new leaves, 0 also when another sequencer works.

        AuditDamaged when the stored log cannot be trusted as it stands.
        """
        async with self._pool.acquire() as connection:
            # A session's lock, not a transaction's: publishing comes after the commit and must be alone as well.
            if not await connection.fetchval(f"SELECT pg_try_advisory_lock({_LOCK})"):
                return 0
            try:
                return await self._integrate_all(connection)
            finally:
                if not connection.is_closed():
                    await connection.fetchval(f"SELECT pg_advisory_unlock({_LOCK})")

    async def _integrate_all(self, connection: asyncpg.Connection) -> int:
        head = await self._last_head(connection)
        await self._publish(connection, head)
        problem: str | None = None
        total = 0
        while True:
            async with connection.transaction():
                ranges, problem, more = await self._read_new(connection)
                if ranges:
                    head = await self._extend(connection, head, ranges)
            if not ranges:
                break
            total += sum(taken.count for taken in ranges)
            await self._publish(connection, head)
            if not more:
                break
        if problem is None:
            self.problem = None
        else:
            self._report(problem)
        return total

    async def _last_head(self, connection: asyncpg.Connection) -> SignedHead | None:
        record = await connection.fetchrow(f"SELECT {_HEAD_COLUMNS} FROM hilum.audit_head ORDER BY size DESC LIMIT 1")
        return None if record is None else SignedHead.from_row(record)

    async def _read_new(self, connection: asyncpg.Connection) -> tuple[list[_Range], str | None, bool]:
        """New ranges of all shards, a problem with one of them, and whether any has more than a batch."""
        ranges: list[_Range] = []
        problem: str | None = None
        more = False
        for record in await connection.fetch(_SHARDS):
            shard, first_seq, next_seq = record["shard"], record["integrated"], record["next_seq"]
            if next_seq < first_seq:
                raise AuditDamaged(
                    f"shard {shard} counts {next_seq - 1} entries but {first_seq - 1} are integrated; "
                    "run hilum audit verify, and restore what was there"
                )
            # The counter was committed with its entries: each number below it is there to be read, or was removed.
            end = min(next_seq, first_seq + BATCH_ENTRIES)
            if end == first_seq:
                continue
            leaves = await connection.fetchrow(_LEAVES, shard, first_seq, end)
            count, hashes = leaves["entries"], leaves["hashes"]
            if count < end - first_seq:
                count = await self._entries_before_gap(connection, shard, first_seq, end)
                problem = (
                    f"entry {first_seq + count} of shard {shard} was removed before it was integrated: the shard stands "
                    "still there; run hilum audit verify, and restore the entry"
                )
            elif end < next_seq:
                more = True
            if count:
                ranges.append(_Range(shard, first_seq, count, hashes[: count * HASH_BYTES]))
        return ranges, problem, more

    async def _entries_before_gap(self, connection: asyncpg.Connection, shard: int, first_seq: int, end: int) -> int:
        records = await connection.fetch(
            "SELECT seq FROM hilum.audit_entry WHERE shard = $1 AND seq >= $2 AND seq < $3 ORDER BY seq",
            shard,
            first_seq,
            end,
        )
        count = 0
        while count < len(records) and records[count]["seq"] == first_seq + count:
            count += 1
        return count

    async def _extend(
        self, connection: asyncpg.Connection, head: SignedHead | None, ranges: list[_Range]
    ) -> SignedHead:
        tree = await self._trusted_tree(connection, head)
        first_leaves: list[int] = []
        tiles: dict[TileAddress, bytes] = {}
        for taken in ranges:
            first_leaves.append(tree.size)
            tiles.update(tree.extend(taken.hashes))
        tiles.update(tree.edge())
        await connection.execute(
            "INSERT INTO hilum.audit_range (first_leaf, shard, first_seq, count) "
            "SELECT * FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::int[])",
            first_leaves,
            [taken.shard for taken in ranges],
            [taken.first_seq for taken in ranges],
            [taken.count for taken in ranges],
        )
        await connection.execute(
            "INSERT INTO hilum.audit_tile (level, tile, hashes) "
            "SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[]) "
            "ON CONFLICT (level, tile) DO UPDATE SET hashes = excluded.hashes",
            [level for level, _ in tiles],
            [tile for _, tile in tiles],
            list(tiles.values()),
        )
        # Heads never step back in time, whatever the clock does.
        at = self._clock() if head is None else max(self._clock(), head.at)
        grown = self._signer.sign(tree.size, tree.root(), at)
        await connection.execute(
            f"INSERT INTO hilum.audit_head ({_HEAD_COLUMNS}) VALUES ($1, $2, $3, $4, $5)",
            grown.size,
            grown.root,
            grown.at,
            grown.key_id,
            grown.signature,
        )
        return grown

    async def _trusted_tree(self, connection: asyncpg.Connection, head: SignedHead | None) -> TileTree:
        """The tree to build on, from its stored right edge, which has to give the last root that this key signed."""
        integrated = await connection.fetchval(
            "SELECT first_leaf + count FROM hilum.audit_range ORDER BY first_leaf DESC LIMIT 1"
        )
        size = 0 if head is None else head.size
        if (integrated or 0) != size:
            raise AuditDamaged(
                f"{integrated or 0} leaves are integrated but the newest head covers {size}; run hilum audit verify"
            )
        if head is None:
            return TileTree()
        if not head.is_signed_by(self._signer.public_key):
            raise AuditDamaged(
                f"the newest head (of {size} leaves) is not signed by this platform's key {self._signer.key_id} but "
                f"claims {head.key_id}; put the right signing key in place, or run hilum audit verify"
            )
        addresses = list(right_edge(size))
        records = await connection.fetch(
            "SELECT level, tile, hashes FROM hilum.audit_tile "
            "WHERE (level, tile) IN (SELECT * FROM unnest($1::smallint[], $2::bigint[]))",
            [level for level, _ in addresses],
            [tile for _, tile in addresses],
        )
        try:
            tree = TileTree.from_edge(size, {(row["level"], row["tile"]): row["hashes"] for row in records})
        except ValueError as damage:
            raise AuditDamaged(f"{damage}; run hilum audit verify") from damage
        if tree.root() != head.root:
            raise AuditDamaged(
                f"the stored hashes do not give the signed root of the first {size} leaves; run hilum audit verify"
            )
        return tree

    async def _publish(self, connection: asyncpg.Connection, head: SignedHead | None) -> None:
        """Bring the heads file up to the newest committed head."""
        if self._heads_file is None:
            return
        published = await asyncio.to_thread(self._heads_file.last)
        if published is not None:
            stored = 0 if head is None else head.size
            if published.size > stored:
                raise AuditDamaged(
                    f"{self._heads_file.path} knows {published.size} leaves but the database only {stored}: the database "
                    "was set back; run hilum audit verify, and restore what is missing"
                )
            if head is not None and published.size == head.size:
                if published.root != head.root:
                    raise AuditDamaged(
                        f"the database's head of {head.size} leaves is not the one published in {self._heads_file.path}; "
                        "run hilum audit verify"
                    )
                return
        if head is None:
            return
        records = await connection.fetch(
            f"SELECT {_HEAD_COLUMNS} FROM hilum.audit_head WHERE size > $1 ORDER BY size",
            0 if published is None else published.size,
        )
        await asyncio.to_thread(self._heads_file.append, [SignedHead.from_row(record) for record in records])
