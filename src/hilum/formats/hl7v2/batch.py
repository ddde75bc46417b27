"""Batches and files of many messages (HL7 v2.5.1 ch. 2.10.3): FHS/BHS wrappers, or one MSH after another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, cast

from hilum.formats.hl7v2.charsets import UTF8_MARK, is_marked, narrowed, wide_codec, widened
from hilum.formats.hl7v2.findings import Code, Finding, HL7ParseError, MessageFinding
from hilum.formats.hl7v2.message import Message

Kind = Literal["FHS", "BHS", "MSH", "BTS", "FTS", "prose"]

# A header or trailer at the start of a line; files that were joined or recorded may have a mark or frame bytes there.
_START = re.compile(rb"(?:\A|[\r\n\x0b\x1c])(?:\xef\xbb\xbf|\x0b)*(MSH|FHS|BHS|BTS|FTS)(?=[^A-Za-z0-9 \t]|\Z)")
_SEGMENT = re.compile(rb"[A-Z][A-Z0-9]{2}(?:[^A-Za-z0-9\s]|\Z)")
_AROUND = b"\r\n\x0b\x1c\x1a"
_BLANK = _AROUND + b" \t"
_FINDINGS_MAX = 200


class Stretch(NamedTuple):
    """A part of a file: a message, a wrapper's segment, or what is neither."""

    kind: Kind
    start: int
    end: int


class Batch:
    """A file of messages: as a batch with its wrappers (``headers``), or as one MSH after another.

    ``messages`` are those that could be read, ``places`` which of the file's each is and on which line it begins, both from
    1, and ``total`` how many there are with those that could not. ``findings`` tell what could not be read, what stands
    between the messages, and counts in BTS-1 and FTS-1 that are not what is there.
    """

    def __init__(self, data: bytes) -> None:
        codec = wide_codec(data)
        self._data = data
        narrow = data if codec is None else narrowed(data, codec)
        self.messages: list[Message] = []
        self.places: list[tuple[int, int]] = []
        self.headers: list[str] = []
        self.findings: list[Finding] = []
        line, reached, number = 1, 0, 0
        checker = _Counts(self)
        for kind, start, end in stretches(narrow):
            line += _line_ends(narrow, reached, start)
            reached = start
            if kind == "prose":
                self.note(Code.SEGMENT_SEQUENCE, "there is text outside of any message", None, line)
                continue
            part = _message_bytes(narrow, start, end)
            if kind == "MSH":
                number += 1
                checker.message()
                try:
                    message = Message.parse(part if codec is None else widened(part, codec, mark=False))
                except HL7ParseError as error:
                    self.note(error.code, error.text, error.location, line, number)
                else:
                    self.messages.append(message)
                    self.places.append((number, line))
            else:
                self.headers.append(part.decode("utf-8", "replace").rstrip("\r\n"))
                checker.wrapper(kind, part, line)
        checker.end(line)
        self.total = number

    def note(self, code: str, text: str, location: str | None, line: int, message: int | None = None) -> None:
        """Add a finding, up to a bound: a file may be nothing but prose."""
        if len(self.findings) < _FINDINGS_MAX:
            self.findings.append(MessageFinding(code, text, location, "error", line, message))

    def to_bytes(self) -> bytes:
        """The bytes as they came, every one of them."""
        return self._data

    def __repr__(self) -> str:
        return f"<Batch of {self.total} messages>"


