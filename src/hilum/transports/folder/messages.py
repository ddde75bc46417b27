"""Cutting a file into messages: HL7 v2 (one, many, or batches with their wrappers), X12 interchanges, JSON (one, or one
on each line), BAI2 (a file is one message) and, where a system sends them, tables (the same).

A file is taken whole or not at all as far as its own structure goes: a batch whose trailer counts other messages than
there are was cut off on its way. What is wrong inside one message is that message's own affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import orjson

from hilum.formats import bai2, tabular, x12
from hilum.formats.findings import FormatError
from hilum.formats.hl7v2.batch import Batch, split_messages
from hilum.formats.hl7v2.findings import HL7ParseError
from hilum.transports.folder import archive
from hilum.transports.folder.places import FileRefused

Kind = Literal["hl7v2", "x12", "json", "bai2", "table"]
_MARKS = b"\xef\xbb\xbf\x0b\r\n\t "
_HL7_STARTS = (b"MSH", b"FHS", b"BHS")


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a file; ``position`` counts from 1 through the whole file."""

    position: int
    kind: Kind
    data: bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one file may hold."""

    max_file_bytes: int
    max_message_bytes: int
    max_messages: int
    archives: bool
    tables: bool = False  # Whether text that looks like a table is one: most systems send none.


def cut(data: bytes, bounds: Bounds) -> list[Part]:
    """The messages of a file, in order. ``FileRefused`` for a file that cannot be taken as it is."""
    contents = [data]
    if data.startswith(archive.PACKED):
        if not (bounds.archives and data.startswith(archive.MAGIC)):
            raise FileRefused("it is packed; drop the files themselves")
        contents = list(archive.members(data, bounds.max_file_bytes))
    parts: list[Part] = []
    for content in contents:
        kind, found = _messages(content, bounds.tables)
        for message in found:
            if len(message) > bounds.max_message_bytes:
                raise FileRefused(
                    f"message {len(parts) + 1} has {len(message)} bytes; at most {bounds.max_message_bytes} are taken"
                )
            parts.append(Part(len(parts) + 1, kind, message))
            if len(parts) > bounds.max_messages:
                raise FileRefused(f"it holds more than {bounds.max_messages} messages")
    if not parts:
        raise FileRefused("it holds no message")
    return parts


def _messages(content: bytes, tables: bool) -> tuple[Kind, Iterable[bytes]]:
    start = content.lstrip(_MARKS)[:3]
    begin = start[:1]
    if begin in (b"{", b"["):
        return "json", _json(content)
    if bai2.recognise(content):
        return "bai2", [content]
    if x12.recognise(content):
        return "x12", _x12(content)
    if tables and begin and start not in _HL7_STARTS and tabular.recognise(content):
        return "table", [content]
    if begin in (b"M", b"F", b"B") or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "hl7v2", _hl7(content)
    if not begin:
        return "hl7v2", []
    raise FileRefused("it is neither HL7 v2 nor X12 nor JSON" + (", no BAI2 file and no table" if tables else ""))


def _x12(content: bytes) -> Iterator[bytes]:
    """Each interchange with its own separators, as it stands in the file."""
    try:
        yield from x12.interchanges(content)
    except FormatError as error:
        raise FileRefused(error.text) from None


def _hl7(content: bytes) -> list[bytes]:
    # What is wrong inside a message says which one; what says none is wrong with the file.
    whole = [f for f in Batch(content).findings if getattr(f, "message", None) is None]
    if whole:
        raise FileRefused(f"its batch is not whole: {whole[0].text}")
    try:
        return list(split_messages(content))
    except HL7ParseError as error:
        raise FileRefused(error.text) from None


def _json(content: bytes) -> list[bytes]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].lstrip(_MARKS).startswith(b"{"):
            raise FileRefused("it is not JSON") from None
        return lines
    if isinstance(document, dict):
        return [content]
    raise FileRefused("it is a JSON array; write one document on each line")
