"""Who uses which version of what, and how the door does: counted in memory, written in batches, exposed to Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg
from prometheus_client import CollectorRegistry, Counter, Histogram

EVERY_SECONDS = 2.0
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_WRITE = """
    INSERT INTO api_usage AS u (day, consumer, api, version, operation, status_class, requests, seconds, last_at)
    SELECT * FROM unnest($1::date[], $2::text[], $3::text[], $4::int[], $5::text[], $6::smallint[], $7::bigint[],
                         $8::double precision[], $9::timestamptz[])
     ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (day, consumer, api, version, operation, status_class) DO UPDATE
       SET requests = u.requests + excluded.requests, seconds = u.seconds + excluded.seconds,
           last_at = greatest(u.last_at, excluded.last_at)
"""

_Key = tuple[date, str, str, int, str, int]


@dataclass(slots=True)
class _Count:
    requests: int
    seconds: float
    last_at: datetime


class Usage:
    """Counts of one process. A process that is killed loses what it had not written yet: at most ``EVERY_SECONDS``."""

    def __init__(
        self, pool: asyncpg.Pool, *, clock: Callable[[], datetime], registry: CollectorRegistry | None = None
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._counts: dict[_Key, _Count] = {}
        self.registry = registry if registry is not None else CollectorRegistry()
        labels = ("api", "version", "operation", "status_class")
        self._requests = Counter("hilum_api_requests_total", "Requests by outcome.", labels, registry=self.registry)
        self._seconds = Histogram(
            "hilum_api_seconds", "Time until the answer.", labels[:3], registry=self.registry, buckets=_BUCKETS
        )
        self._outside = Counter(
            "hilum_api_outside_contract_total", "Answers of systems outside their contract.", labels[:3],
            registry=self.registry,
        )  # fmt: skip
        self._undecided = Counter(
            "hilum_api_undecided_total", "Answers withheld because no policy had decided.", registry=self.registry
        )
        self._children: dict[tuple[str, int, str, int], tuple[Counter, Histogram]] = {}

    def count(self, consumer: str, api: str, version: int, operation: str, status: int, seconds: float) -> None:
        now = self._clock()
        status_class = status // 100
        key = (now.date(), consumer, api, version, operation, status_class)
        found = self._counts.get(key)
        if found is None:
            self._counts[key] = _Count(1, seconds, now)
        else:
            found.requests += 1
            found.seconds += seconds
            found.last_at = now
        label = (api, version, operation, status_class)
        children = self._children.get(label)
        if children is None:
            children = self._children[label] = (
                self._requests.labels(api, version, operation, f"{status_class}xx"),
                self._seconds.labels(api, version, operation),
            )
        children[0].inc()
        children[1].observe(seconds)

    def outside_contract(self, api: str, version: int, operation: str) -> None:
        self._outside.labels(api, version, operation).inc()

    def undecided(self) -> None:
        self._undecided.inc()

    async def write(self) -> int:
        """Write what was counted; 0 so that its loop waits. What could not be written is counted on."""
        counts, self._counts = self._counts, {}
        if not counts:
            return 0
        rows = [(*key, count.requests, count.seconds, count.last_at) for key, count in counts.items()]
        try:
            await self._pool.execute(_WRITE, *map(list, zip(*rows, strict=True)))
        except BaseException:
            self._take_back(counts)
            raise
        return 0

    def _take_back(self, counts: dict[_Key, _Count]) -> None:
        for key, earlier in counts.items():
            later = self._counts.get(key)
            if later is None:
                self._counts[key] = earlier
            else:
                later.requests += earlier.requests
                later.seconds += earlier.seconds
