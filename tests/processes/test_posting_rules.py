"""Posting rules: the closest one counts, a missing one is said, and whatever they stage balances."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.masterdata.posting_tables import read_book, read_kinds, read_rules
from hilum.masterdata.tables import TableUnreadable
from hilum.model.ledger import Journal
from hilum.model.posting import FinancialMovement, NoRule, PostingRule, PostingRules, StagedEntry, journal_of, staged

NOON = date(2026, 3, 2)
KINDS = "group,reason,kind\nCO,45,contractual\nCO,,denial\nPR,,patient_responsibility\n"
HEADER = "rule,kind,reason,charge_class,facility,payer_class,debit,credit,cost_centre,valid_from,valid_to\n"


def moved(kind: str = "payment", amount: str = "100.00", **more: str) -> FinancialMovement:
    return FinancialMovement(kind=kind, facility=more.pop("facility", "ST-MARY"), amount=Decimal(amount), **more)


def rule(number: str, kind: str = "payment", debit: str = "1050", credit: str = "1200", **more: object) -> PostingRule:
    return PostingRule(number=number, kind=kind, debit=debit, credit=credit, **more)  # type: ignore[arg-type]


def summarised(entries: list[StagedEntry], *, date: date, description: str) -> Journal | None:
    """The books' sums, by hand."""
    sums: dict[tuple[str, str, bool], Decimal] = {}
    for entry in entries:
        if entry.is_memo or not entry.amount:
            continue
        for account, is_debit in ((entry.debit, True), (entry.credit, False)):
            key = (account, entry.cost_centre, is_debit)
            sums[key] = sums.get(key, Decimal(0)) + entry.amount
    return journal_of(sums, date=date, description=description)


def test_the_rule_that_looks_closest_counts_wherever_it_stands():
    anywhere, at_st_mary = rule("R1"), rule("R2", facility="ST-MARY", debit="1051")
    medicare = rule("R3", payer_class="medicare", debit="1052")
    both = rule("R4", facility="ST-MARY", payer_class="medicare", debit="1053")
    for order in ([anywhere, at_st_mary, medicare, both], [both, medicare, at_st_mary, anywhere]):
        rules = PostingRules(order)
        assert rules.rule_for(moved(facility="NORTH-POINT"), NOON).number == "R1"
        assert rules.rule_for(moved(), NOON).number == "R2"
        assert rules.rule_for(moved(facility="NORTH-POINT", payer_class="medicare"), NOON).number == "R3"
        assert rules.rule_for(moved(payer_class="medicare"), NOON).number == "R4"


def test_of_two_rules_that_ask_one_thing_each_the_payer_counts_before_the_facility():
    rules = PostingRules([rule("R1", facility="ST-MARY"), rule("R2", payer_class="medicare")])
    assert rules.rule_for(moved(payer_class="medicare"), NOON).number == "R2"


def test_a_rule_for_later_payers_counts_for_them_alone_and_before_any_other_that_asks_one_thing():
    rules = PostingRules([rule("R1"), rule("R2", payer_class="medicare"), rule("R3", sequence="later", credit="1210")])
    assert rules.rule_for(moved(payer_class="medicare"), NOON).number == "R2"
    assert rules.rule_for(moved(payer_class="medicare", sequence="later"), NOON).number == "R3"
    assert rules.rule_for(moved(), NOON).number == "R1"


@pytest.mark.parametrize("said, faults", [("later", 0), ("", 0), ("second", 1)])
def test_the_sequence_is_a_column_that_may_be_left_out_and_holds_nothing_else(tmp_path, said, faults):
    (tmp_path / "rules.csv").write_text(
        HEADER.replace("payer_class,", "payer_class,sequence,") + f"R1,payment,,,,,{said},1050,1200,,,\n"
    )
    found = read_rules(tmp_path, "rules.csv")
    assert len(found.faults) == faults and [each.sequence for each in found.rules] == [said] * (1 - faults)


def test_a_rule_holds_from_its_first_to_its_last_day():
    rules = PostingRules([rule("OLD", valid_to=date(2026, 3, 1)), rule("NEW", valid_from=date(2026, 3, 2))])
    assert rules.rule_for(moved(), date(2026, 3, 1)).number == "OLD"
    assert rules.rule_for(moved(), date(2026, 3, 2)).number == "NEW"


def test_a_movement_without_a_rule_says_what_is_missing():
    with pytest.raises(NoRule, match=r"denial \(reason CO-16, facility ST-MARY\) on 2026-03-02"):
        PostingRules([rule("R1")]).rule_for(moved("denial", reason="CO-16"), NOON)


def test_what_is_taken_back_goes_the_other_way_and_stays_a_line_of_its_own():
    rules = PostingRules([rule("R1")])
    there, back = (staged(moved(amount=amount), rules, NOON) for amount in ("100.00", "-40.00"))
    assert (back.debit, back.credit, back.amount) == ("1200", "1050", Decimal("40.00"))
    journal = summarised([there, back], date=NOON, description="Remittance 7")
    assert journal is not None
    assert [(line.account, line.debit, line.credit) for line in journal.lines] == [
        ("1050", Decimal("100.00"), 0), ("1200", Decimal("40.00"), 0), ("1050", 0, Decimal("40.00")),
        ("1200", 0, Decimal("100.00")),
    ]  # fmt: skip


