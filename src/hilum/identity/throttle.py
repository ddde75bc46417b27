"""Guessing is slow, whoever guesses and wherever: attempts are counted over all processes.

Nobody is ever locked out: a bucket that is empty fills again within seconds. Someone who attacks an account from many
places slows strangers down; a browser from which the person has signed in before has a bucket of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import asyncpg

from hilum.identity.digests import digest


@dataclass(frozen=True)
class Bucket:
    """``burst`` attempts at once, then one each ``every_seconds``."""

    name: str
    burst: float
    every_seconds: float


class Throttle(Protocol):
    """Takes one attempt out of every bucket."""

    async def take(self, buckets: tuple[Bucket, ...], *, now: datetime) -> float:
        """Seconds to wait; 0 when the attempt may be made."""

    async def forgive(self, buckets: tuple[Bucket, ...]) -> None:
        """The attempt was good: whoever knows the password is not guessing it."""


class SharedThrottle:
    """Buckets in the database. What is counted is a digest: a login may be a password typed into the wrong field."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def take(self, buckets: tuple[Bucket, ...], *, now: datetime) -> float:
        waits = [await self._take(bucket, now) for bucket in buckets]
        return max(waits, default=0.0)

    async def _take(self, bucket: Bucket, now: datetime) -> float:
        tokens: float = await self._pool.fetchval(
            """INSERT INTO hilum.sign_in_throttle AS t (counted, tokens, updated_at) VALUES ($1, $2::float8 - 1, $3)
               ON CONFLICT (counted) DO UPDATE SET updated_at = greatest(t.updated_at, $3), tokens = greatest(-1,
                   least($2::float8, t.tokens + greatest(0, extract(epoch FROM $3 - t.updated_at)) / $4::float8) - 1)
               RETURNING tokens""",
            digest(bucket.name), bucket.burst, now, bucket.every_seconds,
        )  # fmt: skip
        # Below zero the attempt was not there to be taken; it cost at most one, so waiting always helps.
        return 0.0 if tokens >= 0 else -tokens * bucket.every_seconds

    async def forgive(self, buckets: tuple[Bucket, ...]) -> None:
        await self._pool.execute(
            "DELETE FROM hilum.sign_in_throttle WHERE counted = ANY ($1)", [digest(bucket.name) for bucket in buckets]
        )

    async def forget_old(self, *, before: datetime) -> None:
        """Buckets nobody has touched since are full again."""
        await self._pool.execute("DELETE FROM hilum.sign_in_throttle WHERE updated_at < $1", before)
