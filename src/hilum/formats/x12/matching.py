"""Received TA1, 997 and 999 matched to what was sent: what became of each transaction, and which were never answered.

A group is known by GS01 and GS06, a transaction by ST01 and ST02 in its group, an interchange by ISA13. Control numbers of
transactions are compared as texts, and where none is the same as numbers, since an ST02 of less than four digits is answered
with zeros before it; those of groups and interchanges are compared as the numbers they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from hilum.formats.x12.document import Document, Segment, Transaction, component, value

_ACCEPTED = frozenset("AE")
_REJECTED = frozenset("RMWX")


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction as it was sent, by the control numbers around it."""

    interchange: str
    functional_id: str
    group: str
    set_id: str
    transaction: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one sent transaction: ``accepted`` is None while nothing answered it.

    ``answered_by`` says at which level the answer was given; ``code`` is TA104, AK901 or AK501, ``reasons`` the codes given for it
    (TA105; AK905; AK502), and ``errors`` the segments told of, such as ``NM1 8: 8``.
    """

    sent: Sent
    accepted: bool | None
    answered_by: Literal["interchange", "group", "transaction"] | None = None
    code: str | None = None
    reasons: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Matched:
    """The outcome of each transaction that was sent, in its order, and the answers that fit none of them."""

    outcomes: tuple[Outcome, ...]
    strangers: tuple[str, ...]
    """Places of answers to something that was not sent: ``TA1``, ``AK1``, ``AK2`` with the segment's number in the file."""

    @property
    def unanswered(self) -> tuple[Sent, ...]:
        """What was sent and has no answer here."""
        return tuple(outcome.sent for outcome in self.outcomes if outcome.accepted is None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a 997 or 999 says of one transaction: AK201, AK202, AK501 (or IK5), its codes, and the segments told of."""

    set_id: str
    control_number: str
    code: str
    reasons: tuple[str, ...]
    errors: tuple[str, ...]
    segment_number: int
    claims: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The claims (CLM01) that a 999 names in its CTX, each with the errors told of it."""


@dataclass(frozen=True, slots=True)
class GroupAnswer:
    """What a 997 or 999 says of one group: AK101, AK102, AK901, AK905 to AK909, and of its transactions."""

    functional_id: str
    control_number: str
    code: str | None
    reasons: tuple[str, ...]
    transactions: tuple[Answer, ...]


def sent_in(document: Document) -> Iterator[Sent]:
    """The transactions of a document that is sent, to be matched later."""
    for interchange in document.interchanges:
        for group in interchange.groups:
            for transaction in group.transactions:
                yield Sent(
                    _known(interchange.control_number),
                    _known(group.functional_id),
                    _known(group.control_number),
                    transaction.set_id,
                    _known(transaction.control_number),
                )


def match(acknowledgement: Document, sent: Iterable[Sent]) -> Matched:
    """What the answers in a document say of each transaction that was sent.

    A transaction that an answer does not name has the outcome of its group, unless that is partial; a group that is not named has
    the outcome of its interchange when a TA1 rejects it. A TA1 that accepts says nothing yet of what is inside.
    """
    known = list(sent)
    interchanges = {_number(one.interchange) for one in known}
    groups = {(one.functional_id, _number(one.group)) for one in known}
    transactions = {(one.functional_id, _number(one.group), one.set_id, one.transaction) for one in known}
    by_number: dict[tuple[str, str, str, str], set[str]] = {}
    for functional_id, group, set_id, said in transactions:
        by_number.setdefault((functional_id, group, set_id, _number(said)), set()).add(said)
    strangers: list[str] = []
    refused: dict[str, Segment] = {}
    told: dict[tuple[str, str], GroupAnswer] = {}
    named: dict[tuple[str, str, str, str], Answer] = {}
    for interchange in acknowledgement.interchanges:
        for segment in interchange.acknowledgements:
            number = _number(_known(value(segment, 1)))
            if number not in interchanges:
                strangers.append(f"TA1 in the interchange at segment {interchange.first_segment}")
            elif value(segment, 4) == "R":
                refused[number] = segment
        for transaction in interchange.transactions:
            if transaction.set_id not in ("997", "999"):
                continue
            answer = group_answer(transaction)
            if answer is None:
                continue
            key = (answer.functional_id, _number(answer.control_number))
            if key not in groups:
                strangers.append(f"AK1 at segment {transaction.first_segment + 1}")
                continue
            told[key] = answer
            for one in answer.transactions:
                place = (*key, one.set_id, one.control_number)
                alike = by_number.get((*key, one.set_id, _number(one.control_number)), set())
                if place in transactions:
                    named[place] = one
                elif len(alike) == 1:
                    named[(*key, one.set_id, next(iter(alike)))] = one
                else:
                    strangers.append(f"AK2 at segment {transaction.first_segment + one.segment_number - 1}")
    return Matched(tuple(_outcome(one, refused, told, named) for one in known), tuple(strangers))


def _outcome(
    one: Sent,
    refused: dict[str, Segment],
    told: dict[tuple[str, str], GroupAnswer],
    named: dict[tuple[str, str, str, str], Answer],
) -> Outcome:
    key = (one.functional_id, _number(one.group))
    own, group = named.get((*key, one.set_id, one.transaction)), told.get(key)
    if group is not None and group.code in _REJECTED and (own is None or own.code in _ACCEPTED):
        return Outcome(one, False, "group", group.code, group.reasons)
    if own is not None:
        return Outcome(one, own.code in _ACCEPTED, "transaction", own.code, own.reasons, own.errors)
    if group is not None and group.code in _ACCEPTED:
        return Outcome(one, True, "group", group.code, group.reasons)
    ta1 = refused.get(_number(one.interchange))
    if ta1 is not None:
        code = value(ta1, 5)
        return Outcome(one, False, "interchange", "R", () if code is None else (code,))
    return Outcome(one, None)


def group_answer(transaction: Transaction) -> GroupAnswer | None:
    """What a 997 or 999 says, read from its segments alone; None when it has no AK1."""
    functional = control = verdict = None
    group_reasons: tuple[str, ...] = ()
    answers: list[Answer] = []
    opened: tuple[str, str, int] | None = None
    errors: list[str] = []
    place = "?"
    claims: dict[str, list[str]] = {}
    claim: str | None = None
    for number, segment in enumerate(transaction.segments, 1):
        name = segment[0]
        if name == "AK1":
            functional, control = value(segment, 1), value(segment, 2)
        elif name == "AK2":
            opened, errors = (_known(value(segment, 1)), _known(value(segment, 2)), number), []
            claims, claim = {}, None
        elif name in ("AK3", "IK3") and len(errors) < 200:
            place = f"{_known(value(segment, 1))} {_known(value(segment, 2))}"
            errors.append(f"{place}: {_known(value(segment, 4))}")
            claim = None
        elif name == "CTX" and errors and component(segment, 1, 1, transaction.separators) == "CLM01":
            claim = component(segment, 1, 2, transaction.separators)
            if claim is not None:
                claims.setdefault(claim, []).append(errors[-1])
        elif name in ("AK4", "IK4") and errors and len(errors) < 200:
            errors.append(f"{place} element {_known(value(segment, 1))}: {_known(value(segment, 3))}")
            if claim is not None:
                claims[claim].append(errors[-1])
        elif name in ("AK5", "IK5") and opened is not None:
            set_id, own, at = opened
            named = tuple((which, tuple(told)) for which, told in claims.items())
            code, reasons = _known(value(segment, 1)), _codes(segment, 2)
            answers.append(Answer(set_id, own, code, reasons, tuple(errors), at, named))
            opened = None
        elif name == "AK9":
            verdict, group_reasons = value(segment, 1), _codes(segment, 5)
    if functional is None or control is None:
        return None
    return GroupAnswer(functional, control, verdict, group_reasons, tuple(answers))


def _codes(segment: Segment, start: int) -> tuple[str, ...]:
    return tuple(code for code in segment[start : start + 5] if code)


def _known(text: str | None) -> str:
    """A control number or code, or a question mark, which no partner sends, where it is missing."""
    return "?" if text is None else text.strip()


def _number(text: str) -> str:
    return text.lstrip("0") or "0" if text.isdigit() else text