def test_a_memorandum_is_kept_and_not_posted():
    memo = staged(moved("prior_payer"), PostingRules([rule("M", "prior_payer", "", "")]), NOON)
    assert memo.is_memo and memo.amount == 100
    assert summarised([memo], date=NOON, description="nothing") is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["payment", "contractual", "denial"]),
            st.decimals(min_value=-1000, max_value=1000, places=2),
            st.sampled_from(["", "CC-1", "CC-2"]),
        ),
        max_size=30,
    )
)
def test_every_journal_balances_and_moves_what_was_staged(given):
    rules = PostingRules([rule("R1"), rule("R2", "contractual", "4900", "1200"), rule("R3", "denial", "1220", "1200")])
    entries = [staged(moved(kind, str(amount), cost_centre=centre), rules, NOON) for kind, amount, centre in given]
    journal = summarised(entries, date=NOON, description="any")
    total = sum((abs(amount) for _, amount, _ in given), Decimal(0))
    if journal is None:
        assert total == 0
        return
    assert journal.total.amount == total
    owed = sum((line.debit - line.credit for line in journal.lines if line.account == "1200"), Decimal(0))
    assert owed == -sum((amount for _, amount, _ in given), Decimal(0))


def read(folder: Path, rows: str):
    (folder / "rules.csv").write_text(HEADER + rows)
    return read_rules(folder, "rules.csv")


def test_a_table_is_read_row_by_row(tmp_path):
    table = read(
        tmp_path,
        "R1,payment,,,,,1050,1200,,,\nR2,contractual,CO-45,,ST-MARY,medicare,4900,1200,CC-9,2026-01-01,2026-12-31\n",
    )
    assert not table.faults
    assert table.rules[1] == rule(
        "R2", "contractual", "4900", "1200", reason="CO-45", facility="ST-MARY", payer_class="medicare",
        cost_centre="CC-9", valid_from=date(2026, 1, 1), valid_to=date(2026, 12, 31),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("R1,payment,,,,,1050,,,,\n", "does not go between two accounts"),
        ("R1,payment,,,,,1050,1050,,,\n", "does not go between two accounts"),
        ("R1,payment,,,,,1050,1200,,,\nR1,denial,,,,,1220,1200,,,\n", "stands twice"),
        ("R1,payment,,,,,1050,1200,,,\nR2,payment,,,,,1051,1200,,,\n", "look at the same movements"),
        ("R1,payment,,,,,1050,1200,,2026-13-01,\n", "which is no date"),
        ("R1,payment,,,,,1050,1200,,2026-02-01,2026-01-01\n", "before it begins"),
        ("R1,payment,,,,,1050 ,1200,,,\n", "spaces around it"),
        ("R1,payment,,,\n", "one value for each column"),
        (",payment,,,,,1050,1200,,,\n", "no rule number"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_fault_and_nothing_is_posted_by_such_a_table(tmp_path, rows, said):
    table = read(tmp_path, rows)
    assert said in table.faults[0].what
    (tmp_path / "kinds.csv").write_text(KINDS)
    with pytest.raises(TableUnreadable, match=r"rules.csv:[23]:"):
        read_book(tmp_path, "rules.csv", "kinds.csv")


def test_two_rules_may_follow_each_other(tmp_path):
    assert not read(tmp_path, "R1,payment,,,,,1050,1200,,,2026-01-31\nR2,payment,,,,,1051,1200,,2026-02-01,\n").faults


def test_adjustments_are_what_their_group_and_reason_say_and_else_what_their_group_is(tmp_path):
    (tmp_path / "kinds.csv").write_text(KINDS)
    (tmp_path / "rules.csv").write_text(HEADER + "R1,contractual,,,,,4900,1200,,,\nR2,denial,,,,,1220,1200,,,\n")
    book = read_book(tmp_path, "rules.csv", "kinds.csv")
    found = [book.staged(moved("adjustment", reason=reason), NOON) for reason in ("CO-45", "CO-16")]
    assert [(each.movement.kind, each.rule) for each in found] == [("contractual", "R1"), ("denial", "R2")]
    with pytest.raises(NoRule, match="adjustment OA-23"):
        book.staged(moved("adjustment", reason="OA-23"), NOON)


def test_another_table_is_another_version(tmp_path):
    versions = []
    for accounts in ("4900,1200", "4901,1200"):
        (tmp_path / "kinds.csv").write_text(KINDS)
        (tmp_path / "rules.csv").write_text(HEADER + f"R1,contractual,,,,,{accounts},,,\n")
        versions.append(read_book(tmp_path, "rules.csv", "kinds.csv").version)
    assert versions[0] != versions[1]


def test_a_group_that_is_none_is_a_fault(tmp_path):
    (tmp_path / "kinds.csv").write_text("group,reason,kind\nXX,45,contractual\nCO,1,\nCO,2,denial\nCO,2,denial\n")
    assert [fault.line for fault in read_kinds(tmp_path, "kinds.csv").faults] == [2, 3, 5]
