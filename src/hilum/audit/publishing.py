"""Publishing heads outside the database, and noticing there that the log was set back or forked.

What a place knows is asked of the place itself. A new head is published only with the proof that it continues what the
place already has; where it does not, nothing more is published there and an alarm is raised: the database was restored
to an older state, or its history was rewritten.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hilum.audit.merkle import verify_consistency
from hilum.audit.places import HeadPlace, HeadTaken, PlaceAway, PublishedHead
from hilum.audit.proofs import NoProof, consistency_proof
from hilum.audit.signing import SignedHead

log = logging.getLogger(__name__)

_LOCK = "hashtextextended('hilum.audit.publisher', 0)"

Alarm = Callable[[str, str], Awaitable[None]]
"""Called with the place and a sentence when the log is no longer the one that was published there; once for each."""


class LogForked(Exception):
    """The log is not the continuation of what a place knows; the text says how."""


class HeadPublisher:
    """Brings every place up to the newest head. ``clock`` gives the time, with its zone."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        places: Sequence[HeadPlace],
        public_key: Ed25519PublicKey,
        clock: Callable[[], datetime],
        *,
        alarm: Alarm,
    ) -> None:
        self._pool = pool
        self._places = places
        self._public_key = public_key
        self._clock = clock
        self._alarm = alarm

    async def run_once(self) -> int:
        """Publish where something is new; always 0, for there is nothing to go on with at once."""
        if not self._places:
            return 0
        async with self._pool.acquire() as connection:
            if not await connection.fetchval(f"SELECT pg_try_advisory_lock({_LOCK})"):
                return 0
            try:
                for place in self._places:
                    await self._visit(connection, place)
            finally:
                if not connection.is_closed():
                    await connection.fetchval(f"SELECT pg_advisory_unlock({_LOCK})")
        return 0

    async def _visit(self, connection: asyncpg.Connection, place: HeadPlace) -> None:
        problem = alarm = None
        head: SignedHead | None = None
        try:
            head = await self._bring_up(connection, place)
        except PlaceAway as away:
            problem = str(away)
            log.warning("heads could not be published: %s", problem)
        except (LogForked, HeadTaken) as forked:
            alarm = str(forked)
        before = await connection.fetchrow(
            "SELECT problem, alarm FROM hilum.head_publication WHERE place = $1", place.name
        )
        now = self._clock()
        await connection.execute(
            """INSERT INTO hilum.head_publication AS p (place, size, published_at, tried_at, failures, problem, alarm)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (place) DO UPDATE SET size = coalesce(excluded.size, p.size), tried_at = excluded.tried_at,
                   published_at = coalesce(excluded.published_at, p.published_at), alarm = excluded.alarm,
                   problem = excluded.problem, failures = CASE WHEN $6::text IS NULL THEN 0 ELSE p.failures + 1 END""",
            place.name, None if head is None else head.size, None if head is None else now, now,
            0 if problem is None else 1, problem, alarm,
        )  # fmt: skip
        if alarm is not None and (before is None or before["alarm"] != alarm):
            log.error("the audit log is not what was published: %s", alarm)
            await self._alarm(place.name, alarm)

    async def _bring_up(self, connection: asyncpg.Connection, place: HeadPlace) -> SignedHead | None:
        """The newest head that the place knows now; LogForked when the log is not its continuation."""
        known = await asyncio.to_thread(place.newest)
        if known is None:
            head = await self._newest(connection)
            if head is not None:
                await asyncio.to_thread(place.publish, PublishedHead(head, None))
            return head
        if not known.is_signed_by(self._public_key):
            raise LogForked(f"the newest head at {place.name} (of {known.size} leaves) is not signed by this log's key")
        stored = await self._newest(connection)
        size = 0 if stored is None else stored.size
        if known.size > size:
            raise LogForked(f"{place.name} knows {known.size} leaves but the database only {size}: it was set back")
        same = await connection.fetchval("SELECT root FROM hilum.audit_head WHERE size = $1", known.size)
        if same != known.root:
            raise LogForked(f"the database's head of {known.size} leaves is not the one published at {place.name}")
        if known.size == size:
            return known
        try:
            proof, head = await consistency_proof(connection, known.size)
        except NoProof as missing:
            raise LogForked(f"no proof leads from the head published at {place.name}: {missing}") from missing
        if not verify_consistency(known.size, head.size, known.root, head.root, proof):
            raise LogForked(f"the log does not continue the head of {known.size} leaves published at {place.name}")
        await asyncio.to_thread(place.publish, PublishedHead(head, known.size, tuple(proof)))
        return head

    async def _newest(self, connection: asyncpg.Connection) -> SignedHead | None:
        record = await connection.fetchrow(
            "SELECT size, root, at, key_id, signature FROM hilum.audit_head ORDER BY size DESC LIMIT 1"
        )
        return None if record is None else SignedHead.from_row(record)
