"""Break-glass grants at the door: whose they are, whether they are in force, and the record of each use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import asyncpg

from hilum.authoring.caller import Caller
from hilum.runtime import break_glass
from hilum.runtime.break_glass import BreakGlassRefused


class BreakGlassGrants:
    """The grants in the platform's store, asked at every request: one may be ended at any time."""

    def __init__(self, pool: asyncpg.Pool, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._clock = clock

    async def under(self, caller: Caller, number: int) -> Caller | None:
        """The caller under a grant of their own that is in force; None when it is neither."""
        async with self._pool.acquire() as connection:
            held = await break_glass.of_person(connection, caller.actor, now=self._clock())
        return next((break_glass.under(caller, grant) for grant in held if grant.id == number), None)

    async def used(self, caller: Caller, *, operation: str, subject: str) -> bool:
        """Record one use of the grant that the caller is under; False when it has ended."""
        assert caller.break_glass is not None
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await break_glass.used(
                    connection, int(caller.break_glass), actor=caller.actor, operation=operation, subject=subject,
                    now=self._clock(),
                )  # fmt: skip
        except BreakGlassRefused:
            return False
        return True
