"""What became of each claim that was sent: TA1, 997 and 999 decide about files, a 277CA about claims (X12 005010X214).

A claim is known by CLM01, its file by BHT03, which the 277CA repeats in TRN02 of its receiver's level. Who refuses a file or a
provider's part of it refuses every claim inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from hilum.formats.canonical import AcknowledgedItem
from hilum.formats.x12.conversion.claim_acknowledgement import claim_answers
from hilum.formats.x12.document import Document, Loop, Transaction, value
from hilum.formats.x12.matching import Outcome, Sent, match, sent_in
from hilum.formats.x12.rules.claim_status import is_claim_acknowledgement
from hilum.formats.x12.walker import walk

Level = Literal["interchange", "group", "transaction", "provider", "claim"]
_Key = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class ClaimOutcome:
    """What became of one claim: ``accepted`` is None while nothing but its arrival, if that, is known.

    ``claim`` is CLM01. ``answered_by`` says at which level the answer was given, ``code`` is that answer's code (TA104, AK901,
    AK501, or the category of a 277CA), ``reasons`` what was given for it; ``payer_reference`` is REF*1K of a 277CA.
    """

    sent: Sent
    claim: str
    accepted: bool | None
    answered_by: Level | None = None
    code: str | None = None
    reasons: tuple[str, ...] = ()
    payer_reference: str | None = None


def match_claims(answers: Iterable[Document], sent: Document) -> tuple[ClaimOutcome, ...]:
    """What TA1, 997, 999 and 277CA say together of each claim in the 837s that were sent, in their order.

    A rejection of the file is final. A file that is accepted says nothing yet of its claims: that is for the 277CA to say, a
    claim by itself before its provider's part and that before the file.
    """
    received = list(answers)
    known = list(sent_in(sent))
    files: dict[Sent, Outcome] = {}
    for document in received:
        for outcome in match(document, known).outcomes:
            if outcome.accepted is not None and (outcome.sent not in files or not outcome.accepted):
                files[outcome.sent] = outcome
    said = _Answers(received)
    found: list[ClaimOutcome] = []
    for one, transaction in zip(known, sent.transactions, strict=True):
        if transaction.set_id == "837":
            found += _claims(one, transaction, files.get(one), said)
    return tuple(found)


class _Answers:
    """What 277CAs say, by (BHT03, CLM01), by (BHT03, billing provider) and by BHT03."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.claims: dict[_Key, AcknowledgedItem] = {}
        self.providers: dict[_Key, AcknowledgedItem] = {}
        self.files: dict[str | None, AcknowledgedItem] = {}
        for document in documents:
            for transaction in document.transactions:
                if transaction.set_id == "277":
                    self.read(transaction)

    def read(self, transaction: Transaction) -> None:
        if transaction.root is None:
            walk(transaction)
        if not is_claim_acknowledgement(transaction):
            return
        for loop, item in claim_answers(transaction):
            file = _file(loop)
            if item.level == "claim":
                self.claims[file, item.reference] = item
            elif item.level == "provider" and loop.parent is not None:
                self.providers[file, _named(loop.parent)] = item
            elif item.level == "transaction":
                self.files[file] = item

    def of(self, file: str | None, provider: str | None, claim: str) -> AcknowledgedItem | None:
        """The answer about a claim: its own, or a rejection above it."""
        if (own := self.claims.get((file, claim))) is not None:
            return own
        above = (self.providers.get((file, provider)), self.files.get(file))
        return next((item for item in above if item is not None and not item.accepted), None)


def _claims(sent: Sent, transaction: Transaction, outcome: Outcome | None, said: _Answers) -> Iterator[ClaimOutcome]:
    file = next((value(segment, 3) for segment in transaction.segments[:3] if segment[0] == "BHT"), None)
    provider = None
    for segment in transaction.segments:
        if segment[0] == "NM1" and value(segment, 1) == "85":
            provider = value(segment, 9)
        claim = value(segment, 1) if segment[0] == "CLM" else None
        if claim is None:
            continue
        answer = said.of(file, provider, claim)
        if outcome is not None and outcome.accepted is False:
            reasons = (*outcome.reasons, *outcome.errors)
            yield ClaimOutcome(sent, claim, False, outcome.answered_by, outcome.code, reasons)
        elif answer is None:
            yield ClaimOutcome(sent, claim, None)
        else:
            level: Level = (
                "claim" if answer.level == "claim" else "provider" if answer.level == "provider" else "transaction"
            )
            yield ClaimOutcome(sent, claim, answer.accepted, level, answer.code, answer.reasons, answer.payer_reference)


def _file(loop: Loop) -> str | None:
    """BHT03 of the file that is answered: TRN02 of the receiver's level around a loop."""
    outer: Loop | None = loop
    while outer is not None and outer.name != "2000B":
        outer = outer.parent
    trace = None if outer is None else next(iter(outer.inside("2200B")), None)
    return None if trace is None else value(trace.first("TRN"), 2)


def _named(level: Loop) -> str | None:
    """NM109 of the provider of a level 2000C."""
    name = next(iter(level.inside("2100C")), None)
    return None if name is None else value(name.first("NM1"), 9)
