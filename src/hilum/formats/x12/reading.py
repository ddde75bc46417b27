"""Bytes to documents: encodings, whole files and streams."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator

from hilum.formats.x12.document import Document, Interchange, Transaction, X12Error, X12Finding
from hilum.formats.x12.reader import Reader
from hilum.formats.x12.separators import BLANKS, find_opening

CHUNK = 1 << 16
TRANSACTION_LONGEST = 32 << 20
"""Characters of one transaction that a stream keeps."""
_RECOGNISED_WITHIN = 1 << 16
_BLANKS_MOST = 64


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


def interchanges(data: bytes) -> Iterator[bytes]:
    """The bytes of each interchange of a file, which together are the file; X12Error like ``parse``.

    Found by their ISA alone, in one pass: nothing is parsed, so that whoever cuts can stop at what is too large or too many.
    What stands before an ISA belongs to the interchange before it, and before the first to the first.
    """
    _refuse_utf_16(data)
    # Each byte is a character here: places in the text are places in the file, whatever its encoding.
    text = data.decode("latin-1")
    opening = find_opening(text)
    if opening is None:
        raise X12Error("022", "there is no ISA segment with 16 elements: these bytes are no X12 interchange")
    start, following = 0, find_opening(text, opening.end)
    while following is not None:
        # Only where a segment begins: what a party is called may begin with ISA too.
        before = text[max(opening.end - 1, following.start - _BLANKS_MOST) : following.start].rstrip(BLANKS)
        newline_ends = not opening.separators.segment.strip(BLANKS)
        begins = text[following.start - 1] in BLANKS if newline_ends else before.endswith(opening.separators.segment)
        if begins:
            yield data[start : following.start]
            start, opening = following.start, following
        following = find_opening(text, following.end if begins else following.start + 1)
    yield data[start:]


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
