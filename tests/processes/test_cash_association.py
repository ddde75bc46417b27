"""Which deposit is which remittance: by trace, check, amount or sum, and never otherwise for another order of arrival."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.model.cash import Advice, By, Deposit, Standing, State, associate

MONDAY = date(2026, 3, 2)
HARBOR, STATE = "1360000001", "1380000002"


def deposit(number: str, usd: str, *traces: str, company: str = HARBOR, day: int = 0, reference: str = "") -> Deposit:
    return Deposit(
        number, "x2200", MONDAY + timedelta(days=day), Decimal(usd), tuple((each, company) for each in traces),
        company if traces else "", reference,
    )  # fmt: skip


def untraced(number: str, usd: str, *, company: str = "", day: int = 0, reference: str = "") -> Deposit:
    return Deposit(number, "x2200", MONDAY + timedelta(days=day), Decimal(usd), (), company, reference)


def advice(trace: str, usd: str, *, company: str = HARBOR, day: int = 0, method: str = "ACH") -> Advice:
    payer = {HARBOR: "HHP01", STATE: "MCARE"}.get(company, "OTHER")
    return Advice(f"{payer}/{trace}", payer, company, trace, method, MONDAY + timedelta(days=day), Decimal(usd))


def told(*facts: Deposit | Advice) -> dict[str, str]:
    """Each fact's state, by what it met, and the difference where there is one."""
    found = associate([f for f in facts if isinstance(f, Deposit)], [f for f in facts if isinstance(f, Advice)])
    return {each.number: shown(each) for each in found}


def shown(standing: Standing) -> str:
    by = f" by {'+'.join(standing.by)}" if standing.by else ""
    off = f" {standing.difference}" if standing.difference else ""
    return f"{standing.state}{by}{off}"


