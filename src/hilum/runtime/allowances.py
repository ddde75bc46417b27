"""Allowances: how many requests a minute and a day each caller has, counted over all processes by the database's clock.

A generic cell rate algorithm (ITU-T I.371) whose state is one row for each key. A process leases a few tokens at a time
and spends them without asking, so most requests cost no round trip. The promise holds all the same, for all processes
together: in any window of ``w`` seconds at most ``burst + w * requests_per_minute / 60`` requests are allowed.

Why: every token owns a slot of time, one period long, and no two slots overlap. A token is good only from ``burst``
periods before its slot's end until its slot begins; afterwards its process throws it away. So the tokens that are used
in a window have disjoint slots within that window and ``burst`` periods more. No machine's clock is compared with another's:
a process measures on its own monotonic clock from when it asked (for the end of a token) and from when it was answered
(for its beginning). A killed process loses what it had leased and nothing more.

When the database does not answer, what was leased is still spent, and then everything is refused (``refused="store"``,
which is a 503 and not a 429): a limit that opens when its counter is away is no limit, and without the database a door
could neither decide nor record what it let through.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

import asyncpg

log = logging.getLogger(__name__)

LIFE_SECONDS = 1.0
"""For how long a leased token stays good at most while the key is idle; shorter where the burst comes back sooner."""
MOST_LEASED = 256
STORE_PATIENCE_SECONDS = 2.0
STORE_RETRY_SECONDS = 5.0
QUOTA_LOOK_SECONDS = 5.0
KEPT_KEYS = 20_000
STORE_LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one request. ``limit`` requests may come at once, and come back within ``window_seconds``.

    ``refused`` is empty, ``rate``, ``quota`` (of the day) or ``store`` (the database does not answer). ``remaining`` and
    ``reset_seconds`` (until nothing is spent any more) are as the process knew them when it last asked the database.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: float
    retry_after_seconds: float
    window_seconds: float = 60.0
    refused: str = ""
    quota_per_day: int | None = None
    quota_remaining: int = 0
    quota_reset_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Tokens of one key, or for how long there is none. Times are of this process's monotonic clock."""

    granted: int
    first_end: float  # Token j is good until first_end + j * period ...
    first_begin: float  # ... and from first_begin + j * period on.
    period_seconds: float
    wait_seconds: float
    refused: str
    room: int
    full_at: float
    day: date
    day_end: float
    used_today: int


class Leases:
    """Asks the database for tokens."""

    def __init__(self, pool: asyncpg.Pool, *, time_zone: str, monotonic: Callable[[], float]) -> None:
        self._pool = pool
        self._time_zone = time_zone
        self.monotonic = monotonic

    async def lease(
        self,
        key: str,
        *,
        period_us: int,
        burst: int,
        want: int,
        life_us: int,
        ahead_us: int = 0,
        quota: int | None = None,
        back: int = 0,
        back_day: date | None = None,
    ) -> Lease:
        """At most ``want`` tokens. One of STORE_LOST when the database does not answer."""
        asked = self.monotonic()
        async with asyncio.timeout(STORE_PATIENCE_SECONDS):
            row = await self._pool.fetchrow(
                "SELECT * FROM lease_allowance($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                key, period_us, burst, want, life_us, ahead_us, quota, self._time_zone, back, back_day,
            )  # fmt: skip
        answered = self.monotonic()
        period = period_us / 1e6
        start = row["start_us"] / 1e6
        return Lease(
            row["granted"], asked + start, answered + start + period - burst * period, period, row["wait_us"] / 1e6,
            row["refused"] or "", row["room"], answered + row["full_in_us"] / 1e6, row["today"],
            asked + row["day_left_us"] / 1e6, row["used_today"],
        )  # fmt: skip

    async def forget_idle(self) -> int:
        """Drop the rows that say nothing any more: nothing spent, no quota of today used."""
        dropped: str = await self._pool.execute(
            """DELETE FROM allowance WHERE spent_until_us < floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint
                  AND day < (clock_timestamp() AT TIME ZONE $1)::date - 1""",
            self._time_zone,
        )
        return int(dropped.rpartition(" ")[2])


@dataclass(slots=True)
class _Purse:
    """What this process has of one key."""

    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    lease: Lease | None = None
    spent: int = 0  # Tokens of the lease that were used or went bad; the next one is this.
    lost: int = 0  # Those of today's that went bad: they did not use up the quota.
    want: int = 1
    refused_until: float = 0.0


