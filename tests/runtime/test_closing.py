"""The close checklist on a real database: every number is the length of the list behind it, at its facility, up to its period's end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import asyncpg
import pytest

from hilum.runtime import closing
from hilum.runtime.closing import LINES, Checklist, NoSuchLine, NoSuchPeriod, Period
from hilum.store.pool import open_pool

NOW = datetime(2026, 4, 3, 12, tzinfo=UTC)
MARCH = Period.named("2026-03")

SOURCES = """
INSERT INTO posting_source (source, kind, reference, on_day, amount, digest, tables, entries, staged_at, staged_by) VALUES
  ('remittance/HHP01/EFT-1', 'remittance', 'EFT-1', '2026-03-30', 100, '', '', 1, now(), 'post_remittance/HHP01/EFT-1/stage_remittance'),
  ('remittance/HHP01/EFT-2', 'remittance', 'EFT-2', '2026-03-31', 200, '', '', 1, now(), ''),
  ('remittance/HHP01/EFT-3', 'remittance', 'EFT-3', '2026-04-02', 300, '', '', 1, now(), '');
INSERT INTO posting_journal (source, facility, total, number, document, posted_on, posted_at) VALUES
  ('remittance/HHP01/EFT-1', 'ST-MARY', 100, NULL, NULL, NULL, NULL),
  ('remittance/HHP01/EFT-1', 'HARBOR-VIEW', 11, NULL, NULL, NULL, NULL),
  ('remittance/HHP01/EFT-2', 'ST-MARY', 200, 'JE-2', '2', '2026-04-01', now()),
  ('remittance/HHP01/EFT-3', 'ST-MARY', 300, NULL, NULL, NULL, NULL);
INSERT INTO flow_case (id, flow, flow_version, ordering_key, criticality, facility, event_shard, event_seq, event_at, state, created_at, updated_at) VALUES
  ('post_remittance/HHP01/EFT-1', 'post_remittance', 1, 'k', 1, 'ST-MARY', 1, 1, '2026-03-30', 'waiting', now(), now()),
  ('post_remittance/HHP01/EFT-9', 'post_remittance', 1, 'k', 1, 'ST-MARY', 1, 2, '2026-03-30', 'waiting', now(), now());
INSERT INTO work_item (queue, cause, title, remedy, owner, due_at, created_at, updated_at) VALUES
  ('erp-refusals', 'PeriodNotOpen:2026-03', 'Period not open: 2026-03 and after', 'Open it.', 'finance', now(), '2026-03-30', now()),
  ('cash-posting', 'UnbalancedRemittance:HHP01/EFT-9', 'Unbalanced remittance: HHP01/EFT-9', 'Ask.', 'revenue-cycle', now(), '2026-03-30', now()),
  ('item-master', 'UnknownItem:KNEE-99', 'KNEE-99 is not known', 'Add it.', 'supply-chain', now(), '2026-03-30', now());
INSERT INTO work_item_case (work_item, subject, at_risk_usd, detail, at)
SELECT id, CASE queue WHEN 'erp-refusals' THEN 'c/post_remittance/HHP01/EFT-1' WHEN 'cash-posting' THEN 'c/post_remittance/HHP01/EFT-9' ELSE 'c/x' END,
       100, '', now() FROM work_item;
INSERT INTO book_difference (books, record, facility, day, account, what, expected, found, first_seen, last_seen, last_run, closed_at) VALUES
  ('staged-ledger', 'remittance/HHP01/EFT-2/ST-MARY', 'ST-MARY', '2026-03-31', '1200', 'account 1200', 200, 150, now(), now(), '1', NULL),
  ('ledger-foreign', 'ledger/JE-5/7', '', '2026-03-31', '1200', 'entry JE-5', 0, -77, now(), now(), '1', NULL),
  ('staged-ledger', 'remittance/HHP01/EFT-0/ST-MARY', 'ST-MARY', '2026-03-31', '1200', 'account 1200', 200, 150, now(), now(), '1', now());
INSERT INTO book_comparison (run, books, compared, open, at) VALUES ('1', 'staged-ledger', 3, 1, '2026-04-03T11:00:00Z'), ('1', 'ledger-foreign', 3, 1, '2026-03-20T11:00:00Z');
INSERT INTO expected_file (system, name, day, due_at, opens_at, state) VALUES
  ('clearinghouse', '835 of HHP01', '2026-03-31', '2026-03-31T13:30:00Z', '2026-03-30T13:30:00Z', 'missing'),
  ('clearinghouse', '835 of HHP01', '2026-04-01', '2026-04-01T13:30:00Z', '2026-03-31T13:30:00Z', 'missing');
