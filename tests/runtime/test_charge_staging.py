"""Charges on their way to the ledger: gathered by service day, summed by cost centre, late and reversed ones as what they are."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.runtime.charge_parts import DAY, LAKESHORE, Office, line, office, play, usd

from hilum.authoring.revenue import Accrual, StagedAccrual, StagedCharges
from hilum.governance.loader import load_estate
from hilum.model.ledger import DocumentRef
from hilum.model.posting import FinancialMovement
from hilum.runtime.revenue_desk import RevenueDesk

Sums = dict[tuple[str, str], Decimal]
MARY = "ST-MARY"
ACCOUNT = {"OR-3600": "4140", "PH-2500": "4120", "LAB-3010": "4130"}


def desk(o: Office) -> RevenueDesk:
    return RevenueDesk(o.pool, o.estate, o.protection.sealer, clock=o.clock)


async def runs(o: Office, run: str, *, until: date = DAY, facility: str = MARY) -> StagedCharges:
    await o.collects()
    return await desk(o).stage_charges(facility, until, run, key=run)


async def accrues(o: Office, period: str = "2026-03", *owed: FinancialMovement) -> StagedAccrual:
    first = date.fromisoformat(f"{period}-01")
    after = (first + timedelta(days=32)).replace(day=1)
    await o.collects()
    accrual = Accrual(
        facility=MARY, period=period, last_day=after - timedelta(days=1), first_day_after=after, not_invoiced=owed
    )
    return await desk(o).accrue(accrual, key=period)


async def ledger(o: Office, *sources: str) -> Sums:
    """What the journals of these sources make, all of them when none is named: (account, cost centre) to debit less credit."""
    sums: Counter[tuple[str, str]] = Counter()
    rows = await o.pool.fetch("SELECT source, facility, total FROM posting_journal")
    for row in rows:
        if sources and row["source"] not in sources:
            continue
        # A journal that does not balance cannot be made.
        journal = await desk(o).journal(row["source"], row["facility"], "charges", DAY)
        assert journal is not None and journal.total.amount == row["total"]
        for each in journal.lines:
            sums[each.account, each.cost_centre.value if each.cost_centre is not None else ""] += (
                each.debit - each.credit
            )
    return {key: amount for key, amount in sums.items() if amount}


def test_a_days_charges_are_one_source_with_a_line_for_each_and_one_journal_by_cost_centre(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.charges(
            line("C-1", "100.00"), line("C-2", "20.00", code="PH-2500"), line("C-3", "5.00", department="GEN")
        )
        await o.charges(line("C-4", "30.00", kind="CR"), line("C-5", "0.00"))
        await o.charges(line("C-6", "1.00", service_on=DAY + timedelta(days=1)))
        await o.scans("U-1", "6200.00")
        staged = await runs(o, "R-1")
        [batch] = staged.batches
        assert (batch.source, batch.batch, batch.charges, batch.amount) == (
            f"charges/{MARY}/{DAY}/1",
            1,
            6,
            usd("6295.00"),
        )
        assert await ledger(o) == {
            ("1200", "CC-ORTHO"): usd("6290.00"), ("4140", "CC-ORTHO"): usd("-70.00"), ("4120", "CC-ORTHO"): usd("-20.00"),
            ("4150", "CC-ORTHO"): usd("-6200.00"), ("1200", "CC-GEN"): usd("5.00"), ("4140", "CC-GEN"): usd("-5.00"),
        }  # fmt: skip
        [journal] = batch.journals
        # A credit stands in the ledger as one: it is not set off against the day's charges.
        assert journal.total == usd("6355.00")
        lines = await o.pool.fetch(
            "SELECT line, moved, rule FROM staged_entry WHERE source = $1 ORDER BY line", batch.source
        )
        assert [tuple(row) for row in lines][2:4] == [
            ("ehr/C-3", usd("5.00"), "CHG-PRO"),
            ("ehr/C-4/credit", usd("-30.00"), "CHG-PRO"),
        ]
        assert (await o.states())["ehr/C-6"] == "open", "its day is not complete"

    play(database_url, story)


def test_a_run_that_is_repeated_finds_what_it_found(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.charges(line("C-1", "100.00"))
        first = await runs(o, "R-1")
        await o.charges(line("C-2", "1.00"))
        again = await runs(o, "R-1")
        assert first == again and (await o.states())["ehr/C-2"] == "open"
        empty = await runs(o, "R-0", facility="HARBOR-VIEW")
        assert empty.batches == ()
        await o.charges(line("C-3", "1.00"), facility="HARBOR-VIEW")
        assert (await runs(o, "R-0", facility="HARBOR-VIEW")).batches == ()

    play(database_url, story)


def test_late_charges_are_batches_of_their_day_and_reversals_lines_of_their_own(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.charges(line("C-1", "100.00"))
        await runs(o, "R-1")
        await o.charges(
            line("C-1", "100.00", kind="CR"),
            line("C-1b", "90.00"),
            line("C-0", "7.00", service_on=DAY - timedelta(days=3)),
        )
        staged = await runs(o, "R-2", until=DAY + timedelta(days=1))
        assert [(b.source, b.amount) for b in staged.batches] == [
            (f"charges/{MARY}/{DAY - timedelta(days=3)}/1", usd("7.00")), (f"charges/{MARY}/{DAY}/2", usd("-10.00")),
        ]  # fmt: skip
        assert (await ledger(o))["1200", "CC-ORTHO"] == usd("97.00")

    play(database_url, story)


def test_racing_runs_share_no_charge(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.charges(*(line(f"C-{n}", "1.00") for n in range(100)))
        await o.collects()
        staged = await asyncio.gather(*(desk(o).stage_charges(MARY, DAY, f"R-{n}", key=f"R-{n}") for n in range(4)))
        assert sum(batch.charges for each in staged for batch in each.batches) == 100
        assert await o.pool.fetchval("SELECT sum(moved) FROM staged_entry") == 100

    play(database_url, story)


def test_a_rule_that_is_gone_holds_its_charges_and_no_others(database_url: str, tmp_path: Path) -> None:
    root = tmp_path / "lakeshore"
    shutil.copytree(LAKESHORE, root)
    rules = root / "tables" / "posting_rules.csv"
    whole = rules.read_text()

    async def story(o: Office) -> None:
        await o.charges(line("C-1", "100.00"), line("C-2", "20.00", code="PH-2500"))
        await o.collects()
        rules.write_text(whole.replace("CHG-PHA,charge,,pharmacy,,,,1200,4120,,,\n", ""))
        [batch] = (await runs(o, "R-1")).batches
        assert (batch.charges, batch.amount) == (1, usd("100.00"))
        [(queue, cause, at_risk, details)] = await o.items()
        assert (queue, at_risk, details) == ("finance-master", usd("20.00"), [f"1 charges at {MARY} wait"])
        assert "pharmacy" in cause and str(DAY) not in cause
        rules.write_text(whole)
        await o.releases(cause)
        [late] = (await runs(o, "R-2")).batches
        assert (late.batch, late.amount) == (2, usd("20.00"))

    play(database_url, story, load_estate(root))


def test_what_no_journal_has_is_accrued_and_taken_back_once_and_posts_in_the_next_period(database_url: str) -> None:
    async def story(o: Office) -> None:
        owed = FinancialMovement(kind="received_not_invoiced", facility=MARY, line="PO-7", amount=usd("800.00"))
        await o.charges(
            line("C-1", "100.00"), line("C-2", "40.00", code="NEW-1"), line("C-3", "9.00", service_on=date(2026, 4, 1))
        )
        await runs(o, "R-0", until=DAY - timedelta(days=1))
        first = await accrues(o, "2026-03", owed)
        await o.charges(line("C-4", "3.00"))
        assert await accrues(o, "2026-03", owed) == first
        assert await ledger(o, "accrual/ST-MARY/2026-03") == {
            ("1250", "CC-ORTHO"): usd("100.00"), ("4100", "CC-ORTHO"): usd("-100.00"), ("1250", ""): usd("40.00"), ("4100", ""): usd("-40.00"),
            ("1300", ""): usd("800.00"), ("2120", ""): usd("-800.00"),
        }  # fmt: skip
        assert await ledger(o) == {}, "the reversal takes all of it back"
        days = await o.pool.fetch("SELECT source, on_day FROM posting_source ORDER BY source")
        assert [tuple(day) for day in days] == [
            ("accrual-reversal/ST-MARY/2026-03", date(2026, 4, 1)), ("accrual/ST-MARY/2026-03", date(2026, 3, 31)),
        ]  # fmt: skip
        staged = await runs(o, "R-1")
        # What was accrued stands in March already; it posts in April, where the accrual is taken back. What came since posts in March.
        assert [(b.batch, b.on, b.amount) for b in staged.batches] == [
            (1, DAY, usd("3.00")), (2, date(2026, 4, 1), usd("100.00")),
        ]  # fmt: skip

    play(database_url, story)


def test_what_waits_over_two_periods_is_accrued_in_each(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.charges(line("C-2", "40.00", code="NEW-1"))
        await accrues(o, "2026-03")
        await accrues(o, "2026-04")
        assert await ledger(o, "accrual/ST-MARY/2026-04") == {("1250", ""): usd("40.00"), ("4100", ""): usd("-40.00")}
        await o.maps("charge_code_to_class", "NEW-1", "supply")
        await o.releases("UnknownChargeCode:NEW-1")
        [batch] = (await runs(o, "R-1")).batches
        assert batch.on == date(2026, 5, 1)

    play(database_url, story)


def test_a_posted_number_is_noted_beside_the_charges(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.charges(line("C-1", "100.00"))
        [batch] = (await runs(o, "R-1")).batches
        document = DocumentRef(system="erp", type="journal", number="JE-1", id="1")
        await desk(o).posted(batch.source, MARY, document, DAY, key="p")
        rows = await o.pool.fetch(
            """SELECT s.charge FROM posting_journal j JOIN charge_state s USING (source) WHERE j.number = 'JE-1'"""
        )
        assert [row["charge"] for row in rows] == ["ehr/C-1"]

    play(database_url, story)


# A charge, its credit, and its correction: each a message of its own, or told twice; a run may come between any two.
Fact = tuple[str, int, str, int]
facts = st.lists(
    st.tuples(st.sampled_from(["charge", "credit", "resend", "run"]), st.integers(0, 5), st.sampled_from(sorted(ACCOUNT)), st.integers(0, 2)),
    min_size=1, max_size=14,
)  # fmt: skip


def amount_of(number: int) -> Decimal:
    return Decimal(10**number) / 100 * (number + 1)


async def told(o: Office, prefix: str, order: Sequence[Fact]) -> tuple[Sums, Sums]:
    """Tell the platform these facts in this order; what stands in the books of them, and what should."""
    expected: Counter[tuple[str, str]] = Counter()
    known: set[tuple[str, str]] = set()
    for at, (what, number, code, day) in enumerate(order):
        if what == "run":
            await runs(o, f"{prefix}/{at}", until=DAY + timedelta(days=day))
            continue
        kind = "CR" if what == "credit" else "CG"
        name = f"{prefix}-{number}-{code}"
        await o.charges(
            line(name, str(amount_of(number)), kind=kind, code=code, service_on=DAY + timedelta(days=number % 3))
        )
        if (name, kind) not in known:
            known.add((name, kind))
            signed = amount_of(number) if kind == "CG" else -amount_of(number)
            expected["1200", "CC-ORTHO"] += signed
            expected[ACCOUNT[code], "CC-ORTHO"] -= signed
    await runs(o, f"{prefix}/end", until=DAY + timedelta(days=9))
    sums: Counter[tuple[str, str]] = Counter()
    for row in await o.pool.fetch("SELECT * FROM staged_entry WHERE line LIKE $1", f"ehr/{prefix}-%"):
        sums[row["debit"], row["cost_centre"]] += abs(row["moved"])
        sums[row["credit"], row["cost_centre"]] -= abs(row["moved"])
    return {k: v for k, v in sums.items() if v}, {k: v for k, v in expected.items() if v}


def test_the_books_are_the_same_in_whatever_order_charges_credits_and_runs_come(database_url: str) -> None:
    loop = asyncio.new_event_loop()
    opened = office(database_url)
    o = loop.run_until_complete(opened.__aenter__())
    numbers = iter(range(10**6))

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(order=facts, data=st.data())
    def check(order: list[Fact], data: st.DataObject) -> None:
        first, expected = loop.run_until_complete(told(o, f"X{next(numbers)}", order))
        assert first == expected
        mixed = data.draw(st.permutations(order))
        second, _ = loop.run_until_complete(told(o, f"X{next(numbers)}", mixed))
        assert second == first

    try:
        check()
        loop.run_until_complete(ledger(o))  # Each journal of them all balances, or it could not be made.
    finally:
        loop.run_until_complete(opened.__aexit__(None, None, None))
        loop.close()