class Allowances:
    """Takes requests from allowances. One object for each process; any number of processes."""

    def __init__(self, pool: asyncpg.Pool, *, time_zone: str, monotonic: Callable[[], float]) -> None:
        self.leases = Leases(pool, time_zone=time_zone, monotonic=monotonic)
        self._monotonic = monotonic
        self._purses: dict[str, _Purse] = {}

    async def take(self, key: str, requests_per_minute: float, burst: int, quota_per_day: int | None = None) -> Taken:
        """Whether one more request of ``key`` may go: never more than ``burst`` at once, nor the rate, nor the day's quota.

        Keys say what they count: ``api:erp:service:ap-bot``, ``login:ana``, ``peer:10.1.2.3``. One key has one setting.
        """
        purse = self._purse(key)
        agreed = _Agreed(math.ceil(60e6 / requests_per_minute), burst, quota_per_day)
        taken = self._from_purse(purse, agreed)
        if taken is not None:
            return taken
        purse.waiting += 1
        try:
            async with purse.asking:
                taken = self._from_purse(purse, agreed)
                if taken is not None:
                    return taken
                try:
                    await self._fill(key, purse, agreed)
                except STORE_LOST as lost:
                    log.warning("allowances cannot be counted (%s): requests are refused", type(lost).__name__)
                    return _refusal(agreed, "store", STORE_RETRY_SECONDS)
                taken = self._from_purse(purse, agreed, fresh=True)
        finally:
            purse.waiting -= 1
        assert taken is not None, "a fresh lease has a token or says how long there is none"
        return taken

    async def forget_idle(self) -> int:
        """Housekeeping: drop what nobody uses; how many keys."""
        return await self.leases.forget_idle()

    # -- inside

    def _purse(self, key: str) -> _Purse:
        purse = self._purses.get(key)
        if purse is None:
            if len(self._purses) >= KEPT_KEYS:
                # An attacker has many addresses. The oldest key that nobody waits for loses its few tokens.
                oldest = next((k for k, p in self._purses.items() if not p.waiting), None)
                if oldest is not None:
                    del self._purses[oldest]
            purse = self._purses[key] = _Purse()
        return purse

    def _from_purse(self, purse: _Purse, agreed: _Agreed, *, fresh: bool = False) -> Taken | None:
        """A token in hand, a refusal that still holds, or None: the database has to be asked."""
        lease = purse.lease
        if lease is None:
            return None
        now = self._monotonic()
        if now < lease.day_end or fresh:
            while purse.spent < lease.granted:
                if fresh or now < lease.first_end + purse.spent * lease.period_seconds:
                    purse.spent += 1
                    return _allowed(agreed, purse, lease, now)
                purse.spent += 1
                purse.lost += 1
        # Nothing is given back to a rate, so a refusal holds until the time the database named; no need to ask again.
        if lease.granted == 0 and (fresh or now < purse.refused_until):
            until = lease.day_end if lease.refused == "quota" else purse.refused_until
            return _refusal(agreed, lease.refused, max(until - now, 0.001), purse, now)
        return None

    async def _fill(self, key: str, purse: _Purse, agreed: _Agreed) -> None:
        before = purse.lease
        back, day = 0, None
        if before is not None:
            unused = before.granted - purse.spent + purse.lost
            if agreed.quota is not None:
                back, day = unused, before.day
            # Twice as much when all was used, what was needed when some went bad.
            used = before.granted - unused
            purse.want = min(purse.want * 2, agreed.chunk) if unused == 0 and used else max(used, 1)
        lease = await self.leases.lease(
            key, period_us=agreed.period_us, burst=agreed.burst, want=min(max(purse.want, purse.waiting), agreed.chunk),
            life_us=agreed.life_us, quota=agreed.quota, back=back, back_day=day,
        )  # fmt: skip
        purse.lease, purse.spent, purse.lost = lease, 0, 0
        # Another process may give back what it did not use of a quota: that is asked again now and then.
        wait = min(lease.wait_seconds, QUOTA_LOOK_SECONDS) if lease.refused == "quota" else lease.wait_seconds
        purse.refused_until = self._monotonic() + wait


@dataclass(frozen=True, slots=True)
class _Agreed:
    """A setting, in the database's units."""

    period_us: int
    burst: int
    quota: int | None

    @property
    def chunk(self) -> int:
        """How many tokens a process holds at most: small bursts (logins) are asked for one by one, and exact."""
        return max(1, min(self.burst // 8, MOST_LEASED))

    @property
    def life_us(self) -> int:
        return min(int(LIFE_SECONDS * 1e6), self.burst * self.period_us // 8) if self.chunk > 1 else 0

    @property
    def window_seconds(self) -> float:
        return self.burst * self.period_us / 1e6


def _quota_left(agreed: _Agreed, lease: Lease, in_hand: int) -> int:
    return max(agreed.quota - lease.used_today, 0) + in_hand if agreed.quota is not None else 0


def _allowed(agreed: _Agreed, purse: _Purse, lease: Lease, now: float) -> Taken:
    in_hand = lease.granted - purse.spent
    return Taken(
        True, agreed.burst, min(lease.room + in_hand, agreed.burst), max(lease.full_at - now, 0.0), 0.0,
        agreed.window_seconds, "", agreed.quota, _quota_left(agreed, lease, in_hand), max(lease.day_end - now, 0.0),
    )  # fmt: skip


def _refusal(agreed: _Agreed, why: str, seconds: float, purse: _Purse | None = None, now: float = 0.0) -> Taken:
    lease = purse.lease if purse is not None else None
    if lease is None:
        return Taken(False, agreed.burst, 0, seconds, seconds, agreed.window_seconds, why, agreed.quota)
    return Taken(
        False, agreed.burst, 0 if why == "rate" else lease.room, max(lease.full_at - now, 0.0), seconds,
        agreed.window_seconds, why, agreed.quota, _quota_left(agreed, lease, 0), max(lease.day_end - now, 0.0),
    )  # fmt: skip


def rate_headers(taken: Taken) -> Mapping[str, str]:
    """``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers), and ``Retry-After`` when refused.

    ``"rate";q=60;w=6`` says that 60 requests may come at once and come back within 6 seconds: ten a second in the long
    run. ``"day"`` is the quota of the calendar day, and its ``t`` the seconds until the estate's midnight. Seconds are
    rounded up, so that whoever keeps to them is not refused again.
    """
    policies = [f'"rate";q={taken.limit};w={max(math.ceil(taken.window_seconds), 1)}']
    limits = [f'"rate";r={taken.remaining};t={math.ceil(taken.reset_seconds)}']
    if taken.quota_per_day is not None:
        policies.append(f'"day";q={taken.quota_per_day};w=86400')
        limits.append(f'"day";r={taken.quota_remaining};t={math.ceil(taken.quota_reset_seconds)}')
    headers = {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(limits)}
    if not taken.allowed:
        headers["Retry-After"] = str(max(math.ceil(taken.retry_after_seconds), 1))
    return headers
