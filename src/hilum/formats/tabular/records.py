"""Bytes to records: lines and quotes as RFC 4180 has them, in flat memory, with the damage of a broken one bounded.

This is the hot path of tables: lines without a quote are only split.
"""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hilum.formats.tabular.findings import Code, TableError

__all__ = ["MOST_CHARACTERS", "MOST_LINES", "Record", "Source", "chunks_of", "decoded", "marked_encoding", "records"]

MOST_CHARACTERS = 1 << 20
"""A record longer than this is cut and said to be too long."""
MOST_LINES = 500
"""A quoted cell that is not closed within so many lines was never meant to be open."""

_CHUNK = 1 << 16
_LINE_END = re.compile("(\r\n|\n|\r)")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

Source = bytes | Iterable[bytes]


@dataclass(slots=True)
class Record:
    """The cells of one record, the line (from 1) it starts on, its first line's text, and codes of what is wrong with it."""

    line: int
    cells: list[str]
    text: str
    problems: tuple[Code, ...] = ()

    @property
    def blank(self) -> bool:
        return not self.text or self.text.isspace()


def chunks_of(source: Source) -> Iterator[bytes]:
    """Chunks of a good size, from bytes as a whole or from chunks of any size (those of one byte would cost too much)."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        for start in range(0, len(source), _CHUNK):
            yield bytes(source[start : start + _CHUNK])
        return
    gathered: list[bytes] = []
    size = 0
    for chunk in source:
        gathered.append(chunk)
        size += len(chunk)
        if size >= _CHUNK:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)


def marked_encoding(start: bytes) -> str | None:
    """The encoding that a byte order mark tells; None without one. TableError for UTF-32, which no table comes in."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            if encoding == "utf-32":
                raise TableError(Code.ENCODING, "the file is UTF-32; save it as UTF-8")
            return encoding
    return None


def decoded(source: Source, encoding: str | None) -> Iterator[str]:
    """The text in pieces, without a byte order mark. What is not of the encoding becomes U+FFFD, to be found in its row."""
    chunks = chunks_of(source)
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= 4:
            break
    marked = marked_encoding(start)
    # A mark tells more than a layout that was written for the file before this one, unless both are widths of UTF-16.
    chosen = marked or (encoding if encoding is not None else "utf-8")
    if encoding in ("utf-16-le", "utf-16-be") and marked is None:
        chosen = encoding
    elif chosen == "utf-16" and marked is None:
        raise TableError(Code.ENCODING, "a UTF-16 table needs a byte order mark, or declare utf-16-le or utf-16-be")
    decoder = codecs.getincrementaldecoder(chosen)("replace")
    if text := decoder.decode(start):
        yield text
    for chunk in chunks:
        if text := decoder.decode(chunk):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


def _lines(pieces: Iterable[str]) -> Iterator[tuple[str, str, bool]]:
    """Each line, its line end, and whether it was cut for being too long."""
    rest, head = "", ""
    for piece in pieces:
        text = rest + piece
        # A CR at the very end may be the first half of a CRLF.
        held = "\r" if text.endswith("\r") else ""
        parts = _LINE_END.split(text[: len(text) - len(held)])
        for place in range(0, len(parts) - 1, 2):
            line = parts[place]
            if head or len(line) > MOST_CHARACTERS:
                yield (head or line)[:MOST_CHARACTERS], parts[place + 1], True
                head = ""
            else:
                yield line, parts[place + 1], False
        rest = parts[-1]
        if len(rest) > MOST_CHARACTERS or head:
            # Of a line that never ends only the head is kept.
            head, rest = head or rest[:MOST_CHARACTERS], ""
        rest += held
    end = "\r" if rest.endswith("\r") else ""
    if rest or head:
        yield head or rest[: len(rest) - len(end)], end, bool(head)


def records(pieces: Iterable[str], delimiter: str | None, quote: str | None) -> Iterator[Record]:
    """Every record, blank ones too; ``delimiter`` None takes each line as one cell."""
    source = _lines(pieces)
    waiting: deque[tuple[str, str, bool]] = deque()
    number = 0

    def following() -> tuple[str, str, bool] | None:
        return waiting.popleft() if waiting else next(source, None)

    while (taken := following()) is not None:
        text, end, cut = taken
        number += 1
        if cut:
            yield Record(number, [text] if delimiter is None else text.split(delimiter), text, (Code.TOO_LONG,))
            continue
        if delimiter is None:
            yield Record(number, [text], text)
            continue
        if quote is None or quote not in text:
            yield Record(number, text.split(delimiter), text)
            continue
        reading = _Quoted(delimiter, quote)
        complete = reading.feed(text, end)
        more: list[tuple[str, str, bool]] = []
        size = len(text)
        while not complete and len(more) < MOST_LINES and size <= MOST_CHARACTERS:
            following_line = following()
            if following_line is None:
                break
            more.append(following_line)
            size += len(following_line[0]) + 1
            complete = reading.feed(following_line[0], following_line[1])
        if complete:
            yield Record(number, reading.cells, text, (Code.QUOTE_AFTER,) if reading.text_after_quote else ())
            number += len(more)
        else:
            # Only the line where the quote was opened is lost; what was read ahead is read again as lines of its own.
            waiting.extendleft(reversed(more))
            alone = _Quoted(delimiter, quote)
            alone.feed(text, "")
            yield Record(number, [*alone.cells, "".join(alone.open)], text, (Code.QUOTE_OPEN,))


class _Quoted:
    """One record with quotes, fed line by line."""

    __slots__ = ("cells", "delimiter", "inside", "open", "quote", "text_after_quote")

    def __init__(self, delimiter: str, quote: str) -> None:
        self.delimiter = delimiter
        self.quote = quote
        self.cells: list[str] = []
        self.open: list[str] = []
        self.inside = False
        self.text_after_quote = False

    def feed(self, line: str, end: str) -> bool:
        """Read on in ``line``; whether the record is complete with it."""
        quote, delimiter = self.quote, self.delimiter
        place = 0
        while True:
            if not self.inside:
                if not line.startswith(quote, place):
                    stop = line.find(delimiter, place)
                    self.cells.append(line[place:] if stop < 0 else line[place:stop])
                    if stop < 0:
                        return True
                    place = stop + 1
                    continue
                self.inside = True
                place += 1
            found = line.find(quote, place)
            if found < 0:
                self.open.append(line[place:] + end)
                return False
            self.open.append(line[place:found])
            if line.startswith(quote, found + 1):
                self.open.append(quote)
                place = found + 2
                continue
            self.inside = False
            stop = line.find(delimiter, found + 1)
            after = line[found + 1 :] if stop < 0 else line[found + 1 : stop]
            if after.strip(" \t"):
                self.text_after_quote = True
                self.open.append(after)
            self.cells.append("".join(self.open))
            self.open = []
            if stop < 0:
                return True
            place = stop + 1
