"""Control over the books on a real database: differences become work, close by themselves, and stay on record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from hilum.authoring.control import Comparison, Watched
from hilum.authoring.estate import Estate
from hilum.model.book_control import Disagreement
from hilum.runtime import work_items
from hilum.runtime.control_desk import ControlDesk
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock

DAY = date(2026, 3, 2)


@dataclass
class Books:
    desk: ControlDesk
    pool: asyncpg.Pool
    clock: StoppedClock

    async def compares(
        self, run: str, *found: Disagreement, books: str = "staged-ledger", since: date = date.min
    ) -> int:
        self.clock.passes(hours=1)
        said = Comparison(run=run, books=books, since=since, compared=9, disagreements=found)
        return (await self.desk.compared(said, key=run)).open

    async def items(self, state: str = "open") -> list[tuple[str, Decimal, int]]:
        rows = await self.pool.fetch(
            """SELECT w.title, w.at_risk_usd, count(*) AS records FROM work_item w JOIN work_item_case c ON c.work_item = w.id
                WHERE w.state = $1 GROUP BY w.id ORDER BY w.id""",
            state,
        )
        return [(row["title"], row["at_risk_usd"], row["records"]) for row in rows]


Story = Callable[[Books], Awaitable[None]]


@pytest.fixture
def told(database_url: str, tmp_path: Path) -> Callable[[Story], None]:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "control_accounts.csv").write_text("account,since\n1200,2026-01-01\n1050,2026-01-01\n")
    estate = Estate(tmp_path, "lakeshore", queues={"revenue-control": "revenue-cycle"})

    def tell(story: Story) -> None:
        async def work() -> None:
            clock = StoppedClock()
            async with await open_pool(database_url, min_size=1, max_size=4) as pool:
                await story(Books(ControlDesk(pool, estate, clock=clock), pool, clock))

        asyncio.run(work())

    return tell


def differs(
    record: str = "EFT-7", found: str = "1100.00", *, facility: str = "ST-MARY", day: date = DAY
) -> Disagreement:
    return Disagreement(
        record=f"remittance/HHP01/{record}/{facility}", facility=facility, day=day, account="1050",
        what="account 1050 in journal JE-7", expected=Decimal("1200.00"), found=Decimal(found),
    )  # fmt: skip


MARY = "The ledger has something else than what was posted there at ST-MARY on 2026-03-02"


def test_differences_of_one_facility_and_day_are_one_item_over_their_dollars(told):
    async def story(books: Books) -> None:
        assert (
            await books.compares("1", differs("EFT-7"), differs("EFT-8", "1250.00"), differs(facility="HARBOR-VIEW"))
            == 3
        )
        assert sorted(await books.items()) == [
            (MARY.replace("ST-MARY", "HARBOR-VIEW"), Decimal("100.00"), 1), (MARY, Decimal("150.00"), 2),
        ]  # fmt: skip
        owners = await books.pool.fetch("SELECT DISTINCT queue, owner FROM work_item")
        assert [tuple(row) for row in owners] == [("revenue-control", "revenue-cycle")]

    told(story)


def test_what_agrees_again_closes_by_itself_and_stays_on_record(told):
    async def story(books: Books) -> None:
        await books.compares("1", differs("EFT-7"), differs("EFT-8"))
        await books.compares("2", differs("EFT-8"))
        assert await books.items() == [(MARY, Decimal("100.00"), 1)]
        assert await books.compares("3") == 0
        assert (await books.items(), len(await books.items("resolved"))) == ([], 1)
        rows = await books.pool.fetch(
            "SELECT record, sightings, closed_at - first_seen AS open FROM book_difference ORDER BY id"
        )
        assert [(row["record"].split("/")[2], row["sightings"], row["open"].seconds) for row in rows] == [
            ("EFT-7", 1, 3600), ("EFT-8", 2, 7200),
        ]  # fmt: skip

    told(story)


def test_the_same_run_twice_is_one_comparison(told):
    async def story(books: Books) -> None:
        for _ in range(3):
            await books.compares("1", differs())
        rows = await books.pool.fetch("SELECT sightings FROM book_difference")
        assert [row["sightings"] for row in rows] == [1]
        assert await books.pool.fetchval("SELECT count(*) FROM book_comparison") == 1

    told(story)


def test_days_that_were_not_looked_at_stay_open(told):
    async def story(books: Books) -> None:
        await books.compares("1", differs("EFT-1", day=date(2025, 12, 1)), differs("EFT-2"))
        assert await books.compares("2", since=date(2026, 1, 1)) == 1
        [(title, _, _)] = await books.items()
        assert title.endswith("2025-12-01")

    told(story)


def test_an_entry_nobody_knows_counts_when_it_is_seen_again_for_ours_may_not_be_noted_yet(told):
    async def story(books: Books) -> None:
        assert await books.compares("1", differs(), books="ledger-foreign") == 0
        assert await books.items() == []
        assert await books.compares("2", differs(), books="ledger-foreign") == 1
        assert len(await books.items()) == 1

    told(story)


def test_what_somebody_explained_stays_closed_until_its_amount_changes(told):
    async def story(books: Books) -> None:
        await books.compares("1", differs())
        async with books.pool.acquire() as connection, connection.transaction():
            item = await connection.fetchval("SELECT id FROM work_item")
            await work_items.skip(connection, item, now=books.clock(), actor="person:ana", reason="moved by finance")
        await books.compares("2", differs())
        assert await books.items() == []
        await books.compares("3", differs(found="900.00"))
        assert await books.items() == [(MARY, Decimal("300.00"), 1)]

    told(story)


def test_the_ledger_is_read_on_from_where_it_was_left(told):
    async def story(books: Books) -> None:
        assert await books.desk.watched_accounts() == (
            Watched(account="1200", since=date(2026, 1, 1)), Watched(account="1050", since=date(2026, 1, 1)),
        )  # fmt: skip
        read = (Watched(account="1200", since=date(2026, 1, 1), cursor="c-9"),)
        said = Comparison(run="1", books="ledger-foreign", since=date.min, compared=1, disagreements=(), watched=read)
        await books.desk.compared(said, key="1")
        assert [each.cursor for each in await books.desk.watched_accounts()] == ["c-9", None]

    told(story)


def test_posted_journals_come_by_pages_with_what_each_has_on_every_account(told):
    async def story(books: Books) -> None:
        await books.pool.execute(
            """INSERT INTO posting_source (source, kind, reference, on_day, amount, digest, tables, entries, staged_at)
               SELECT 'remittance/HHP01/EFT-' || n, 'remittance', 'EFT', $1, 100, '', '', 2, $2 FROM generate_series(1, 130) n""",
            DAY, datetime.fromisoformat("2026-03-02T12:00:00+00:00"),
        )  # fmt: skip
        await books.pool.execute(
            """INSERT INTO staged_entry (source, line, kind, facility, moved, debit, credit, rule, cost_centre)
               SELECT source, x.line, 'payment', 'ST-MARY', x.moved, x.debit, x.credit, 'PAY', '' FROM posting_source
                CROSS JOIN (VALUES ('c1', 100.00, '1050', '1200'), ('c2', -30.00, '1200', '1050'), ('m', 5, '', '')) AS x (line, moved, debit, credit)"""
        )
        await books.pool.execute(
            """INSERT INTO posting_journal (source, facility, total, number, document, posted_on, posted_at)
               SELECT source, 'ST-MARY', 130, 'JE-' || row_number() OVER (), '1', $1, now() FROM posting_source""",
            DAY,
        )
        assert (await books.desk.posted_since(date(2026, 3, 3), None)).journals == ()
        first = await books.desk.posted_since(DAY, None)
        second = await books.desk.posted_since(DAY, first.after)
        assert second.after is None
        journals = [*first.journals, *second.journals]
        assert len({journal.record for journal in journals}) == len(journals) == 130
        assert {tuple((s.account, s.debit, s.credit) for s in journal.sides) for journal in journals} == {
            (("1050", Decimal("100.00"), Decimal("30.00")), ("1200", Decimal("30.00"), Decimal("100.00")))
        }
        assert await books.desk.unknown_entries(("JE-1", "JE-999")) == ("JE-999",)

    told(story)