@pytest.mark.parametrize(
    ("facts", "standing"),
    [
        pytest.param(
            [deposit("D1", "1200.00", "EFT-1"), advice("EFT-1", "1200.00")],
            {"D1": "matched by trace", "HHP01/EFT-1": "matched by trace"}, id="one EFT and its remittance",
        ),
        pytest.param(
            [deposit("D1", "1200.00", "EFT-1"), advice("EFT-1", "1180.00")],
            {"D1": "differs by trace 20.00", "HHP01/EFT-1": "differs by trace 20.00"}, id="the bank has more",
        ),
        pytest.param(
            [deposit("D1", "1200.00", "EFT-1", day=60), advice("EFT-1", "1200.00")],
            {"D1": "matched by trace", "HHP01/EFT-1": "matched by trace"}, id="a trace number is good for ever",
        ),
        pytest.param(
            [deposit("D1", "1200.00", "EFT-1"), advice("EFT-1", "1200.00", company=STATE)],
            {"D1": "open 1200.00", "MCARE/EFT-1": "open -1200.00"}, id="two payers may give one number",
        ),
        pytest.param(
            [deposit("D1", "1200.00", "EFT-1", company=""), advice("EFT-1", "1200.00", company=STATE)],
            {"D1": "matched by trace", "MCARE/EFT-1": "matched by trace"}, id="a bank that prints no company, one payer",
        ),
        pytest.param(
            [deposit("D1", "70.00", "EFT-1", company=""), advice("EFT-1", "70.00"), advice("EFT-1", "70.00", company=STATE)],
            {"D1": "open 70.00", "HHP01/EFT-1": "open -70.00", "MCARE/EFT-1": "open -70.00"}, id="a bank that prints no company, two",
        ),
        pytest.param(
            [deposit("D1", "300.00", "EFT-1", "EFT-2"), advice("EFT-1", "100.00"), advice("EFT-2", "200.00")],
            {"D1": "matched by trace", "HHP01/EFT-1": "matched by trace", "HHP01/EFT-2": "matched by trace"},
            id="one deposit that names two remittances",
        ),
        pytest.param(
            [deposit("D1", "100.00", "EFT-1"), deposit("D2", "200.00", "EFT-1", day=1), advice("EFT-1", "300.00")],
            {"D1": "matched by trace", "D2": "matched by trace", "HHP01/EFT-1": "matched by trace"}, id="one remittance paid in two",
        ),
        pytest.param(
            [deposit("D1", "100.00", "EFT-1"), deposit("D2", "-100.00", "EFT-1", day=3), advice("EFT-1", "100.00")],
            {n: "returned by trace -100.00" for n in ("D1", "D2", "HHP01/EFT-1")}, id="an EFT that was taken back",
        ),
        pytest.param(
            [deposit("D1", "-40.00", "EFT-1"), advice("EFT-1", "-40.00")],
            {"D1": "matched by trace", "HHP01/EFT-1": "matched by trace"}, id="a payer that takes money",
        ),
        pytest.param([advice("EFT-1", "0.00", method="NON")], {"HHP01/EFT-1": "not_expected"}, id="a remittance that pays nothing"),
        pytest.param([advice("EFT-1", "100.00", method="NON")], {"HHP01/EFT-1": "not_expected"}, id="one that says so"),
        pytest.param(
            [untraced("D1", "259.00", reference="0004711"), advice("4711", "259.00", method="CHK", day=20)],
            {"D1": "matched by check", "HHP01/4711": "matched by check"}, id="a check by its number",
        ),
        pytest.param(
            [untraced("D1", "259.00", reference="4711"), advice("4711", "250.00", method="CHK")],
            {"D1": "open 259.00", "HHP01/4711": "open -250.00"}, id="a check of another amount is another check",
        ),
        pytest.param(
            [untraced("D1", "259.00", reference="4711"), advice("4711", "259.00"), advice("9", "259.00")],
            {"D1": "open 259.00", "HHP01/4711": "open -259.00", "HHP01/9": "open -259.00"}, id="an EFT's number is no check's",
        ),
        pytest.param(
            [untraced("D1", "259.00", reference="4711"), untraced("D2", "-259.00", reference="4711", day=6),
             advice("4711", "259.00", method="CHK")],
            {n: "returned by check+return -259.00" for n in ("D1", "D2", "HHP01/4711")}, id="a check that came back",
        ),
        pytest.param(
            [untraced("D1", "259.00", reference="4711"), untraced("D2", "-259.00", reference="4711", day=6)],
            {"D1": "matched by return", "D2": "matched by return"}, id="a check that came back, of nobody known",
        ),
        pytest.param([untraced("D2", "-25.00", reference="9")], {"D2": "open -25.00"}, id="a return of what is not known"),
        pytest.param(
            [untraced("D1", "9100.00"), advice("W-1", "9100.00", day=5, method="FWT")],
            {"D1": "matched by amount", "HHP01/W-1": "matched by amount"}, id="a wire by its amount, on the last day of the window",
        ),
        pytest.param(
            [untraced("D1", "9100.00"), advice("W-1", "9100.00", day=6, method="FWT")],
            {"D1": "open 9100.00", "HHP01/W-1": "open -9100.00"}, id="a day too late",
        ),
        pytest.param(
            [untraced("D1", "9100.00", company=STATE), advice("W-1", "9100.00")],
            {"D1": "open 9100.00", "HHP01/W-1": "open -9100.00"}, id="another payer's wire",
        ),
        pytest.param(
            [untraced("D1", "50.00"), advice("W-1", "50.00"), advice("W-2", "50.00", company=STATE)],
            {"D1": "open 50.00", "HHP01/W-1": "open -50.00", "MCARE/W-2": "open -50.00"}, id="two that it could be",
        ),
        pytest.param(
            [untraced("D1", "50.00"), untraced("D2", "50.00"), advice("W-1", "50.00")],
            {"D1": "open 50.00", "D2": "open 50.00", "HHP01/W-1": "open -50.00"}, id="two deposits for one remittance",
        ),
        pytest.param(
            [untraced("D1", "50.00"), advice("W-1", "50.00"), advice("W-2", "50.00"), deposit("D2", "50.00", "W-2")],
            {"D1": "matched by amount", "D2": "matched by trace", "HHP01/W-1": "matched by amount", "HHP01/W-2": "matched by trace"},
            id="the other one is taken by its trace",
        ),
        pytest.param(
            [deposit("D1", "50.00", "EFT-9"), advice("W-1", "50.00")],
            {"D1": "open 50.00", "HHP01/W-1": "open -50.00"}, id="a trace number waits for its own remittance",
        ),
        pytest.param(
            [untraced("D1", "300.00", company=HARBOR), advice("W-1", "100.00"), advice("W-2", "200.00"), advice("W-3", "7.00", day=1)],
            {"D1": "matched by sum", "HHP01/W-1": "matched by sum", "HHP01/W-2": "matched by sum", "HHP01/W-3": "open -7.00"},
            id="one deposit for a payer's day",
        ),
        pytest.param(
            [deposit("D1", "300.00", "EFT-1"), advice("EFT-1", "100.00"), advice("EFT-2", "150.00"), advice("EFT-3", "50.00")],
            {n: "matched by trace+sum" for n in ("D1", "HHP01/EFT-1", "HHP01/EFT-2", "HHP01/EFT-3")},
            id="one trace number for a payer's day",
        ),
        pytest.param(
            [deposit("D1", "300.00", "EFT-1"), advice("EFT-1", "100.00"), advice("EFT-2", "200.00", company=STATE)],
            {"D1": "differs by trace 200.00", "HHP01/EFT-1": "differs by trace 200.00", "MCARE/EFT-2": "open -200.00"},
            id="what is missing is not another payer's",
        ),
    ],
)  # fmt: skip
def test_a_deposit_meets_its_remittance_and_no_other(facts, standing):
    assert told(*facts) == standing


