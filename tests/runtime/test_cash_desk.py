"""The cash desk on a real database: facts are added once, stand as all of them together say, and people are told once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest

from hilum.authoring.cash import DepositLine, ExpectedDeposit, RecordedLines, StatementLines
from hilum.authoring.estate import Estate
from hilum.model.cash import Standing, associate
from hilum.runtime import cash_facts, work_items
from hilum.runtime.cash_desk import CashDesk
from hilum.store.pool import open_pool

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MONDAY = date(2026, 3, 2)
HARBOR = "1360000001"


def line(
    number: str, usd: str, *traces: str, kind: str = "deposit", company: str = "", reference: str = ""
) -> DepositLine:
    return DepositLine(
        number=number, type_code="142", kind=kind, amount=Decimal(usd), traces=tuple((each, HARBOR) for each in traces),
        company=HARBOR if traces else company, reference=reference,
    )  # fmt: skip


def report(*lines: DepositLine, statement: str = "S1", day: int = 0, account: str = "x2200") -> StatementLines:
    return StatementLines(
        statement=statement, account=account, facility="ST-MARY", day=MONDAY + timedelta(days=day), lines=lines
    )


def paid(trace: str, usd: str, *, day: int = 0, method: str = "ACH", company: str = HARBOR) -> ExpectedDeposit:
    return ExpectedDeposit(
        number=f"HHP01/{trace}", payer="HHP01", company=company, trace=trace, method=method, on=MONDAY + timedelta(days=day),
        amount=Decimal(usd), facility="ST-MARY",
    )  # fmt: skip


Work = Callable[[CashDesk, asyncpg.Pool], Awaitable[Any]]


@pytest.fixture
def at_desk(database_url: str, tmp_path: Path) -> Callable[[Work], Any]:
    estate = Estate(tmp_path, "lakeshore", queues={"cash-posting": "revenue-cycle"})

    async def run(work: Work) -> Any:
        async with await open_pool(database_url) as pool:
            return await work(CashDesk(pool, estate, clock=lambda: NOW), pool)

    return lambda work: asyncio.run(run(work))


async def states(pool: asyncpg.Pool) -> dict[str, str]:
    rows = await pool.fetch("SELECT number, state, difference FROM cash_standing ORDER BY number")
    return {r["number"]: r["state"] + (f" {r['difference']}" if r["difference"] else "") for r in rows}


async def work(pool: asyncpg.Pool) -> list[tuple[str, Decimal, list[str]]]:
    rows = await pool.fetch(
        """SELECT i.cause, i.at_risk_usd, array_agg(c.subject ORDER BY c.subject) AS subjects FROM work_item i
             JOIN work_item_case c ON c.work_item = i.id WHERE i.state = 'open' GROUP BY i.id ORDER BY i.cause"""
    )
    return [(r["cause"], r["at_risk_usd"], r["subjects"]) for r in rows]


def test_a_line_is_news_in_one_report_only_also_when_it_is_recorded_again(at_desk):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        interim = report(line("BR-1", "10.00"), line("BR-2", "20.00", kind="bank_other"))
        final = report(
            line("BR-1", "10.00"), line("BR-3", "5.00"), line("BR-2", "20.00", kind="bank_other"), statement="S2"
        )
        return [await desk.record(each, key="k") for each in (interim, final, interim, final)], await states(pool)

    recorded, found = at_desk(run)
    first = RecordedLines(statement="S1", fresh=("BR-1", "BR-2"), repeated=0)
    second = RecordedLines(statement="S2", fresh=("BR-3",), repeated=2)
    assert recorded == [first, second, first, second]
    assert found == {"x2200/2026-03-02/BR-1": "open 10.00", "x2200/2026-03-02/BR-3": "open 5.00"}


def test_racing_reports_of_one_line_record_it_once(at_desk):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        return await asyncio.gather(
            *(desk.record(report(line("BR-1", "10.00"), statement=f"S{n}"), key=f"k{n}") for n in range(6))
        )

    assert sorted(each.fresh for each in at_desk(run)) == [(), (), (), (), (), ("BR-1",)]


def test_the_same_line_with_another_amount_is_work_with_the_difference_and_stays(at_desk):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        await desk.record(report(line("BR-1", "10.00")), key="k")
        second = await desk.record(report(line("BR-1", "13.50"), line("BR-2", "1.00"), statement="S2"), key="k")
        await desk.record(report(line("BR-1", "13.50"), statement="S3"), key="k")
        return second.fresh, await work(pool), await pool.fetchval("SELECT amount FROM bank_line WHERE line = 'BR-1'")

    fresh, waiting, amount = at_desk(run)
    assert fresh == ("BR-2",) and amount == Decimal("10.00")
    assert waiting == [("DepositSaidOtherwise:x2200/2026-03-02/BR-1", Decimal("3.50"), ["bank/x2200/2026-03-02/BR-1"])]


@pytest.mark.parametrize("first", ["deposit", "remittance"])
def test_both_halves_meet_whichever_comes_first(at_desk, first):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        steps = [
            desk.record(report(line("BR-1", "1200.00", "EFT-1")), key="k"),
            desk.expect(paid("EFT-1", "1200.00", day=30), key="k"),
        ]
        for step in steps if first == "deposit" else reversed(steps):
            await step
        return await states(pool), await work(pool)

    assert at_desk(run) == ({"x2200/2026-03-02/BR-1": "matched", "HHP01/EFT-1": "matched"}, [])


def test_an_amount_that_differs_is_work_at_once_and_ends_when_the_rest_comes(at_desk):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        await desk.expect(paid("EFT-1", "300.00"), key="k")
        await desk.record(report(line("BR-1", "100.00", "EFT-1")), key="k")
        first = await work(pool)
        await desk.record(report(line("BR-2", "150.00", "EFT-1"), statement="S2", day=1), key="k")
        second = await work(pool)
        await desk.record(report(line("BR-3", "50.00", "EFT-1"), statement="S3", day=2), key="k")
        closed = await pool.fetch("SELECT state, closed_by FROM work_item ORDER BY id")
        return first, second, await work(pool), [tuple(row) for row in closed], await states(pool)

    first, second, last, closed, found = at_desk(run)
    subject = ["cash/remittance/HHP01/EFT-1"]
    assert first == [("DepositDiffers:remittance/HHP01/EFT-1", Decimal("200.00"), subject)]
    assert second == [("DepositDiffers:remittance/HHP01/EFT-1", Decimal("50.00"), subject)]
    assert last == [] and closed == [("released", "system:cash")] * 2
    assert set(found.values()) == {"matched"}


def test_what_a_person_decided_is_not_asked_again_for_the_same_amount(at_desk):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        await desk.expect(paid("EFT-1", "300.00"), key="k")
        await desk.record(report(line("BR-1", "299.00", "EFT-1")), key="k")
        async with pool.acquire() as connection, connection.transaction():
            item = await connection.fetchval("SELECT id FROM work_item")
            await work_items.skip(connection, item, now=NOW, actor="person:ana", reason="the bank's fee")
        await desk.record(report(line("BR-2", "7.00"), statement="S2"), key="k")
        # What sets itself off changes the group and not its difference.
        await desk.record(
            report(line("BR-3", "50.00", "EFT-1"), line("BR-4", "-50.00", "EFT-1"), statement="S3"), key="k"
        )
        return await work(pool)

    assert at_desk(run) == []


def test_a_deposit_that_comes_back_is_work(at_desk):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        await desk.expect(paid("EFT-1", "300.00"), key="k")
        await desk.record(report(line("BR-1", "300.00", "EFT-1"), line("BR-2", "-300.00", "EFT-1")), key="k")
        return await work(pool), await states(pool)

    waiting, found = at_desk(run)
    assert waiting == [("DepositReturned:remittance/HHP01/EFT-1", Decimal("300.00"), ["cash/remittance/HHP01/EFT-1"])]
    assert set(found.values()) == {"returned -300.00"}


def test_what_waits_too_long_is_told_once_by_payer_and_closes_by_itself(at_desk):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        await desk.record(
            report(line("BR-1", "100.00", "EFT-1"), line("BR-2", "50.00", "EFT-2"), line("BR-3", "9.00")), key="k"
        )
        await desk.record(report(line("BR-4", "70.00", "EFT-4"), statement="S2", day=2), key="k")
        await desk.expect(paid("EFT-8", "80.00"), key="k")
        await desk.expect(paid("EFT-0", "0.00", method="NON"), key="k")
        early = await desk.tell_overdue(MONDAY + timedelta(days=2), 3, 5, key="k")
        told = [await desk.tell_overdue(MONDAY + timedelta(days=n), 3, 5, key="k") for n in (3, 3, 5)]
        waiting = await work(pool)
        await desk.expect(paid("EFT-2", "50.00", day=4), key="k")
        await desk.record(report(line("BR-9", "80.00", "EFT-8"), statement="S3", day=6), key="k")
        fewer = await work(pool)
        await desk.expect(paid("EFT-1", "100.00", day=4), key="k")
        await desk.expect(paid("EFT-4", "70.00", day=4), key="k")
        return early.told, [(t.deposits, t.remittances, t.told) for t in told], waiting, fewer, await work(pool)

    early, told, waiting, fewer, last = at_desk(run)
    of = "deposit/x2200/2026-03-0"
    unnamed = ("DepositWithoutRemittance:payer not named", Decimal("9.00"), [f"{of}2/BR-3"])
    assert early == 0 and told == [(3, 0, 3), (3, 0, 0), (4, 1, 2)]
    assert waiting == [
        (f"DepositWithoutRemittance:{HARBOR}", Decimal("220.00"), [f"{of}2/BR-1", f"{of}2/BR-2", f"{of}4/BR-4"]), unnamed,
        ("RemittanceWithoutDeposit:HHP01", Decimal("80.00"), ["remittance/HHP01/EFT-8"]),
    ]  # fmt: skip
    assert fewer == [(f"DepositWithoutRemittance:{HARBOR}", Decimal("170.00"), [f"{of}2/BR-1", f"{of}4/BR-4"]), unnamed]
    assert last == [unnamed]


def test_what_met_by_amount_is_open_again_when_something_else_could_be_meant(at_desk):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        await desk.record(report(line("BR-1", "50.00")), key="k")
        await desk.expect(paid("W-1", "50.00"), key="k")
        met = await states(pool)
        await desk.expect(paid("W-2", "50.00", day=1), key="k")
        return set(met.values()), set((await states(pool)).values())

    assert at_desk(run) == ({"matched"}, {"open 50.00", "open -50.00"})


@pytest.mark.parametrize("last", range(7))
def test_one_more_fact_reaches_as_far_as_it_can_change_anything(at_desk, last):
    # W-0 makes BR-1 ambiguous; so W-1 is left for the sum of day 10, which BR-2 then might be as well as that of day 20.
    chain: list[StatementLines | ExpectedDeposit] = [
        paid("W-0", "50.00", day=0), report(line("BR-1", "50.00"), statement="S1", day=5), paid("W-1", "50.00", day=10),
        paid("W-2", "100.00", day=10), report(line("BR-2", "150.00"), statement="S2", day=15), paid("W-3", "70.00", day=20),
        paid("W-4", "80.00", day=20),
    ]  # fmt: skip
    chain.append(chain.pop(last))

    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        for fact in chain[:-1]:
            await (desk.expect(fact, key="k") if isinstance(fact, ExpectedDeposit) else desk.record(fact, key="k"))
        before = await states(pool)
        fact = chain[-1]
        await (desk.expect(fact, key="k") if isinstance(fact, ExpectedDeposit) else desk.record(fact, key="k"))
        return before, await states(pool)

    before, after = at_desk(run)
    assert {state.partition(" ")[0] for state in after.values()} == {"open"} and len(after) == 7
    if last == 0:
        assert {number: before[f"HHP01/{number}"] for number in ("W-1", "W-3", "W-4")} == dict.fromkeys(
            ("W-1", "W-3", "W-4"), "matched"
        )


def facts_of(seed: int) -> list[StatementLines | ExpectedDeposit]:
    """Three months of few amounts, so that much could be much else; some linked over weeks."""
    dice = Random(seed)
    amounts = ["100.00", "50.00", "150.00"]
    made: list[StatementLines | ExpectedDeposit] = []
    for at in range(26):
        day = dice.choice([0, 1, 4, 9, 10, 14, 15, 19, 24, 30, 44, 60, 61, 66])
        if dice.random() < 0.5:
            traces = dice.sample(["E1", "E2", "E3", "E4"], dice.choice([0, 0, 1, 2]))
            usd = dice.choice(amounts) if dice.random() < 0.85 else "-50.00"
            reference = dice.choice(["", "", "71", "0071"])
            made.append(
                report(
                    line(f"BR-{at}", usd, *traces, company=dice.choice(["", HARBOR]), reference=reference),
                    statement=f"S{at}",
                    day=day,
                )
            )
        else:
            trace = dice.choice(["E1", "E2", "E3", "E4", "71"]) if dice.random() < 0.4 else f"W{at}"
            made.append(
                paid(
                    trace,
                    dice.choice(amounts),
                    day=day,
                    method=dice.choice(["ACH", "CHK"]),
                    company=dice.choice([HARBOR, HARBOR, "1380000002"]),
                )
            )
    return list(
        {(each.number if isinstance(each, ExpectedDeposit) else each.statement): each for each in made}.values()
    )


@pytest.mark.parametrize("seed", range(12))
def test_fact_by_fact_in_any_order_comes_to_what_all_of_them_say_at_once(at_desk, seed):
    facts = facts_of(seed)
    Random(seed + 100).shuffle(facts)
    deposits = [
        each for fact in facts if isinstance(fact, StatementLines) for each in cash_facts.deposits_of(fact).values()
    ]
    advices = [cash_facts.advice_of(fact) for fact in facts if isinstance(fact, ExpectedDeposit)]

    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        for fact in facts:
            await (desk.expect(fact, key="k") if isinstance(fact, ExpectedDeposit) else desk.record(fact, key="k"))
        async with pool.acquire() as connection:
            keys = [
                (row["side"], row["number"]) for row in await connection.fetch("SELECT side, number FROM cash_standing")
            ]
            found = await cash_facts.standings(connection, keys)
        return sorted(found.values(), key=lambda each: (each.side, each.number)), await work(pool)

    found, waiting = at_desk(run)
    expected = associate(deposits, advices)
    assert found == expected
    assert {(s.removeprefix("cash/"), usd) for _, usd, subjects in waiting for s in subjects} == wrong(expected)


def wrong(standings: list[Standing]) -> set[tuple[str, Decimal]]:
    return {(s.group, abs(s.difference)) for s in standings if s.state in ("differs", "returned") and s.difference}


def test_what_was_said_is_never_changed(at_desk):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        await desk.record(report(line("BR-1", "50.00")), key="k")
        for statement in ("UPDATE bank_line SET amount = 1", "DELETE FROM cash_advice", "TRUNCATE bank_line"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await pool.execute(statement)

    at_desk(run)


def test_ten_thousand_lines_are_recorded_in_one_command(at_desk):
    async def run(desk: CashDesk, pool: asyncpg.Pool) -> Any:
        lines = [line(f"BR-{n}", f"{n}.00", f"EFT-{n}") for n in range(1, 10_001)]
        recorded = await desk.record(report(*lines), key="k")
        told = await desk.tell_overdue(MONDAY + timedelta(days=9), 3, 5, key="k")
        [(_, at_risk, subjects)] = await work(pool)
        return len(recorded.fresh), told.told, at_risk, len(subjects)

    assert at_desk(run) == (10_000, 10_000, Decimal(10_000 * 10_001 // 2), 10_000)
