"""Verifying the log of a live database: the tree, its heads, what surrounds them, and the messages they speak of."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hilum.audit.certificates import CertificateCheck
from hilum.audit.heads import HeadsFile
from hilum.audit.merkle import HASH_BYTES
from hilum.audit.messages import MessageCheck
from hilum.audit.parts import RangeRow
from hilum.audit.payloads import PayloadCheck
from hilum.audit.reading import LogReader
from hilum.audit.signing import SignedHead
from hilum.audit.tiles import TileAddress, TileTree, levels_of
from hilum.audit.unsealing import Opens
from hilum.audit.verifier import Damage, Verifier, VerifyReport
from hilum.audit.who_saw import MarkCheck

Progress = Callable[[int, int], None]
"""Called with the leaves verified so far and the leaves there are."""


async def verify_database(
    source: asyncpg.Pool | asyncpg.Connection,
    *,
    public_key: Ed25519PublicKey,
    heads_file: Path | None = None,
    published: Iterable[SignedHead] | None = None,
    progress: Progress | None = None,
    protection: Opens | None = None,
) -> VerifyReport:
    """Recompute everything from the entries, in one snapshot and in memory that does not grow with the log.

    The sequencer may work meanwhile. Without ``heads_file`` a database whose whole end was cut off, heads included,
    looks whole: only what was published outside it can tell. Without ``protection`` sealed messages are counted, not compared.
    """
    if isinstance(source, asyncpg.Pool):
        async with source.acquire() as connection:
            return await verify_database(
                connection, public_key=public_key, heads_file=heads_file, published=published, progress=progress,
                protection=protection,
            )  # fmt: skip
    # What is in the file now is in the snapshot that is taken after: heads are published after their commit.
    file = None if heads_file is None or published is not None else HeadsFile(heads_file)
    length: int | None = None
    if file is not None and file.path.exists():
        length = file.length()
    async with source.transaction(isolation="repeatable_read", readonly=True):
        if published is not None:
            return await _Verification(
                source, public_key, None, iter(published), progress, protection, sparse=True
            ).run()
        every = None if file is None or length is None else file.read(length)
        return await _Verification(source, public_key, file, every, progress, protection).run()


class _Verification:
    def __init__(
        self,
        connection: asyncpg.Connection,
        public_key: Ed25519PublicKey,
        file: HeadsFile | None,
        published: Iterator[SignedHead] | None,
        progress: Progress | None,
        protection: Opens | None,
        *,
        sparse: bool = False,
    ) -> None:
        self._connection = connection
        self._public_key = public_key
        self._verifier = Verifier(public_key, published, sparse=sparse)
        self._report = self._verifier.report
        self._unpublished = file.path if file is not None and published is None else None
        self._progress = progress
        self._protection = protection
        self._integrated: dict[int, int] = {}
        self._tree = TileTree()

    async def run(self) -> VerifyReport:
        reader = LogReader(self._connection)
        leaf_count = await reader.leaf_count()
        messages = await MessageCheck.begin(self._connection, self._report, self._protection)
        marks = await MarkCheck.begin(self._connection, self._report)
        certificates = None
        if await self._connection.fetchval("SELECT to_regclass('hilum.purge_certificate')") is not None:
            certificates = CertificateCheck(self._connection, self._report, self._public_key)
        payloads = None
        if messages is not None:
            payloads = PayloadCheck(self._connection, self._report, messages.expired, self._protection)
        async for part in reader.parts():
            self._verifier.take(part)
            if isinstance(part, RangeRow):
                self._integrated[part.shard] = part.first_seq + part.count
            elif not isinstance(part, SignedHead):
                if messages is not None:
                    await messages.check(part)
                if payloads is not None:
                    await payloads.check(part)
                if certificates is not None:
                    await certificates.check(part)
                if marks is not None:
                    await marks.check(part)
                hashes = b"".join([leaf.hashed or bytes(HASH_BYTES) for leaf in part])
                await self._check_upper_tiles(dict(self._tree.extend(hashes)))
                if self._progress is not None:
                    self._progress(self._tree.size, leaf_count)
        if marks is not None:
            await marks.finish()
        if payloads is not None:
            await payloads.finish()
        await self._check_upper_tiles(self._tree.edge())
        await self._check_tile_count()
        await self._check_shards()
        if certificates is not None:
            await certificates.finish(self._report.pending > 0)
        report = self._verifier.finish()
        if self._unpublished is not None and report.heads:
            self._damage(
                "heads-file", f"the heads file {self._unpublished} is missing: nothing outside vouches for the end"
            )
        return report

    def _damage(self, kind: str, text: str) -> None:
        self._report.add(Damage(kind, text))

    async def _check_upper_tiles(self, tiles: dict[TileAddress, bytes]) -> None:
        """That the stored inner nodes follow from the stored leaf hashes; proofs are made from them."""
        upper = [address for address in tiles if address[0] > 0]
        if not upper:
            return
        records = await self._connection.fetch(
            "SELECT level, tile, hashes FROM hilum.audit_tile "
            "WHERE (level, tile) IN (SELECT * FROM unnest($1::smallint[], $2::bigint[]))",
            [level for level, _ in upper],
            [tile for _, tile in upper],
        )
        stored = {(record["level"], record["tile"]): record["hashes"] for record in records}
        for address in upper:
            if stored.get(address) != tiles[address]:
                level, tile = address
                self._damage("tile-changed", f"tile {tile} of level {level} does not follow from the tiles below it")

    async def _check_tile_count(self) -> None:
        expected = sum(-(-count // 256) for count in levels_of(self._tree.size) if count)
        stored = await self._connection.fetchval("SELECT count(*) FROM hilum.audit_tile")
        if stored > expected:
            self._damage(
                "tile-changed",
                f"{stored} tiles are stored where {self._tree.size} leaves make {expected}: some were added",
            )

    async def _check_shards(self) -> None:
        """That each shard holds the entries its counter promises, no fewer and no more, and how many are pending."""
        records = await self._connection.fetch("SELECT shard, next_seq FROM hilum.audit_shard ORDER BY shard")
        counters = {record["shard"]: record["next_seq"] for record in records}
        for shard in await self._shards_with_entries():
            if shard not in counters:
                self._damage("shard-changed", f"shard {shard} has entries but its counter was removed")
        for shard, integrated in self._integrated.items():
            if counters.get(shard, integrated) < integrated:
                self._damage(
                    "shard-changed",
                    f"shard {shard} counts {counters[shard] - 1} entries where {integrated - 1} are integrated",
                )
        for shard, next_seq in counters.items():
            integrated = self._integrated.get(shard, 1)
            await self._check_pending(shard, integrated, next_seq)
            await self._check_extra(shard, max(integrated, next_seq))

    async def _shards_with_entries(self) -> list[int]:
        # A walk along the key, one step a shard, where DISTINCT would read every entry.
        records = await self._connection.fetch(
            "WITH RECURSIVE walk (shard) AS (SELECT min(shard) FROM hilum.audit_entry UNION ALL "
            "SELECT (SELECT min(shard) FROM hilum.audit_entry WHERE shard > walk.shard) FROM walk WHERE walk.shard IS NOT NULL"
            ") SELECT shard FROM walk WHERE shard IS NOT NULL"
        )
        return [record["shard"] for record in records]

    async def _check_pending(self, shard: int, integrated: int, next_seq: int) -> None:
        if next_seq <= integrated:
            return
        held = await self._connection.fetchval(
            "SELECT count(*) FROM hilum.audit_entry WHERE shard = $1 AND seq >= $2 AND seq < $3",
            shard,
            integrated,
            next_seq,
        )
        self._report.pending += held
        if held == next_seq - integrated:
            return
        missing = await self._connection.fetchval(
            "SELECT seq FROM generate_series($2::bigint, $3::bigint - 1) AS promised (seq) WHERE NOT EXISTS "
            "(SELECT FROM hilum.audit_entry AS e WHERE e.shard = $1 AND e.seq = promised.seq) LIMIT 1",
            shard,
            integrated,
            next_seq,
        )
        self._report.add(
            Damage(
                "entry-missing",
                f"entry {missing} of shard {shard} is missing ({next_seq - integrated - held} of the entries that were "
                "not yet integrated are)",
                None,
                shard,
                missing,
            )
        )

    async def _check_extra(self, shard: int, next_seq: int) -> None:
        records = await self._connection.fetch(
            "(SELECT seq, subject FROM hilum.audit_entry WHERE shard = $1 AND seq < 1 ORDER BY seq LIMIT 100) UNION ALL "
            "(SELECT seq, subject FROM hilum.audit_entry WHERE shard = $1 AND seq >= $2 ORDER BY seq LIMIT 100)",
            shard,
            next_seq,
        )
        for record in records:
            text = (
                f"entry {record['seq']} of shard {shard} (subject {record['subject']}) was added behind the log's back"
            )
            self._report.add(Damage("entry-extra", text, None, shard, record["seq"], record["subject"]))
