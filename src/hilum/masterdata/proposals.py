"""Proposed matches: which record a code most likely means, how likely, and why; a person decides.

Never across facilities: what belongs to one facility is no candidate for another's code. Where two candidates are nearly equally
likely nothing is proposed, because a steward who is handed one of them would believe it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from rapidfuzz import fuzz, process

CERTAIN = Decimal("0.97")
"""From here on only what identifies a thing agrees: its code, or a number that a registry gave it."""
LEAST = Decimal("0.75")
AHEAD = Decimal("0.05")
"""By how much a proposal is ahead of the next one."""
IDENTIFYING = ("npi", "tax_id", "payer_id", "clia", "replaces")
_NAMING = ("facility", "cost_centre", "location")
"""Attributes by which a record names another one."""
_MOST_ALIKE = 30
_ADDRESS = ("address", "postal_code", "phone")
_ALIKE = 0.6
_SPOKEN = {
    "ctr": "center", "centre": "center", "dept": "department", "hosp": "hospital", "med": "medical", "surg": "surgery",
    "surgical": "surgery", "ortho": "orthopedic", "orthopaedic": "orthopedic", "orthopaedics": "orthopedic",
    "orthopedics": "orthopedic", "cath": "catheter", "lab": "laboratory", "gen": "general", "st": "saint", "mt": "mount",
    "hlth": "health", "ins": "insurance", "svc": "service", "svcs": "service", "services": "service", "univ": "university",
    "theatres": "theater", "theatre": "theater", "theaters": "theater", "peds": "pediatric", "paediatric": "pediatric",
}  # fmt: skip
_SILENT = {"the", "of", "and", "inc", "llc", "corp", "co", "ltd", "company"}
_PREFIXES = {"cc", "dept", "dep", "loc", "gl", "acct"}


@dataclass(frozen=True)
class Thing:
    """A code with what is known of it. ``facility``: where it counts; empty for the whole network."""

    code: str
    name: str = ""
    facility: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """What a code most likely means; ``score`` from 0 to 1, ``reason`` in words."""

    target: str
    score: Decimal
    reason: str


class Candidates:
    """Records among which matches are looked for: ten thousand of them for each of hundreds of codes.

    Only those are compared of which something agrees: the code, a number, a word of the code, or the name roughly.
    """

    def __init__(self, things: Iterable[Thing]) -> None:
        self._places: dict[str, _Place] = {}
        for thing in things:
            self._places.setdefault(thing.facility, _Place()).add(thing)

    def like(self, wanted: Thing) -> Iterator[Thing]:
        """Those that may be meant, of the whole network and of its own facility."""
        for facility in dict.fromkeys(("", wanted.facility)):
            if facility in self._places:
                yield from self._places[facility].like(wanted)


class _Place:
    """The candidates of one facility, by what they may be found by."""

    def __init__(self) -> None:
        self._things: list[Thing] = []
        self._names: list[str] = []
        self._by_mark: dict[tuple[str, str], list[int]] = {}

    def add(self, thing: Thing) -> None:
        number = len(self._things)
        self._things.append(thing)
        self._names.append(_sorted_words(thing.name))
        for mark in self._marks(thing, [thing.code]):
            self._by_mark.setdefault(mark, []).append(number)

    def like(self, wanted: Thing) -> list[Thing]:
        named = [wanted.attributes[key] for key in _NAMING if key in wanted.attributes]
        found = {n for mark in self._marks(wanted, [wanted.code, *named]) for n in self._by_mark.get(mark, ())}
        found |= set(self._by_mark.get(("replaces", _plain(wanted.code)), ()))
        name = _sorted_words(wanted.name)
        if name:
            alike = process.extract(name, self._names, scorer=fuzz.ratio, score_cutoff=100 * _ALIKE, limit=_MOST_ALIKE)
            found |= {number for _, _, number in alike}
        return [self._things[number] for number in sorted(found)]

    @staticmethod
    def _marks(thing: Thing, codes: Iterable[str]) -> Iterator[tuple[str, str]]:
        for code in codes:
            yield "code", _plain(code)
        for word in _code_words(thing.code):
            yield "word", word
        for key in IDENTIFYING:
            if key in thing.attributes:
                yield key, _plain(thing.attributes[key])


def propose(
    wanted: Thing,
    candidates: Candidates | Iterable[Thing],
    *,
    rejected: Collection[str] = (),
    without: Collection[str] = (),
) -> Proposal | None:
    """The best candidate when it is likely and ahead of every other; None when there is none.

    ``rejected`` are not proposed, and what is second after one of them is not either; ``without`` are no candidates at all.
    """
    among = candidates if isinstance(candidates, Candidates) else Candidates(candidates)
    return choose(
        (likeness(wanted, each) for each in among.like(wanted) if each.code not in without), rejected=rejected
    )


def by_neighbours(
    wanted: Thing, mapped: Iterable[tuple[Thing, str]], *, rejected: Collection[str] = ()
) -> Proposal | None:
    """What codes like it mean: for targets that are no records themselves, such as classes of payers."""
    found = []
    for neighbour, target in mapped:
        if _shares_place(wanted, neighbour):
            like = likeness(wanted, neighbour)
            called = f"{neighbour.code} ({neighbour.name})" if neighbour.name else neighbour.code
            # One step further from the thing itself, so never certain.
            score = min(like.score * Decimal("0.95"), CERTAIN - Decimal("0.01")).quantize(Decimal("0.001"))
            found.append(Proposal(target, score, f"{called} means {target}, and {like.reason}"))
    return choose(found, rejected=rejected)


def choose(found: Iterable[Proposal], *, rejected: Collection[str] = ()) -> Proposal | None:
    """The one proposal worth making of several."""
    best: dict[str, Proposal] = {}
    for proposal in found:
        known = best.get(proposal.target)
        if known is None or known.score < proposal.score:
            best[proposal.target] = proposal
    ranked = sorted(best.values(), key=lambda each: (-each.score, each.target))
    if not ranked or ranked[0].score < LEAST:
        return None
    if len(ranked) > 1 and ranked[0].score - ranked[1].score < AHEAD:
        return None
    # Refused ones take part in the ranking: what is second after a refused one is not first because of that.
    return None if ranked[0].target in rejected else ranked[0]


def likeness(wanted: Thing, candidate: Thing) -> Proposal:
    """How likely the two are one thing, by what says most."""
    for key in IDENTIFYING:
        mine, other = wanted.attributes.get(key), candidate.attributes.get(key)
        if key == "replaces":
            if other is not None and _plain(other) == _plain(wanted.code):
                return Proposal(candidate.code, Decimal("0.98"), f"its owner says that it replaces {wanted.code}")
        elif mine is not None and other is not None:
            if _plain(mine) == _plain(other):
                return Proposal(candidate.code, Decimal("0.98"), f"both have the {key.upper()} {other}")
            # Two things that a registry numbers differently are two things, however alike their names.
            return Proposal(candidate.code, Decimal(0), f"their {key.upper()} differ")
    for key in _NAMING:
        if wanted.attributes.get(key) == candidate.code:
            return Proposal(candidate.code, Decimal("0.98"), f"its own record names {candidate.code}")
    named = name_likeness(wanted.name, candidate.name)
    if _plain(wanted.code) == _plain(candidate.code):
        if named is None or named >= _ALIKE:
            return Proposal(candidate.code, Decimal("1.000"), "the codes are the same")
        return Proposal(candidate.code, Decimal("0.600"), "the codes are the same, and the names are not")
    score, reason = 0.0, "nothing agrees"
    if named is not None:
        score, reason = named * 0.95, f"the names are alike ({wanted.name} / {candidate.name})"
        where = next((k for k in _ADDRESS if wanted.attributes.get(k) and _same(wanted, candidate, k)), None)
        if where is not None and named >= _ALIKE:
            score, reason = max(score, 0.9), f"{reason}, and the {where.replace('_', ' ')} is the same"
    shared = _code_words(wanted.code) & _code_words(candidate.code)
    if shared and (named is None or named >= 0.3) and score < 0.85:
        score, reason = 0.85, f"both codes have {max(sorted(shared), key=len)}"
    return Proposal(candidate.code, Decimal(str(round(score, 3))), reason)


def name_likeness(one: str, other: str) -> float | None:
    """How alike two names are, from 0 to 1, whatever the order and the abbreviations of their words; None without both."""
    first, second = _sorted_words(one), _sorted_words(other)
    return fuzz.ratio(first, second) / 100 if first and second else None


def _shares_place(wanted: Thing, candidate: Thing) -> bool:
    return not candidate.facility or candidate.facility == wanted.facility


def _same(one: Thing, other: Thing, key: str) -> bool:
    mine, theirs = one.attributes.get(key), other.attributes.get(key)
    return mine is not None and theirs is not None and _plain(mine) == _plain(theirs)


@lru_cache(maxsize=100_000)
def _plain(code: str) -> str:
    return re.sub(r"[^0-9a-z]", "", code.casefold()).lstrip("0")


@lru_cache(maxsize=100_000)
def _code_words(code: str) -> frozenset[str]:
    words = {word for word in re.split(r"[^0-9a-z]+", code.casefold()) if not word.isdigit() and len(word) >= 2}
    return frozenset(words - _PREFIXES)


@lru_cache(maxsize=100_000)
def _sorted_words(name: str) -> str:
    """A name as it is compared: without accents, short forms written out, its words in one order."""
    folded = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    words = (word for word in re.split(r"[^0-9a-z]+", folded.replace("'", "").replace(".", " ")) if word)
    return " ".join(sorted(_SPOKEN.get(word, word) for word in words if word not in _SILENT))
