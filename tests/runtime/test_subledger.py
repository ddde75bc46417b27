"""The revenue books on a real database: staged once, by the tables of the estate, never changed, and summed to the cent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.sealing_parts import sealer_for

from hilum.authoring.estate import Estate
from hilum.authoring.revenue import NoPostingRule, StagedOtherwise, Staging
from hilum.model.ledger import DocumentRef
from hilum.model.posting import FinancialMovement
from hilum.runtime.revenue_desk import RevenueDesk
from hilum.store.pool import open_pool

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = date(2026, 3, 2)
SOURCE = "remittance/HHP01/EFT-7"
RULES = """rule,kind,reason,charge_class,facility,payer_class,debit,credit,cost_centre,valid_from,valid_to
PAY,payment,,,,,1050,1200,,,
CON,contractual,,,,,4900,1200,CC-10,,
PR,patient_responsibility,,,,,1210,1200,,,
MEMO,prior_payer,,,,,,,,,
"""
KINDS = "group,reason,kind\nCO,45,contractual\nPR,,patient_responsibility\nOA,23,prior_payer\n"
CLAIMS = (
    ("c1", "payment", "1", "ST-MARY", "KNEE-99", "80.00"),
    ("c1a1", "adjustment", "CO-45", "ST-MARY", "KNEE-99", "15.00"),
    ("c1a2", "adjustment", "PR-1", "ST-MARY", "KNEE-99", "5.00"),
    ("c2", "payment", "22", "HARBOR-VIEW", "HIP-2", "-30.00"),
    ("c2a1", "adjustment", "OA-23", "HARBOR-VIEW", "HIP-2", "-10.00"),
)


def staging(*more: tuple[str, str, str, str, str, str], amount: str = "50.00", source: str = SOURCE) -> Staging:
    return Staging(
        source=source, kind="remittance", reference="EFT-7", payer="HHP01", on=DAY, amount=Decimal(amount),
        movements=tuple(
            FinancialMovement(
                line=line, kind=kind, reason=reason, facility=facility, claim=claim, payer="HHP01", amount=Decimal(moved)
            )
            for line, kind, reason, facility, claim, moved in (*CLAIMS, *more)
        ),
    )  # fmt: skip


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "posting_rules.csv").write_text(RULES)
    (tmp_path / "tables" / "adjustment_kinds.csv").write_text(KINDS)
    return Estate(tmp_path, "lakeshore")


Work = Callable[[RevenueDesk, asyncpg.Pool], Awaitable[Any]]


@pytest.fixture
def at_desk(database_url: str, estate: Estate) -> Callable[[Work], Any]:
    """Runs work with a desk of its own, as each worker has one."""

    async def run(work: Work) -> Any:
        async with await open_pool(database_url) as pool:
            sealer = await sealer_for(pool, lambda: NOW)
            return await work(RevenueDesk(pool, estate, sealer, clock=lambda: NOW), pool)

    return lambda work: asyncio.run(run(work))


def test_a_remittance_is_staged_once_and_makes_a_journal_of_each_facility(at_desk):
    async def work(desk: RevenueDesk, pool: asyncpg.Pool) -> Any:
        first = await desk.stage(staging(), key="k")
        again = await desk.stage(staging(), key="k2")
        return (
            first,
            again,
            await pool.fetchval("SELECT count(*) FROM staged_entry"),
            [await desk.journal(SOURCE, each.facility, "EFT-7", DAY) for each in first.journals],
        )

    first, again, count, journals = at_desk(work)
    assert first == again and count == first.entries == 5
    assert [(j.facility, j.total, j.number) for j in first.journals] == [
        ("HARBOR-VIEW", Decimal("30.00"), None), ("ST-MARY", Decimal("100.00"), None),
    ]  # fmt: skip
    harbor, mary = journals
    assert [(line.account, line.debit, line.credit) for line in harbor.lines] == [
        ("1200", Decimal("30.00"), 0), ("1050", 0, Decimal("30.00")),
    ]  # fmt: skip
    assert [(line.account, line.debit, line.credit, str(line.cost_centre or "")) for line in mary.lines] == [
        ("1050", Decimal("80.00"), 0, ""), ("1210", Decimal("5.00"), 0, ""), ("4900", Decimal("15.00"), 0, "CC-10"),
        ("1200", 0, Decimal("85.00"), ""), ("1200", 0, Decimal("15.00"), "CC-10"),
    ]  # fmt: skip


def test_the_same_source_with_other_amounts_is_refused_and_stays_as_it_was(at_desk):
    async def work(desk: RevenueDesk, pool: asyncpg.Pool) -> Any:
        await desk.stage(staging(), key="k")
        with pytest.raises(StagedOtherwise) as refused:
            await desk.stage(staging(("p1", "payment", "1", "ST-MARY", "KNEE-99", "1.00"), amount="51.00"), key="k")
        return refused.value, await pool.fetchval("SELECT sum(moved) FROM staged_entry WHERE kind = 'payment'")

    refused, paid = at_desk(work)
    assert refused.detail == "5 entries of 50.00 USD then, 6 of 51.00 USD now" and refused.at_risk_usd == 51
    assert paid == 50


def test_racing_workers_stage_one_document_once(at_desk):
    async def work(desk: RevenueDesk, pool: asyncpg.Pool) -> Any:
        made = await asyncio.gather(*(desk.stage(staging(), key=f"k{n}") for n in range(6)))
        entries = await pool.fetchval("SELECT count(*) FROM staged_entry")
        noted = await pool.fetchval(
            "SELECT count(*) FROM audit_entry WHERE position('revenue.staged' in convert_from(entry, 'UTF8')) > 0"
        )
        return made, entries, noted

    made, entries, noted = at_desk(work)
    assert all(each == made[0] for each in made) and (entries, noted) == (5, 1)


def test_a_missing_rule_is_named_with_what_waits_and_nothing_is_staged(at_desk):
    strange = (
        ("c3", "adjustment", "CR-16", "ST-MARY", "X-1", "7.00"),
        ("p1", "provider_adjustment", "PLB-J1", "ST-MARY", "", "1.00"),
    )

    async def work(desk: RevenueDesk, pool: asyncpg.Pool) -> Any:
        with pytest.raises(NoPostingRule) as refused:
            await desk.stage(staging(*strange), key="k")
        return refused.value, await pool.fetchval("SELECT count(*) FROM posting_source")

    refused, staged = at_desk(work)
    assert refused.cause == "adjustment CR-16" and "provider_adjustment (reason PLB-J1" in refused.detail
    assert refused.at_risk_usd == 50 and staged == 0


def test_what_is_staged_is_known_after_its_rule_has_ended(at_desk, estate):
    async def work(desk: RevenueDesk, pool: asyncpg.Pool) -> Any:
        first = await desk.stage(staging(), key="k")
        (estate.root / "tables" / "posting_rules.csv").write_text(RULES.replace("PAY,payment,,,,,1050,1200,,,\n", ""))
        with pytest.raises(NoPostingRule):
            await desk.stage(staging(source="remittance/HHP01/EFT-8"), key="k8")
        return first, await desk.stage(staging(), key="k")

    first, again = at_desk(work)
    assert first == again


@pytest.mark.parametrize(
    "change", ["UPDATE staged_entry SET moved = 1", "DELETE FROM staged_entry", "TRUNCATE staged_entry"]
)
def test_the_books_are_not_rewritten_by_whatever_program(at_desk, change):
    async def work(desk: RevenueDesk, pool: asyncpg.Pool) -> Any:
        await desk.stage(staging(), key="k")
        with pytest.raises(asyncpg.RestrictViolationError, match="stage its reversal"):
            await pool.execute(change)
        return await pool.fetchval("SELECT sum(moved) FROM staged_entry")

    assert at_desk(work) == 60


def test_the_ledgers_number_is_written_down_once_and_no_other_after_it(at_desk):
    document = DocumentRef(system="erp", type="journal", number="JE-7", id="7")

    async def work(desk: RevenueDesk, pool: asyncpg.Pool) -> Any:
        await desk.stage(staging(), key="k")
        await desk.posted(SOURCE, "ST-MARY", document, DAY, key="p")
        after = await desk.posted(SOURCE, "ST-MARY", document, DAY, key="p")
        with pytest.raises(StagedOtherwise, match=r"remittance/HHP01/EFT-7"):
            await desk.posted(SOURCE, "ST-MARY", document.model_copy(update={"number": "JE-8"}), DAY, key="p")
        return after, await pool.fetchval(
            "SELECT count(*) FROM audit_entry WHERE position('revenue.posted' in convert_from(entry, 'UTF8')) > 0"
        )

    after, noted = at_desk(work)
    assert [(j.facility, j.number) for j in after.journals] == [("HARBOR-VIEW", None), ("ST-MARY", "JE-7")]
    assert noted == 1


def test_no_claim_number_stands_in_the_books_in_clear(at_desk):
    async def work(desk: RevenueDesk, pool: asyncpg.Pool) -> Any:
        await desk.stage(staging(), key="k")
        return await pool.fetch("SELECT DISTINCT claim FROM staged_entry"), await pool.fetchval(
            """SELECT (SELECT string_agg(t::text, ' ') FROM staged_entry t) || (SELECT string_agg(t::text, ' ') FROM posting_source t)
               || (SELECT string_agg(convert_from(entry, 'UTF8'), ' ') FROM audit_entry)"""
        )

    claims, everything = at_desk(work)
    assert len(claims) == 2 and all(each["claim"].startswith("~") for each in claims)
    assert "KNEE-99" not in everything and "HIP-2" not in everything
