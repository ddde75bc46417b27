"""Days have partitions before they begin."""

from __future__ import annotations

import asyncio
from datetime import date

from hilum.store.partitions import ensure_partitions, partitions
from hilum.store.pool import open_pool


def test_every_day_from_yesterday_on_has_its_partitions_once(database_url: str) -> None:
    async def story() -> None:
        async with await open_pool(database_url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
            await ensure_partitions(connection, date(2026, 3, 2), days_ahead=1)
            await ensure_partitions(connection, date(2026, 3, 2), days_ahead=1)
            found = [(table, name) for table, name, day in await partitions(connection) if day <= date(2026, 3, 2)]
            assert found == [
                ("event", "event_20260301"),
                ("message", "message_20260301"),
                ("event", "event_20260302"),
                ("message", "message_20260302"),
            ]

    asyncio.run(story())
