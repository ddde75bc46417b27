"""Pace: at most so many calls a second to one system, over all workers and gateways, smoothed rather than in bursts."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

from hilum.runtime.allowances import STORE_LOST, Lease, Leases

log = logging.getLogger(__name__)

AHEAD_SECONDS = 0.25
"""How much of the future a process books at once: what it does not use of it, nobody else can."""
STORE_PAUSE_SECONDS = 0.5


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


class SharedPace:
    """The same for all processes together: turns are leased from the database some at a time (see ``allowances``).

    In any window of ``w`` seconds at most ``burst + w * rate_per_second`` turns begin, whatever the number of processes.
    A process that calls often books a quarter of a second ahead, one that calls now and then a turn at a time. While the
    database is away nobody's turn comes: an effect could not be recorded.
    """

    def __init__(self, leases: Leases, key: str, rate_per_second: float, *, burst: int | None = None) -> None:
        self._leases = leases
        self._key = key
        self._burst = burst if burst is not None else max(10, math.ceil(rate_per_second / 10))
        self._period_us = math.ceil(1e6 / rate_per_second)
        self._most = max(1, int(rate_per_second * AHEAD_SECONDS))
        self._booking = asyncio.Lock()
        self._waiting = 0
        self._lease: Lease | None = None
        self._next = 0
        self._missed = 0
        self._want = 1

    async def turn(self) -> float:
        """Wait for the next turn; the instant at which it began, on the monotonic clock."""
        while True:
            self._waiting += 1
            try:
                async with self._booking:
                    begin, end = await self._booked()
            finally:
                self._waiting -= 1
            wait = begin - self._leases.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            now = self._leases.monotonic()
            if now <= end:
                return now
            self._missed += 1  # This process was held up and its turn is over.

    async def _booked(self) -> tuple[float, float]:
        """The next turn: from when until when it may begin."""
        while True:
            lease = self._lease
            while lease is not None and self._next < lease.granted:
                ahead = self._next * lease.period_seconds
                self._next += 1
                if self._leases.monotonic() <= lease.first_end + ahead:
                    return lease.first_begin + ahead, lease.first_end + ahead
                self._missed += 1
            await self._book()

    async def _book(self) -> None:
        before = self._lease
        if before is not None and before.granted:
            used = before.granted - self._missed
            self._want = min(self._want * 2, self._most) if not self._missed else max(used, 1)
        try:
            lease = await self._leases.lease(
                self._key, period_us=self._period_us, burst=self._burst,
                want=min(max(self._want, self._waiting), self._most), life_us=self._burst * self._period_us // 2,
                ahead_us=max(self._most, 1) * self._period_us,
            )  # fmt: skip
        except STORE_LOST as lost:
            log.warning("turns of %s cannot be booked (%s), trying again", self._key, type(lost).__name__)
            await asyncio.sleep(STORE_PAUSE_SECONDS)
            return
        self._lease, self._next, self._missed = lease, 0, 0
        if not lease.granted:
            await asyncio.sleep(lease.wait_seconds)
