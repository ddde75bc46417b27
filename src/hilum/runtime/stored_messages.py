"""Reading what intake has stored, in the order of each shard, with a cursor that moves in the reader's own transaction."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection
from datetime import datetime

import asyncpg

BATCH_MESSAGES = 500


class StoredMessages:
    """Messages of ``systems`` beyond what the reader ``name`` has seen. A new reader begins at ``since``."""

    def __init__(self, pool: asyncpg.Pool, name: str, systems: Collection[str]) -> None:
        self._pool = pool
        self._name = name
        self._systems = list(systems)

    async def shards(self) -> list[int]:
        return [row["shard"] for row in await self._pool.fetch("SELECT shard FROM intake_shard ORDER BY shard")]

    @contextlib.asynccontextmanager
    async def beyond(
        self, shard: int, since: datetime
    ) -> AsyncIterator[tuple[asyncpg.Connection, list[asyncpg.Record], int]]:
        """A transaction with the next messages of a shard, without their bytes, and how far it read.

        The cursor moves when the transaction ends well. One reader at a time: another process finds nothing.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            # Numbers follow each other within a shard, and a shard has one writer: below its last number nothing is missing.
            await connection.execute(
                """INSERT INTO message_cursor (reader, shard, seq)
                   SELECT $1, $2, coalesce((SELECT min(seq) - 1 FROM message WHERE shard = $2 AND received_at >= $3),
                                           (SELECT message_seq FROM intake_shard WHERE shard = $2))
                   ON CONFLICT DO NOTHING""",
                self._name, shard, since,
            )  # fmt: skip
            cursor = await connection.fetchval(
                "SELECT seq FROM message_cursor WHERE reader = $1 AND shard = $2 FOR UPDATE SKIP LOCKED",
                self._name, shard,
            )  # fmt: skip
            last = await connection.fetchval("SELECT message_seq FROM intake_shard WHERE shard = $1", shard)
            until = cursor if cursor is None else min(last, cursor + BATCH_MESSAGES)
            if cursor is None or until <= cursor:
                yield connection, [], 0
                return
            rows = await connection.fetch(
                """SELECT shard, seq, received_at, system, transport, type, status, error FROM message
                    WHERE shard = $1 AND seq > $2 AND seq <= $3 AND system = ANY($4) ORDER BY seq""",
                shard, cursor, until, self._systems,
            )  # fmt: skip
            yield connection, rows, until - cursor
            await connection.execute(
                "UPDATE message_cursor SET seq = $3 WHERE reader = $1 AND shard = $2", self._name, shard, until
            )
