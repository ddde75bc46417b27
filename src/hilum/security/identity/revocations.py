"""What was called back before its time: sessions, people, services and single grants, as every process sees them.

Revocations are rows; a counter changes in the same transaction. Each process looks at the counter about once a second,
and reads the rows when it has changed: a revoked token is refused everywhere within two seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import asyncpg

from hilum.security.identity.refusals import IdentityAway

LONGEST_TOKEN = timedelta(hours=24)
"""No token lives longer (``longest_minutes``), so an older revocation has nothing left to refuse."""

BLIND_AFTER_SECONDS = 15.0


class Revocations:
    """This process's sight of them. ``run_once`` belongs into a loop; ``version`` changes with every revocation."""

    def __init__(self, pool: asyncpg.Pool, *, clock: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._pool = pool
        self._clock = clock
        self._monotonic = monotonic
        self._at: dict[str, float] = {}
        self._seen_at: float | None = None
        self.version = -1

    async def run_once(self) -> bool:
        """Look once; whether something had changed."""
        version = await self._pool.fetchval("SELECT version FROM hilum.identity_version")
        changed = version != self.version
        if changed:
            rows = await self._pool.fetch(
                "SELECT subject, at FROM hilum.identity_revocation WHERE expires_at > $1", self._clock()
            )
            self._at = {row["subject"]: row["at"].timestamp() for row in rows}
            self.version = version
        self._seen_at = self._monotonic()
        return bool(changed)

    async def refuse_when_blind(self) -> None:
        """Look now when the loop has not for a while; ``IdentityAway`` when that fails: who was called back is unknown."""
        if self._seen_at is not None and self._monotonic() - self._seen_at <= BLIND_AFTER_SECONDS:
            return
        try:
            await self.run_once()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
            raise IdentityAway("revocations cannot be read") from away

    def revoked(self, subjects: Iterable[str], issued_at: float) -> bool:
        """Whether one of these was called back after the token was issued."""
        return any(issued_at <= self._at[subject] for subject in subjects if subject in self._at)


async def revoke(connection: asyncpg.Connection, subject: str, *, now: datetime, by: str, reason: str) -> None:
    """Call back every token of ``session:<sid>``, ``person:<id>`` or ``service:<name>`` issued until ``now``.

    Inside the caller's transaction, which also appends the audit entry.
    """
    await connection.execute(
        """INSERT INTO hilum.identity_revocation (subject, at, expires_at, revoked_by, reason) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (subject) DO UPDATE SET at = greatest(identity_revocation.at, excluded.at),
                  expires_at = greatest(identity_revocation.expires_at, excluded.expires_at),
                  revoked_by = excluded.revoked_by, reason = excluded.reason""",
        subject, now, now + LONGEST_TOKEN + timedelta(hours=1), by, reason,
    )  # fmt: skip
    await connection.execute("UPDATE hilum.identity_version SET version = version + 1")
