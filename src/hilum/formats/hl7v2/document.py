"""The package's doors for a whole file, whatever HL7 v2 is in it: recognise, parse, write, convert."""

from __future__ import annotations

import re
from typing import TypeAlias

from hilum.formats.canonical import AcknowledgedItem, Acknowledgement, Record
from hilum.formats.hl7v2.acknowledgement import error_codes
from hilum.formats.hl7v2.batch import Batch, stretches
from hilum.formats.hl7v2.charsets import narrowed, wide_codec
from hilum.formats.hl7v2.findings import Code, HL7ParseError
from hilum.formats.hl7v2.message import Message
from hilum.formats.hl7v2.tree import tree
from hilum.formats.hl7v2.xml import looks_like_xml, parse_xml

Document: TypeAlias = Message | Batch

_LOOKED_AT_BYTES = 4096
_HEADER = re.compile(rb"(?:\A|[\r\n\x0b])(?:MSH|FHS|BHS)[!#$%&'()*+,\-/:;<=>?@\[\\\]^_`{|}~]")


def recognise(data: bytes) -> bool:
    """Whether the bytes are probably HL7 v2: a header segment at a line's start soon, or the XML encoding."""
    start = data[:_LOOKED_AT_BYTES]
    if wide_codec(start) is not None:
        # Every other byte, or three of four, is zero in the text that this is about.
        start = start.replace(b"\0", b"").lstrip(b"\xff\xfe")
    start = start.removeprefix(b"\xef\xbb\xbf")
    return _HEADER.search(start) is not None or looks_like_xml(data)


def parse(data: bytes) -> Document:
    """Read a message, or a Batch when the file holds more: several messages, batch wrappers, text around them.

    HL7ParseError when the bytes hold no message and no wrapper, or hold one message alone that cannot be read. In a Batch
    what cannot be read is a finding of it, so that one bad message does not hide the others.

    >>> parse(b"MSH|^~\\\\&|EHR|ST-MARY|||20260301||ADT^A01|C-1|P|2.5.1\\rEVN||20260301\\r")["MSH-10"]
    'C-1'
    """
    if looks_like_xml(data):
        return parse_xml(data)
    codec = wide_codec(data)
    found = list(stretches(data if codec is None else narrowed(data, codec)))
    if not any(part.kind != "prose" for part in found):
        text = "there is no message: no segment MSH, FHS or BHS starts a line" if found else "there is no message"
        raise HL7ParseError(Code.SEGMENT_SEQUENCE, text, "MSH")
    framed = data[:1] == b"\x0b" or data.rstrip(b"\r\n")[-1:] in (b"\x1c", b"\x1a")
    if [part.kind for part in found] == ["MSH"] and not framed:
        return Message.parse(data)
    return Batch(data)


def write(document: Document) -> bytes:
    """The document's bytes: those that were read, every one of them, or those of the edited message."""
    return document.to_bytes()


def convert(document: Document) -> list[Acknowledgement | Record]:
    """The canonical shapes: an Acknowledgement for a received ACK, a Record of its content for any other message."""
    messages = document.messages if isinstance(document, Batch) else [document]
    return [_canonical(message) for message in messages]


def _canonical(message: Message) -> Acknowledgement | Record:
    kind = "unknown" if message.type is None else message.type
    code = message.get("MSA-1") if kind.partition("^")[0] in ("ACK", "MCF") else None
    if code is None:
        return Record(type=kind, control_number=message.control_id, content=tree(message))
    reasons: list[str] = []
    for error in message.segments("ERR"):
        reasons.extend(error_codes(error))
    item = AcknowledgedItem(
        level="message",
        reference=message.get("MSA-2.1"),
        accepted=code in ("AA", "CA"),
        code=code,
        reasons=tuple(reasons),
    )
    return Acknowledgement(type="ACK", control_number=message.control_id, accepted=item.accepted, items=(item,))
