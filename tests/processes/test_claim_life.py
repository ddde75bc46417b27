"""Where claims and denials stand: tables of what is known, and the same answer for every order in which it came to be known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.model.claim_life import (
    Adjudicated,
    Answered,
    Batch,
    Facts,
    FileAnswer,
    Submitted,
    answers_by_batch,
    decisions,
    standing,
)
from hilum.model.denial_life import Decided, Denied, denial_state


def day(number: int) -> date:
    return date(2026, 3, number)


def usd(text: str) -> Decimal:
    return Decimal(text)


FIRST = Submitted("B1", "c1", day(2), usd("500"), file="F1", provider="1234567893")
AGAIN = Submitted("B2", "c1", day(9), usd("500"), file="F2", provider="1234567893")
REPLACING = Submitted("B3", "c1", day(20), usd("480"), file="F3", frequency="7", replaces="HH-1")
VOIDING = replace(REPLACING, frequency="8")
READ = FileAnswer("999-1", "t1", day(2), True)
UNREADABLE = FileAnswer("999-1", "t1", day(2), False, ("IK5 5", "NM1 8: 8"))
TAKEN = Answered("CA-1", "a1", day(3), "A2", True, "F1", ("A2:20",))
SENT_BACK = Answered("CA-1", "a1", day(3), "A7", False, "F1", ("A7:562:85",))
BY_PAYER = Answered("CA-2", "a1", day(4), "A3", False, "F1", ("A3:116",))
PENDED = Answered("ST-1", "a1", day(10), "P3", None, "", ("P3:317",))
FINAL = Answered("ST-2", "a1", day(12), "F1", None, "", ("F1:65",))


def decided(
    source: str,
    on: int,
    paid: str,
    *,
    denied: str = "0",
    patient: str = "0",
    status: str = "1",
    charge: str = "500",
    payer: str = "HHP01",
) -> Adjudicated:
    adjusted = usd(charge) - usd(paid) - usd(patient)
    return Adjudicated(
        source, "c1", day(on), status, usd(charge), usd(paid), adjusted, usd(patient), usd(denied), payer, "HH-1"
    )


PAID = decided("R1", 15, "400", patient="50")
DENIED = decided("R1", 15, "0", denied="500", status="4")
PARTLY = decided("R1", 15, "300", denied="150")
TAKEN_BACK = decided("R2", 18, "-400", patient="-50", charge="-500", status="22")
CORRECTED = decided("R3", 18, "350", patient="50")
SECONDARY = decided("R4", 22, "100", status="2", payer="MCARE")


def files(*answers: FileAnswer, batch: str = "B1") -> dict[str, list[FileAnswer]]:
    return {batch: list(answers)}


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (Facts([FIRST]), "submitted"),
        (Facts([FIRST], files(READ)), "received"),
        (Facts([FIRST], files(UNREADABLE)), "rejected"),
        (Facts([FIRST], files(UNREADABLE), [TAKEN]), "rejected"),
        (Facts([FIRST], {}, [TAKEN]), "accepted"),
        (Facts([FIRST], files(READ), [SENT_BACK]), "rejected"),
        (Facts([FIRST], files(READ), [TAKEN, BY_PAYER]), "rejected"),
        (Facts([FIRST, AGAIN], files(READ), [SENT_BACK]), "submitted"),
        (Facts([FIRST, AGAIN], files(READ, batch="B2"), [SENT_BACK]), "received"),
        (Facts([FIRST], files(READ), [TAKEN, PENDED]), "pended"),
        (Facts([FIRST], files(READ), [TAKEN, PENDED, FINAL]), "finalised"),
        (Facts([FIRST], {}, [], [PAID]), "paid"),
        (Facts([FIRST], {}, [], [DENIED]), "denied"),
        (Facts([FIRST], {}, [], [PARTLY]), "partly_denied"),
        (Facts([FIRST], {}, [], [PARTLY], (), usd("150")), "closed"),
        (Facts([FIRST], {}, [], [PARTLY], (), usd("149.99")), "partly_denied"),
        (Facts([FIRST], {}, [], [DENIED, decided("R5", 19, "450", patient="50")]), "paid"),
        (Facts([FIRST], {}, [], [DENIED, SECONDARY]), "paid"),
        (Facts([FIRST], {}, [], [PAID, TAKEN_BACK]), "reversed"),
        (Facts([FIRST], {}, [], [TAKEN_BACK]), "reversed"),
        (Facts([FIRST], {}, [], [PAID, TAKEN_BACK, CORRECTED]), "paid"),
        (Facts([FIRST, REPLACING], {}, [], [PAID]), "submitted"),
        (Facts([FIRST, VOIDING], {}, [], [PAID]), "voided"),
        (Facts([FIRST], {}, [], [PAID], [REPLACING]), "replaced"),
        (Facts([FIRST], {}, [], [PAID], [VOIDING]), "voided"),
        (Facts([], {}, [], [PAID]), "unknown"),
        (Facts([], {}, [TAKEN], []), "unknown"),
    ],
)  # fmt: skip
def test_a_claim_stands_where_what_is_known_of_it_brings_it(facts, state):
    assert standing(facts).state == state


def test_a_rejected_claim_says_why_and_one_sent_again_does_not_any_more():
    assert standing(Facts([FIRST], {}, [SENT_BACK])).codes == ("A7:562:85",)
    # Of two that refused it the first is told: what it names is to be put right before anybody else looks at it.
    assert standing(Facts([FIRST], {}, [BY_PAYER, SENT_BACK])).codes == ("A7:562:85",)
    assert standing(Facts([FIRST], {"B1": [UNREADABLE]}, [SENT_BACK])).codes == ("IK5 5", "NM1 8: 8")
    assert standing(Facts([FIRST, AGAIN], {}, [SENT_BACK])).codes == ()


def test_a_provider_part_of_a_file_that_is_refused_takes_only_that_providers_claims_along():
    refused = replace(UNREADABLE, provider="1245319599")
    assert standing(Facts([FIRST], files(READ, refused))).state == "received"
    assert standing(Facts([replace(FIRST, provider="1245319599")], files(READ, refused))).state == "rejected"


def test_a_split_claim_has_every_part_counted():
    one = replace(decided("R1", 15, "0", denied="200", charge="200"), payer_claim="HH-1A")
    other = replace(decided("R1", 15, "250", patient="50", charge="300"), payer_claim="HH-1B", line="c2")
    found = standing(Facts([FIRST], {}, [], [one, other]))
    assert (found.state, found.adjudicated, found.paid, found.denied) == ("partly_denied", 500, 250, 200)


def test_control_numbers_that_begin_anew_are_told_apart_by_their_days():
    old = Batch("OLD", "HARBOR", "1", "1", "F1", day(1))
    new = Batch("NEW", "HARBOR", "1", "1", "F1", day(20))
    to_old = FileAnswer("999-1", "t1", day(2), False, partner="HARBOR", group="1", number="1")
    to_new = FileAnswer("999-2", "t1", day(20), True, partner="HARBOR", group="1", number="1")
    elsewhere = replace(to_new, partner="MARINA")
    assert answers_by_batch([new, old], [to_new, elsewhere, to_old]) == {"OLD": [to_old], "NEW": [to_new]}
    whole_group = replace(to_new, number="", accepted=False)
    assert answers_by_batch([old, new, replace(new, batch="NEW-2", number="2")], [whole_group]).keys() == {
        "NEW",
        "NEW-2",
    }


def test_a_reversal_takes_back_one_decision_of_its_amounts_and_no_other():
    twice = replace(PAID, source="R0", on=day(14))
    found = decisions([TAKEN_BACK, PAID, twice])
    assert (found.reversed, found.live, found.orphans) == ((PAID,), (twice,), ())
    other = replace(TAKEN_BACK, payer="MCARE")
    assert decisions([other, PAID]).orphans == (other,)


@pytest.mark.parametrize(
    ("known", "submissions", "people", "state"),
    [
        ([DENIED], [FIRST], [], "open"),
        ([DENIED], [FIRST], [Decided(1, "resubmit", day(16))], "resubmitting"),
        ([DENIED], [FIRST, REPLACING], [Decided(1, "resubmit", day(16))], "resubmitted"),
        ([DENIED], [FIRST, REPLACING], [], "resubmitted"),
        ([DENIED], [FIRST], [Decided(1, "write_off", day(16))], "write_off_asked"),
        ([DENIED], [FIRST], [Decided(1, "write_off", day(16)), Decided(2, "refused", day(17))], "open"),
        ([DENIED], [FIRST], [Decided(1, "write_off", day(16)), Decided(2, "written_off", day(17))], "written_off"),
        ([DENIED, decided("R5", 19, "500")], [FIRST], [], "overturned"),
        ([DENIED, decided("R5", 19, "500")], [FIRST], [Decided(2, "written_off", day(17))], "overturned"),
        ([DENIED, decided("R6", 19, "0", denied="-500", charge="-500", status="22")], [FIRST], [], "reversed"),
    ],
)
def test_a_denial_stands_where_what_is_known_brings_it(known, submissions, people, state):
    denied = Denied("R1", "c1", "CO", "197", usd("500"))
    assert denial_state(denied, decisions(known), submissions, people) == state


SUBMISSIONS = st.lists(st.sampled_from([FIRST, AGAIN, REPLACING, VOIDING]), unique_by=lambda each: each.source)
ANSWERS = st.lists(st.sampled_from([TAKEN, SENT_BACK, BY_PAYER, PENDED, FINAL]), unique_by=lambda each: each.source)
cents = st.integers(0, 50000).map(lambda n: Decimal(n) / 100)


@st.composite
def remitted(draw: st.DrawFn) -> list[Adjudicated]:
    """Decisions and reversals of one to six remittances: as payers send them, also what they never should."""
    found: list[Adjudicated] = []
    for at in range(draw(st.integers(0, 6))):
        back = found and draw(st.booleans())
        if back:
            one = draw(st.sampled_from(found))
            found.append(
                replace(
                    one, source=f"R{at}", on=day(draw(st.integers(1, 28))), status="22", charge=-one.charge, paid=-one.paid,
                    adjusted=-one.adjusted, patient=-one.patient, denied=-one.denied,
                )
            )  # fmt: skip
        else:
            paid, patient, denied = draw(cents), draw(cents), draw(cents)
            adjusted = denied + draw(cents)
            found.append(
                Adjudicated(
                    f"R{at}", "c1", day(draw(st.integers(1, 28))), draw(st.sampled_from(["1", "2", "4"])),
                    paid + patient + adjusted, paid, adjusted, patient, denied, draw(st.sampled_from(["HHP01", "MCARE"])),
                    draw(st.sampled_from(["HH-1", "HH-2", None])),
                )
            )  # fmt: skip
    return found


@settings(max_examples=400)
@given(st.data(), SUBMISSIONS, st.lists(st.sampled_from([READ, UNREADABLE]), max_size=2), ANSWERS, remitted())
def test_a_claim_stands_in_one_place_whatever_came_first(data, submissions, of_file, answers, decisions_known):
    def facts(sub, fil, ans, dec) -> Facts:
        return Facts(sub, {"B1": fil, "B2": []}, ans, dec)

    first = standing(facts(submissions, of_file, answers, decisions_known))
    other = standing(
        facts(
            data.draw(st.permutations(submissions)), data.draw(st.permutations(of_file)),
            data.draw(st.permutations(answers)), data.draw(st.permutations(decisions_known)),
        )
    )  # fmt: skip
    assert first == other
    assert first.adjudicated == first.paid + first.adjusted + first.patient
    sorted_out = decisions(decisions_known)
    # Nothing is lost and nothing is counted twice: what is live, and what was reversed with its reversals, is all there is.
    taken_back = sum((each.paid for each in sorted_out.orphans), Decimal(0))
    assert sum((each.paid for each in decisions_known), Decimal(0)) == first.paid + taken_back
    assert {(each.source) for each in sorted_out.standing} <= {each.source for each in sorted_out.live}
