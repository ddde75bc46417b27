"""Item numbers that can be checked by themselves: GS1 check digits, and the forms of NDC and HIBC numbers.

The check digit is that of the GS1 General Specifications, 7.9.1; the NDC's form is of 21 CFR 207.33, the HIBC's of ANSI/HIBC 2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from hilum.formats.findings import Severity
from hilum.formats.x12.document import Loop, Segment, value
from hilum.formats.x12.rules.report import Report

_LENGTHS = {"UP": 12, "EN": 13, "UK": 14, "EO": 8}
"""Qualifiers (element 235) whose numbers end in a check digit, and how long they are; UI and UA have none by definition."""

_NDC = re.compile(r"\d{10,11}|\d{4}-\d{4}-\d{2}|\d{5}-\d{3}-\d{2}|\d{5}-\d{4}-\d{1,2}")
_FORMS = {
    "N1": _NDC,
    "N2": _NDC,
    "N3": _NDC,
    "N4": re.compile(r"\d{11}|\d{5}-\d{4}-\d{2}"),
    "ND": _NDC,
    "HI": re.compile(r"\*?\+?[A-Z][A-Z0-9]{3}[A-Z0-9]{1,18}[0-9][A-Z0-9 $./+%-]?\*?"),
}
CHECKED = frozenset({*_LENGTHS, *_FORMS})
"""Qualifiers whose numbers can be checked."""
FIRST_PAIR = {"PO1": 6, "POC": 8, "IT1": 6, "LIN": 2, "SLN": 9, "ACK": 7, "PKL": 1}
"""The first element of the pairs (qualifier, number) in the segments that name items."""


def gs1_check_digit_is_right(digits: str) -> bool:
    """Whether the last digit checks the others: from the right they weigh 1, 3, 1 ...; false when something is no digit."""
    if not digits.isascii() or not digits.isdigit():
        return False
    return (sum(map(int, digits[-1::-2])) + 3 * sum(map(int, digits[-2::-2]))) % 10 == 0


def item_numbers(segment: Segment) -> Iterable[tuple[int, str, str]]:
    """(element, qualifier, number) of each pair that a segment names an item by."""
    first = FIRST_PAIR[segment[0]]
    last = 26 if segment[0] == "ACK" else 2 if segment[0] == "PKL" else len(segment)
    for at in range(first, min(last, len(segment) - 1), 2):
        if segment[at] and segment[at + 1]:
            yield at + 1, segment[at], segment[at + 1]


def check_item_numbers(report: Report, loops: Iterable[Loop]) -> None:
    """Report item numbers that cannot be right; a form that is merely unusual is a warning."""
    for loop in loops:
        for segment in loop.segments:
            # Most numbers are the vendor's own, of which nothing can be said: they are passed over at once.
            if segment[0] not in FIRST_PAIR or CHECKED.isdisjoint(segment):
                continue
            for at, qualifier, number in item_numbers(segment):
                if qualifier in CHECKED and (wrong := _wrong(qualifier, number)) is not None:
                    code, text, severity = wrong
                    report(code, text, loop=loop, segment=segment, element=at, snip=5, severity=severity)


@lru_cache(maxsize=8192)
def _wrong(qualifier: str, number: str) -> tuple[str, str, Severity] | None:
    if qualifier in _FORMS:
        if _FORMS[qualifier].fullmatch(number) is None:
            return "item-number-form", f"this is no number of kind {qualifier}", "warning"
        return None
    if len(number) != _LENGTHS[qualifier] or not number.isdigit():
        return "item-number-form", f"a number of kind {qualifier} has {_LENGTHS[qualifier]} digits", "warning"
    if not gs1_check_digit_is_right(number):
        return "item-number-check-digit", f"the check digit of a number of kind {qualifier} is wrong", "error"
    return None


def check_marks(report: Report, loops: Iterable[Loop]) -> None:
    """The check digit of serial shipping container codes (MAN01 GM: 18 digits, or 20 with the application identifier)."""
    for loop in loops:
        for segment in loop.segments:
            if segment[0] == "MAN":
                _check_mark(report, loop, segment)


def _check_mark(report: Report, loop: Loop, segment: Segment) -> None:
    number = value(segment, 2)
    if value(segment, 1) != "GM" or number is None or not number.isdigit() or len(number) not in (18, 20):
        return
    if not gs1_check_digit_is_right(number[-18:]):
        report(
            "item-number-check-digit",
            "the check digit of the container's number is wrong",
            loop=loop,
            segment=segment,
            element=2,
            snip=5,
        )
