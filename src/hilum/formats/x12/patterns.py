"""One regular expression for each segment at its place: it matches good segments only, so that most need no second look.

What it does not match is not wrong yet (leap days, unusual characters); ``elements.explain`` decides. It never backtracks
into what it has matched: every repetition is possessive, atomic or ends at a separator, so the time is linear in the segment. Groups are
atomic rather than possessive: Python 3.11 before its fifth release loses its way in possessive repeats of groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass

from hilum.formats.x12.dates import DATE_6, DATE_8, PERIODS, TIMES, period_pattern
from hilum.formats.x12.definitions import ElementUse, SegmentUse, SyntaxNote
from hilum.formats.x12.document import Separators
from hilum.formats.x12.elements import CHARACTERS, Codes


def segment_pattern(use: SegmentUse, separators: Separators, codes: Codes | None) -> re.Pattern[str]:
    """The expression whose ``fullmatch`` accepts only texts of segments in which ``explain`` finds nothing."""
    return re.compile(_Writer(separators, codes).segment(use), re.ASCII)


@dataclass(slots=True)
class _Field:
    """A piece between separators: its expression, whether it must have a value, whether it must have none."""

    pattern: str
    usage: str


class _Writer:
    def __init__(self, separators: Separators, codes: Codes | None) -> None:
        self.codes = codes
        self.element = re.escape(separators.element)
        self.component = re.escape(separators.component)
        self.repetition = None if separators.repetition is None else re.escape(separators.repetition)
        self.separators = _class(set(separators.all))
        allowed = CHARACTERS - set(separators.all)
        self.character = _class(allowed)
        self.solid = _class(allowed - {" "})

    def segment(self, use: SegmentUse) -> str:
        fields: list[_Field] = []
        for element in use.elements:
            before = use.elements[element.position - 2] if element.position > 1 else None
            if before is not None and self.dated(before, element) and element.repeat == 1 and before.repeat == 1:
                fields.append(self.period(before, element, self.element))
            else:
                fields.append(_Field(self.value(element), element.usage))
        body = self.sequence(fields, use.syntax, self.element, f"[^{self.element}]", first_has_separator=True)
        # A segment says something: where no element is required, one of them is there.
        said = "" if any(field.usage == "R" for field in fields) else f"(?={self.element}+[^{self.element}])"
        return f"{re.escape(use.name)}{said}{body}(?<!{self.separators})"

    def value(self, element: ElementUse) -> str:
        one = self.composite(element) if element.components else self.leaf(element)
        if element.repeat > 1 and self.repetition is not None:
            return f"{one}(?>(?:{self.repetition}{one}){{0,{element.repeat - 1}}})"
        return one

    def composite(self, element: ElementUse) -> str:
        fields: list[_Field] = []
        for part in element.components:
            before = element.components[part.position - 2] if part.position > 1 else None
            if before is not None and self.dated(before, part):
                fields.append(self.period(before, part, self.component))
            else:
                fields.append(_Field(self.leaf(part), part.usage))
        other = f"[^{self.element}{self.component}{self.repetition or ''}]"
        body = self.sequence(fields, element.syntax, self.component, other, first_has_separator=False)
        return f"(?=[^{self.element}{self.repetition or ''}]){body}(?<!{self.component})"

    def dated(self, before: ElementUse, here: ElementUse) -> bool:
        return before.number == "1250" and here.number == "1251" and "N" not in (before.usage, here.usage)

    def period(self, before: ElementUse, here: ElementUse, separator: str) -> _Field:
        """Element 1251, by looking back at the format that element 1250 said right before it."""
        known = [code for code in PERIODS if before.codes is None or code in before.codes]
        choices = []
        for code in known:
            pattern = period_pattern(code)
            if pattern is not None:
                choices.append(f"(?<={re.escape(code)}{separator})(?<![A-Z0-9]{re.escape(code)}{separator}){pattern}")
        others = "".join(f"(?<!{re.escape(code)}{separator})" for code in known)
        choices.append(f"{others}{self.leaf(here)}")
        return _Field(f"(?>{'|'.join(choices)})", here.usage)

    def sequence(
        self,
        fields: list[_Field],
        notes: Iterable[SyntaxNote],
        separator: str,
        other: str,
        first_has_separator: bool,
    ) -> str:
        """The fields in order, nested so that a sequence may end after any field that nothing required follows."""
        looks: dict[int, list[str]] = {}
        musts: set[int] = set()
        usages = [field.usage for field in fields]
        for note in notes:
            if max(note.positions) <= len(fields) and (look := _look(note, usages, separator, other)):
                at = min(note.positions)
                looks.setdefault(at, []).append(look)
                if note.kind == "R":
                    musts.add(at)
        tail, must = "", False
        for at in range(len(fields), 0, -1):
            field = fields[at - 1]
            body = field.pattern if field.usage == "R" else "" if field.usage == "N" else f"(?>(?:{field.pattern})?)"
            must = must or field.usage == "R" or at in musts
            lead = separator if at > 1 or first_has_separator else ""
            if field.usage == "N" and not tail:
                continue
            item = f"{lead}{''.join(looks.get(at, ()))}{body}{tail}"
            tail = item if must else f"(?>(?:{item})?)"
        return tail

    def leaf(self, use: ElementUse) -> str:
        if use.codes is not None:
            return one_of(code for code in use.codes if self.possible(code, use))
        if use.external is not None and self.codes is not None and use.external in self.codes:
            return one_of(code for code in self.codes[use.external] if self.possible(code, use))
        least, most = use.min, use.max
        if use.type == "DT":
            shapes = [shape for length, shape in ((6, DATE_6), (8, DATE_8)) if least <= length <= most]
            # The longer one first: what follows a date is a separator, never a digit more.
            return f"(?>{'|'.join(reversed(shapes))})" if shapes else "(?!)"
        if use.type == "TM":
            shapes = [TIMES[length] for length in sorted(TIMES, reverse=True) if least <= length <= most]
            return f"(?>{'|'.join(shapes)})" if shapes else "(?!)"
        if use.type[0] == "N":
            return f"-?+[0-9]{{{least},{most}}}+"
        if use.type == "R":
            with_point = f"(?=[0-9]*+\\.)(?![0-9.]{{{most + 2}}})(?=[0-9.]{{{least + 1}}})[0-9]*+\\.[0-9]*+"
            return f"-?+(?>{with_point}|[0-9]{{{least},{most}}}+)"
        if use.type == "B":
            return f"[^{self.element}]{{{least},{most}}}+"
        # A value that begins with a blank may be blank altogether: the slow path looks.
        return f"{self.solid}{self.character}{{{max(least - 1, 0)},{most - 1}}}+"

    def possible(self, code: str, use: ElementUse) -> bool:
        return (
            use.min <= len(code) <= use.max
            and bool(code.strip())
            and not re.search(self.separators, code)
            and CHARACTERS.issuperset(code)
        )


def _class(characters: Set[str]) -> str:
    """A character class with ranges: fewer steps for the matcher than one by one."""
    ranges: list[list[int]] = []
    for number in sorted(map(ord, characters)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return "[" + "".join(re.escape(chr(a)) + ("" if a == b else "-" + re.escape(chr(b))) for a, b in ranges) + "]"


def _look(note: SyntaxNote, usages: list[str], separator: str, other: str) -> str:
    """A look ahead, standing before the first field that the note names, that fails where the note is not kept."""
    places = note.positions
    start = min(places)

    def there(at: int) -> str:
        return (f"(?:{other}*+{separator}){{{at - start}}}" if at > start else "") + other

    required = {at for at in places if usages[at - 1] == "R"}
    first, rest = places[0], places[1:]
    if note.kind == "P":
        if required == set(places):
            return ""
        return (
            "(?:"
            + "".join(f"(?={there(at)})" for at in places)
            + "|"
            + "".join(f"(?!{there(at)})" for at in places)
            + ")"
        )
    if note.kind == "R":
        return "" if required else "(?:" + "|".join(f"(?={there(at)})" for at in places) + ")"
    if note.kind == "E":
        pairs = [(a, b) for n, a in enumerate(places) for b in places[n + 1 :]]
        return "".join(
            f"(?!(?={there(a)})(?={there(b)}))" for a, b in pairs if "N" not in (usages[a - 1], usages[b - 1])
        )
    if usages[first - 1] == "N":
        return ""
    if note.kind == "C":
        if required.issuperset(rest):
            return ""
        return f"(?:(?!{there(first)})|" + "".join(f"(?={there(at)})" for at in rest) + ")"
    if required.intersection(rest):
        return ""
    return f"(?:(?!{there(first)})|" + "|".join(f"(?={there(at)})" for at in rest) + ")"


class _Trie(dict[str, "_Trie"]):
    """Codes by their characters; an empty text stands where a code ends."""


def one_of(codes: Iterable[str]) -> str:
    """An expression for one of many codes, branching by character so that the time does not grow with their number."""
    root = _Trie()
    for code in codes:
        node = root
        for character in (*code, ""):
            node = node.setdefault(character, _Trie())
    return _branches(root) if root else "(?!)"


def _branches(node: _Trie) -> str:
    leaves = {character for character, below in node.items() if character and set(below) == {""}}
    choices = [_class(leaves)] if leaves else []
    choices += [re.escape(c) + _branches(node[c]) for c in sorted(node) if c and c not in leaves]
    if not choices:
        return ""
    ends = "" in node
    body = choices[0] if len(choices) == 1 and not ends else f"(?>{'|'.join(choices)})"
    return f"(?>{body}?)" if ends else body
