"""The life of a claim: what is known of it, folded to where it stands. The order in which facts came to be known has no part in it.

A claim is known by the number the provider gave it (CLM01, CLP01). Facts about it are submissions (X12 837), answers about the
file it was in (999; a 277CA about a whole file or a provider's part of it), answers about the claim (277CA), what a payer told
when it was asked (277), decisions (835), and what people decided. Facts carry days of their own, those of the documents; by
them, and by nothing else, one is earlier than another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

ORIGINAL, REPLACES, VOIDS = "1", "7", "8"
"""Claim frequency (CLM05-3, National Uniform Billing Committee): an original, one that replaces an earlier, one that voids it."""
REVERSAL = "22"
"""CLP02 of a decision that takes an earlier one back (X12 code list 1029)."""
LATER_PAYERS = frozenset({"2", "3", "20", "21"})
"""CLP02 of a payer that decided after another one: as secondary or tertiary, also forwarded on."""

ClaimState = Literal[
    "unknown", "submitted", "received", "accepted", "pended", "rejected", "finalised", "paid", "partly_denied", "denied",
    "reversed", "replaced", "voided", "closed",
]  # fmt: skip

OPEN: frozenset[str] = frozenset({"submitted", "received", "accepted", "pended", "finalised"})
"""States in which somebody else's answer is awaited."""

