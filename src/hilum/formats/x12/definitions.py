"""X12 as tables: elements, segments and transaction sets, read from the text files in ``tables/``.

``elements*.csv`` has ``number,type,min,max[,release]``; ``segments*.txt`` has a line for each segment or composite::

    release 005010                       # What follows replaces or adds to the releases before it.
    composite C023 1331:M 1332 1325
    NM1 98:M 1065:M 1035 1036 1037 1038 1039 66 67 706 98 1035 | P0809 C1110 C1203
    SV1 C003:M 782 355 380 1331 1365 C004 782 1073 1340 1073 1073 1073 1327
    HI C022:M C022*5                     # *5: may repeat five times inside the element.

``sets/*.txt`` has a transaction set as an implementation guide or the standard orders it, loops by indentation::

    set 835 005010X221A1 HP 005010 guide
    ST R 1 01R=835 02R
    loop 1000A R 1                       # Its first segment opens it.
      N1 R 1 01R!=PR 02R 03S 04S         # !: without one of these codes it is another segment.
      PER S * 01R!=BL 02S 03S=TE|UR 04S
    loop 2000 S *
      LX R 1
      loop 2100 R *
        CLP R 1 01R 02R=@claim_status 03R 04R 08S-1
        CAS S 99 02R=@carc
    use 2100 S 100                       # A loop defined elsewhere, by its name.

A line is ``SEGMENT USAGE MAX element...``: usage R (required) or S (situational), max a number or ``*``. An element is
``NN`` or ``NN-C`` (component), a usage R, S or N, then ``!`` when its codes tell the segment from its namesakes, then ``=``
and its codes between ``|``, or ``=@name`` for a code list that the user supplies. In a ``guide`` set elements that the line does not name
are not used; in an ``open`` set they are as the standard has them. Lines that follow each other with the same segment (or
loops with the same first segment) share one position and come in any order, and so does a line that begins with ``~`` with
the line before it.

A version is read with the dictionary of its own release: an ``open`` set of one release serves the others too. Release
``003010`` stands for all before ``004010``: it is ``004010`` with what the tables say of it, such as dates of six digits.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

Usage = Literal["R", "S", "N"]
MANY = 1 << 30
"""The maximum of a segment or loop that may come any number of times."""

RELEASES = ("004010", "005010")
"""Releases with tables of their own; others are read by the nearest."""
EARLIER = "003010"
"""Stands for the releases before the first."""
_STEPS = {EARLIER: (RELEASES[0], EARLIER), RELEASES[0]: RELEASES[:1], RELEASES[1]: RELEASES}
"""What a release's dictionary is made of, the later over the earlier."""

_ELEMENT = re.compile(r"(\d\d)(?:-(\d+))?([RSN]?)(!?)(?:=(.*))?")
_USED = re.compile(r"([CS]\d{3}|I?\d+)(?::([MOX]))?(?:\*(\d+))?")
_SYNTAX = re.compile(r"([PRECL])((?:\d\d){2,})")


