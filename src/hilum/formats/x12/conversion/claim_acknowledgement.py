"""277CA to a canonical acknowledgement: what became of each claim (X12 005010X214)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from hilum.formats.canonical import AcknowledgedItem, Acknowledgement, Canonical
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.document import Loop, Segment, Separators, Transaction, value
from hilum.formats.x12.rules.amounts import number
from hilum.formats.x12.rules.claim_status import ACCEPTED, REJECTED, is_claim_acknowledgement

_LEVELS = {"2200B": "transaction", "2200C": "provider", "2200D": "claim"}
"""What a trace of each level answers: the whole claim file at the receiver, then a provider's part of it, then a claim."""


def claim_acknowledgement(transaction: Transaction) -> list[Canonical]:
    """The acknowledgement of a 277CA; nothing for other 277s, which answer a 276 and stay records."""
    if transaction.root is None or not is_claim_acknowledgement(transaction):
        return []
    items = tuple(item for _, item in claim_answers(transaction))
    return [
        Acknowledgement(
            type="277CA",
            control_number=transaction.control_number,
            accepted=all(item.accepted for item in items),
            items=items,
        )
    ]


def claim_answers(transaction: Transaction) -> Iterator[tuple[Loop, AcknowledgedItem]]:
    """Each answer of a walked 277CA in its order, with the loop (2200B, 2200C or 2200D) that gives it."""
    if transaction.root is None:
        return
    for loop in transaction.root.anywhere("2200B", "2200C", "2200D"):
        statuses = loop.every("STC")
        if statuses:
            yield loop, _item(loop, statuses, transaction.separators)


def _item(loop: Loop, statuses: list[Segment], separators: Separators) -> AcknowledgedItem:
    """One answer; it is a rejection when any of its statuses is one."""
    reasons = list(_reasons(statuses, separators))
    for line in loop.inside("2220D"):
        reasons += [reason for reason in _reasons(line.every("STC"), separators) if reason not in reasons]
    categories = [reason.partition(":")[0] for reason in _reasons(statuses, separators)]
    rejecting = [category for category in categories if category in REJECTED]
    known = rejecting or [category for category in categories if category in ACCEPTED]
    accepted = not rejecting and (bool(known) or value(statuses[0], 3) != "U")
    amounts = [amount for status in statuses if (amount := number(status, 4)) is not None]
    own: Decimal | None = amounts[0] if amounts else None
    return AcknowledgedItem(
        level=_LEVELS[loop.name],
        reference=value(loop.first("TRN"), 2),
        payer_reference=value(loop.first("REF", "1K"), 2),
        set_id="837",
        accepted=accepted,
        code=known[0] if known else categories[0] if categories else "?",
        reasons=tuple(reasons),
        amount=own,
    )


def _reasons(statuses: list[Segment], separators: Separators) -> Iterator[str]:
    """Each status as ``category:status:entity``, whatever the file separates components with."""
    for status in statuses:
        for at in (1, 10, 11):
            text = value(status, at)
            if text is not None:
                yield ":".join(text.split(separators.component)).rstrip(":")


CONVERTERS: dict[str, Converter] = {"277": claim_acknowledgement}
