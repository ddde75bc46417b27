"""Retention drops whole days, and never the events of what is not done."""

from __future__ import annotations

import asyncio
from datetime import date

from hilum.store.partitions import drop_partitions, ensure_partitions
from hilum.store.pool import open_pool

MARCH_2 = date(2026, 3, 2)


def test_days_past_their_retention_are_dropped_but_the_events_of_open_cases_stay(database_url: str) -> None:
    async def story() -> None:
        async with await open_pool(database_url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
            await ensure_partitions(connection, MARCH_2, days_ahead=1)
            dropped = await drop_partitions(connection, date(2026, 3, 3), keep_events_of={MARCH_2})
            assert dropped == ["event_20260301", "message_20260301", "message_20260302"]
            left = await connection.fetch("SELECT inhrelid::regclass::text AS name FROM pg_inherits ORDER BY 1")
            assert {r["name"] for r in left} >= {
                "event_20260302",
                "event_20260303",
                "message_20260303",
                "event_default",
            }
            assert await drop_partitions(connection, date(2026, 3, 3)) == ["event_20260302"]

    asyncio.run(story())
