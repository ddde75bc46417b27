"""The count and the hash total of a CTT segment, which the supply sets share (X12 segment CTT, elements 354 and 347)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal

from hilum.formats.findings import Severity
from hilum.formats.x12.document import Loop, Segment, value
from hilum.formats.x12.rules.report import Report, amount, decimal

_HASH_MAX = 10**10
"""Element 347 has ten digits; a longer sum loses those on the left."""


def hash_totals(texts: Iterable[str]) -> tuple[Decimal, Decimal]:
    """The hash total as the standard has it (digits summed without decimal points and signs), and the plain sum many send."""
    digits, plain = 0, Decimal(0)
    for text in texts:
        number = decimal(text)
        if number is not None:
            plain += number
            whole = text if text.isdigit() else "".join(sign for sign in text.partition("E")[0] if "0" <= sign <= "9")
            digits += int(whole or "0")
    return Decimal(digits % _HASH_MAX), plain


def check_count(report: Report, rule: str, ctt: Segment | None, counts: tuple[int, ...], what: str) -> None:
    """CTT01 is ``counts[0]``; a later one of ``counts`` is another reading that partners use, and only a warning."""
    said = amount(ctt, 1)
    if said is None or said == counts[0]:
        return
    severity: Severity = "warning" if said in counts else "error"
    report(rule, f"CTT01 is not the number of {what}", segment=ctt, element=1, severity=severity)


def check_hash(report: Report, rule: str, ctt: Segment | None, readings: Sequence[Iterable[str]], what: str) -> None:
    """CTT02 is the hash total of ``readings[0]``; one of a later reading is only a warning."""
    said = amount(ctt, 2)
    if said is None:
        return
    for at, reading in enumerate(readings):
        if said in hash_totals(reading):
            if at:
                report(rule, f"CTT02 is not the hash total of {what}", segment=ctt, element=2, severity="warning")
            return
    report(rule, f"CTT02 is not the hash total of {what}", segment=ctt, element=2)


def check_line_numbers(
    report: Report, rule: str, loops: Iterable[Loop], opener: str, severity: Severity = "error"
) -> None:
    """A line number (element 350) tells the lines of a transaction apart, so none comes twice."""
    lines = [(loop, loop.first(opener)) for loop in loops]
    numbers = [number for _, line in lines if (number := value(line, 1)) is not None]
    if len(set(numbers)) == len(numbers):
        return
    counted = Counter(numbers)
    seen: set[str] = set()
    for loop, line in lines:
        number = value(line, 1)
        if number is None or counted[number] == 1:
            continue
        if number in seen:
            report(rule, "two lines have the same number", loop=loop, segment=line, element=1, severity=severity)
        seen.add(number)
