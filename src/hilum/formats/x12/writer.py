"""Documents to bytes: as they were read, with segments replaced, or new ones with their envelopes filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hilum.formats.x12.document import Document, Separators, X12Error
from hilum.formats.x12.reader import Reader
from hilum.formats.x12.reading import chunks_of, parse

Element = str | tuple[str, ...] | list[str | tuple[str, ...]] | None
"""A value; a composite as a tuple of components; repetitions as a list of either; None or an empty text for nothing."""

COMMON = Separators("*", ":", "~", "^")
"""The separators most partners use, with the repetition separator of 00402 and later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransaction:
    """A transaction to be written: its segments between ST and SE, without them. ``convention`` becomes ST03."""

    set_id: str
    segments: Sequence[Sequence[Element]]
    control_number: str | None = None
    """ST02; counted from 0001 in its group when it is not given."""
    convention: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGroup:
    """A functional group to be written; sender and receiver are those of the interchange where none are given."""

    functional_id: str
    version: str
    transactions: Sequence[NewTransaction]
    control_number: int | None = None
    sender: str | None = None
    receiver: str | None = None


def write(document: Document) -> bytes:
    """The bytes of a document, each as it was read."""
    return document.mark + document.text.encode(document.encoding)


def replaced(document: Document, changes: Mapping[int, Sequence[Element]]) -> Document:
    """The document with other segments at the numbers given, and every other byte as it was.

    Numbers count segments of the file from 1, as ``transaction.first_segment`` does: the n-th segment of a transaction is
    ``transaction.first_segment + n - 1``. Counts in trailers are left alone. X12Error when a number is no segment behind an ISA,
    or a value holds a separator, a control character or one that the document's encoding does not have.
    """
    reader = Reader(chunks_of(document.text), keep=True)
    reader.wanted = frozenset(changes)
    owner: dict[int, Separators] = {}
    last = 0
    for _ in reader.read():
        if reader.interchange is not None:
            owner.update((n, reader.interchange.separators) for n in reader.spans if n > last)
            last = max(reader.spans, default=0)
    missing = sorted(set(changes) - set(reader.spans))
    if missing:
        raise X12Error("022", f"there is no segment number {missing[0]} that could be replaced")
    pieces, at = [], 0
    for number in sorted(changes, key=lambda number: reader.spans[number]):
        start, end = reader.spans[number]
        pieces += [document.text[at:start], segment_text(changes[number], owner[number])]
        at = end
    text = "".join((*pieces, document.text[at:]))
    return parse(document.mark + _encoded(text, document.encoding))


def build(
    groups: Iterable[NewGroup],
    *,
    sender: tuple[str, str],
    receiver: tuple[str, str],
    control_number: int,
    now: datetime,
    version: str = "00501",
    usage: str = "P",
    acknowledge: bool = False,
    acknowledgements: Iterable[Sequence[Element]] = (),
    separators: Separators = COMMON,
    newline: str = "\n",
) -> Document:
    """A new interchange with its control numbers and counts; ``sender`` and ``receiver`` are (qualifier, identifier).

    ``acknowledgements`` are TA1 segments. ``newline`` follows each terminator and may be empty. X12Error when a value holds a
    separator or what is said of the envelope does not fit it.
    """
    if newline.strip("\r\n"):
        raise X12Error("004", "only newlines may follow a terminator")
    if control_number < 0:
        raise X12Error("018", "a control number cannot be negative", "ISA13")
    writer = _Writer(separators, newline)
    if len(set(separators.all)) != len(separators.element + separators.component + separators.segment) + bool(
        separators.repetition
    ):
        raise X12Error("004", "two separators are the same character")
    repetition = separators.repetition if version >= "00402" else "U"
    if repetition is None:
        raise X12Error("016", f"version {version} needs a repetition separator")
    (sender_kind, sender_id), (receiver_kind, receiver_id) = sender, receiver
    header = ["ISA", "00", " " * 10, "00", " " * 10, sender_kind, f"{sender_id:15}", receiver_kind, f"{receiver_id:15}"]
    header += [f"{now:%y%m%d}", f"{now:%H%M}", repetition, version, f"{control_number:09}"]
    header += ["1" if acknowledge else "0", usage]
    lengths = [3, 2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1]
    for place, (text, length) in enumerate(zip(header, lengths, strict=True)):
        if len(text) != length or (place != 11 and any(c in separators.all for c in text)):
            raise X12Error("022", f"ISA{place:02d} must have {length} characters and no separator", f"ISA{place:02d}")
    writer.raw(separators.element.join([*header, separators.component]))
    for answer in acknowledgements:
        writer.segment(answer)
    count = 0
    for count, group in enumerate(groups, 1):
        writer.group(group, control_number + count - 1, sender_id.strip(), receiver_id.strip(), now)
    writer.segment(["IEA", str(count), f"{control_number:09}"])
    return parse(_encoded(writer.text(), "utf-8"))


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as wrong:
        raise X12Error(
            "022", f"a value holds a character that {encoding}, in which the file is, does not have"
        ) from wrong


def segment_text(segment: Sequence[Element], separators: Separators) -> str:
    """A segment as it is written, without its terminator; X12Error when a value holds a separator or the id is none."""
    name = segment[0] if segment else None
    if not isinstance(name, str) or re.fullmatch(r"[A-Z][A-Z0-9]{1,2}", name) is None:
        raise X12Error("022", "a segment must begin with its identifier of two or three characters")
    parts = [name, *(_element(part, separators, f"{name}{at:02d}") for at, part in enumerate(segment[1:], 1))]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return separators.element.join(parts)


def _element(element: Element, separators: Separators, place: str) -> str:
    if element is None:
        return ""
    if isinstance(element, list):
        if separators.repetition is None and len(element) > 1:
            raise X12Error("022", f"{place} repeats, and there is no repetition separator", place)
        return (separators.repetition or "").join(_element(part, separators, place) for part in element)
    components = list(element) if isinstance(element, tuple) else [element]
    if any(c in separators.all or c < " " or c == "\x7f" for text in components for c in text):
        raise X12Error(
            "022",
            f"{place} holds a character that separates or controls: choose other separators or another value",
            place,
        )
    while components and not components[-1]:
        components.pop()
    return separators.component.join(components)


class _Writer:
    def __init__(self, separators: Separators, newline: str) -> None:
        self.separators, self.ending = separators, separators.segment + newline
        self.pieces: list[str] = []

    def raw(self, text: str) -> None:
        self.pieces += [text, self.ending]

    def segment(self, segment: Sequence[Element]) -> None:
        self.raw(segment_text(segment, self.separators))

    def text(self) -> str:
        return "".join(self.pieces)

    def group(self, group: NewGroup, number: int, sender: str, receiver: str, now: datetime) -> None:
        own = str(number if group.control_number is None else group.control_number)
        if re.fullmatch(r"[0-9]{1,9}", own) is None:
            raise X12Error("024", "the control number of a group has one to nine digits", "GS06")
        sender = sender if group.sender is None else group.sender
        receiver = receiver if group.receiver is None else group.receiver
        day, hour = f"{now:%Y%m%d}", f"{now:%H%M}"
        self.segment(["GS", group.functional_id, sender, receiver, day, hour, own, "X", group.version])
        for count, transaction in enumerate(group.transactions, 1):
            control = f"{count:04}" if transaction.control_number is None else transaction.control_number
            self.segment(["ST", transaction.set_id, control, transaction.convention])
            for segment in transaction.segments:
                self.segment(segment)
            self.segment(["SE", str(len(transaction.segments) + 2), control])
        self.segment(["GE", str(len(group.transactions)), own])
