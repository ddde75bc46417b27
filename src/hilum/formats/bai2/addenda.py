"""The payment's own words inside a bank's text: the reassociation trace number that a payer sends with an EFT.

A health plan's EFT is a CCD entry with one addendum, an X12 TRN segment: ``TRN*1*12345*1512345678~`` (CAQH CORE 370,
45 CFR 162.1602). TRN02 and TRN03 are those of the 835 that explains it. Banks print it as they like: cut over several lines,
with text before and behind, and with ``\\`` where the segment ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["EftTrace", "eft_traces"]

_MOST = 200  # One deposit answers for so many remittances at the most; more of a text is no addendum.
# X12 allows fifty characters for TRN02, ten for TRN03. The end is the terminator, or that of the text.
_ENDED = re.compile(r"\bTRN\*1\*([^*~\\\r\n]{1,50})\*([0-9A-Z]{10})(?:\*[^*~\\\r\n]{0,50})?[ ]{0,3}[~\\]")
_OPEN = re.compile(r"\bTRN\*1\*([^*~\\\r\n]{1,50})\*([0-9A-Z]{10})(?![0-9A-Z])")
_BARE = re.compile(r"\bTRN\*1\*([^*~\\ \r\n]{1,50})(?:\*{0,1}[~\\]|$)")


@dataclass(frozen=True, slots=True)
class EftTrace:
    """One TRN: the trace number (TRN02) and the payer's company identifier (TRN03), None where the addendum has none."""

    number: str
    company: str | None


def eft_traces(lines: Sequence[str]) -> tuple[EftTrace, ...]:
    """The trace numbers in the text of one transaction, in order, each once; none for text that has no addendum.

    A segment with its terminator is believed before one without; one that a line's end cut in two is put together.
    """
    found: dict[EftTrace, None] = {}
    whole = "".join(lines)
    for pattern, texts in ((_ENDED, (whole,)), (_OPEN, (*lines, whole)), (_BARE, tuple(lines))):
        for text in texts:
            for match in pattern.finditer(text):
                number = match[1].strip()
                if number and len(found) < _MOST:
                    found[EftTrace(number, match[2] if pattern is not _BARE else None)] = None
        if found:
            break
    return tuple(found)
