"""What is wrong with the elements of a segment, told in full: the slow path for segments that ``patterns`` does not accept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from hilum.formats.findings import Severity
from hilum.formats.x12.dates import real_date, real_period, real_time
from hilum.formats.x12.definitions import ElementUse, SegmentUse, SyntaxNote, dictionary
from hilum.formats.x12.document import Segment, Separators

CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !\"&'()*+,-./:;?="  # The basic set of X12.6 ...
    "abcdefghijklmnopqrstuvwxyz%@[]_{}\\|<>~#$"  # ... and the extended one, which partners agree on.
)

Codes = Mapping[str, Collection[str]]
_Presence = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an element: ``code`` of the AK403 / IK403 list, or a name of ours for a warning."""

    code: str
    text: str
    element: int
    component: int | None = None
    element_number: str | None = None
    severity: Severity = "error"
    snip: int = 1


def explain(
    use: SegmentUse, segment: Segment, separators: Separators, codes: Codes | None, guide: bool, release: str
) -> list[Problem]:
    """Everything that is wrong with the elements of a segment at its place in a set; empty for a good one."""
    return list(_Explainer(use, segment, separators, codes, guide, release).problems())


@cache
def _mandatory(release: str, segment: str) -> tuple[str, ...]:
    """M, O or X of each element in the standard."""
    return tuple(mandatory for _, mandatory, _ in dictionary(release).segments[segment].elements)


class _Explainer:
    def __init__(
        self, use: SegmentUse, segment: Segment, separators: Separators, codes: Codes | None, guide: bool, release: str
    ) -> None:
        self.use, self.segment, self.separators = use, segment, separators
        self.codes, self.guide, self.release = codes, guide, release

    def problems(self) -> Iterator[Problem]:
        use, segment = self.use, self.segment
        given = len(segment) - 1
        if given and not segment[-1]:
            yield Problem(
                "trailing-separator",
                f"{use.name} ends in a separator with nothing behind it",
                given,
                severity="warning",
            )
            while given and not segment[given]:
                given -= 1
        if not given and use.elements and not any(element.usage == "R" for element in use.elements):
            yield Problem("2", f"{use.name} has no element at all", 1, None, use.elements[0].number)
            return
        if given > len(use.elements):
            at = len(use.elements) + 1
            yield Problem("3", f"{use.name} has {given} elements, at most {at - 1} are possible", at)
        mandatory = _mandatory(self.release, use.name)
        for element in use.elements:
            at = element.position
            text = segment[at] if at <= given else ""
            if text:
                yield from self.element(element, text, segment[at - 1] if at > 1 else "")
            elif element.usage == "R":
                snip = 1 if mandatory[at - 1] == "M" else 2
                yield Problem("1", f"{self.place(at)} is required and missing", at, None, element.number, snip=snip)
        for code, at, text in broken_notes(use.syntax, lambda at: at <= given and bool(segment[at])):
            yield Problem(code, f"{self.place(at)} {text}", at, None, use.elements[at - 1].number)

    def place(self, element: int, component: int | None = None) -> str:
        return f"{self.use.name}{element:02d}" + ("" if component is None else f"-{component}")

    def element(self, element: ElementUse, text: str, before: str) -> Iterator[Problem]:
        at = element.position
        if element.usage == "N":
            yield Problem("I10", f"{self.place(at)} is not used and has a value", at, None, element.number, snip=2)
            return
        repetition = self.separators.repetition
        parts = text.split(repetition) if repetition is not None else [text]
        if len(parts) > element.repeat:
            many = f"{self.place(at)} has {len(parts)} repetitions, at most {element.repeat} are possible"
            yield Problem("12", many, at, None, element.number)
            parts = parts[: element.repeat]
        for part in parts:
            if element.components:
                yield from self.composite(element, part)
            else:
                number = self.use.elements[at - 2].number if at > 1 else ""
                yield from self.leaf(element, part, before if number == "1250" else "", at, None)

    def composite(self, element: ElementUse, text: str) -> Iterator[Problem]:
        at = element.position
        parts = text.split(self.separators.component)
        if len(parts) > 1 and not parts[-1]:
            ending = f"{self.place(at)} ends in a component separator with nothing behind it"
            yield Problem("trailing-separator", ending, at, None, element.number, "warning")
            while parts and not parts[-1]:
                parts.pop()
        if len(parts) > len(element.components):
            many = f"{self.place(at)} has {len(parts)} components, at most {len(element.components)} are possible"
            yield Problem("13", many, at, len(element.components) + 1, element.number)
        for use in element.components:
            part = use.position
            value = parts[part - 1] if part <= len(parts) else ""
            if value and use.usage == "N":
                unused = f"{self.place(at, part)} is not used and has a value"
                yield Problem("I10", unused, at, part, use.number, snip=2)
            elif value:
                dated = part > 1 and element.components[part - 2].number == "1250"
                yield from self.leaf(use, value, parts[part - 2] if dated else "", at, part)
            elif use.usage == "R":
                missing = f"{self.place(at, part)} is required and missing"
                yield Problem("1", missing, at, part, use.number)
        for code, part, said in broken_notes(element.syntax, lambda part: part <= len(parts) and bool(parts[part - 1])):
            number = element.components[part - 1].number
            yield Problem(code, f"{self.place(at, part)} {said}", at, part, number)

    def leaf(self, use: ElementUse, text: str, period: str, at: int, part: int | None) -> Iterator[Problem]:
        place = self.place(at, part)
        shape = shape_problem(use, text, period)
        if shape is not None:
            code, said = shape
            yield Problem(code, f"{place} {said}", at, part, use.number)
            if code in "489":
                return
        yield from self.characters(use, text, at, part)
        if use.codes is not None and text not in use.codes:
            if self.guide:
                yield Problem("I6", f"{place} has a code that is not used here", at, part, use.number, snip=2)
            else:
                yield Problem("7", f"{place} has no valid code", at, part, use.number)
        elif use.external is not None and not self.listed(use.external, text):
            said = f"{place} has a code that is not in the list {use.external}"
            yield Problem("7", said, at, part, use.number, snip=5)

    def listed(self, name: str, code: str) -> bool:
        """Whether a code is in a list of the user; True when there is no such list."""
        return self.codes is None or name not in self.codes or code in self.codes[name]

    def characters(self, use: ElementUse, text: str, at: int, part: int | None) -> Iterator[Problem]:
        if use.type not in ("AN", "ID"):
            return
        place = self.place(at, part)
        if self.separators.component in text:
            yield Problem("6", f"{place} is one element and has a component separator in it", at, part, use.number)
        elif not text.strip():
            yield Problem("6", f"{place} has blanks only", at, part, use.number)
        elif any(c < " " or c == "\x7f" for c in text):
            yield Problem("6", f"{place} has a control character", at, part, use.number)
        elif not CHARACTERS.issuperset(text):
            outside = f"{place} has a character outside of the extended character set"
            yield Problem("6", outside, at, part, use.number, "warning")


