"""The tables hold structure and nothing else (decision 0007): no list of business codes, no sentence, nothing unused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

import pytest

from hilum.formats.x12.definitions import (
    EARLIER,
    RELEASES,
    ElementUse,
    LoopUse,
    SegmentUse,
    SetDefinition,
    available,
    dictionary,
    functional_ids,
    read_set,
)

TABLES = files("hilum.formats.x12") / "tables"
SETS = [read_set(name) for name in sorted(available().values())]

QUALIFIERS = {"98", "128", "235", "363", "374", "66", "522", "673"}
"""Elements whose codes tell one segment from its namesakes, or say what the element after them is."""
COUNTED = {"1328"}
"""Pointers to the diagnoses of a claim, which are counted 1 to 12."""
SYNTAX_ERRORS = {"715", "716", "717", "718", "720", "721", "723", "618", "620", "621"}
"""The codes of acknowledgements, which our own findings are written in."""


def uses(definition: SetDefinition) -> Iterator[SegmentUse]:
    """Each segment of a set once, also where a loop is used again."""
    waiting, seen = [definition.root], set()
    while waiting:
        loop = waiting.pop()
        if id(loop) in seen:
            continue
        seen.add(id(loop))
        for child in loop.children:
            if isinstance(child, LoopUse):
                waiting.append(child)
            else:
                yield child


def parts(use: SegmentUse) -> Iterator[ElementUse]:
    for element in use.elements:
        yield element
        yield from element.components


@pytest.mark.parametrize("definition", SETS, ids=lambda one: f"{one.set_id} {one.convention}")
def test_a_list_of_more_than_ten_codes_is_of_qualifiers_and_never_of_business(definition: SetDefinition):
    long = {
        f"{use.name}{part.position:02d} ({part.number})"
        for use in uses(definition)
        for part in parts(use)
        if part.codes is not None and len(part.codes) > 10
        if part.number not in QUALIFIERS | COUNTED | SYNTAX_ERRORS
    }
    assert long == set(), "name the list (=@name) and let the user supply it"


@pytest.mark.parametrize("definition", SETS, ids=lambda one: f"{one.set_id} {one.convention}")
def test_every_segment_and_element_of_a_set_is_in_the_dictionary(definition: SetDefinition):
    words = dictionary(definition.release)
    for use in uses(definition):
        assert use.name in words.segments
        for part in parts(use):
            assert part.number in words.elements or part.number in words.segments, (use.name, part.number)


def test_no_segment_composite_or_element_is_there_for_nothing():
    envelope = {"ISA", "IEA", "GS", "GE", "TA1"}
    named = {use.name for definition in SETS for use in uses(definition)} | envelope
    for_sets: set[str] = set()
    held: set[str] = set()
    for release in (EARLIER, *RELEASES):
        words, seen = dictionary(release), set()
        held |= words.segments.keys() | words.elements.keys()
        waiting = [name for name in named if name in words.segments]
        while waiting:
            name = waiting.pop()
            inner = {number for number, _, _ in words.segments[name].elements}
            waiting += [number for number in inner - seen if number in words.segments]
            seen |= inner | {name}
        for_sets |= seen
    assert held - for_sets == set()


def test_the_tables_hold_no_sentences():
    for table in sorted((TABLES / "sets").iterdir(), key=lambda one: one.name):
        for line in table.read_text(encoding="utf-8").splitlines():
            told = line.partition("#")[0]
            assert not re.search(r"[a-z]{3,} [a-z]{3,} [a-z]{3,}", told), (table.name, line)


def test_a_set_knows_in_which_groups_it_may_stand():
    assert functional_ids("837") == {"HC"}
    assert functional_ids("850") == {"PO"}
    assert functional_ids("104") == frozenset()
