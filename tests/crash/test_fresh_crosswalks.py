"""A steward's entry of a moment ago: no case waits for a person again because a process had not heard of it yet."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

from tests.sealing_parts import protection_for

from hilum.authoring.estate import Estate
from hilum.governance.loader import load_estate
from hilum.masterdata.book import CrosswalkBook
from hilum.masterdata.crosswalks import Crosswalks
from hilum.runtime.cases import CaseRun, Surroundings
from hilum.runtime.deliveries import Deliveries
from hilum.store.pool import open_pool

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
NOON = datetime(2026, 11, 21, 18, 0, tzinfo=UTC)


def test_cases_that_look_something_up_right_after_it_was_set_find_it(database_url: str) -> None:
    """Eight at once, of whom one refreshes the book and seven find it fresh already."""

    async def story() -> None:
        pool = await open_pool(database_url, min_size=2, max_size=10)
        estate: Estate = load_estate(LAKESHORE)
        crosswalks = Crosswalks(pool, lambda: NOON)
        await crosswalks.sync_tables(estate)
        book = CrosswalkBook(pool, lambda: NOON, ZoneInfo(estate.time_zone))
        await book.refresh()
        loop = asyncio.get_running_loop()
        protection = await protection_for(pool, estate, lambda: NOON)
        around = Surroundings(
            pool, loop, estate, protection, cast(Deliveries, None), book, lambda: NOON, "worker-1", lambda why: None
        )

        def look_up(code: str, number: int) -> str | None:
            case = CaseRun(around, f"implant_usage/U-{number}")
            return case.lookup("charge_code_to_item", code, "ST-MARY", NOON)

        for code in (f"IMP-77{n:02}" for n in range(20)):
            assert await asyncio.to_thread(look_up, code, 0) is None
            await crosswalks.set("charge_code_to_item", code, "SCREW-3", by="person:grace")
            found = await asyncio.gather(*(asyncio.to_thread(look_up, code, n) for n in range(8)))
            assert found == ["SCREW-3"] * 8, code
        await pool.close()

    asyncio.run(story())
