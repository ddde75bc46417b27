"""Where an interchange begins and what separates in it, taken from its ISA as it was really written (X12.5, X12.6).

The standard's ISA has 106 characters at fixed places. Real ones are also unpadded, wrapped at a column, indented, or come
after prose; so separators are found by counting elements: the character after ``ISA``, the one after its 16th, and what
stands between that and the next segment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hilum.formats.x12.document import Segment, Separators

BLANKS = " \t\r\n"
NO_SEPARATOR = "\x1f"
"""Stands for a component separator that an ISA does not have: a character that no data has."""

# An element of an ISA has at most 15 characters; some are written longer, none is 80 long. The qualifiers have two, and a
# newline where the file is wrapped; by them prose that says ISA is told from an ISA.
# Atomic groups, because Python 3.11 before its fifth release loses its way in possessive repeats of groups.
_QUALIFIER = r"(?>(?:(?!\1)[^ ]){0,4})\1"
_VALUE = r"(?>(?:(?!\1|ISA\1).){0,80})\1"
_ISA = re.compile(f"ISA([^A-Za-z0-9 \r\n])(?:{_QUALIFIER}{_VALUE}){{4}}(?:{_VALUE}){{7}}", re.DOTALL)
_LONGEST = 3 + 16 * 81
_NEXT = "(?:GS|TA1|ISB|ISE|IEA|ST)"
LOOK_AHEAD = _LONGEST + 64
"""So many characters from the first of ISA are enough to read it."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An ISA found in a text: where it begins, where the segment after it begins at the earliest, and what it says."""

    start: int
    end: int
    header: Segment
    separators: Separators


def find_opening(text: str, start: int = 0) -> Opening | None:
    """The first ISA with 16 elements at or after ``start``; None when the text has none."""
    match = _ISA.search(text, start)
    return None if match is None else _read(text, match)


def opening_at(text: str, start: int) -> Opening | None:
    """The ISA that begins exactly at ``start``; None when there is none."""
    match = _ISA.match(text, start)
    return None if match is None else _read(text, match)


def _read(text: str, match: re.Match[str]) -> Opening:
    element = match[1]
    header = [part.replace("\r", "").replace("\n", "") for part in match[0].split(element)[:16]]
    tail = text[match.end() : match.end() + 48]
    following = re.search(_NEXT + re.escape(element), tail)
    between = tail[: following.start()] if following is not None else tail.lstrip("\r\n")[:2]
    visible = between.replace("\r", "").replace("\n", "").strip(" \t")
    component, segment = visible[:1], visible[1:]
    if len(segment) > 3 or any(c.isalnum() or c == " " for c in segment):
        segment = segment[:1]
    if not segment:
        newline = "\n" if "\n" in between else "\r" if "\r" in between else ""
        # Where the next line ends in the same character, that is the terminator and ISA16 is what is missing.
        next_line = text[match.end() + len(between) :][:400].partition(newline)[0] if newline else component
        if newline and not next_line.rstrip(BLANKS).endswith(component or newline):
            segment = newline
        elif component:
            component, segment = "", component
    if not component or component == element:
        component = NO_SEPARATOR
    if not segment or segment == element:
        segment = "~"
    header.append("" if component == NO_SEPARATOR else component)
    at = text.find(segment, match.end() + (len(component) if header[16] else 0))
    end = at + len(segment) if 0 <= at <= match.end() + 48 else match.end() + len(visible[:1])
    return Opening(
        match.start(), end, header, Separators(element, component, segment, _repetition(header, element + segment))
    )


def _repetition(header: Segment, taken: str) -> str | None:
    said, version = header[11], header[12]
    if len(said) != 1 or said.isalnum() or said == " " or not version >= "00402":
        return None
    return None if said == header[16] or said in taken else said
