"""What payers and clearinghouses say of claims: the statuses of a 277CA (X12 005010X214) and of a 277 that answers a 276 (X212)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from hilum.formats.x12.conversion.iso_dates import iso_date
from hilum.formats.x12.document import Loop, Separators, Transaction, value
from hilum.formats.x12.rules.amounts import number
from hilum.formats.x12.rules.claim_status import ACCEPTED, REJECTED, is_claim_acknowledgement
from hilum.formats.x12.walker import walk

Level = Literal["transaction", "provider", "claim"]

_LEVELS: dict[str, Level] = {
    "2200B": "transaction", "2200C": "provider", "2200D": "claim", "2200E": "claim",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StatusCode:
    """One status (STC01, STC10, STC11): category, status and entity, as the code lists 507, 508 and 98 have them."""

    category: str
    status: str | None = None
    entity: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """One answer: of a claim, or of all claims of a provider or of a file.

    ``trace`` is TRN02: in a 277CA the claim's own number (at the level of the file its BHT03), in a 277 the number of the inquiry.
    ``claim`` is the provider's number of the claim, None above it and where a 277 does not repeat it (REF*EJ). ``accepted`` is None
    where the answer is no acknowledgement. Amounts are what was charged (STC04) and paid (STC05), days ISO 8601.
    """

    level: Level
    statuses: tuple[StatusCode, ...]
    trace: str | None = None
    claim: str | None = None
    file: str | None = None
    provider: str | None = None
    payer: str | None = None
    payer_claim: str | None = None
    accepted: bool | None = None
    day: str | None = None
    charge: Decimal | None = None
    paid: Decimal | None = None

    @property
    def category(self) -> str:
        """The category that decides: a rejecting one before all others, then the first."""
        known = [each.category for each in self.statuses]
        return next((category for category in known if category in REJECTED), known[0])


def claim_statuses(transaction: Transaction) -> Iterator[ClaimStatus]:
    """Each answer of a 277 in its order; nothing for other sets. A status of a service line is told with its claim's."""
    if transaction.root is None:
        walk(transaction)
    if transaction.root is None or transaction.set_id != "277":
        return
    acknowledges = is_claim_acknowledgement(transaction)
    for loop in transaction.root.anywhere(*_LEVELS):
        if loop.every("STC"):
            yield _status(loop, transaction.separators, acknowledges=acknowledges)


def _status(loop: Loop, separators: Separators, *, acknowledges: bool) -> ClaimStatus:
    segments = loop.every("STC")
    own = list(_codes(loop, separators))
    told = list(own)
    for line in loop.inside("2220D", "2220E"):
        told += [code for code in _codes(line, separators) if code not in told]
    level = _LEVELS[loop.name]
    trace = value(loop.first("TRN"), 2)
    accepted: bool | None = None
    if acknowledges:
        categories = {code.category for code in own}
        known = categories & (REJECTED | ACCEPTED)
        accepted = not categories & REJECTED and (bool(known) or value(segments[0], 3) != "U")
    return ClaimStatus(
        level=level,
        statuses=tuple(told) if told else (StatusCode("?"),),
        trace=trace,
        claim=None if level != "claim" else trace if acknowledges else value(loop.first("REF", "EJ"), 2),
        file=_trace_of(loop, "2000B", "2200B") if acknowledges else None,
        provider=_name_of(loop, "2000C", "2100C"),
        payer=_name_of(loop, "2000A", "2100A"),
        payer_claim=value(loop.first("REF", "1K"), 2),
        accepted=accepted,
        day=iso_date(value(segments[0], 2)),
        charge=number(segments[0], 4),
        paid=number(segments[0], 5),
    )


def _codes(loop: Loop, separators: Separators) -> Iterator[StatusCode]:
    for segment in loop.every("STC"):
        for at in (1, 10, 11):
            text = value(segment, at)
            if text is not None:
                parts = [part or None for part in text.split(separators.component)] + [None, None]
                yield StatusCode("?" if parts[0] is None else parts[0], parts[1], parts[2])


def _around(loop: Loop, name: str) -> Loop | None:
    outer: Loop | None = loop
    while outer is not None and outer.name != name:
        outer = outer.parent
    return outer


def _trace_of(loop: Loop, level: str, inner: str) -> str | None:
    outer = _around(loop, level)
    found = None if outer is None else next(iter(outer.inside(inner)), None)
    return None if found is None else value(found.first("TRN"), 2)


def _name_of(loop: Loop, level: str, inner: str) -> str | None:
    """NM109 of who is named at a level."""
    outer = _around(loop, level)
    found = None if outer is None else next(iter(outer.inside(inner)), None)
    return None if found is None else value(found.first("NM1"), 9)
