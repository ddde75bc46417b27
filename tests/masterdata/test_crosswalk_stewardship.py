"""Stewards decide, tables are loaded, and the books of running processes follow, on a real database."""

from __future__ import annotations

import asyncio
import shutil
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import orjson
import pytest

from hilum.authoring.estate import CrosswalkSpec, Estate
from hilum.masterdata.book import CrosswalkBook
from hilum.masterdata.crosswalks import CHANNEL, CrosswalkRefused, Crosswalks, Synced
from hilum.masterdata.entries import UnknownCrosswalk
from hilum.masterdata.tables import TableUnreadable

EIGHT = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
CHICAGO = ZoneInfo("America/Chicago")
GRACE = "person:grace"


class StewardsDesk:
    """An estate with one crosswalk, its database and the clock on the wall."""

    def __init__(self, url: str, root: Path, runner: asyncio.Runner) -> None:
        self.root = root
        self.now = EIGHT
        self._runner = runner
        self.pool = self.run(asyncpg.create_pool(url, min_size=1, max_size=6))
        self.crosswalks = Crosswalks(self.pool, lambda: self.now)
        self.book = CrosswalkBook(self.pool, lambda: self.now, CHICAGO)
        self.estate = Estate(
            root=root, name="lakeshore", facilities={"ST-MARY": "St. Mary", "HARBOR-VIEW": "Harbor View"}
        )
        self.declares("items", targets="items.csv:item")
        (root / "items.csv").write_text("item\nKNEE-98\nKNEE-99\nHIP-40\n")

    def run(self, work):
        async def awaited():
            return await work

        return self._runner.run(awaited())

    def close(self) -> None:
        self.run(self.pool.close())

    def declares(self, name: str, targets: str = "") -> None:
        self.estate.crosswalks[name] = CrosswalkSpec(
            name=name, file=f"{name}_table.csv", source="ehr", target="erp", owner="supply-chain", targets=targets
        )
        self.tables(name)

    def tables(self, name: str, *rows: str) -> None:
        header = "code,target,facility,valid_from,valid_to"
        (self.root / f"{name}_table.csv").write_text("\n".join([header, *rows]) + "\n")

    def syncs(self) -> Synced:
        return self.run(self.crosswalks.sync_tables(self.estate))

    def sets(self, code: str, target: str, **more):
        return self.run(self.crosswalks.set("items", code, target, by=GRACE, **more))

    def looks_up(self, code: str, facility: str = "ST-MARY", on: datetime | None = None) -> str | None:
        self.run(self.book.refresh())
        return self.book.lookup("items", code, facility, on)

    def audited(self) -> list[dict]:
        rows = self.run(self.pool.fetch("SELECT entry FROM hilum.audit_entry ORDER BY shard, seq"))
        return [orjson.loads(row["entry"]) for row in rows]


@pytest.fixture
def desk(database_url, tmp_path):
    with asyncio.Runner() as runner:
        desk = StewardsDesk(database_url, tmp_path, runner)
        yield desk
        desk.close()


def test_loading_the_tables_again_changes_nothing(desk):
    desk.tables("items", "IMP-1,KNEE-99,,,", "IMP-2,HIP-40,ST-MARY,2026-01-01,2026-12-31")
    assert desk.syncs() == Synced(added=2, changed=0, removed=0)
    before = desk.run(desk.crosswalks.entries("items"))

    desk.now += timedelta(days=1)
    assert desk.syncs() == Synced(0, 0, 0)
    assert desk.run(desk.crosswalks.entries("items")) == before
    assert len(desk.audited()) == 1


def test_loading_follows_the_tables_and_leaves_stewards_alone(desk):
    desk.tables("items", "IMP-1,KNEE-98,,,", "IMP-2,HIP-40,,,")
    desk.syncs()
    desk.sets("IMP-3", "KNEE-99")

    desk.tables("items", "IMP-1,KNEE-99,,,", "IMP-4,HIP-40,,,")
    assert desk.syncs() == Synced(added=1, changed=1, removed=1)

    assert {c: desk.looks_up(c) for c in ("IMP-1", "IMP-2", "IMP-3", "IMP-4")} == {
        "IMP-1": "KNEE-99",
        "IMP-2": None,
        "IMP-3": "KNEE-99",
        "IMP-4": "HIP-40",
    }


