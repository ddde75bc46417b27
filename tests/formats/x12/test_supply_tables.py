"""The tables of the supply sets hold together, in every release that reads them."""

from __future__ import annotations

import pytest

from hilum.formats.x12.definitions import EARLIER, RELEASES, LoopUse, SegmentUse, definition_for, dictionary, release_of

SETS = {
    "810": "IN",
    "820": "RA",
    "832": "SC",
    "846": "IB",
    "850": "PO",
    "855": "PR",
    "856": "SH",
    "860": "PC",
    "865": "CA",
    "867": "PT",
}


@pytest.mark.parametrize("release", (EARLIER, *RELEASES))
def test_every_element_and_every_syntax_note_of_a_segment_exists(release: str):
    words = dictionary(release)
    for segment in words.segments.values():
        missing = [number for number, _, _ in segment.elements if number not in words.elements | words.segments]
        assert missing == [], segment.name
        assert all(max(note.positions) <= len(segment.elements) for note in segment.syntax), segment.name


@pytest.mark.parametrize("version", ["003040", "004010", "004010VICS", "004060", "005010", "006020"])
@pytest.mark.parametrize(("set_id", "functional_id"), SETS.items())
def test_a_supply_set_is_read_with_the_dictionary_of_its_release(set_id: str, functional_id: str, version: str):
    definition = definition_for(set_id, version)
    assert definition is not None
    assert definition.set_id == set_id
    assert definition.functional_id == functional_id
    assert definition.release == release_of(version)


@pytest.mark.parametrize(("version", "most"), [("003040", 6), ("004010", 8), ("005010", 8)])
def test_a_date_has_six_digits_before_4010_and_eight_after(version: str, most: int):
    definition = definition_for("850", version)
    assert definition is not None
    beginning = definition.root.children[1]
    assert isinstance(beginning, SegmentUse)
    date = beginning.elements[4]
    assert (date.number, date.min) == ("373", most)


def test_loops_are_in_order_and_each_opens_with_a_segment():
    for set_id in SETS:
        definition = definition_for(set_id, "004010")
        assert definition is not None
        waiting = [definition.root]
        seen: set[int] = set()
        while waiting:
            loop = waiting.pop()
            if id(loop.children) in seen:
                continue
            seen.add(id(loop.children))
            assert loop.opener.name
            positions = [child.position for child in loop.children]
            assert positions == sorted(positions)
            assert positions[0] > 0, (set_id, loop.name)
            waiting += [child for child in loop.children if isinstance(child, LoopUse)]
