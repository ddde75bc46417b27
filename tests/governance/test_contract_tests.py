"""Contract tests: a real ERP and a simulated platform beside what is recorded of them, and what people are told of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hilum.authoring.estate import ContractTestSpec, Estate, SystemSpec
from hilum.authoring.failures import Unavailable
from hilum.connectors.inventory_rest import InventoryRest
from hilum.connectors.tryton import TrytonErp
from hilum.connectors.vendor_answers import Announcement, Announcements
from hilum.governance.contract_tests import ContractTests, Subject
from hilum.governance.drift import Description, described, read_recorded, record
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock
from hilum.testing.neighbours.launch import simulated_inventory
from hilum.testing.neighbours.tryton import Tryton

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
TOKEN = "stock-api-token"
MOVE = {"type": "char", "relied_on_by": ["post_journal"]}


@dataclass
class Vendor:
    """A system that looks as a test says."""

    parts: dict[str, Any] = field(default_factory=lambda: {"move.number": dict(MOVE), "move.date": dict(MOVE)})
    away: bool = False
    looked: int = 0
    announcements: Announcements = field(default_factory=Announcements)

    async def describe(self) -> dict[str, Any]:
        self.looked += 1
        if self.away:
            raise Unavailable("erp", "no answer")
        return {"source": "tryton", "parts": self.parts}


@dataclass
class Bench:
    pool: asyncpg.Pool
    estate: Estate
    clock: StoppedClock
    tests: ContractTests

    async def items(self) -> list[tuple[str, str]]:
        rows = await self.pool.fetch("SELECT title, state, owner, queue FROM work_item ORDER BY id")
        assert all((row["queue"], row["owner"]) == ("integration", "integration-team") for row in rows)
        return [(row["title"], row["state"]) for row in rows]


@asynccontextmanager
async def bench(url: str, root: Path, vendor: Vendor, *, recorded: bool = True) -> AsyncIterator[Bench]:
    spec = SystemSpec(name="erp", owner="finance", contract_test=ContractTestSpec(every_hours=24))
    estate = Estate(root=root, name="lakeshore", systems={"erp": spec}, queues={"integration": "integration-team"})
    if recorded:
        record(root, described("erp", await vendor.describe()))
        vendor.looked = 0
    pool = await open_pool(url, min_size=1, max_size=3, application_name="test")
    clock = StoppedClock()
    subjects = {"erp": Subject(vendor.describe, vendor.announcements.take)}
    try:
        yield Bench(pool, estate, clock, ContractTests(pool, estate, subjects, clock=clock))
    finally:
        await pool.close()


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_each_change_is_one_work_item_however_often_it_is_found(database_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        vendor = Vendor()
        async with bench(database_url, tmp_path, vendor) as b:
            del vendor.parts["move.number"]
            vendor.parts["move.date"] = {**MOVE, "type": "datetime"}
            vendor.parts["move.nummer"] = dict(MOVE)
            for _ in range(3):
                report = await b.tests.test("erp")
                b.clock.passes(hours=24)
            assert report.verdict == "breaking"
            assert sorted(await b.items()) == [
                ("erp changed: move.date was char and is datetime", "open"),
                ("erp changed: move.number is gone; move.nummer is new and may be what it is called now", "open"),
            ]
            [detail] = {
                r["detail"] for r in await b.pool.fetch("SELECT detail FROM work_item_case") if "date" in r["detail"]
            }
            assert "relied on by post_journal" in detail

    run(story)


def test_an_item_is_closed_when_the_vendor_takes_the_change_back_or_it_is_recorded(
    database_url: str, tmp_path: Path
) -> None:
    async def story() -> None:
        vendor = Vendor()
        async with bench(database_url, tmp_path, vendor) as b:
            gone = vendor.parts.pop("move.number")
            await b.tests.test("erp")
            vendor.parts["move.number"] = gone
            assert (await b.tests.test("erp")).verdict == "same"
            assert [state for _, state in await b.items()] == ["resolved"]
            del vendor.parts["move.number"]
            report = await b.tests.test("erp")
            assert [state for _, state in await b.items()] == ["resolved", "open"]
            assert report.now is not None
            record(tmp_path, report.now)
            assert (await b.tests.test("erp")).verdict == "same"
            assert [state for _, state in await b.items()] == ["resolved", "resolved"]

    run(story)


def test_a_system_that_is_away_says_nothing_of_its_interface(database_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        vendor = Vendor()
        async with bench(database_url, tmp_path, vendor) as b:
            del vendor.parts["move.number"]
            await b.tests.test("erp")
            vendor.away = True
            assert (await b.tests.test("erp")).verdict == "unavailable"
            assert [state for _, state in await b.items()] == ["open"], "and closes nothing"

    run(story)


def test_workers_share_the_schedule(database_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        vendor = Vendor()
        async with bench(database_url, tmp_path, vendor) as b:
            other = ContractTests(b.pool, b.estate, {"erp": Subject(vendor.describe)}, clock=b.clock)
            done = await asyncio.gather(b.tests.run_due(), other.run_due())
            assert sorted(done) == [0, 1]
            b.clock.passes(hours=23)
            assert await other.run_due() == 0
            b.clock.passes(hours=2)
            assert await other.run_due() == 1
            assert vendor.looked == 2

    run(story)


def test_what_was_never_recorded_opens_no_item_and_says_how_to_record_it(database_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(database_url, tmp_path, Vendor(), recorded=False) as b:
            report = await b.tests.test("erp")
            assert (report.verdict, await b.items()) == ("unrecorded", [])
            assert "hilum contract-test erp --record" in report.detail

    run(story)


def test_a_door_that_will_be_switched_off_is_told_long_before(database_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        vendor = Vendor()
        async with bench(database_url, tmp_path, vendor) as b:
            vendor.announcements.met("GET", "/movements", {"sunset": "Thu, 31 Dec 2026 23:59:59 GMT"})
            assert vendor.announcements._met["GET /movements"] == Announcement(
                "GET /movements", "", "2026-12-31T23:59:59+00:00"
            )
            assert (await b.tests.test("erp")).verdict == "deprecated"
            [(title, state)] = await b.items()
            assert (state, "switched off on 2026-12-31" in title) == ("open", True)
            b.clock.passes(hours=24 * 31)
            assert (await b.tests.test("erp")).verdict == "same", "they have stopped saying it"
            assert [state for _, state in await b.items()] == ["resolved"]

    run(story)


def test_a_description_that_cannot_be_read_is_a_break_and_no_crash(database_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        vendor = Vendor()
        async with bench(database_url, tmp_path, vendor) as b:
            vendor.parts = {"move.number": {"kind": "no such fact"}}
            assert (await b.tests.test("erp")).verdict == "breaking"

    run(story)


# --- real neighbours ----------------------------------------------------------------------------------------------


async def erp_now(erp: Tryton) -> Description:
    tryton = TrytonErp(erp.base_url, erp.database, erp.api_key, rng=random.Random(7))
    try:
        return described("erp", await tryton.describe())
    finally:
        await tryton.close()


@pytest.mark.erp
def test_the_real_erp_is_as_lakeshore_recorded_it(erp: Tryton) -> None:
    from hilum.governance.drift import compare

    recorded = read_recorded(LAKESHORE, "erp")
    assert recorded is not None
    assert compare(recorded, asyncio.run(erp_now(erp))) == []
    assert recorded.parts["account.move.state"].values == ("draft", "posted")
    assert {"post_journal"} <= set(recorded.parts["account.move.line.debit"].relied_on_by)


@pytest.mark.erp
def test_a_field_of_the_real_erp_that_was_renamed_is_found_before_anybody_posts(
    erp: Tryton, database_url: str, tmp_path: Path
) -> None:
    """Recorded when the field still had its old name, its type and a value that this ERP does not know any more."""

    async def story() -> None:
        now = await erp_now(erp)
        parts = {name: part.model_dump() for name, part in now.parts.items()}
        parts["account.move.narration"] = parts.pop("account.move.description")
        parts["account.move.state"]["values"] = ("draft", "posted", "validated")
        record(tmp_path, described("erp", {"source": "tryton", "parts": parts}))

        async def look() -> dict[str, Any]:
            return (await erp_now(erp)).model_dump(exclude={"system"})

        spec = SystemSpec(name="erp", owner="finance")
        estate = Estate(
            root=tmp_path, name="lakeshore", systems={"erp": spec}, queues={"integration": "integration-team"}
        )
        pool = await open_pool(database_url, min_size=1, max_size=2, application_name="test")
        try:
            report = await ContractTests(pool, estate, {"erp": Subject(look)}, clock=StoppedClock()).test("erp")
            titles = [row["title"] for row in await pool.fetch("SELECT title FROM work_item ORDER BY title")]
        finally:
            await pool.close()
        assert report.verdict == "breaking"
        assert [(c.kind, c.part) for c in report.changes] == [
            ("breaking", "account.move.narration"),
            ("breaking", "account.move.state"),
            ("additive", "account.move.description"),
        ]
        assert "post_journal" in report.changes[0].relied_on_by
        assert len(titles) == 2 and "has lost the values validated" in titles[1]

    run(story)


def test_the_simulated_platform_is_as_lakeshore_recorded_it_and_nothing_was_moved(tmp_path: Path) -> None:
    from hilum.governance.drift import compare

    token = tmp_path / "token"
    token.write_text(TOKEN)
    shelf = {"location": "STM-OR1", "item": "KNEE-99", "on_hand": 3, "reorder_point": 2, "par": 6}

    async def look(url: str) -> Description:
        stock = InventoryRest(url, TOKEN, timeout_seconds=5)
        try:
            return described("stock", await stock.describe())
        finally:
            await stock.close()

    with simulated_inventory(tmp_path, token_file=token, positions=[shelf]) as inventory:
        now = asyncio.run(look(inventory.url))
        moved = inventory.ask("GET", "/movements", token=TOKEN)
    recorded = read_recorded(LAKESHORE, "stock")
    assert recorded is not None
    assert compare(recorded, now) == []
    assert recorded.parts["POST /positions/search.positions[].on_hand"].type == "number"
    assert recorded.parts["POST /movements without a key"].relied_on_by == ("take",)
    assert list(moved) == []

    older = recorded.model_dump()
    older["parts"]["POST /positions/search.positions[].quantity_on_hand"] = older["parts"].pop(
        "POST /positions/search.positions[].on_hand"
    )
    changes = compare(Description.model_validate(older), now)
    assert [c.kind for c in changes] == ["breaking", "additive"]
    assert "positions" in changes[0].relied_on_by