def test_a_bad_table_changes_nothing_at_all(desk):
    desk.declares("locations")
    desk.tables("items", "IMP-1,KNEE-99,,,")
    desk.syncs()
    desk.tables("items", "IMP-1,HIP-40,,,")
    desk.tables("locations", "OR,STM-OR1,,,", "OR,STM-OR2,,,")
    with pytest.raises(CrosswalkRefused, match=r"locations_table.csv:3: OR has two targets"):
        desk.syncs()
    assert desk.looks_up("IMP-1") == "KNEE-99"

    (desk.root / "locations_table.csv").unlink()
    with pytest.raises(TableUnreadable, match=r"locations_table.csv does not exist"):
        desk.syncs()


def test_a_table_that_points_nowhere_is_not_loaded(desk):
    desk.tables("items", "IMP-1,KNEE-77,,,")
    with pytest.raises(CrosswalkRefused, match=r"items_table.csv:2: KNEE-77 is not in items.csv:item"):
        desk.syncs()


def test_a_steward_decides_for_what_happened_yesterday_too(desk):
    desk.syncs()
    assert desk.looks_up("IMP-1") is None
    desk.sets("IMP-1", "KNEE-99")
    assert desk.looks_up("IMP-1", on=EIGHT - timedelta(days=30)) == "KNEE-99"


def test_a_decision_for_one_facility_from_a_day_on_holds_there_and_then(desk):
    desk.tables("items", "IMP-1,KNEE-98,,,")
    desk.syncs()
    desk.sets("IMP-1", "KNEE-99", facility="ST-MARY", valid_from=date(2026, 11, 21))
    assert desk.looks_up("IMP-1", "ST-MARY") == "KNEE-99"
    assert desk.looks_up("IMP-1", "HARBOR-VIEW") == "KNEE-98"
    assert desk.looks_up("IMP-1", "ST-MARY", on=EIGHT - timedelta(days=1)) == "KNEE-98"


def test_a_decision_is_audited_with_who_what_and_what_it_was_before(desk):
    desk.syncs()
    desk.sets("IMP-1", "KNEE-98")
    desk.sets("IMP-1", "KNEE-99")
    first, second = [entry for entry in desk.audited() if entry["action"] == "crosswalk.set"]
    assert first["actor"] == second["actor"] == GRACE
    assert first["subject"] == "x/items/IMP-1"
    assert first["detail"] == {"target": "KNEE-98", "facility": "", "valid_from": "always"}
    assert second["detail"] == {
        "target": "KNEE-99",
        "facility": "",
        "valid_from": "always",
        "instead_of": "KNEE-98",
    }


@pytest.mark.parametrize(
    ("code", "target", "facility", "why"),
    [
        ("IMP-1", "KNEE-77", "", r"'KNEE-77' is not in items.csv:item, where erp lists what exists"),
        ("IMP-1", "KNEE-99", "ST-MARRY", r"'ST-MARRY' is no facility of the estate; write one of ST-MARY, HARBOR-VIEW"),
        ("IMP-1", "", "", "the target '' is empty"),
        (" IMP-1", "KNEE-99", "", "spaces around it"),
    ],
)
def test_a_decision_that_points_nowhere_is_refused_and_leaves_no_trace(desk, code, target, facility, why):
    desk.syncs()
    with pytest.raises(CrosswalkRefused, match=why):
        desk.sets(code, target, facility=facility)
    assert desk.run(desk.crosswalks.entries()) == []
    assert desk.audited() == []


def test_a_crosswalk_nobody_declared_is_refused(desk):
    desk.syncs()
    with pytest.raises(UnknownCrosswalk, match="there is no crosswalk 'itmes'; the estate declares items"):
        desk.run(desk.crosswalks.set("itmes", "IMP-1", "KNEE-99", by=GRACE))
    with pytest.raises(KeyError, match="itmes"):
        desk.run(desk.crosswalks.entries("itmes"))
    desk.run(desk.book.refresh())
    with pytest.raises(KeyError, match="itmes"):
        desk.book.lookup("itmes", "IMP-1", "", None)


