"""Telling people that a partner's server cannot be worked with, once, and that it can again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import asyncpg

from hilum.runtime import work_items

PATIENCE = timedelta(minutes=15)
"""A server that is away for less than this is nobody's work yet."""

REMEDIES = {
    "HostKeyRefused": "Somebody else may be answering in the partner's place. Ask the partner by telephone for the fingerprint of "
    "their host key; when it is theirs, write it into host_keys of the system and start anew. Nothing is fetched until then.",
    "LoginRefused": "Have the partner enter our public key for this user, or correct user and key of the system.",
    "EgressRefused": "Correct the host of [listen.sftp], or name its network in the system's [egress].",
    "KeyUnusable": "Put a private key in OpenSSH's form where `key` of the system refers to, and public keys into host_keys.",
    "SecretUnusable": "Put the private key where `key` of the system refers to, with mode 600.",
    "SecretMissing": "Put the private key where `key` of the system refers to, with mode 600.",
    "away": "Ask the partner whether their server is up and lets us in. Nothing is lost: files are fetched when it answers.",
}


class PartnerAlarms:
    """One system's server: an item of work for what only people can mend, closed by itself when it works again."""

    def __init__(
        self, pool: asyncpg.Pool, system: str, queue: str, owner: str, *, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._system = system
        self._queue = queue
        self._owner = owner
        self._clock = clock
        self._away_since: datetime | None = None
        self._well = False

    async def refused(self, kind: str, why: str) -> None:
        """A person must act: at once."""
        await self._raise(kind, f"Files of {self._system} cannot be fetched: {why.partition(': ')[2] or why}")

    async def away(self, why: str) -> None:
        """Time may mend it; when it takes too long, people hear of it."""
        now = self._clock()
        self._away_since = self._away_since if self._away_since is not None else now
        if now - self._away_since >= PATIENCE:
            await self._raise("away", f"The SFTP server of {self._system} does not answer: {why}")

    async def reached(self) -> None:
        """It works: what was told of it before is settled."""
        self._away_since = None
        if self._well:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "SELECT id FROM work_item WHERE state = 'open' AND queue = $1 AND cause = ANY($2)",
                self._queue, [self._cause(kind) for kind in REMEDIES],
            )  # fmt: skip
            for row in rows:
                await work_items.resolve(connection, row["id"], now=self._clock(), actor="system:sftp")
        self._well = True

    def _cause(self, kind: str) -> str:
        return f"SftpPartner:{self._system}/{kind}"

    async def _raise(self, kind: str, title: str) -> None:
        self._well = False
        found = work_items.Exceptional(
            queue=self._queue, cause=self._cause(kind), title=title, remedy=REMEDIES[kind], due_hours=4,
            subject=f"system/{self._system}", at_risk_usd=Decimal(0), owner=self._owner,
        )  # fmt: skip
        async with self._pool.acquire() as connection, connection.transaction():
            await work_items.join(connection, found, now=self._clock(), actor="system:sftp")