_ZERO = Decimal(0)
_CLOCKS_APART = timedelta(days=1)  # A partner's day may be the day before ours.
_Order = tuple[date, str, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction of claims (837) as it was sent: ``partner``, ``group`` and ``number`` are how a 999 names it, ``file`` how a
    277CA does (BHT03)."""

    batch: str
    partner: str
    group: str
    number: str
    file: str
    on: date


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """What a 999 says of a transaction or its whole group (``number`` is then empty), or a 277CA of a file (``group`` is empty) or
    of one ``provider``'s part of it."""

    source: str
    line: str
    on: date
    accepted: bool
    codes: tuple[str, ...] = ()
    partner: str = ""
    group: str = ""
    number: str = ""
    file: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The claim in an 837. ``replaces`` is the payer's number of an earlier claim (REF*F8), as a token."""

    source: str
    line: str
    on: date
    charge: Decimal
    file: str = ""
    frequency: str = ORIGINAL
    provider: str = ""
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a 277CA (``accepted`` says yes or no) or a 277 (None) says of the claim."""

    source: str
    line: str
    on: date
    category: str
    accepted: bool | None = None
    file: str = ""
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adjudicated:
    """What a payer decided (835). ``adjusted`` is everything taken off but the patient's part, ``denied`` what of it was denied.

    Of each: ``charge = paid + adjusted + patient``. All are below zero where an earlier decision is taken back.
    """

    source: str
    line: str
    on: date
    status: str
    charge: Decimal
    paid: Decimal
    adjusted: Decimal
    patient: Decimal
    denied: Decimal = _ZERO
    payer: str = ""
    payer_claim: str | None = None

    @property
    def is_reversal(self) -> bool:
        return self.status == REVERSAL

    @property
    def balances(self) -> bool:
        return self.charge == self.paid + self.adjusted + self.patient


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one claim. ``file_answers`` by the batch they answer; ``replaced_by`` are submissions under other claim
    numbers that name one of this claim's numbers at a payer; ``written_off`` is what people gave up of it."""

    submitted: Sequence[Submitted] = ()
    file_answers: Mapping[str, Sequence[FileAnswer]] = field(default_factory=dict)
    answered: Sequence[Answered] = ()
    adjudicated: Sequence[Adjudicated] = ()
    replaced_by: Sequence[Submitted] = ()
    written_off: Decimal = _ZERO


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions of payers on one claim, sorted out. ``live`` are those nobody took back; ``standing`` those of them that no later
    one took the place of; ``orphans`` are reversals whose original is not known (yet)."""

    live: tuple[Adjudicated, ...] = ()
    standing: tuple[Adjudicated, ...] = ()
    reversed: tuple[Adjudicated, ...] = ()
    orphans: tuple[Adjudicated, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a claim stands. ``since`` is the day of the fact that brought it there, ``source`` that fact's document, ``codes`` what it
    gave as reasons. Amounts are those of the live decisions: ``adjudicated = paid + adjusted + patient``; ``denied`` is what is
    denied now."""

    state: ClaimState
    since: date | None = None
    source: str = ""
    codes: tuple[str, ...] = ()
    batch: str = ""
    charge: Decimal = _ZERO
    adjudicated: Decimal = _ZERO
    paid: Decimal = _ZERO
    adjusted: Decimal = _ZERO
    patient: Decimal = _ZERO
    denied: Decimal = _ZERO
    awaits_original: bool = False


def answers_by_batch(batches: Iterable[Batch], answers: Iterable[FileAnswer]) -> dict[str, list[FileAnswer]]:
    """Each answer at the batch that it answers. Senders begin their numbers anew: of several batches of one number it is the newest
    that had been sent by the day of the answer, or else the oldest."""
    by_number: dict[tuple[str, str], list[Batch]] = {}
    by_file: dict[str, list[Batch]] = {}
    for batch in sorted(batches, key=lambda each: (each.on, each.batch)):
        by_number.setdefault((batch.partner, batch.group), []).append(batch)
        if batch.file:
            by_file.setdefault(batch.file, []).append(batch)
    found: dict[str, list[FileAnswer]] = {}
    for answer in answers:
        if answer.group:
            known = by_number.get((answer.partner, answer.group), [])
            if answer.number:
                known = [batch for batch in known if batch.number == answer.number]
                at = _answering([batch.on for batch in known], answer.on)
                meant = known[at : at + 1]
            else:
                # A whole group was answered: all of its transactions were made at the same time.
                at = _answering([batch.on for batch in known], answer.on)
                meant = [batch for batch in known if batch.on == known[at].on] if known else []
        else:
            known = by_file.get(answer.file, [])
            at = _answering([batch.on for batch in known], answer.on)
            meant = known[at : at + 1]
        for batch in meant:
            found.setdefault(batch.batch, []).append(answer)
    return found


def decisions(facts: Iterable[Adjudicated]) -> Decisions:
    """Reversals at their originals, and which decisions still stand.

    A reversal takes back the newest decision of the same payer with exactly its amounts the other way round, whichever of the two
    came first. A decision takes the place of earlier ones of the same payer on the same claim, and of those of payers before it.
    """
    ordered = sorted(facts, key=_order)
    originals = [each for each in ordered if not each.is_reversal]
    taken: set[int] = set()
    reversed_, orphans = [], []
    for back in (each for each in ordered if each.is_reversal):
        fits = [
            at
            for at, one in enumerate(originals)
            if at not in taken and one.payer == back.payer and (one.charge, one.paid) == (-back.charge, -back.paid)
        ]
        # The newest of those before it; of those that are dated after it the oldest: payers date corrections as they like.
        before = [at for at in fits if _order(originals[at]) < _order(back)]
        same = [at for at in before if originals[at].payer_claim == back.payer_claim]
        at = same[-1] if same else before[-1] if before else fits[0] if fits else None
        if at is None:
            orphans.append(back)
        else:
            taken.add(at)
            reversed_.append(originals[at])
    live = [one for at, one in enumerate(originals) if at not in taken]
    standing = [one for at, one in enumerate(live) if not any(_replaces(later, one) for later in live[at + 1 :])]
    return Decisions(tuple(live), tuple(standing), tuple(reversed_), tuple(orphans))


def standing(facts: Facts) -> Standing:
    """Where the claim stands by all that is known; the same for every order of ``facts``."""
    submissions = sorted(facts.submitted, key=_order)
    decided = decisions(facts.adjudicated)
    paid = sum((each.paid for each in decided.live), _ZERO)
    adjusted = sum((each.adjusted for each in decided.live), _ZERO)
    patient = sum((each.patient for each in decided.live), _ZERO)
    newest = submissions[-1] if submissions else None
    last = (decided.live or decided.reversed or decided.orphans)[-1:]
    state, since, source, codes = _state(newest, submissions, facts, decided)
    return Standing(
        state=state,
        since=since,
        source=source,
        codes=codes,
        batch="" if newest is None else newest.source,
        charge=newest.charge if newest is not None else abs(last[0].charge) if last else _ZERO,
        adjudicated=sum((each.charge for each in decided.live), _ZERO),
        paid=paid,
        adjusted=adjusted,
        patient=patient,
        denied=sum((each.denied for each in decided.standing), _ZERO),
        awaits_original=bool(decided.orphans),
    )


_Found = tuple[ClaimState, date | None, str, tuple[str, ...]]


def _state(newest: Submitted | None, submissions: Sequence[Submitted], facts: Facts, decided: Decisions) -> _Found:
    if newest is None:
        known: list[Answered | Adjudicated] = sorted([*facts.answered, *facts.adjudicated], key=_order)
        return "unknown", known[0].on if known else None, known[0].source if known else "", ()
    if facts.replaced_by:
        by = max(facts.replaced_by, key=_order)
        return "voided" if by.frequency == VOIDS else "replaced", by.on, by.source, ()
    # A decision belongs to the newest submission when it is not from before it: what was sent again is open again.
    current = [each for each in decided.standing if each.on >= newest.on]
    if current:
        last, denied = current[-1], sum((each.denied for each in current), _ZERO)
        if denied <= 0:
            return "paid", last.on, last.source, ()
        if facts.written_off >= denied:
            return "closed", last.on, last.source, ()
        paid = sum((each.paid for each in current), _ZERO)
        return "partly_denied" if paid > 0 else "denied", last.on, last.source, ()
    backs = sorted((each for each in facts.adjudicated if each.is_reversal and each.on >= newest.on), key=_order)
    if backs and not decided.live:
        return "reversed", backs[-1].on, backs[-1].source, ()
    return _acknowledged(newest, submissions, facts)


def _acknowledged(newest: Submitted, submissions: Sequence[Submitted], facts: Facts) -> _Found:
    """The state of a submission that no payer has decided about."""
    files = sorted(
        (each for each in facts.file_answers.get(newest.source, ()) if each.provider in ("", newest.provider)),
        key=_order,
    )
    own = sorted((each for each in facts.answered if _submission_of(each, submissions) is newest), key=_order)
    # Whoever on the way refuses it, refuses it: that another one took it before or after changes nothing.
    refused: list[FileAnswer | Answered] = [each for each in files if not each.accepted]
    refused += [each for each in own if each.accepted is False]
    if refused:
        first = min(refused, key=_order)
        return "rejected", first.on, first.source, first.codes
    if newest.frequency == VOIDS:
        return "voided", newest.on, newest.source, ()
    asked = [each for each in own if each.accepted is None and each.category[:1] in "PRF"]
    if asked:
        last = asked[-1]
        return "finalised" if last.category.startswith("F") else "pended", last.on, last.source, last.codes
    waiting = [each for each in own if each.category.startswith("P")]
    if waiting:
        return "pended", waiting[-1].on, waiting[-1].source, waiting[-1].codes
    taken = [each for each in own if each.accepted or each.category in ("A0", "A1", "A2", "A5")]
    if taken:
        return "accepted", taken[0].on, taken[0].source, ()
    if files:
        return "received", files[0].on, files[0].source, ()
    return "submitted", newest.on, newest.source, ()


def _submission_of(answer: Answered, submissions: Sequence[Submitted]) -> Submitted:
    """The submission that is answered: that of the file which is named, and of several the newest by the day of the answer."""
    named = [each for each in submissions if answer.file and each.file == answer.file]
    known = named or submissions
    return known[_answering([each.on for each in known], answer.on)]


def _answering(sent: Sequence[date], answered: date) -> int:
    """Which of these ascending days an answer is to: the newest by then, or the first when all were later."""
    before = [at for at, on in enumerate(sent) if on <= answered + _CLOCKS_APART]
    return before[-1] if before else 0


def _replaces(later: Adjudicated, earlier: Adjudicated) -> bool:
    if later.payer != earlier.payer:
        return later.status in LATER_PAYERS and earlier.status not in LATER_PAYERS
    if later.status in LATER_PAYERS and earlier.status not in LATER_PAYERS:
        return True
    # A claim that a payer split has a part of the charge and a number of the payer's own in each decision.
    return later.charge == earlier.charge or (
        later.payer_claim is not None and later.payer_claim == earlier.payer_claim
    )


def _order(fact: Submitted | Answered | Adjudicated | FileAnswer) -> _Order:
    return fact.on, fact.source, fact.line
