"""Channel counts: what arrived by which door, and when last, so that a silent feed is seen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import asyncpg

from hilum.runtime.intake import Intake


class Channels:
    """Adds the intake's counts to the ``channel`` table now and then; counts lost in a crash are only counts."""

    def __init__(self, pool: asyncpg.Pool, intake: Intake, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._intake = intake
        self._clock = clock
        self._written: dict[tuple[str, str], list[int]] = {}
        self._violations: dict[tuple[str, str], int] = {}

    def violation(self, system: str, transport: str) -> None:
        """Bytes that were no message: no frame, half a frame, too large, a forged signature."""
        self._violations[system, transport] = self._violations.get((system, transport), 0) + 1

    async def declare(self, system: str, transport: str, address: str) -> None:
        """Make the channel known, so that one which never received anything is seen too."""
        await self._pool.execute(
            """INSERT INTO channel (system, transport, address) VALUES ($1, $2, $3)
               ON CONFLICT (system, transport) DO UPDATE SET address = excluded.address""",
            system, transport, address,
        )  # fmt: skip

    async def run_once(self) -> int:
        now = self._clock()
        violations, self._violations = self._violations, {}
        for key in {*self._intake.counts, *violations}:
            counts = list(self._intake.counts.get(key, [0, 0, 0]))
            before = self._written.get(key, [0, 0, 0])
            received, refused, duplicates = (c - b for c, b in zip(counts, before, strict=True))
            if received or violations.get(key):
                await self._pool.execute(
                    """INSERT INTO channel AS c (system, transport, address, received, refused, duplicates, violations, last_at)
                       VALUES ($1, $2, '', $3::bigint, $4::bigint, $5::bigint, $6::bigint, CASE WHEN $3::bigint > 0 THEN $7::timestamptz END)
                       ON CONFLICT (system, transport) DO UPDATE SET
                          received = c.received + $3::bigint, refused = c.refused + $4::bigint, duplicates = c.duplicates + $5::bigint,
                          violations = c.violations + $6::bigint, last_at = CASE WHEN $3::bigint > 0 THEN $7::timestamptz ELSE c.last_at END""",
                    *key, received, refused, duplicates, violations.get(key, 0), now,
                )  # fmt: skip
            self._written[key] = counts
        return 0
