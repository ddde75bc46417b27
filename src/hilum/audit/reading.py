"""Reading the whole log in the order of its leaves, from one snapshot, a page at a time.

What is read is yielded as it stands, damage included: judging is the verifier's work, and exporting must not hide it.
"""

from collections import deque
from collections.abc import AsyncIterator

import asyncpg

from hilum.audit.merkle import HASH_BYTES
from hilum.audit.parts import Leaf, LogPart, RangeRow
from hilum.audit.signing import SignedHead
from hilum.audit.tiles import TILE_HASHES

PAGE_LEAVES = 4096
_TILES_A_READ = 2 * PAGE_LEAVES // TILE_HASHES
_ROWS_A_READ = 1000


class LogReader:
    """Reads one snapshot: the connection has to be inside a REPEATABLE READ transaction."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._shards: dict[int, _ShardEntries] = {}
        self._heads: deque[SignedHead] = deque()
        self._last_head_read = 0
        self._tiles: dict[int, bytes] = {}
        self._tiles_from = self._tiles_to = 0

    async def leaf_count(self) -> int:
        """How many leaf hashes the tiles hold, by the last of them."""
        record = await self._connection.fetchrow(
            "SELECT tile, length(hashes) AS bytes FROM hilum.audit_tile WHERE level = 0 ORDER BY tile DESC LIMIT 1"
        )
        return 0 if record is None else int(record["tile"] * TILE_HASHES + record["bytes"] // HASH_BYTES)

    async def parts(self) -> AsyncIterator[LogPart]:
        """Everything, in order. Leaves that no range row explains come without shard and seq."""
        leaf_count = await self.leaf_count()
        position = 0
        await self._read_heads()
        async for row, next_first in self._ranges():
            if row.first_leaf > leaf_count:
                # No hash was ever stored for these: the row is reported, its leaves do not exist.
                yield row
                continue
            async for part in self._leaves(None, position, row.first_leaf):
                yield part
            yield row
            end = min(row.first_leaf + row.count, leaf_count, leaf_count if next_first is None else next_first)
            async for part in self._leaves(row, max(row.first_leaf, position), end):
                yield part
            position = max(position, end)
        async for part in self._leaves(None, position, leaf_count):
            yield part
        while self._heads:
            yield await self._next_head()

    async def _ranges(self) -> AsyncIterator[tuple[RangeRow, int | None]]:
        """Range rows, each with the first leaf of the next one."""
        held: RangeRow | None = None
        after = -(2**63)
        while True:
            records = await self._connection.fetch(
                "SELECT first_leaf, shard, first_seq, count FROM hilum.audit_range "
                "WHERE first_leaf > $1 ORDER BY first_leaf LIMIT $2",
                after,
                _ROWS_A_READ,
            )
            for record in records:
                row = RangeRow(record["first_leaf"], record["shard"], record["first_seq"], record["count"])
                if held is not None:
                    yield held, row.first_leaf
                held = row
            if len(records) < _ROWS_A_READ:
                if held is not None:
                    yield held, None
                return
            after = records[-1]["first_leaf"]

    async def _leaves(self, row: RangeRow | None, begin: int, end: int) -> AsyncIterator[LogPart]:
        while begin < end:
            stop = min(end, begin + PAGE_LEAVES)
            if self._heads:
                stop = min(stop, max(self._heads[0].size, begin + 1))
            hashes = await self._hashes(begin, stop)
            if row is None:
                yield [Leaf(leaf, None, None, None, None, hashes[leaf - begin]) for leaf in range(begin, stop)]
            else:
                first_seq = row.first_seq + begin - row.first_leaf
                rows = await self._entries(row.shard).take(first_seq, stop - begin)
                yield [
                    Leaf(begin + offset, row.shard, first_seq + offset, *stored, hashed)
                    for offset, (stored, hashed) in enumerate(zip(rows, hashes, strict=True))
                ]
            begin = stop
            while self._heads and self._heads[0].size <= begin:
                yield await self._next_head()

    def _entries(self, shard: int) -> "_ShardEntries":
        return self._shards.setdefault(shard, _ShardEntries(self._connection, shard))

    async def _hashes(self, begin: int, end: int) -> list[bytes | None]:
        found: list[bytes | None] = []
        for leaf in range(begin, end):
            tile, place = divmod(leaf, TILE_HASHES)
            if not self._tiles_from <= tile < self._tiles_to:
                records = await self._connection.fetch(
                    "SELECT tile, hashes FROM hilum.audit_tile WHERE level = 0 AND tile >= $1 AND tile < $2",
                    tile,
                    tile + _TILES_A_READ,
                )
                self._tiles = {record["tile"]: record["hashes"] for record in records}
                self._tiles_from, self._tiles_to = tile, tile + _TILES_A_READ
            hashed = self._tiles.get(tile, b"")[place * HASH_BYTES : (place + 1) * HASH_BYTES]
            found.append(hashed if len(hashed) == HASH_BYTES else None)
        return found

    async def _next_head(self) -> SignedHead:
        head = self._heads.popleft()
        if not self._heads:
            await self._read_heads()
        return head

    async def _read_heads(self) -> None:
        records = await self._connection.fetch(
            "SELECT size, root, at, key_id, signature FROM hilum.audit_head WHERE size > $1 ORDER BY size LIMIT $2",
            self._last_head_read,
            _ROWS_A_READ,
        )
        self._heads.extend(SignedHead.from_row(record) for record in records)
        if records:
            self._last_head_read = records[-1]["size"]


class _ShardEntries:
    """The entries of one shard, read forwards."""

    def __init__(self, connection: asyncpg.Connection, shard: int) -> None:
        self._connection = connection
        self._shard = shard
        self._rows: deque[tuple[int, str, bytes]] = deque()
        self._read_to = 1
        """Everything below this number was read."""
        self._exhausted = False

    async def take(self, first_seq: int, count: int) -> list[tuple[str | None, bytes | None]]:
        """The (subject, entry) of consecutive numbers, of a missing entry (None, None)."""
        oldest = self._rows[0][0] if self._rows else self._read_to
        if first_seq < oldest or first_seq > self._read_to:
            # A changed range row points elsewhere: follow it.
            self._rows.clear()
            self._read_to, self._exhausted = first_seq, False
        taken: list[tuple[str | None, bytes | None]] = []
        for seq in range(first_seq, first_seq + count):
            if seq >= self._read_to and not self._exhausted:
                await self._read(seq)
            while self._rows and self._rows[0][0] < seq:
                self._rows.popleft()
            if self._rows and self._rows[0][0] == seq:
                _, subject, entry = self._rows.popleft()
                taken.append((subject, entry))
            else:
                taken.append((None, None))
        return taken

    async def _read(self, seq: int) -> None:
        records = await self._connection.fetch(
            "SELECT seq, subject, entry FROM hilum.audit_entry WHERE shard = $1 AND seq >= $2 ORDER BY seq LIMIT $3",
            self._shard,
            seq,
            PAGE_LEAVES,
        )
        self._rows.extend((record["seq"], record["subject"], record["entry"]) for record in records)
        self._exhausted = len(records) < PAGE_LEAVES
        if records:
            self._read_to = records[-1]["seq"] + 1
