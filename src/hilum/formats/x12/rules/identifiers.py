"""National provider identifiers carry a check digit (45 CFR 162.406, ISO 7812 with the prefix 80840)."""

from __future__ import annotations

from functools import lru_cache

from hilum.formats.x12.document import Transaction
from hilum.formats.x12.rules.report import Report

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_PREFIX_SUM = 24
"""What 80840 adds to the sum of every identifier."""


@lru_cache(maxsize=4096)
def is_npi(text: str) -> bool:
    """Whether these are ten digits with the right check digit.

    >>> is_npi("1234567893"), is_npi("1234567890")
    (True, False)
    """
    if len(text) != 10 or not (text.isascii() and text.isdigit()):
        return False
    digits = [int(digit) for digit in text]
    return (_PREFIX_SUM + sum(digits[1::2]) + sum(_DOUBLED[digit] for digit in digits[0::2])) % 10 == 0


def npi_check_digits(transaction: Transaction, report: Report) -> None:
    """Identifiers marked XX in NM1 and N1 are well-formed. A warning: payers' own tests run on made-up numbers."""
    for segment in transaction.segments:
        name = segment[0]
        if name == "NM1":
            at = 9
        elif name == "N1":
            at = 4
        else:
            continue
        if len(segment) > at and segment[at - 1] == "XX" and segment[at] and not is_npi(segment[at]):
            report(
                "npi-check-digit",
                "the national provider identifier is not ten digits with a right check digit",
                segment=segment,
                element=at,
                level="element",
                snip=5,
                severity="warning",
            )
