"""HL7 v2 and MLLP as a simulated neighbour reads and writes them.

Written apart from ``hilum.formats.hl7v2`` and ``hilum.transports.mllp`` on purpose: a neighbour that shared the
platform's parser would share its misreadings, and a test between the two would see none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

START, END = b"\x0b", b"\x1c\r"
MAX_FRAME_BYTES = 4 * 1024 * 1024


class NotHl7(ValueError):
    """The frame does not begin with a message header."""


class Message:
    """Segments split by the delimiters that MSH-1 and MSH-2 declare; text is UTF-8."""

    def __init__(self, data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        if not text.startswith("MSH") or len(text) < 8:
            raise NotHl7("MSH is missing")
        self._field = text[3]
        self._component, self._repetition, self._escape, self._sub = tuple(text[4:8])
        lines = [line for line in text.replace("\n", "\r").split("\r") if line]
        self.segments = [line.split(self._field) for line in lines]
        # MSH-1 is the separator itself, so that the list's index is the field's number everywhere.
        self.segments[0].insert(1, self._field)

    def all(self, name: str) -> list[list[str]]:
        return [segment for segment in self.segments if segment[0] == name]

    def get(self, name: str, field: int, component: int = 1) -> str:
        """A component of the first such segment; empty when it is not there."""
        found = self.all(name)
        return self.part(found[0], field, component) if found else ""

    def part(self, segment: Sequence[str], field: int, component: int = 1) -> str:
        if field >= len(segment):
            return ""
        if segment[0] == "MSH" and field in (1, 2):
            return segment[field]
        components = segment[field].split(self._repetition)[0].split(self._component)
        if component > len(components):
            return ""
        return self._plain(components[component - 1].split(self._sub)[0])

    def subpart(self, segment: Sequence[str], field: int, component: int, sub: int) -> str:
        parts = segment[field].split(self._component)[component - 1].split(self._sub) if field < len(segment) else []
        return self._plain(parts[sub - 1]) if sub <= len(parts) else ""

    def _plain(self, text: str) -> str:
        if self._escape not in text:
            return text
        for letter, character in (
            ("F", self._field), ("S", self._component), ("T", self._sub), ("R", self._repetition), ("E", self._escape),
        ):  # fmt: skip
            text = text.replace(f"{self._escape}{letter}{self._escape}", character)
        return text

    @property
    def control_id(self) -> str:
        return self.get("MSH", 10)

    @property
    def type(self) -> str:
        return f"{self.get('MSH', 9)}^{self.get('MSH', 9, 2)}"


def acknowledgement(message: Message, code: str, *, control_id: str, at: datetime, more: Sequence[str] = ()) -> bytes:
    """An acknowledgement in original mode (HL7 v2.5.1 ch. 2.9.2); ``more`` are whole segments after MSA."""
    sender = "|".join(_raw(message, n) for n in (5, 6, 3, 4))
    head = f"MSH|^~\\&|{sender}|{at:%Y%m%d%H%M%S}||ACK^{message.get('MSH', 9, 2)}^ACK|{control_id}|P|2.5.1"
    return "\r".join([head, f"MSA|{code}|{message.control_id}", *more, ""]).encode()


def error_segment(code: str, text: str, segment: str = "", field: int = 0) -> str:
    """ERR with its location, a code of HL7 table 0357 and a sentence without a value of the message."""
    location = f"{segment}^1^{field}" if segment else ""
    return f"ERR||{location}|{code}^{text}^HL70357|E"


def _raw(message: Message, field: int) -> str:
    header = message.segments[0]
    return header[field] if field < len(header) else ""


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next message, without its frame; None at the end of the connection."""
    try:
        frame = await reader.readuntil(END)
    except asyncio.IncompleteReadError:
        return None
    return frame[frame.index(START) + 1 : -len(END)] if START in frame else frame[: -len(END)]


def framed(data: bytes) -> bytes:
    return START + data + END