class DefinitionError(ValueError):
    """A table is written wrongly; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class ElementDefinition:
    """A data element of the dictionary: type (AN, ID, DT, TM, R, N0-N9, B) and length in characters."""

    number: str
    type: str
    min: int
    max: int


@dataclass(frozen=True, slots=True)
class SyntaxNote:
    """P (all or none), R (at least one), E (at most one), C (first needs all others), L (first needs one other)."""

    kind: str
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SegmentDefinition:
    """A segment or composite of the standard: (element or composite number, M/O/X, most repetitions) by position."""

    name: str
    elements: tuple[tuple[str, str, int], ...]
    syntax: tuple[SyntaxNote, ...]


@dataclass(frozen=True, slots=True)
class ElementUse:
    """An element where a set uses it; ``components`` is empty for a simple element."""

    position: int
    number: str
    type: str
    min: int
    max: int
    usage: Usage
    repeat: int = 1
    codes: frozenset[str] | None = None
    external: str | None = None
    discriminates: bool = False
    components: tuple[ElementUse, ...] = ()
    syntax: tuple[SyntaxNote, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SegmentUse:
    """A segment at a place in a set. ``position`` orders it among its siblings; equal positions come in any order."""

    name: str
    usage: Usage
    max: int
    position: int
    elements: tuple[ElementUse, ...]
    syntax: tuple[SyntaxNote, ...]

    @property
    def discriminators(self) -> tuple[tuple[int, int, frozenset[str]], ...]:
        """(element, component or 0, codes) that a segment must have to be this one."""
        found = []
        for element in self.elements:
            for component in (element, *element.components):
                if component.discriminates and component.codes is not None:
                    place = 0 if component is element else component.position
                    found.append((element.position, place, component.codes))
        return tuple(found)


@dataclass(slots=True, eq=False)
class LoopUse:
    """A loop at a place in a set; its first child segment opens each occurrence."""

    name: str
    usage: Usage
    max: int
    position: int
    children: list[SegmentUse | LoopUse] = field(default_factory=list)

    @property
    def opener(self) -> SegmentUse:
        """The segment that opens the loop."""
        first = self.children[0]
        return first if isinstance(first, SegmentUse) else first.opener


@dataclass(slots=True, eq=False)
class SetDefinition:
    """A transaction set: ``set_id`` (ST01), ``convention`` (ST03 or GS08), functional id (GS01), release and its root."""

    set_id: str
    convention: str
    functional_id: str
    release: str
    guide: bool
    root: LoopUse


@dataclass(frozen=True, slots=True)
class Dictionary:
    """The elements, composites and segments of one release."""

    release: str
    elements: dict[str, ElementDefinition]
    segments: dict[str, SegmentDefinition]
    """Segments by id and composites by number."""


def release_of(version: str) -> str:
    """The release whose tables read a GS08: ``005010X222A1`` -> ``005010``; ``003040`` -> ``003010``, newer ones by 005010."""
    if version[:6].isdigit() and version[:6] < RELEASES[0]:
        return EARLIER
    return RELEASES[1] if version[:6] >= RELEASES[1] else RELEASES[0]


def _tables() -> Traversable:
    return files("hilum.formats.x12") / "tables"


def _lines(table: Traversable) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].rstrip()
        if text:
            yield number, text


@cache
def dictionary(release: str) -> Dictionary:
    """The dictionary of a release (``003010``, ``004010`` or ``005010``); DefinitionError when a table is written wrongly."""
    if release not in _STEPS:
        raise DefinitionError(f"there are no tables for release {release}; {', '.join(_STEPS)} have some")
    wanted = _STEPS[release]
    elements: dict[str, ElementDefinition] = {}
    segments: dict[str, SegmentDefinition] = {}
    tables = sorted(_tables().iterdir(), key=lambda table: table.name)
    for step in wanted:
        for table in tables:
            if table.name.startswith("elements"):
                elements.update(_elements(table, step))
            elif table.name.startswith("segments"):
                segments.update(_segments(table, step))
    return Dictionary(release, elements, segments)


def _elements(table: Traversable, release: str) -> dict[str, ElementDefinition]:
    found = {}
    for row in csv.reader(line for line in table.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()):
        try:
            number, kind, least, most, *own = row
            if (own[0] if own else RELEASES[0]) == release:
                found[number] = ElementDefinition(number, kind, int(least), int(most))
        except ValueError as wrong:
            raise DefinitionError(f"{table.name}: row {row} is no number,type,min,max[,release]") from wrong
    return found


def _segments(table: Traversable, wanted: str) -> dict[str, SegmentDefinition]:
    found, release = {}, RELEASES[0]
    for line, text in _lines(table):
        head, _, notes = text.partition("|")
        words = head.split()
        if words[0] == "release":
            release = words[1]
        elif release == wanted:
            name, *used = words[1:] if words[0] == "composite" else words
            where = f"{table.name}, line {line}"
            found[name] = SegmentDefinition(
                name, tuple(_used(word, where) for word in used), tuple(_note(word, where) for word in notes.split())
            )
    return found


def _used(word: str, where: str) -> tuple[str, str, int]:
    match = _USED.fullmatch(word)
    if match is None:
        raise DefinitionError(f"{where}: {word} is no element like 1035, 98:M or C022*5")
    return match[1], match[2] or "O", int(match[3] or 1)


def _note(word: str, where: str) -> SyntaxNote:
    match = _SYNTAX.fullmatch(word)
    if match is None:
        raise DefinitionError(f"{where}: {word} is no syntax note like P0809")
    digits = match[2]
    return SyntaxNote(match[1], tuple(int(digits[at : at + 2]) for at in range(0, len(digits), 2)))


# --- transaction sets --------------------------------------------------------------------------------------------


@cache
def available() -> dict[tuple[str, str], str]:
    """The table that defines a set, by (ST01, convention)."""
    found = {}
    for table in (_tables() / "sets").iterdir():
        for _, text in _lines(table):
            _, set_id, convention, *_ = text.split()
            found[set_id, convention] = table.name
            break
    return found


@lru_cache(maxsize=512)
@cache
def functional_ids(set_id: str) -> frozenset[str]:
    """GS01 of the groups in which a set may stand, as its tables say; empty when no table knows the set."""
    return frozenset(read_set(name).functional_id for (known, _), name in available().items() if known == set_id)


def definition_for(set_id: str, version: str) -> SetDefinition | None:
    """The definition of a set under the version of its group or transaction; None when no table knows the set.

    Looks for the exact convention (``005010X221A1``), then the same guide without its addenda, then the plain release
    (``005010``), then the other release: a set is the better read by a neighbour's table than not at all.
    """
    tables = available()
    guides = sorted(c for s, c in tables if s == set_id and len(c) > 6 and len(version) > 6 and c[:10] == version[:10])
    release = release_of(version)
    others = [c for c in (release, *RELEASES) if (set_id, c) in tables]
    same = sorted(c for s, c in tables if s == set_id and c[:6] == release)
    rest = sorted(c for s, c in tables if s == set_id)
    for convention in (version, *reversed(guides), *others, *same, *rest):
        if (set_id, convention) in tables:
            return read_set(tables[set_id, convention], release)
    return None


@cache
def read_set(table_name: str, release_wanted: str | None = None) -> SetDefinition:
    """The definition in ``tables/sets/<table_name>``; DefinitionError names the line that is wrong.

    An ``open`` set is read with the dictionary of ``release_wanted`` when one is wanted; a guide always with its own.
    """
    table = _tables() / "sets" / table_name
    lines = list(_lines(table))
    where = f"{table_name}, line {lines[0][0]}"
    try:
        word, set_id, convention, functional_id, release, style = lines[0][1].split()
    except ValueError as wrong:
        raise DefinitionError(f"{where}: begin with: set ID CONVENTION FUNCTIONAL_ID RELEASE guide|open") from wrong
    if word != "set" or style not in {"guide", "open"}:
        raise DefinitionError(f"{where}: begin with: set ID CONVENTION FUNCTIONAL_ID RELEASE guide|open")
    if style == "open" and release_wanted is not None:
        release = release_wanted
    root = LoopUse("transaction", "R", 1, 0)
    reader = _SetReader(table_name, dictionary(release), style == "guide")
    for line, text in lines[1:]:
        reader.take(line, text, root)
    reader.finish(root)
    return SetDefinition(set_id, convention, functional_id, release, style == "guide", root)


class _SetReader:
    """Reads the lines of one set in order; ``use`` lines are filled in at the end, when all loops are known."""

    def __init__(self, table: str, words: Dictionary, guide: bool) -> None:
        self.table, self.words, self.guide = table, words, guide
        self.stack: list[tuple[int, LoopUse]] = []
        self.loops: dict[str, LoopUse] = {}
        self.borrowed: list[tuple[str, LoopUse, str]] = []

    def take(self, line: int, text: str, root: LoopUse) -> None:
        where = f"{self.table}, line {line}"
        indent = len(text) - len(text.lstrip())
        while self.stack and self.stack[-1][0] >= indent:
            self.stack.pop()
        parent = self.stack[-1][1] if self.stack else root
        text = text.strip()
        beside = text.startswith("~")
        words = text.lstrip("~ ").split()
        try:
            if words[0] in {"loop", "use"}:
                loop = LoopUse(words[1], _usage(words[2]), _most(words[3]), 0)
                if words[0] == "loop":
                    self.loops[loop.name] = loop
                    self.stack.append((indent, loop))
                else:
                    self.borrowed.append((where, loop, words[1]))
                parent.children.append(loop)
                loop.position = -1 if beside else 0
            else:
                use = self.segment(words, where)
                parent.children.append(replace(use, position=-1) if beside else use)
        except (IndexError, KeyError, ValueError) as wrong:
            raise DefinitionError(f"{where}: {text!r} is written wrongly: {wrong}") from wrong

    def segment(self, words: list[str], where: str) -> SegmentUse:
        name = words[0]
        if name not in self.words.segments:
            raise DefinitionError(f"{where}: segment {name} is not in the dictionary of {self.words.release}")
        standard = self.words.segments[name]
        own: dict[tuple[int, int], re.Match[str]] = {}
        for word in words[3:]:
            match = _ELEMENT.fullmatch(word)
            if match is None:
                raise DefinitionError(f"{where}: {word} is no element like 01R!=PR|PE or 05-1R")
            own[int(match[1]), int(match[2] or 0)] = match
        beyond = [place for place, _ in own if place > len(standard.elements)]
        if beyond:
            raise DefinitionError(f"{where}: {name} has {len(standard.elements)} elements, not {max(beyond)}")
        elements = tuple(
            self.element(place, number, mandatory, repeat, own, where)
            for place, (number, mandatory, repeat) in enumerate(standard.elements, 1)
        )
        return SegmentUse(name, _usage(words[1]), _most(words[2]), 0, elements, standard.syntax)

    def element(
        self,
        place: int,
        number: str,
        mandatory: str,
        repeat: int,
        own: dict[tuple[int, int], re.Match[str]],
        where: str,
    ) -> ElementUse:
        said = own.get((place, 0))
        inner = any(p == place and c for p, c in own)
        usage = self.usage(said, mandatory, inner)
        if number in self.words.segments:
            composite = self.words.segments[number]
            named = any(p == place and c for p, c in own)
            parts = tuple(
                self.leaf(c, n, own.get((place, c)), m, not named) for c, (n, m, _) in enumerate(composite.elements, 1)
            )
            return ElementUse(place, number, "", 0, 0, usage, repeat, components=parts, syntax=composite.syntax)
        leaf = self.leaf(place, number, said, mandatory, False)
        return replace(leaf, usage=usage, repeat=repeat)

    def leaf(
        self, place: int, number: str, said: re.Match[str] | None, mandatory: str, as_standard: bool
    ) -> ElementUse:
        if number not in self.words.elements:
            raise ValueError(f"element {number} is not in the dictionary")
        element = self.words.elements[number]
        usage: Usage = ("R" if mandatory == "M" else "S") if as_standard else self.usage(said, mandatory, False)
        codes, external = None, None
        if said is not None and said[5]:
            if said[5].startswith("@"):
                external = said[5][1:]
            else:
                codes = frozenset(said[5].split("|"))
        discriminates = said is not None and said[4] == "!"
        return ElementUse(
            place, number, element.type, element.min, element.max, usage, 1, codes, external, discriminates
        )

    def usage(self, said: re.Match[str] | None, mandatory: str, inner: bool) -> Usage:
        if said is not None and said[3]:
            return _usage(said[3])
        if mandatory == "M":
            return "R"
        return "S" if said is not None or inner or not self.guide else "N"

    def finish(self, root: LoopUse) -> None:
        for where, loop, name in self.borrowed:
            if name not in self.loops:
                raise DefinitionError(f"{where}: no loop {name} is defined in this set")
            loop.children = self.loops[name].children
        for loop in (root, *self.loops.values()):
            _place(loop, self.table)


def _place(loop: LoopUse, table: str) -> None:
    """Number the children: namesakes in a row share a position, so does a line that began with ~."""
    place, before = 0, ""
    if not loop.children:
        raise DefinitionError(f"{table}: loop {loop.name} has no segment")
    for at, child in enumerate(loop.children):
        name = child.name if isinstance(child, SegmentUse) else f"loop {child.opener.name}"
        if name != before and child.position != -1:
            place += 1
        before = name
        if isinstance(child, SegmentUse):
            loop.children[at] = replace(child, position=place)
        else:
            child.position = place


def _usage(word: str) -> Usage:
    if word == "R":
        return "R"
    if word == "S":
        return "S"
    if word == "N":
        return "N"
    raise ValueError(f"{word} is none of R, S, N")


def _most(word: str) -> int:
    return MANY if word == "*" else int(word)
