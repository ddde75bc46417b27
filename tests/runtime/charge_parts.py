"""Charges on a real database: messages as senders write them, read by the estate's own mappings, collected and staged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import orjson
from tests.sealing_parts import protection_for

from hilum.authoring.estate import Estate
from hilum.governance.loader import load_estate
from hilum.masterdata.book import CrosswalkBook
from hilum.masterdata.crosswalks import Crosswalks
from hilum.runtime import work_items
from hilum.runtime.collecting import Collector
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import Reader
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.testing.charges import ChargeLine, charge_message
from hilum.testing.clock import StoppedClock

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
NOW = datetime(2026, 3, 4, 8, tzinfo=UTC)
DAY = date(2026, 3, 2)


def usd(text: str) -> Decimal:
    return Decimal(text)


def line(number: str, amount: str, **given: Any) -> ChargeLine:
    return ChargeLine(number, usd(amount), **{"service_on": DAY, **given})


@cache
def lakeshore() -> Estate:
    return load_estate(LAKESHORE)


@dataclass
class Office:
    """A platform's intake, collector and books, without its other processes."""

    pool: asyncpg.Pool
    estate: Estate
    intake: Intake
    protection: Protection
    clock: StoppedClock
    book: CrosswalkBook
    numbers: Any = field(default_factory=lambda: count(1))

    def collector(self) -> Collector:
        return Collector(self.pool, self.estate, self.protection, self.book, clock=self.clock)

    async def charges(
        self, *lines: ChargeLine, facility: str = "ST-MARY", raw: bytes | None = None, **given: Any
    ) -> str:
        """A DFT of the EHR; how it was taken."""
        data = (
            raw
            if raw is not None
            else charge_message(lines, control_id=f"DFT-{next(self.numbers)}", facility=facility, **given)
        )
        reception, _ = Reader(self.estate).hl7("ehr", "mllp", "peer", data)
        receipt: Receipt = await self.intake.submit(reception, lambda receipt: receipt)
        return receipt.status

    async def scans(self, usage_id: str, price: str | None, **given: Any) -> str:
        """The inventory platform's word of an implant."""
        report = {
            "type": "consumption", "usage_id": usage_id, "charge_code": "IMP-1001", "quantity": 1, "account": "ACC-9001", "department": "OR",
            "facility": "ST-MARY", "used_at": f"{DAY}T15:00:00Z", "charge_usd": price, **given,
        }  # fmt: skip
        reception = Reader(self.estate).json("stock", "webhook", "peer", orjson.dumps(report), "type")
        receipt: Receipt = await self.intake.submit(reception, lambda receipt: receipt)
        return receipt.status

    async def collects(self) -> None:
        """Until nothing is left to collect."""
        collector = self.collector()
        while await collector.run_once():
            pass

    async def states(self) -> dict[str, str]:
        rows = await self.pool.fetch("SELECT charge, state FROM charge_state")
        return {row["charge"]: row["state"] for row in rows}

    async def items(self) -> list[tuple[str, str, Decimal, list[str]]]:
        """Open work items: queue, cause, dollars, and what each part of it says."""
        rows = await self.pool.fetch(
            """SELECT w.queue, w.cause, w.at_risk_usd, array_agg(c.detail ORDER BY c.subject) AS details FROM work_item w
                 JOIN work_item_case c ON c.work_item = w.id WHERE w.state = 'open' GROUP BY w.id ORDER BY w.cause"""
        )
        return [(r["queue"], r["cause"], r["at_risk_usd"], r["details"]) for r in rows]

    async def releases(self, cause: str, *, skip: bool = False) -> None:
        item = await self.pool.fetchval("SELECT id FROM work_item WHERE cause = $1 AND state = 'open'", cause)
        async with self.pool.acquire() as connection, connection.transaction():
            if skip:
                await work_items.skip(connection, item, now=NOW, actor="person:ana", reason="a test of the interface")
            else:
                await work_items.release(connection, item, now=NOW, actor="person:ana")

    async def maps(self, crosswalk: str, code: str, target: str) -> None:
        await Crosswalks(self.pool, self.clock).set(crosswalk, code, target, by="person:ana")


@asynccontextmanager
async def office(url: str, estate: Estate | None = None) -> AsyncIterator[Office]:
    clock = StoppedClock(NOW)
    here = estate if estate is not None else lakeshore()
    async with await open_pool(url, min_size=1, max_size=8, application_name="test") as pool:
        async with pool.acquire() as connection:
            await ensure_partitions(connection, NOW.date())
        await Crosswalks(pool, clock).sync_tables(here)
        protection = await protection_for(pool, here, clock)
        intake = Intake(pool, protection, name="intake-1", clock=clock)
        await intake.start()
        book = CrosswalkBook(pool, clock, ZoneInfo(here.time_zone))
        await book.refresh()
        try:
            yield Office(pool, here, intake, protection, clock, book)
        finally:
            await intake.stop()


def play(url: str, story: Any, estate: Estate | None = None) -> None:
    async def whole() -> None:
        async with office(url, estate) as o:
            await story(o)

    asyncio.run(asyncio.wait_for(whole(), 120))