def test_a_retired_decision_still_holds_for_the_days_it_was_in_force(desk):
    desk.tables("items", "IMP-1,KNEE-98,,,")
    desk.syncs()
    desk.sets("IMP-1", "KNEE-99")
    (ended,) = desk.run(desk.crosswalks.retire("items", "IMP-1", by=GRACE, last_day=date(2026, 11, 20)))
    assert ended.valid_to == date(2026, 11, 20)
    assert desk.looks_up("IMP-1") == "KNEE-98"
    assert desk.looks_up("IMP-1", on=EIGHT - timedelta(days=1)) == "KNEE-99"
    assert desk.audited()[-1]["action"] == "crosswalk.retired"

    desk.sets("IMP-1", "KNEE-99")
    assert desk.looks_up("IMP-1") == "KNEE-99"


def test_a_decision_that_never_came_into_force_is_removed(desk):
    desk.syncs()
    desk.sets("IMP-1", "KNEE-99", valid_from=date(2026, 12, 1))
    desk.run(desk.crosswalks.retire("items", "IMP-1", by=GRACE, last_day=date(2026, 11, 20)))
    assert desk.run(desk.crosswalks.entries("items")) == []


def test_what_stands_in_the_table_is_ended_in_the_table(desk):
    desk.tables("items", "IMP-1,KNEE-98,,,")
    desk.syncs()
    with pytest.raises(CrosswalkRefused, match="entry of the estate's table"):
        desk.run(desk.crosswalks.retire("items", "IMP-1", by=GRACE, last_day=date(2026, 11, 20)))
    with pytest.raises(CrosswalkRefused, match="no steward's entry for IMP-9"):
        desk.run(desk.crosswalks.retire("items", "IMP-9", by=GRACE, last_day=date(2026, 11, 20)))


def test_a_book_reads_again_only_when_something_changed(desk):
    desk.syncs()
    assert desk.run(desk.book.refresh()) is True
    assert desk.run(desk.book.refresh()) is False
    desk.sets("IMP-1", "KNEE-99")
    assert desk.run(desk.book.refresh()) is True


def test_a_change_is_notified_with_the_crosswalks_name(desk):
    async def scene():
        heard = []
        async with desk.pool.acquire() as connection:
            await connection.add_listener(CHANNEL, lambda *told: heard.append(told[-1]))
            await desk.crosswalks.sync_tables(desk.estate)
            await desk.crosswalks.set("items", "IMP-1", "KNEE-99", by=GRACE)
            with pytest.raises(CrosswalkRefused):
                await desk.crosswalks.set("items", "IMP-1", "KNEE-77", by=GRACE)
            await connection.fetch("SELECT 1")
            await connection.reset()
        return heard

    assert desk.run(scene()) == ["*", "items"]


def test_a_thread_that_looks_up_while_the_book_is_refreshed_always_gets_an_answer(desk):
    desk.tables("items", "IMP-1,KNEE-98,,,")
    desk.syncs()
    desk.run(desk.book.refresh())
    stop, seen = threading.Event(), set()

    def steps():
        while not stop.is_set():
            seen.add(desk.book.lookup("items", "IMP-1", "", None))

    thread = threading.Thread(target=steps)
    thread.start()
    for target in ("KNEE-99", "KNEE-98") * 5:
        desk.tables("items", f"IMP-1,{target},,,")
        desk.syncs()
        desk.run(desk.book.refresh())
    stop.set()
    thread.join()
    assert seen == {"KNEE-98", "KNEE-99"}


def test_what_is_exported_can_be_loaded_in_place_of_the_table(desk, tmp_path):
    from hilum.masterdata.export import export_rows
    from hilum.masterdata.tables import write_table

    desk.tables("items", "IMP-1,KNEE-98,,,", "IMP-2,HIP-40,,,")
    desk.syncs()
    desk.sets("IMP-1", "KNEE-99", valid_from=date(2026, 11, 21))
    text = write_table(export_rows(desk.run(desk.crosswalks.entries("items"))))
    assert text == (
        "code,target,facility,valid_from,valid_to\nIMP-1,KNEE-98,,,2026-11-20\nIMP-1,KNEE-99,,2026-11-21,\nIMP-2,HIP-40,,,\n"
    )
    shutil.copy(desk.root / "items_table.csv", tmp_path / "before.csv")
    (desk.root / "items_table.csv").write_text(text)
    assert desk.syncs() == Synced(added=1, changed=1, removed=0)
    assert desk.looks_up("IMP-1") == "KNEE-99"
