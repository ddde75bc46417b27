"""Where rules say what is wrong."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import chain

from hilum.formats.findings import Severity
from hilum.formats.x12.document import Loop, Segment, Transaction, X12Finding, value

FINDINGS_MAX = 200


class Report:
    """Collects the findings of rules over one transaction; places are found when something is wrong.

    After ``FINDINGS_MAX`` only the first of each kind of balance that is not kept is added.
    """

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.findings: list[X12Finding] = []
        self.lost: set[str] = set()
        """The balances that are not kept, each by its name."""
        self.near = 0
        """Where the last finding was: rules go through a transaction in order, so the next one is not far behind."""

    def __call__(
        self,
        code: str,
        text: str,
        *,
        loop: Loop | None = None,
        segment: Segment | None = None,
        element: int | None = None,
        component: int | None = None,
        level: str = "balance",
        snip: int = 3,
        severity: Severity = "error",
    ) -> None:
        """Add a finding: ``code`` of the level's list or a name of ours such as ``835-claim-balance``; no values in ``text``."""
        if len(self.findings) >= FINDINGS_MAX and not self._first_balance(code, level, severity):
            return
        if level == "balance" and severity == "error":
            self.lost.add(code)
        found = self.transaction
        number = None if segment is None else self.place_of(segment, loop)
        place = None
        if segment is not None:
            place = segment[0] + (f"{element:02d}" if element else "") + (f"-{component}" if component else "")
        self.findings.append(
            X12Finding(
                code,
                text,
                place,
                severity,
                None if number is None else found.line_of(number),
                level=level,
                snip=snip,
                transaction=found.control_number,
                loop=loop.name if loop is not None else None,
                segment=segment[0] if segment is not None else None,
                segment_number=number,
                element=element,
                component=component,
                first_segment=found.first_segment,
            )
        )

    def _first_balance(self, code: str, level: str, severity: Severity) -> bool:
        return level == "balance" and severity == "error" and code not in self.lost

    def place_of(self, segment: Segment, loop: Loop | None) -> int | None:
        """The number of a segment, counted from 1 at the ST, looked for from its loop or from the last finding onwards."""
        segments = self.transaction.segments
        start = min(self.near if loop is None else loop.number - 1, len(segments))
        for at in chain(range(start, len(segments)), range(start)):
            if segments[at] is segment:
                self.near = at
                return at + 1
        return None


def amount(segment: Segment | None, at: int) -> Decimal | None:
    """Element ``at`` as a finite decimal (implied decimal places are the caller's); None when absent or no number.

    Nothing in X12 has more than eighteen digits; a larger exponent is no amount, and would overflow when multiplied.
    """
    text = value(segment, at)
    return None if text is None else decimal(text)


@lru_cache(maxsize=8192)
def decimal(text: str) -> Decimal | None:
    """A text as a finite decimal of a size that an element can have; None for anything else."""
    if len(text) > 40:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= 20 else None