"""

Story = Callable[[asyncpg.Connection], Awaitable[None]]


@pytest.fixture
def told(database_url: str) -> Callable[[Story], None]:
    def tell(story: Story) -> None:
        async def work() -> None:
            async with await open_pool(database_url, min_size=1, max_size=2) as pool, pool.acquire() as connection:
                await connection.execute(SOURCES)
                await story(connection)

        asyncio.run(work())

    return tell


def numbers(found: Checklist) -> dict[str, tuple[int, Decimal]]:
    return {line.name: (line.count, line.amount_usd) for line in found.lines if line.count}


def test_each_facility_sees_what_keeps_its_own_period_from_being_final(told):
    async def story(connection: asyncpg.Connection) -> None:
        mary = await closing.checklist(connection, "ST-MARY", MARCH, now=NOW)
        assert numbers(mary) == {
            "journals-delayed": (1, Decimal("100.00")),  # April's is no business of March.
            "journals-moved": (1, Decimal("200.00")),
            "remittances-stopped": (1, Decimal("100.00")),
            "accrual-missing": (2, Decimal(0)),
            "files-missing": (1, Decimal(0)),
            "books-differ": (2, Decimal("127.00")),
            "books-not-compared": (1, Decimal(0)),
            "exceptions-open": (2, Decimal("200.00")),
        }
        assert not mary.final
        harbor = await closing.checklist(connection, "HARBOR-VIEW", MARCH, now=NOW)
        assert numbers(harbor)["journals-delayed"] == (1, Decimal("11.00"))
        assert numbers(harbor)["books-differ"] == (1, Decimal("77.00"))
        assert "remittances-stopped" not in numbers(harbor)

    told(story)


def test_every_number_is_the_length_of_the_list_that_it_opens(told):
    async def story(connection: asyncpg.Connection) -> None:
        for facility in ("ST-MARY", "HARBOR-VIEW", "NORTH-POINT"):
            for line in (await closing.checklist(connection, facility, MARCH, now=NOW)).lines:
                listed = await closing.records(connection, line.name, facility, MARCH, now=NOW)
                assert (len(listed), sum((each.amount_usd for each in listed), Decimal(0))) == (
                    line.count,
                    line.amount_usd,
                )
                pages = [
                    await closing.records(connection, line.name, facility, MARCH, now=NOW, after=at, limit=1)
                    for at in range(line.count)
                ]
                assert [each for page in pages for each in page] == list(listed)

    told(story)


def test_a_delayed_journal_says_why_it_waits(told):
    async def story(connection: asyncpg.Connection) -> None:
        [found] = await closing.records(connection, "journals-delayed", "ST-MARY", MARCH, now=NOW)
        assert (found.record, found.detail) == ("remittance/HHP01/EFT-1", "Period not open: 2026-03 and after")
        [other] = await closing.records(connection, "journals-delayed", "HARBOR-VIEW", MARCH, now=NOW)
        assert other.detail == "Period not open: 2026-03 and after"

    told(story)


def test_a_period_that_has_not_ended_owes_no_accrual_yet(told):
    async def story(connection: asyncpg.Connection) -> None:
        april = await closing.checklist(connection, "ST-MARY", Period.of(date(2026, 4, 3)), now=NOW)
        assert "accrual-missing" not in numbers(april)

    told(story)


def test_an_empty_platform_is_final_but_for_what_it_never_did(database_url):
    async def work() -> Checklist:
        async with await open_pool(database_url, min_size=1, max_size=2) as pool, pool.acquire() as connection:
            return await closing.checklist(connection, "ST-MARY", MARCH, now=NOW)

    assert set(numbers(asyncio.run(work()))) == {"accrual-missing", "books-not-compared"}


def test_a_line_that_does_not_exist_is_named_with_those_that_do(told):
    async def story(connection: asyncpg.Connection) -> None:
        with pytest.raises(NoSuchLine, match="journals-delayed"):
            await closing.records(connection, "journals-lost", "ST-MARY", MARCH, now=NOW)

    told(story)


@pytest.mark.parametrize("name", ["2026", "2026-13", "march", "2026-03-02", ""])
def test_what_is_no_month_is_no_period(name):
    with pytest.raises(NoSuchPeriod, match="2026-03"):
        Period.named(name)


def test_every_line_says_what_to_do():
    assert all(line.remedy and line.title for line in LINES.values())