facts_of_a_week = st.lists(
    st.one_of(
        st.builds(
            lambda n, usd, traces, company, day: deposit(f"D{n}", usd, *traces, company=company, day=day),
            st.integers(0, 99), st.sampled_from(["100.00", "50.00", "150.00", "-50.00", "-100.00"]),
            st.lists(st.sampled_from(["E1", "E2", "E3"]), max_size=2, unique=True), st.sampled_from([HARBOR, STATE, ""]), st.integers(0, 9),
        ),
        st.builds(
            lambda n, usd, company, day, ref: untraced(f"U{n}", usd, company=company, day=day, reference=ref),
            st.integers(0, 99), st.sampled_from(["100.00", "50.00", "150.00", "-50.00"]), st.sampled_from([HARBOR, ""]), st.integers(0, 9),
            st.sampled_from(["", "E1", "71"]),
        ),
        st.builds(
            lambda trace, usd, company, day, method: advice(trace, usd, company=company, day=day, method=method),
            st.sampled_from(["E1", "E2", "E3", "W1", "W2", "71"]), st.sampled_from(["100.00", "50.00", "150.00", "0.00", "-50.00"]),
            st.sampled_from([HARBOR, STATE, ""]), st.integers(0, 9), st.sampled_from(["ACH", "CHK", "NON"]),
        ),
    ),
    max_size=12, unique_by=lambda fact: fact.number,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(facts=facts_of_a_week, seed=st.integers(0, 999))
def test_the_order_in_which_facts_come_says_nothing(facts, seed):
    mixed = facts[:]
    random.Random(seed).shuffle(mixed)
    assert told(*mixed) == told(*facts)


@settings(max_examples=300, deadline=None)
@given(facts=facts_of_a_week)
def test_every_dollar_stands_once_and_what_is_matched_is_equal(facts):
    deposits = {f.number: f for f in facts if isinstance(f, Deposit)}
    advices = {f.number: f for f in facts if isinstance(f, Advice)}
    standings = associate(deposits.values(), advices.values())
    assert sorted(each.number for each in standings) == sorted(fact.number for fact in facts)
    groups: dict[str, list[Standing]] = {}
    for each in standings:
        groups.setdefault(each.group, []).append(each)
    for members in groups.values():
        banked = sum((deposits[m.number].amount for m in members if m.side == "deposit"), Decimal(0))
        said = sum((advices[m.number].amount for m in members if m.side == "remittance"), Decimal(0))
        assert len({(m.state, m.difference, m.by) for m in members}) == 1
        state, difference = members[0].state, members[0].difference
        assert difference == (0 if state is State.NOT_EXPECTED else banked - said)
        assert (state is not State.MATCHED) or not difference
        if By.AMOUNT in members[0].by:
            assert len(members) == 2
