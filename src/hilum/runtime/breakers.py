"""Circuit breakers: when a system keeps failing, everyone stops asking until it answers again.

The state is one row for each system, shared by all processes. A process keeps a copy that is at most
``STALE_SECONDS`` old, and renewed at once by whoever listens to ``CHANNEL``; opening and closing are decided in the row,
under its lock. Beside the circuit stands how long a vendor asked us to wait (429): that is no failure and opens nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Policy
from hilum.runtime.loops import Bell, listen, standing

STALE_SECONDS = 1.0
MAX_OPEN_SECONDS = 60.0
LEAST_THROTTLED_SECONDS = 0.1
MOST_THROTTLED_SECONDS = 86400.0
"""Longer than a day no vendor means it: a number of milliseconds, most likely. A person sees it and resumes the system."""
CHANNEL = "hilum_breaker"


@dataclass(frozen=True)
class Breaker:
    """How it stands with one system."""

    system: str
    state: str = "closed"
    failures: int = 0
    retry_at: datetime | None = None
    last_error: str | None = None
    held: bool = False
    throttled_until: datetime | None = None
    throttled_why: str | None = None

    @property
    def lets_through(self) -> bool:
        return self.state != "open" and not self.held

    def throttled_seconds(self, now: datetime) -> float:
        """How long the system asked everybody to wait from ``now`` on; 0 when it did not."""
        return max((self.throttled_until - now).total_seconds(), 0.0) if self.throttled_until is not None else 0.0


class Breakers:
    """Reads, opens and closes the breakers of all systems."""

    def __init__(self, pool: asyncpg.Pool, *, clock: Callable[[], datetime], rng: random.Random) -> None:
        self._pool = pool
        self._clock = clock
        self._rng = rng
        self._copy: dict[str, Breaker] = {}
        self._read_at: datetime | None = None

    async def of(self, system: str) -> Breaker:
        now = self._clock()
        if self._read_at is None or abs((now - self._read_at).total_seconds()) > STALE_SECONDS:
            await self.refresh()
        return self._copy.get(system, Breaker(system))

    async def refresh(self) -> dict[str, Breaker]:
        rows = await self._pool.fetch("SELECT * FROM breaker")
        self._copy = {r["system"]: _breaker(r) for r in rows}
        self._read_at = self._clock()
        return self._copy

    async def failed(
        self, system: str, error: str, policy: Policy, *, retry_after_seconds: float | None = None
    ) -> Breaker:
        """Count a failure; opens the breaker at the policy's number, or at once when the system said how long."""
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO breaker (system, updated_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", system, now
            )
            before = _breaker(await connection.fetchrow("SELECT * FROM breaker WHERE system = $1 FOR UPDATE", system))
            failures = before.failures + 1
            opens = before.state != "open" and (
                failures >= policy.breaker_failures or before.state == "half_open" or retry_after_seconds is not None
            )
            wait = max(policy.breaker_open_seconds, retry_after_seconds or 0)
            if before.state == "half_open":
                wait = min(wait * 2 ** min(max(failures - policy.breaker_failures, 1), 4), max(MAX_OPEN_SECONDS, wait))
            # Jitter, so that processes which failed together do not come back together.
            retry_at = now + timedelta(seconds=wait * self._rng.uniform(0.9, 1.1))
            row = await connection.fetchrow(
                """UPDATE breaker SET failures = $2, last_error = $3, updated_at = $4,
                          state = CASE WHEN $5 THEN 'open' ELSE state END,
                          opened_at = CASE WHEN $5 THEN $4 ELSE opened_at END,
                          retry_at = CASE WHEN $5 THEN $6 ELSE retry_at END
                    WHERE system = $1 RETURNING *""",
                system, failures, error, now, opens, retry_at,
            )  # fmt: skip
            if opens:
                await append(
                    connection,
                    [
                        Entry(
                            now,
                            "system:breaker",
                            "breaker.opened",
                            f"s/{system}",
                            {"error": error, "failures": failures},
                        )
                    ],
                )
                await _tell(connection, system)
        self._copy[system] = _breaker(row)
        return self._copy[system]

    async def throttled(self, system: str, why: str, policy: Policy, retry_after_seconds: float | None) -> Breaker:
        """Let all processes wait: as long as the system said, or as long as its policy holds a circuit open.

        Whoever asked for the longest wait is kept to. What failed before stays counted, and an answer of this kind closes
        a circuit that was being probed: a system that counts our requests is there.
        """
        now = self._clock()
        seconds = retry_after_seconds if retry_after_seconds is not None else policy.breaker_open_seconds
        # A little more for each process, never less: nobody knocks too early, and not everybody in the same instant.
        seconds = min(max(seconds, LEAST_THROTTLED_SECONDS), MOST_THROTTLED_SECONDS)
        until = now + timedelta(seconds=seconds * self._rng.uniform(1.0, 1.1))
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO breaker (system, updated_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", system, now
            )
            before = _breaker(await connection.fetchrow("SELECT * FROM breaker WHERE system = $1 FOR UPDATE", system))
            row = await connection.fetchrow(
                """UPDATE breaker SET throttled_until = greatest(throttled_until, $2), throttled_why = $3, updated_at = $4,
                          state = CASE WHEN state = 'half_open' THEN 'closed' ELSE state END
                    WHERE system = $1 RETURNING *""",
                system, until, why, now,
            )  # fmt: skip
            if not before.throttled_seconds(now):
                detail = {"why": why, "until": until.isoformat(timespec="seconds")}
                await append(connection, [Entry(now, "system:breaker", "system.throttled", f"s/{system}", detail)])
            await _tell(connection, system)
        self._copy[system] = _breaker(row)
        return self._copy[system]

    async def succeeded(self, system: str) -> None:
        """Close the breaker; costs nothing when it was closed and without failures."""
        here = self._copy.get(system)
        if here is None or (here.state == "closed" and here.failures == 0):
            return
        await self.close(system)

    async def half_open(self, system: str) -> bool:
        """Take the right to probe an open breaker whose time has come; one process gets it."""
        now = self._clock()
        row = await self._pool.fetchrow(
            """UPDATE breaker SET state = 'half_open', updated_at = $2
                WHERE system = $1 AND NOT held AND state = 'open' AND retry_at <= $2 RETURNING *""",
            system, now,
        )  # fmt: skip
        return row is not None

    async def close(self, system: str) -> None:
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            was = await connection.fetchval("SELECT state FROM breaker WHERE system = $1 FOR UPDATE", system)
            await connection.execute(
                "UPDATE breaker SET state = 'closed', failures = 0, retry_at = NULL, updated_at = $2 WHERE system = $1",
                system,
                now,
            )
            if was not in (None, "closed"):
                await append(connection, [Entry(now, "system:breaker", "breaker.closed", f"s/{system}", {})])
                await _tell(connection, system)
        before = self._copy.get(system, Breaker(system))
        self._copy[system] = replace(before, state="closed", failures=0, retry_at=None)

    async def hold(self, system: str, held: bool, *, actor: str) -> None:
        """Stop or resume deliveries to a system by a person's decision, whatever the breaker thinks.

        To resume is to be patient no longer either: what the vendor asked us to wait is over.
        """
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                """INSERT INTO breaker (system, held, updated_at) VALUES ($1, $2, $3)
                   ON CONFLICT (system) DO UPDATE SET held = $2, updated_at = $3,
                          throttled_until = CASE WHEN $2 THEN breaker.throttled_until END""",
                system, held, now,
            )  # fmt: skip
            await _tell(connection, system)
            await append(
                connection, [Entry(now, actor, "system.held" if held else "system.resumed", f"s/{system}", {})]
            )
        await self.refresh()


async def follow(pool: asyncpg.Pool, breakers: Breakers) -> None:
    """Read the breakers anew as soon as any process tells of one, for ever; after a lost connection, once it is back."""

    async def read() -> int:
        await breakers.refresh()
        return 0

    bell = Bell()
    reading = standing("breakers", read, every_seconds=STALE_SECONDS, woken=bell.listener())
    await asyncio.gather(reading, listen(pool, {CHANNEL: bell}))


async def _tell(connection: asyncpg.Connection, system: str) -> None:
    """Every process looks anew: one that does not know yet would go on knocking for up to a second."""
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, system)


def _breaker(row: asyncpg.Record) -> Breaker:
    return Breaker(
        row["system"], row["state"], row["failures"], row["retry_at"], row["last_error"], row["held"],
        row["throttled_until"], row["throttled_why"],
    )  # fmt: skip
