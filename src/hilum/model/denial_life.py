"""The life of a denial: what a payer did not pay, until somebody paid it, it was sent again, or it was given up.

Folded like the claim's: from the set of what is known, whatever came first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from hilum.model.claim_life import Adjudicated, Decisions, Submitted

DenialState = Literal["open", "resubmitting", "write_off_asked", "resubmitted", "written_off", "overturned", "reversed"]
UNDECIDED: frozenset[str] = frozenset({"open", "resubmitting", "write_off_asked"})
"""States in which money is still wanted of the payer and somebody has to do something."""


@dataclass(frozen=True, slots=True)
class Denied:
    """A part of a charge that a decision (``source``, ``line``: its place in the 835) denied for one reason."""

    source: str
    line: str
    group: str
    reason: str
    amount: Decimal
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person decided about it: ``kind`` is ``resubmit``, ``write_off``, ``written_off`` (posted) or ``refused`` (not agreed to)."""

    decision: int
    kind: str
    on: date


def denial_state(
    denied: Denied,
    decided: Decisions,
    submissions: Iterable[Submitted],
    decisions: Sequence[Decided],
) -> DenialState:
    """Where a denial stands.

    What its payer took back is ``reversed``; what a later decision took the place of, ``overturned``, also when it had been
    written off (a person then takes the write-off back). What was given up is ``written_off``; what was sent again after the
    decision (``submissions`` are the claim's own and those that replace it), ``resubmitted``.
    """
    if not any(_is(denied, each) for each in decided.live):
        return "reversed"
    now = next((each for each in decided.standing if _is(denied, each)), None)
    if now is None:
        return "overturned"
    kinds = {each.kind for each in decisions}
    if "written_off" in kinds:
        return "written_off"
    if any(each.on > now.on for each in submissions):
        return "resubmitted"
    last = max(decisions, key=lambda each: each.decision, default=None)
    if last is None or last.kind == "refused":
        return "open"
    return "resubmitting" if last.kind == "resubmit" else "write_off_asked"


def _is(denied: Denied, decision: Adjudicated) -> bool:
    return (denied.source, denied.line) == (decision.source, decision.line)