def shape_problem(use: ElementUse, text: str, period: str) -> tuple[str, str] | None:
    """(code, words) when a value is too short, too long, or no number, date or time; None when it is as its type says."""
    kind = use.type
    length = len(text)
    if kind == "R" or kind[0] == "N":
        digits = text.removeprefix("-")
        if kind == "R" and digits.count(".") == 1:
            digits = digits.replace(".", "")
        if not (digits.isascii() and digits.isdigit()):
            return "6", "is no number" if kind == "R" else "is no number without a decimal point"
        length = len(digits)
    if length < use.min:
        return "4", f"has {length} characters, at least {use.min} are needed"
    if length > use.max:
        return "5", f"has {length} characters, at most {use.max} are possible"
    if kind == "DT" and not real_date(text):
        return "8", "is no date"
    if kind == "TM" and not real_time(text):
        return "9", "is no time"
    if period and not real_period(period, text):
        return "8", "is no date, time or period in the format that is said before it"
    return None


def broken_notes(notes: Iterable[SyntaxNote], present: _Presence) -> Iterator[tuple[str, int, str]]:
    """(code, position, words) for each syntax note that is not kept, by which positions have a value."""
    for note in notes:
        places = note.positions
        there = [at for at in places if present(at)]
        if note.kind == "P" and there and len(there) < len(places):
            missing = next(at for at in places if at not in there)
            yield "2", missing, f"is missing, which comes together with {_words(there)}"
        elif note.kind == "R" and not there:
            yield "2", places[0], f"or one of {_words(places[1:])} must be there"
        elif note.kind == "E" and len(there) > 1:
            yield "10", there[1], f"cannot be there together with {_words(there[:1])}"
        elif note.kind == "C" and places[0] in there and len(there) < len(places):
            missing = next(at for at in places if at not in there)
            yield "2", missing, f"is missing, which {places[0]:02d} needs"
        elif note.kind == "L" and there == [places[0]]:
            yield "2", places[1], f"or another of {_words(places[1:])} is needed by {places[0]:02d}"


def _words(places: Sequence[int]) -> str:
    return ", ".join(f"{at:02d}" for at in places)
