"""Certificates are watched: what is configured and what peers present, each with the days it has left.

Thirty days before one ends a work item asks for its renewal, seven days before another one asks urgently: once for each
certificate, also when somebody closes the item. Both close by themselves when another certificate stands in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import asyncpg

from hilum.runtime import work_items
from hilum.security.certificates import Certificate

QUEUE = "integration"
URGENT_DAYS, WARNING_DAYS = 7, 30
ACTOR = "system:certificates"
_REMEDY = (
    "Have the certificate renewed and put it in place of the old one: it is read without a restart, and this closes by itself. "
    "One that a system presents is renewed by whoever runs that system."
)


@dataclass(frozen=True, slots=True)
class Placed:
    """A certificate in its place: ``slot`` says what it is for, ``role`` is own, authority, peer or sender."""

    slot: str
    role: str
    certificate: Certificate


class CertificateWatch:
    """Writes down which certificates stand where, and opens and closes the work items of those that end.

    ``configured`` reads the files of the estate anew. ``owner`` works the queue. A process that only sees peers has no
    ``configured`` and calls ``keep_seen``.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        clock: Callable[[], datetime],
        configured: Callable[[], Sequence[Placed]] = tuple,
        owner: str = "",
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._configured = configured
        self._owner = owner
        self._seen: dict[str, Placed] = {}
        self._written: dict[str, str] = {}

    def presented(self, system: str, host: str, certificate: Certificate) -> None:
        """A system proved itself by this certificate when we connected to it."""
        slot = f"peer:{system}:{host}"
        self._seen[slot] = Placed(slot, "peer", certificate)

    def sent_by(self, door: str, certificate: Certificate) -> None:
        """A sender proved itself by this certificate at one of our doors."""
        slot = f"sender:{door}:{certificate.subject}"
        if self._written.get(slot) != certificate.sha256:
            self._seen[slot] = Placed(slot, "sender", certificate)

    async def keep_seen(self) -> int:
        """Write down what peers presented since the last time."""
        seen, self._seen = self._seen, {}
        if seen:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._write(connection, list(seen.values()), self._clock())
            self._written.update({slot: placed.certificate.sha256 for slot, placed in seen.items()})
        return 0

    async def run_once(self) -> int:
        """Write down what stands where, ask for the renewal of what ends, take back what was asked of what was renewed."""
        configured, now = list(self._configured()), self._clock()
        await self.keep_seen()
        async with self._pool.acquire() as connection, connection.transaction():
            await self._write(connection, configured, now)
            await connection.execute(
                "DELETE FROM certificate WHERE role IN ('own', 'authority') AND NOT slot = ANY($1)",
                [placed.slot for placed in configured],
            )
            wanted = {}
            for row in await connection.fetch(
                "SELECT * FROM certificate WHERE not_after < $1", now + _days(WARNING_DAYS)
            ):
                urgent = row["not_after"] < now + _days(URGENT_DAYS)
                cause = f"CertificateEnds:{row['sha256'][:16]}:{URGENT_DAYS if urgent else WARNING_DAYS}"
                wanted[cause] = (row, urgent)
            for cause, (row, urgent) in sorted(wanted.items()):
                await self._ask(connection, cause, row, urgent, now)
            for item in await connection.fetch(
                "SELECT id, cause FROM work_item WHERE state = 'open' AND queue = $1 AND cause LIKE 'CertificateEnds:%'",
                QUEUE,
            ):
                if item["cause"] not in wanted:
                    await work_items.resolve(connection, item["id"], now=now, actor=ACTOR)
        return 0

    async def _ask(
        self, connection: asyncpg.Connection, cause: str, row: asyncpg.Record, urgent: bool, now: datetime
    ) -> None:
        # Whatever its state: who closed it has decided, and is asked again only when it becomes urgent.
        asked = await connection.fetchval("SELECT 1 FROM work_item WHERE queue = $1 AND cause = $2", QUEUE, cause)
        if asked:
            return
        hours = (row["not_after"] - now).total_seconds() / 3600
        ends = f"{'ended' if hours <= 0 else 'ends'} on {row['not_after']:%Y-%m-%d}"
        found = work_items.Exceptional(
            queue=QUEUE,
            cause=cause,
            title=f"The certificate {row['slot']} {ends}",
            remedy=_REMEDY,
            due_hours=min(24.0, max(hours, 1.0)) if urgent else max(hours - 24 * URGENT_DAYS, 24.0),
            subject=f"x/{row['sha256'][:16]}",
            at_risk_usd=Decimal(0),
            owner=self._owner,
        )
        await work_items.join(connection, found, now=now, actor=ACTOR)

    @staticmethod
    async def _write(connection: asyncpg.Connection, placed: Sequence[Placed], now: datetime) -> None:
        await connection.executemany(
            """INSERT INTO certificate (slot, role, subject, issuer, sha256, not_before, not_after, seen_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (slot) DO UPDATE SET subject = excluded.subject, issuer = excluded.issuer, sha256 = excluded.sha256,
                  not_before = excluded.not_before, not_after = excluded.not_after, seen_at = excluded.seen_at""",
            [
                (
                    p.slot, p.role, p.certificate.subject, p.certificate.issuer, p.certificate.sha256,
                    p.certificate.not_before, p.certificate.not_after, now,
                )
                for p in placed
            ],
        )  # fmt: skip


def _days(days: int) -> timedelta:
    return timedelta(days=days)
