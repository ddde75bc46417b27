"""Amounts as rules and converters add them: decimals read once, adjustments unrolled from CAS segments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

from hilum.formats.x12.document import Segment

ZERO = Decimal(0)
_AMOUNT = re.compile(r"[+-]?(?:\d{1,20}(?:\.\d{0,10})?|\.\d{1,10})", re.ASCII)


@lru_cache(maxsize=1 << 16)
def decimal(text: str) -> Decimal | None:
    """A number as a guide lets it be written (no exponent, at most 20 digits before the point), or None."""
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def number(segment: Segment | None, at: int) -> Decimal | None:
    """Element ``at`` as a number; None when it is absent or no number."""
    if segment is None or len(segment) <= at:
        return None
    return decimal(segment[at])


def added(segment: Segment, at: int) -> Decimal:
    """Element ``at`` as it counts in a sum: what is absent or no number adds nothing (its own finding says so)."""
    found = number(segment, at)
    return ZERO if found is None else found


def adjusted(segments: Iterable[Segment], group: str | None = None) -> Decimal:
    """The sum of all adjustments in the CAS segments among these, or of those of one group (CO, PR, OA, PI, CR)."""
    total = ZERO
    for segment in segments:
        if segment[0] == "CAS" and (group is None or (len(segment) > 1 and segment[1] == group)):
            for at in range(3, min(len(segment), 20), 3):
                found = decimal(segment[at])
                if found is not None:
                    total += found
    return total


def shown(difference: Decimal) -> str:
    """A difference as a finding may state it: it is computed, no value of the document."""
    return format(difference.normalize() + 0, "f")
