"""271 to canonical eligibility answers, one for each person asked about (X12 005010X279A1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hilum.formats.canonical import Benefit, Canonical, EligibilityAnswer, Party
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.health_parties import party
from hilum.formats.x12.document import Loop, Segment, Separators, Transaction, value
from hilum.formats.x12.rules.amounts import number

_ACTIVE = frozenset("12345")
_INACTIVE = frozenset("678")
_WHOLE_PLAN = "30"
"""Health benefit plan coverage: what the payer says of it, it says of the person's coverage as such."""


def eligibility_answers(transaction: Transaction) -> list[Canonical]:
    """Each subscriber or dependent of a walked 271; one answer without a person when the inquiry failed before one."""
    if transaction.root is None:
        return []
    found: list[Canonical] = []
    for source in transaction.root.anywhere("2000A"):
        payer = _one(source, "2100A")
        failed = [*_rejections([source, *source.inside("2100A")])]
        people = [*source.anywhere("2000C")]
        for receiver in source.inside("2000B"):
            failed += _rejections([receiver, *receiver.inside("2100B")])
        for subscriber in people:
            dependents = subscriber.inside("2000D")
            for level, person in [("C", subscriber)] if not dependents else [("D", loop) for loop in dependents]:
                above = _rejections(subscriber.inside("2100C")) if level == "D" else ()
                found.append(_answer(person, level, payer, [*failed, *above], transaction.separators))
        if not people:
            found.append(EligibilityAnswer(payer=payer, rejections=tuple(failed)))
    return found


def _one(loop: Loop, name: str) -> Party:
    read = party(next(iter(loop.inside(name)), None))
    return read if read is not None else Party()


def _answer(person: Loop, level: str, payer: Party, failed: list[str], separators: Separators) -> EligibilityAnswer:
    named = person.inside(f"2100{level}")
    told = [loop for name in named for loop in name.inside(f"2110{level}")] or person.inside(f"2110{level}")
    benefits = tuple(_benefit(loop, level, separators) for loop in told)
    reasons = [*failed, *_rejections([*named, *told])]
    # A payer may repeat the clearinghouse's trace beside ours; ours is the one it answers (TRN01 = 2).
    trace = next((t for t in person.every("TRN") if value(t, 1) == "2"), person.first("TRN"))
    return EligibilityAnswer(
        reference=value(trace, 2),
        payer=payer,
        person=party(next(iter(named), None)),
        active=_active(benefits),
        benefits=benefits,
        rejections=tuple(dict.fromkeys(reasons)),
    )


def _active(benefits: Iterable[Benefit]) -> bool | None:
    """What the plan as a whole is said to be; when nothing is said of the whole, what any part of it is."""
    known = [b for b in benefits if b.information in _ACTIVE | _INACTIVE]
    whole = [b for b in known if _WHOLE_PLAN in b.service_types or not b.service_types]
    said = whole if whole else known
    if not said:
        return None
    return any(b.information in _ACTIVE for b in said)


def _benefit(loop: Loop, level: str, separators: Separators) -> Benefit:
    eb = loop.first("EB")
    assert eb is not None  # The segment that opens the loop.
    types = value(eb, 3)
    messages = [text for segment in loop.every("MSG") if (text := value(segment, 1)) is not None]
    return Benefit(
        information=eb[1],
        coverage_level=value(eb, 2),
        service_types=tuple(_repeated(types, separators)),
        insurance_type=value(eb, 4),
        plan=value(eb, 5),
        period=value(eb, 6),
        amount=number(eb, 7),
        percent=number(eb, 8),
        authorization_required=_yes(value(eb, 11)),
        in_network=_yes(value(eb, 12)),
        messages=tuple(messages),
    )


def _repeated(text: str | None, separators: Separators) -> list[str]:
    if text is None:
        return []
    return text.split(separators.repetition) if separators.repetition is not None else [text]


def _yes(text: str | None) -> bool | None:
    return {"Y": True, "N": False}.get(text) if text is not None else None


def _rejections(loops: Iterable[Loop]) -> Iterator[str]:
    for loop in loops:
        for segment in loop.every("AAA"):
            yield _reason(segment)


def _reason(segment: Segment) -> str:
    """``75:C``: why (element 901) and what to do (889); ``?`` where the payer left it out."""
    why, do = value(segment, 3), value(segment, 4)
    return (why if why is not None else "?") + (f":{do}" if do is not None else "")


CONVERTERS: dict[str, Converter] = {"271": eligibility_answers}
