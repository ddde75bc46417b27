"""Proposals: what a steward is shown, how likely, and when nothing is better than something."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hilum.masterdata.proposals import Thing, by_neighbours, likeness, name_likeness, propose


def thing(code: str, name: str = "", facility: str = "", **attributes: str) -> Thing:
    return Thing(code, name, facility, attributes)


ORTHO = thing("CC-ORTHO", "Orthopaedic theatres")
CATH = thing("CC-CATH", "Catheter laboratory")
EYE = thing("CC-EYE", "Eye surgery")
GENERAL = thing("CC-GEN", "General surgery")
CENTRES = (ORTHO, CATH, EYE, GENERAL)
MARY, HARBOR = thing("ST-MARY", "St. Mary Medical Center"), thing("HARBOR-VIEW", "Harbor View Hospital")

# What is looked for, among which; then the target with its least score, or None.
SCORES: dict[str, tuple[Thing, tuple[Thing, ...], tuple[str, str] | None]] = {
    "the same code": (thing("cc ortho"), CENTRES, ("CC-ORTHO", "1.0")),
    "the same code with zeros before it": (thing("0042"), (thing("42"), thing("43")), ("42", "1.0")),
    "the same code for another thing": (thing("CC-EYE", "Emergency department"), CENTRES, None),
    "the same NPI": (
        thing("STM", "Something else", npi="1730195003"), (thing("A", npi="1730195003"), thing("B")), ("A", "0.98"),
    ),
    "alike, but another NPI": (
        thing("P1", "Harbor Health", npi="1730195003"), (thing("P2", "Harbor Health", npi="1730195011"),), None,
    ),
    "what the owner says replaces it": (
        thing("1050", "Remittances in transit"),
        (thing("1055", "Cash clearing", replaces="1050"), thing("1060", "Remittances under way")), ("1055", "0.98"),
    ),
    "the names are the same": (thing("OPH", "Eye Surgery"), CENTRES, ("CC-EYE", "0.95")),
    "other words' order and abbreviations": (thing("X1", "Lab, cath"), CENTRES, ("CC-CATH", "0.95")),
    "the codes share a word": (thing("CATH"), CENTRES, ("CC-CATH", "0.85")),
    "a part of a name is not the name": (thing("S1", "Surgery"), CENTRES, None),
    "nothing agrees": (thing("PSYCH", "Behavioral health"), CENTRES, None),
    "two are equally likely": (thing("S1", "Eye surgery"), (EYE, thing("CC-EYE2", "Eye surgery")), None),
    "its record names the facility": (thing("1999999984", facility="HARBOR-VIEW"), (MARY, HARBOR), None),
    "another facility's is no candidate": (
        thing("OR", "Theatre store", "ST-MARY"), (thing("HBV-OR", "Theatre store", "HARBOR-VIEW"),), None,
    ),
    "the facility's own is a candidate": (
        thing("OR", "Theatre store", "HARBOR-VIEW"),
        (thing("HBV-OR", "Theatre store", "HARBOR-VIEW"), thing("STM-OR", "Theatre store", "ST-MARY")), ("HBV-OR", "0.85"),
    ),
    "a facility's is no candidate for the whole network": (
        thing("OR", "Theatre store"), (thing("HBV-OR", "Theatre store", "HARBOR-VIEW"),), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCORES)
def test_what_is_proposed(name: str) -> None:
    wanted, among, expected = SCORES[name]
    found = propose(wanted, among)
    if expected is None:
        assert found is None
    else:
        assert (
            found is not None and found.target == expected[0] and found.score >= Decimal(expected[1]) and found.reason
        )


def test_a_record_that_names_its_facility_is_certain() -> None:
    certain = likeness(Thing("1999999984", "", "", {"facility": "HARBOR-VIEW"}), HARBOR)
    assert (certain.target, certain.score) == ("HARBOR-VIEW", Decimal("0.98"))


def test_a_refused_proposal_is_not_made_again_and_nor_is_its_runner_up() -> None:
    wanted = thing("CATH", "Catheter laboratory")
    assert propose(wanted, CENTRES, rejected={"CC-CATH"}) is None
    other = propose(wanted, CENTRES, rejected={"CC-EYE"})
    assert other is not None and other.target == "CC-CATH"


def test_a_payer_is_what_its_like_is_and_never_certainly() -> None:
    mapped = [(thing("HHP01", "Harbor Health Plan"), "commercial"), (thing("MCARE", "Medicare"), "medicare")]
    found = by_neighbours(thing("HHP02", "Harbor Health Plan Inc."), mapped)
    assert found is not None and found.target == "commercial"
    assert Decimal("0.75") <= found.score < Decimal("0.97")
    assert found.reason.startswith("HHP01 (Harbor Health Plan) means commercial")
    assert by_neighbours(thing("AUTO", "State Farm"), mapped) is None


def test_neighbours_of_another_facility_say_nothing() -> None:
    mapped = [(thing("HHP01", "Harbor Health Plan", "ST-MARY"), "commercial")]
    assert by_neighbours(thing("HHP02", "Harbor Health Plan", "HARBOR-VIEW"), mapped) is None


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        ("St. Mary Medical Center", "SAINT MARY MED CTR", 1.0, 1.0),
        ("Orthopädie", "Orthopadie", 1.0, 1.0),
        ("Cardiology", "Oncology", 0.0, 0.75),
    ],
)
def test_names_are_compared_as_people_read_them(one: str, other: str, least: float, most: float) -> None:
    alike = name_likeness(one, other)
    assert alike is not None and least <= alike <= most


def test_without_a_name_nothing_is_known_of_it() -> None:
    assert name_likeness("", "Eye surgery") is None and name_likeness("The", "of") is None


def test_the_like_of_a_certain_match_is_not_certain_itself() -> None:
    mapped = [(thing("HHP01", "Harbor", tax_id="36-1"), "commercial")]
    found = by_neighbours(thing("HHP09", tax_id="36-1"), mapped)
    assert found is not None and (found.target, found.score) == ("commercial", Decimal("0.931"))
