"""Batches and files of many messages (HL7 v2.5.1 ch. 2.10.3): FHS/BHS wrappers, or one MSH after another."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hilum.formats.hl7v2.charsets import UTF8_MARK, refuse_wide
from hilum.formats.hl7v2.findings import Code, HL7ParseError

# A header or trailer at the start of a line; files that were joined or recorded may have a mark or frame bytes there.
_START = re.compile(rb"(?:\A|[\r\n\x0b\x1c])(?:\xef\xbb\xbf|\x0b)*(MSH|FHS|BHS|BTS|FTS)(?=[^A-Za-z0-9]|\Z)")
_AROUND = b"\r\n\x0b\x1c\x1a"


def split_messages(data: bytes) -> Iterator[bytes]:
    """The messages of a batch, of a file of many, or the one that it is; nothing when there is nothing but blanks.

    Each is as it was, from MSH to its last line end, without the batch's own segments or MLLP frame bytes around it.
    HL7ParseError when something else than a message or a batch header comes first.
    """
    refuse_wide(data)
    found = list(_START.finditer(data))
    before = data[: found[0].start(1)] if found else data
    if before.removeprefix(UTF8_MARK).strip(_AROUND + b" \t").removeprefix(UTF8_MARK):
        raise HL7ParseError(Code.SEGMENT_SEQUENCE, "the first segment is neither MSH nor a batch header", "MSH")
    for place, match in enumerate(found):
        if match.group(1) == b"MSH":
            start = match.start(1)
            end = found[place + 1].start() if place + 1 < len(found) else len(data)
            message = data[start:end].rstrip(_AROUND)
            rest = data[start + len(message) : start + len(message) + 2]
            yield message + (rest if rest == b"\r\n" else rest[:1] if rest[:1] in (b"\r", b"\n") else b"")
