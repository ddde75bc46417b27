"""What an account is follows from the set of what was told of it, in whatever order it came."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.model.patient_account import CHANGES, AccountFact, Change, Merge, fold_account, fold_merges

NINE = datetime(2026, 11, 21, 9, tzinfo=UTC)


def told(change: Change, minute: int, **given: object) -> AccountFact:
    usual: dict[str, object] = {"facility": "ST-MARY", "mrn": "CASEY"}
    return AccountFact(NINE + timedelta(minutes=minute), f"M{minute:03}", change, **{**usual, **given})  # type: ignore[arg-type]


LIVES: dict[str, tuple[list[Change], str]] = {
    "expected": (["pre-admitted"], "pre-admitted"),
    "admitted": (["admitted"], "open"),
    "expected, then admitted": (["pre-admitted", "admitted"], "open"),
    "discharged": (["admitted", "transferred", "discharged"], "discharged"),
    "the discharge did not happen": (["admitted", "discharged", "discharge-cancelled"], "open"),
    "discharged twice, the second taken back": (
        ["admitted", "discharged", "admitted", "discharged", "discharge-cancelled"], "open",
    ),
    "the admission did not happen": (["admitted", "admission-cancelled"], "cancelled"),
    "the admission did not happen, the patient is expected still": (
        ["pre-admitted", "admitted", "admission-cancelled"], "pre-admitted",
    ),
    "nobody comes": (["pre-admitted", "pre-admission-cancelled"], "cancelled"),
    "cancelled, then admitted after all": (["admitted", "admission-cancelled", "admitted"], "open"),
    "cancelled and moved before that": (["admitted", "transferred", "admission-cancelled"], "cancelled"),
    "an update opens nothing that was cancelled": (["admitted", "admission-cancelled", "updated"], "cancelled"),
    "an outpatient who stays": (["admitted", "class-changed"], "open"),
    "only updates are known": (["updated"], "provisional"),
    "a cancellation alone": (["admission-cancelled"], "cancelled"),
    "moved before anybody said it began": (["transferred"], "provisional"),
}  # fmt: skip


@pytest.mark.parametrize("life", LIVES)
def test_an_accounts_life(life: str) -> None:
    changes, status = LIVES[life]
    assert fold_account(told(change, minute) for minute, change in enumerate(changes)).status == status


def test_a_cancelled_transfer_brings_the_patient_back() -> None:
    life = [
        told("admitted", 0, location="4W", patient_class="I"),
        told("transferred", 1, location="ICU"),
        told("transfer-cancelled", 2),
    ]
    assert fold_account(life).location == "4W"
    assert fold_account(life[:2]).location == "ICU"


def test_what_a_fact_leaves_out_stays_as_it_was_said() -> None:
    life = [
        told("admitted", 0, patient_class="E", coverages=("HARBOR/W-1",)),
        told("updated", 1, patient_class="I"),
        told("updated", 2, coverages=()),
    ]
    assert fold_account(life[:2]).coverages == ("HARBOR/W-1",)
    assert (fold_account(life).patient_class, fold_account(life).coverages) == ("I", ())


def test_a_cancellation_that_came_first_waits_and_counts_when_its_admission_comes() -> None:
    cancelled, admitted = told("admission-cancelled", 5), told("admitted", 0)
    alone = fold_account([cancelled])
    assert (alone.status, alone.waiting) == ("cancelled", ("admission-cancelled",))
    both = fold_account([cancelled, admitted])
    assert (both.status, both.waiting, both.cancelled_at) == ("cancelled", (), cancelled.at)


def test_a_discharge_that_was_taken_back_before_it_was_told_leaves_the_account_open() -> None:
    known = [told("discharge-cancelled", 7), told("admitted", 0)]
    assert fold_account(known).waiting == ("discharge-cancelled",)
    assert fold_account([*known, told("discharged", 3)]).status == "open"


def test_of_one_minute_the_admission_comes_before_its_cancellation() -> None:
    # Also where the senders' numbers, as text, say otherwise.
    admitted = replace(told("admitted", 0), message="M-9")
    cancelled = replace(told("admission-cancelled", 0), message="M-10")
    assert fold_account([cancelled, admitted]).status == "cancelled"


def test_nothing_is_no_account() -> None:
    with pytest.raises(ValueError, match="nothing is known"):
        fold_account([])


facts = st.builds(
    told,
    st.sampled_from(CHANGES),
    st.integers(0, 12),
    location=st.sampled_from([None, "4W", "ICU"]),
    patient_class=st.sampled_from([None, "I", "O"]),
    mrn=st.sampled_from(["CASEY", "JAMIE"]),
    coverages=st.sampled_from([None, (), ("HARBOR/W-1",), ("MEDICARE/1EG4", "HARBOR/W-1")]),
)


@given(st.data(), st.lists(facts, min_size=1, max_size=10))
def test_an_account_is_the_same_in_any_order_of_arrival_and_however_often_it_is_told(
    data: st.DataObject, life: list[AccountFact]
) -> None:
    arrived = data.draw(st.permutations([*life, *data.draw(st.lists(st.sampled_from(life), max_size=4))]))
    assert fold_account(arrived) == fold_account(life)


def merged(gone: str, kept: str, minute: int) -> Merge:
    return Merge(NINE + timedelta(minutes=minute), f"M{minute:03}", gone, kept)


def test_chains_of_merges_are_followed_to_their_end() -> None:
    known = fold_merges([merged("B", "C", 2), merged("A", "B", 1), merged("X", "Y", 3)])
    assert [known.survivor_of(each) for each in "ABCXYZ"] == ["C", "C", "C", "Y", "Y", "Z"]
    assert known.refused == ()


def test_a_circle_and_a_second_survivor_are_refused_and_change_nothing() -> None:
    circle, second = merged("C", "A", 3), merged("A", "D", 4)
    known = fold_merges([circle, second, merged("A", "B", 1), merged("B", "C", 2)])
    assert known.refused == (circle, second)
    assert {known.survivor_of(each) for each in "ABC"} == {"C"}


def test_a_merge_said_again_by_way_of_a_later_survivor_is_no_contradiction() -> None:
    known = fold_merges([merged("A", "B", 1), merged("B", "C", 2), merged("A", "C", 3), merged("A", "B", 4)])
    assert known.refused == () and known.survivor_of("A") == "C"


merges = st.builds(merged, st.sampled_from("ABCDE"), st.sampled_from("ABCDE"), st.integers(0, 9))


@given(st.data(), st.lists(merges, max_size=9))
def test_merges_make_the_same_families_in_any_order_and_never_a_circle(
    data: st.DataObject, told_merges: list[Merge]
) -> None:
    known = fold_merges(told_merges)
    again = fold_merges(data.draw(st.permutations(told_merges)))
    assert (again.into, again.refused) == (known.into, known.refused)
    for each in "ABCDE":
        assert known.survivor_of(known.survivor_of(each)) == known.survivor_of(each)
    stands = set(told_merges) - set(known.refused)
    assert all(known.survivor_of(m.merged) == known.survivor_of(m.survivor) for m in stands)
