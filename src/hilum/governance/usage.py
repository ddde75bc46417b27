"""Who uses which version of which API: what an owner looks at before retiring one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import asyncpg


@dataclass(frozen=True)
class Use:
    """One consumer's use of one operation since a day. Refusals are what it got with a 4xx, faults with a 5xx."""

    consumer: str
    api: str
    version: int
    operation: str
    requests: int
    refusals: int
    faults: int
    last_at: datetime


async def usage_since(
    connection: asyncpg.Connection, since: date, *, api: str | None = None, version: int | None = None
) -> list[Use]:
    """The use of all APIs, of one, or of one version, since ``since``; the busiest first."""
    rows = await connection.fetch(
        """SELECT consumer, api, version, operation, sum(requests)::bigint AS requests, max(last_at) AS last_at,
                  coalesce(sum(requests) FILTER (WHERE status_class = 4), 0)::bigint AS refusals,
                  coalesce(sum(requests) FILTER (WHERE status_class = 5), 0)::bigint AS faults
             FROM hilum.api_usage
            WHERE day >= $1 AND ($2::text IS NULL OR api = $2) AND ($3::int IS NULL OR version = $3)
            GROUP BY consumer, api, version, operation ORDER BY requests DESC, consumer, operation""",
        since, api, version,
    )  # fmt: skip
    return [
        Use(
            r["consumer"], r["api"], r["version"], r["operation"], r["requests"], r["refusals"], r["faults"],
            r["last_at"],
        )
        for r in rows
    ]  # fmt: skip
