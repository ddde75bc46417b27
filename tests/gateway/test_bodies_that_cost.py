"""What reading a body may cost: no more than its length, whatever an attacker writes into it."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.gateway.contents import strict_json
from hilum.gateway.problems import Refusal

MOST_DEPTH = 5
LARGEST = 262_144


def depth_read_plainly(text: str) -> int:
    """How deep a text is nested, read one character after the other; what stands in strings is no structure."""
    depth = deepest = place = 0
    within = False
    while place < len(text):
        mark = text[place]
        if within and mark == "\\":
            place += 1
        elif mark == '"':
            within = not within
        elif not within and mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif not within and mark in "]}":
            depth -= 1
        place += 1
    return deepest


def refused_as_deep(text: str) -> bool:
    try:
        strict_json(text.encode(), max_depth=MOST_DEPTH)
    except Refusal as refused:
        return "nested deeper" in refused.detail
    return False


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet='"\\[]{}a\n', max_size=60))
def test_the_depth_of_a_body_is_what_a_plain_reader_finds(text: str) -> None:
    assert refused_as_deep(text) is (depth_read_plainly(text) > MOST_DEPTH)


@pytest.mark.parametrize("end", ["", "\\", '\\"', '"'], ids=["open", "half-escape", "escape", "closed"])
@pytest.mark.parametrize("inside", ['\\"', "\\\\", 'a\\"', "a"], ids=["quotes", "backslashes", "words", "plain"])
def test_a_string_of_escaped_quotes_that_nobody_closes_costs_time_in_proportion_to_its_length(
    inside: str, end: str
) -> None:
    def seconds(size: int) -> float:
        body = ('"' + inside * (size // len(inside)) + "[" * 40 + end).encode()
        best = 60.0
        for _ in range(3):
            began = time.process_time()
            with suppress(Refusal):
                strict_json(body, max_depth=20)
            best = min(best, time.process_time() - began)
        return best

    # Four times the length is four times the work, and was sixteen times; the small sum is the clock's own grain.
    assert seconds(LARGEST // 16) < 8 * seconds(LARGEST // 64) + 0.05
    assert seconds(LARGEST) < 1.0
