"""Lines, and the records they make: a code, fields that commas part and a slash ends, and continuations (88)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hilum.formats.bai2.findings import Bai2Error, Code

__all__ = ["CODES", "Line", "Record", "records_of"]

CODES = frozenset({"01", "02", "03", "16", "49", "98", "99"})
CONTINUATION = "88"
_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True)
class Line:
    """One physical record without its code. ``number`` counts from 1; ``ended`` when a slash closed it."""

    number: int
    body: str

    @property
    def closed(self) -> str:
        """The body up to the slash that ends it; the whole of one that no slash ends."""
        return self.body.partition("/")[0]

    @property
    def as_text(self) -> str:
        """The body as text, in which slashes may stand: only one at its very end is a bank's way to end it."""
        return self.body.rstrip().removesuffix("/").rstrip()


@dataclass(slots=True)
class Record:
    """A logical record: its code, and its first line with those that continue it (88)."""

    code: str
    lines: list[Line]

    @property
    def number(self) -> int:
        return self.lines[0].number

    def fields(self) -> list[str]:
        """All fields of a record that has no text (every one but 16); a continuation goes on with the next field."""
        return [field.strip() for line in self.lines for field in line.closed.split(",")]

    def reader(self) -> FieldReader:
        return FieldReader(self.lines)


class FieldReader:
    """Takes the fields of a transaction one by one; what is left when the last is taken is its text."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines
        self._at = 0  # The line.
        self._from = 0  # Where in it.

    def take(self) -> str:
        """The next field; an empty text when the record has no more."""
        while self._at < len(self._lines):
            body = self._lines[self._at].body
            if self._from > len(body) or (body.startswith("/", self._from) and self._from > 0):
                self._at, self._from = self._at + 1, 0
                continue
            comma, slash = body.find(",", self._from), body.find("/", self._from)
            ends = min((place for place in (comma, slash) if place >= 0), default=len(body))
            field = body[self._from : ends]
            if ends == comma:
                self._from = ends + 1
            else:
                self._at, self._from = self._at + 1, 0
            return field.strip()
        return ""

    def text(self) -> tuple[str, ...]:
        """What is left, line by line, without empty ones at its ends."""
        if self._at >= len(self._lines):
            return ()
        first = self._lines[self._at]
        left = Line(first.number, first.body[self._from :]).as_text
        told = [left, *(line.as_text for line in self._lines[self._at + 1 :])]
        while told and not told[-1].strip():
            told.pop()
        return tuple(told[next((at for at, each in enumerate(told) if each.strip()), len(told)) :])


def records_of(text: str) -> Iterator[Record]:
    """The records of a file, in order. ``Bai2Error`` for a line that begins with no code of the standard."""
    record: Record | None = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(" \t\r\x1a")
        if not line:
            continue
        if len(line) > _LONGEST_LINE:
            raise Bai2Error(Code.FIELD, f"a line is longer than {_LONGEST_LINE} characters", None, number)
        code, body = line[:2], line[2:]
        if code == CONTINUATION and (body[:1] in (",", ":", "/", "") or record is not None):
            if record is None:
                raise Bai2Error(Code.SEQUENCE, "a continuation (88) has nothing to continue", CONTINUATION, number)
            record.lines.append(Line(number, body[1:]))
            continue
        if code not in CODES or body[:1] not in (",", "/", ""):
            raise Bai2Error(
                Code.RECORD_CODE, "a line begins with no record code (01, 02, 03, 16, 49, 88, 98, 99)", None, number
            )
        if record is not None:
            yield record
        record = Record(code, [Line(number, body[1:])])
    if record is not None:
        yield record
