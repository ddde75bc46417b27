"""Rate limits: at most so many calls a second to one system, smoothed rather than in bursts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Pace:
    """A generic cell rate limiter for one process: ``turn`` waits until the next call may go."""

    def __init__(self, rate_per_second: float, *, burst: int = 10, monotonic: Callable[[], float]) -> None:
        self._gap_seconds = 1 / rate_per_second
        self._tolerance_seconds = self._gap_seconds * burst
        self._monotonic = monotonic
        self._next = 0.0

    def wait_seconds(self) -> float:
        """Book the next turn; how long to wait for it."""
        now = self._monotonic()
        self._next = max(self._next, now - self._tolerance_seconds) + self._gap_seconds
        return max(0.0, self._next - now)

    async def turn(self) -> None:
        wait = self.wait_seconds()
        if wait > 0:
            await asyncio.sleep(wait)
