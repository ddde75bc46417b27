"""X12 documents in memory: interchange, group, transaction, and the loops that a transaction's segments form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hilum.formats.findings import Finding, FormatError
from hilum.formats.x12.definitions import LoopUse, SetDefinition

Segment = list[str]
"""A segment's elements: [0] is its id, [n] element n as it was written; a composite keeps its component separator."""


class X12Error(FormatError):
    """Bytes in which no interchange can be found, or a new document that cannot be written; ``code`` is of the TA105 list."""


@dataclass(frozen=True, slots=True)
class Separators:
    """What separates; ``repetition`` is None before release 00402, where ISA11 says something else.

    ``segment`` may be several characters where a sender's editor made them so, and a newline stands for any newline.
    """

    element: str
    component: str
    segment: str
    repetition: str | None = None

    @property
    def all(self) -> str:
        """Every character that separates, each once."""
        return "".join(dict.fromkeys(self.element + self.component + self.segment + (self.repetition or "")))


class Loop:
    """One occurrence of a loop: its own segments in order, and the loops inside it in order.

    ``number`` is that of its first segment, counted from 1 at the ST. Written out rather than as a dataclass: a walk makes
    thousands of them.
    """

    __slots__ = ("loops", "number", "parent", "segments", "use")

    def __init__(self, use: LoopUse, parent: Loop | None, number: int = 1) -> None:
        self.use = use
        self.parent = parent
        self.number = number
        self.segments: list[Segment] = []
        self.loops: list[Loop] = []

    @property
    def name(self) -> str:
        """The loop's name in its guide: ``2100``, ``1000A``; ``transaction`` for the whole."""
        return self.use.name

    def first(self, segment: str, code: str | None = None, at: int = 1) -> Segment | None:
        """The first segment of this loop itself with that id, and with ``code`` in element ``at`` when one is asked for."""
        for found in self.segments:
            if found[0] == segment and (code is None or (len(found) > at and found[at] == code)):
                return found
        return None

    def every(self, segment: str) -> list[Segment]:
        """The segments of this loop itself with that id."""
        return [found for found in self.segments if found[0] == segment]

    def inside(self, *names: str) -> list[Loop]:
        """The loops directly inside this one with one of these names, in order."""
        return [loop for loop in self.loops if loop.use.name in names]

    def anywhere(self, *names: str) -> Iterator[Loop]:
        """The loops at any depth with one of these names, in document order."""
        for loop in self.loops:
            if loop.use.name in names:
                yield loop
            yield from loop.anywhere(*names)


def value(segment: Segment | None, at: int) -> str | None:
    """Element ``at`` of a segment, or None when the segment or the element is absent or empty."""
    if segment is None or len(segment) <= at:
        return None
    return segment[at] or None


def component(segment: Segment | None, at: int, part: int, separators: Separators) -> str | None:
    """Component ``part`` (from 1) of element ``at``, or None when it is absent or empty."""
    text = value(segment, at)
    if text is None:
        return None
    parts = text.split(separators.component)
    return parts[part - 1] or None if len(parts) >= part else None