class _Counts:
    """Follows the wrappers and compares what they count: BTS-1 messages, FTS-1 batches (ch. 2.15.3 and 2.15.7)."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._messages = 0
        self._batches = 0
        self._in_batch: int | None = None
        self._in_file: int | None = None
        self._file_done = False

    def message(self) -> None:
        self._messages += 1

    def wrapper(self, kind: Kind, segment: bytes, line: int) -> None:
        note = self._batch.note
        if kind == "FHS":
            if self._in_file is not None or self._file_done:
                note(Code.SEGMENT_SEQUENCE, "a second file header; a file has one", "FHS", line)
            self._in_file, self._batches = line, 0
        elif kind == "BHS":
            self._batch_ends(line)
            self._in_batch, self._messages = line, 0
            self._batches += 1
        elif kind == "BTS":
            if self._in_batch is None:
                note(Code.SEGMENT_SEQUENCE, "a batch trailer without its batch header", "BTS", line)
            self._compare(segment, self._messages, "BTS-1", "messages", line)
            self._in_batch, self._messages = None, 0
        else:
            self._batch_ends(line)
            if self._in_file is None:
                note(Code.SEGMENT_SEQUENCE, "a file trailer without its file header", "FTS", line)
            self._compare(segment, self._batches, "FTS-1", "batches", line)
            self._in_file, self._file_done = None, True

    def end(self, line: int) -> None:
        self._batch_ends(line)
        if self._in_file is not None:
            self._batch.note(Code.SEGMENT_SEQUENCE, "the file header has no trailer: is the end missing?", "FTS", line)

    def _batch_ends(self, line: int) -> None:
        if self._in_batch is not None:
            self._batch.note(Code.SEGMENT_SEQUENCE, "the batch header has no trailer: is the end missing?", "BTS", line)
        self._in_batch = None

    def _compare(self, segment: bytes, actual: int, place: str, what: str, line: int) -> None:
        fields = segment.rstrip(_AROUND).split(segment[3:4]) if len(segment) > 3 else []
        said = fields[1].strip() if len(fields) > 1 else b""
        if not said:
            return  # The count is optional.
        if not said.isdigit() or len(said) > 10:
            self._batch.note(Code.DATA_TYPE, f"the count of {what} is no number", place, line)
        elif int(said) != actual:
            self._batch.note(
                Code.SEGMENT_SEQUENCE, f"the trailer counts other {what} than the {actual} there are", place, line
            )


def stretches(data: bytes) -> Iterator[Stretch]:
    """Take a file apart at its headers and trailers; what stands between them is ``prose``, blanks are left out."""
    found = list(_START.finditer(data))
    yield from _prose(data, 0, found[0].start(1) if found else len(data))
    for place, match in enumerate(found):
        start = match.start(1)
        end = found[place + 1].start() if place + 1 < len(found) else len(data)
        last = _last_segment(data, start, end)
        yield Stretch(cast(Kind, match.group(1).decode()), start, last)
        yield from _prose(data, last, end)


def split_messages(data: bytes) -> Iterator[bytes]:
    """The messages of a batch, of a file of many, or the one that it is; nothing when there is nothing but blanks.

    Each is as it was, from MSH to its last line end, without the batch's own segments or MLLP frame bytes around it.
    HL7ParseError when something else than a message or a batch header comes first.
    """
    codec = wide_codec(data)
    narrow = data if codec is None else narrowed(data, codec)
    found = list(_START.finditer(narrow))
    before = narrow[: found[0].start(1)] if found else narrow
    if before.removeprefix(UTF8_MARK).strip(_BLANK).removeprefix(UTF8_MARK):
        raise HL7ParseError(Code.SEGMENT_SEQUENCE, "the first segment is neither MSH nor a batch header", "MSH")
    for place, match in enumerate(found):
        if match.group(1) == b"MSH":
            end = found[place + 1].start() if place + 1 < len(found) else len(narrow)
            part = _message_bytes(narrow, match.start(1), end)
            # A part of a file with a mark has none of its own, and needs none to be recognised.
            yield part if codec is None else widened(part, codec, mark=is_marked(data) and len(found) == 1)


def _message_bytes(data: bytes, start: int, end: int) -> bytes:
    message = data[start:end].rstrip(_AROUND)
    rest = data[start + len(message) : start + len(message) + 2]
    return message + (rest if rest == b"\r\n" else rest[:1] if rest[:1] in (b"\r", b"\n") else b"")


def _last_segment(data: bytes, start: int, end: int) -> int:
    """Where the last line that looks like a segment, if only like a broken one, ends, its line end included."""
    stop = end
    separator = data[start + 3 : start + 4]
    while stop > start:
        content = len(data[start:stop].rstrip(_BLANK)) + start if data[stop - 1] in _BLANK else stop
        begin = max(data.rfind(b"\r", start, content), data.rfind(b"\n", start, content), start - 1) + 1
        if begin <= start or data.find(separator, begin, content) >= 0 or _SEGMENT.match(data, begin, content):
            break
        stop = begin
    return stop


def _prose(data: bytes, start: int, end: int) -> Iterator[Stretch]:
    text = data[start:end].strip(_BLANK)
    if text and text != UTF8_MARK:
        yield Stretch("prose", start + data[start:end].index(text), end)


def _line_ends(data: bytes, start: int, end: int) -> int:
    return data.count(b"\r", start, end) + data.count(b"\n", start, end) - data.count(b"\r\n", start, end)
