"""Bytes to documents: encodings, whole files and streams."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from hilum.formats.x12.document import Document, Interchange, Transaction, X12Error, X12Finding
from hilum.formats.x12.reader import Reader
from hilum.formats.x12.separators import find_opening, opening_at

CHUNK = 1 << 16
TRANSACTION_LONGEST = 32 << 20
"""Characters of one transaction that a stream keeps."""
_RECOGNISED_WITHIN = 1 << 16


def parse(data: bytes) -> Document:
    """The interchanges, groups and transactions in ``data``; X12Error when there is no ISA, or for UTF-16.

    The text is UTF-8, or Latin-1 where it is not valid UTF-8, so that every byte has its character. Whatever else is wrong
    becomes a finding of the interchange, group or transaction that it is in.
    """
    _refuse_utf_16(data)
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    try:
        text, encoding = data[len(mark) :].decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        text, encoding = data[len(mark) :].decode("latin-1"), "latin-1"
    reader = Reader(chunks_of(text), keep=True)
    interchanges = [found for found in reader.read() if isinstance(found, Interchange)]
    return Document(text, encoding, mark, interchanges, reader.loose)


def interchanges(data: bytes) -> list[bytes]:
    """The bytes of each interchange of a file, which together are the file; X12Error like ``parse``.

    What stands before an ISA belongs to the interchange before it, and before the first to the first.
    """
    document = parse(data)
    reader = Reader(chunks_of(document.text), keep=False)
    # Places are known of the segments behind an ISA; each ISA then is the last opening before its second segment.
    reader.wanted = frozenset(each.first_segment + 1 for each in document.interchanges[1:])
    if not reader.wanted:
        return [data]
    for _ in reader.read():
        pass
    starts = [0, *sorted(_opening_before(document.text, at) for at, _ in reader.spans.values()), len(document.text)]
    parts = [document.text[start:end].encode(document.encoding) for start, end in pairwise(starts)]
    return [document.mark + parts[0], *parts[1:]]


def _opening_before(text: str, at: int) -> int:
    start = text.rfind("ISA", 0, at)
    while start > 0 and opening_at(text, start) is None:
        start = text.rfind("ISA", 0, start)
    return start


def transactions(
    chunks: Iterable[bytes], report: Callable[[X12Finding], None] | None = None, *, longest: int = TRANSACTION_LONGEST
) -> Iterator[Transaction]:
    """Each transaction of a file as soon as its SE was read; X12Error like ``parse``, or when a segment does not end in 4 MB.

    Memory is that of the largest single transaction, some twenty times its bytes; of one with more than ``longest`` characters
    the rest is left out, which is an error of that transaction. What is wrong with an ST or SE is in
    ``transaction.envelope_findings``; ``report`` is given what is wrong with groups and interchanges, each when it ends.
    """
    reader = Reader(texts_of(chunks), keep=False, longest=longest)
    told = 0
    for found in reader.read():
        if report is not None:
            for finding in reader.loose[told:]:
                report(finding)
            told = len(reader.loose)
        if isinstance(found, Transaction):
            yield found
        elif report is not None:
            for finding in found.findings:
                report(finding)
    if report is not None:
        for finding in reader.loose[told:]:
            report(finding)


def chunks_of(text: str) -> Iterator[str]:
    """A text in pieces that a reader takes one after another."""
    return (text[at : at + CHUNK] for at in range(0, len(text), CHUNK))


def recognise(data: bytes) -> bool:
    """Whether an ISA with its elements is near the start of ``data``; also in UTF-16, which ``parse`` refuses with a word."""
    head = data[:_RECOGNISED_WITHIN]
    if b"ISA" in head:
        return find_opening(head.decode("latin-1")) is not None
    return any(
        "ISA".encode(wide) in head and find_opening(head.decode(wide, "replace")) is not None
        for wide in ("utf-16-le", "utf-16-be")
    )


def _refuse_utf_16(head: bytes) -> None:
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or any(
        "ISA".encode(encoding) in head[:4096] for encoding in ("utf-16-le", "utf-16-be")
    )
    if wide:
        raise X12Error(
            "022", "the file is UTF-16, which X12 is never sent in: have it sent or saved as UTF-8 or ASCII", line=1
        )


def texts_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The text of a stream, UTF-8 or what of it is not as Latin-1; X12Error for UTF-16."""
    decoder = codecs.getincrementaldecoder("utf-8")("x12-latin-1")
    first = True
    for chunk in chunks:
        if first and chunk:
            _refuse_utf_16(chunk)
            first = False
        for at in range(0, len(chunk), CHUNK):
            yield decoder.decode(chunk[at : at + CHUNK])
    yield decoder.decode(b"", True)


def _latin_1(error: UnicodeError) -> tuple[str, int]:
    """Bytes of a stream that are no UTF-8 are Latin-1: a stream cannot be read twice to decide for all of it."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("x12-latin-1", _latin_1)