@dataclass(frozen=True, slots=True)
class X12Finding(Finding):
    """A finding with its place in X12 terms, and what a 997 or 999 says of it.

    ``segment_number`` counts from 1 at the ST (as AK302 wants it); ``snip`` is 1 syntax, 2 guide's requirements, 3 balancing,
    4 situations, 5 code sets. ``level`` says which list ``code`` is of: ``interchange`` (TA105), ``group`` (AK905), ``transaction`` (AK502),
    ``segment`` (AK304, 999 IK304) or ``element`` (AK403, IK403), or ``balance`` for rules of ours that a 999 reports by IK502 or a CTX.
    """

    level: str = "segment"
    snip: int = 1
    transaction: str | None = None
    """The set's control number, ST02."""
    loop: str | None = None
    segment: str | None = None
    segment_number: int | None = None
    element: int | None = None
    component: int | None = None
    element_number: str | None = None
    """The data element's number in the dictionary (AK402's reference)."""
    first_segment: int | None = None
    """The number of its ST in the file, which tells transactions of one control number apart."""

    def details(self) -> dict[str, str | int]:
        """The X12 places that are known, by name."""
        told: dict[str, str | int | None] = {
            "level": self.level,
            "snip": self.snip,
            "transaction": self.transaction,
            "loop": self.loop,
            "segment": self.segment,
            "segment_number": self.segment_number,
            "element": self.element,
            "component": self.component,
            "element_number": self.element_number,
        }
        return {name: part for name, part in told.items() if part is not None}


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction set, ST to SE, and where it stood.

    ``segments`` holds all segments from ST to SE (without an SE where the trailer is missing), ``texts`` the same as they were
    written, without newlines around or inside them. ``root`` is its loop tree once it has been walked
    (``hilum.formats.x12.walker``); None before, and when no table knows the set.
    """

    segments: list[Segment]
    texts: list[str]
    separators: Separators
    version: str
    """ST03 where it is given, else GS08."""
    functional_id: str | None = None
    """GS01."""
    group_control: str | None = None
    """GS06."""
    group_version: str = ""
    """GS08; an empty text where it is not said."""
    group_header: Segment = field(default_factory=lambda: ["GS"])
    """The GS it stands in: who sent it to whom (GS02, GS03) and when it was made (GS04, GS05); ``["GS"]`` alone outside of any."""
    interchange_control: str | None = None
    """ISA13."""
    first_segment: int = 1
    """The number of the ST in the file, counted from 1 at the first ISA."""
    first_line: int = 1
    lines: list[int] | None = None
    """The line of each segment, where segments and lines differ; None when each segment has a line, or all share one."""
    one_line_each: bool = False
    envelope_findings: list[X12Finding] = field(default_factory=list)
    """What is wrong with its ST and SE: trailer, control numbers, count."""
    definition: SetDefinition | None = None
    root: Loop | None = None

    def line_of(self, segment_number: int) -> int:
        """The line in the file of a segment, both counted from 1 (the segment at the ST)."""
        if self.lines is not None:
            return self.lines[min(segment_number, len(self.lines)) - 1]
        return self.first_line + (segment_number - 1 if self.one_line_each else 0)

    @property
    def set_id(self) -> str:
        """ST01; an ST without one is no transaction that a reader lets through, and says ``?``."""
        return "?" if (said := value(self.segments[0], 1)) is None else said

    @property
    def control_number(self) -> str | None:
        """ST02."""
        return value(self.segments[0], 2)


@dataclass(slots=True, eq=False)
class Group:
    """A functional group, GS to GE; ``header`` is ``["GS"]`` alone for transactions that stand in no group."""

    header: Segment
    first_segment: int
    line: int
    transactions: list[Transaction] = field(default_factory=list)
    trailer: Segment | None = None
    findings: list[X12Finding] = field(default_factory=list)

    @property
    def functional_id(self) -> str | None:
        """GS01."""
        return value(self.header, 1)

    @property
    def control_number(self) -> str | None:
        """GS06."""
        return value(self.header, 6)

    @property
    def version(self) -> str:
        """GS08 without blanks around it; an empty text where it is not said, which no table has."""
        said = value(self.header, 8)
        return "" if said is None else said.strip()


@dataclass(slots=True, eq=False)
class Interchange:
    """ISA to IEA: ``header`` with the elements as written, ``acknowledgements`` its TA1 segments."""

    header: Segment
    separators: Separators
    first_segment: int
    line: int
    groups: list[Group] = field(default_factory=list)
    acknowledgements: list[Segment] = field(default_factory=list)
    trailer: Segment | None = None
    findings: list[X12Finding] = field(default_factory=list)

    @property
    def control_number(self) -> str | None:
        """ISA13."""
        return value(self.header, 13)

    @property
    def version(self) -> str:
        """ISA12, such as 00501; an empty text where it is not said."""
        said = value(self.header, 12)
        return "" if said is None else said

    @property
    def transactions(self) -> list[Transaction]:
        """The transactions of all groups, in order."""
        return [transaction for group in self.groups for transaction in group.transactions]


@dataclass(slots=True, eq=False)
class Document:
    """A file: its interchanges in order, and its text as it was, so that it can be written again byte for byte.

    ``mark`` is the byte order mark before the text. ``findings`` are about what stands outside of any interchange.
    """

    text: str
    encoding: str
    mark: bytes
    interchanges: list[Interchange]
    findings: list[X12Finding] = field(default_factory=list)

    @property
    def transactions(self) -> list[Transaction]:
        """The transactions of all interchanges, in order."""
        return [found for interchange in self.interchanges for found in interchange.transactions]

    @property
    def envelope_findings(self) -> list[X12Finding]:
        """What is wrong with interchanges, groups, and the ST and SE of transactions, in the order of the file."""
        found = list(self.findings)
        for interchange in self.interchanges:
            found += interchange.findings
            for group in interchange.groups:
                found += group.findings
                for transaction in group.transactions:
                    found += transaction.envelope_findings
        return found
