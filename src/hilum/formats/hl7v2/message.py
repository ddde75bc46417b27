"""A message as a lazy tree over its bytes: segments are split when it is parsed, fields when they are read.

This is the hot path of intake, so its few functions trade a little repetition for speed (measured in ``benchmarks/``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from hilum.formats.hl7v2.charsets import UTF8_MARK, decode, is_marked, widened
from hilum.formats.hl7v2.delimiters import NULL, Delimiters, escaper, unescaper
from hilum.formats.hl7v2.findings import Code, HL7Error, HL7ParseError, MissingField
from hilum.formats.hl7v2.groups import Group, groups_of
from hilum.formats.hl7v2.header import Header, header_of
from hilum.formats.hl7v2.paths import Path, field_path, parse_path, relative_path

# Segments whose first two fields are the delimiters themselves.
_HEADERS = ("MSH", "FHS", "BHS")
_LINE_END = re.compile(rb"\r\n|\r|\n")
# Names that were looked at once; the same few come all day.
_SEEN_NAMES: set[str] = set()
_NAME = re.compile("[A-Z][A-Z0-9]{2}", re.ASCII)


class Message:
    """One message in the vertical-bar encoding. Values are decoded when read; the bytes stay as they came.

    A path (see ``paths``) that ends at a leaf gives its decoded text. One that ends above it gives the text below as
    sent, delimiters and escapes included: ``message["MSH-9"]`` is ``ADT^A01^ADT_A01``. Missing is never empty: absent,
    empty and the HL7 null ``""`` raise MissingField or give None; ``is_null`` tells that the sender wants a value
    deleted.
    """

    __slots__ = ("_codec", "_data", "_delimiters", "_fields", "_header", "_index", "_lines", "_source", "_unescape")

    _data: bytes
    _header: Header
    _delimiters: Delimiters
    _codec: str
    _lines: list[str]
    _fields: list[list[str] | None]
    _index: dict[str, list[int]]
    _source: bytes
    _unescape: Callable[[str], str]

    @classmethod
    def parse(cls, data: bytes, header: Header | None = None) -> Message:
        """Read one message; HL7ParseError when the bytes are none. ``header`` is that of ``data``, when it was read already.

        Segments end with CR, LF or both, in any mixture; a byte order mark and blank lines are passed over. The
        delimiters are those of MSH-1 and MSH-2, the characters those of MSH-18 (UTF-8 when it is silent) or UTF-16 and
        UTF-32 by their mark.
        """
        self = cls.__new__(cls)
        if header is None:
            header = header_of(data)
        self._source = data
        self._data = data = header.data
        self._header = header
        self._delimiters = delimiters = header.checked_delimiters()
        self._codec = codec = header.codec
        start = header.span[0]
        text = decode(data[start:] if start else data, codec)
        if "\n" in text:
            text = text.replace("\r\n", "\r").replace("\n", "\r")
        self._unescape = unescaper(delimiters, codec)
        self._lines = lines = []
        index: dict[str, list[int]] = {}
        self._index = index
        separator = delimiters.field
        number = 0
        for line in text.split("\r"):
            if not line:
                continue
            name = line[:3]
            if name in _SEEN_NAMES and line[3:4] == separator:
                known = index.get(name)
                if known is None:
                    index[name] = [number]
                else:
                    known.append(number)
            else:
                self._new_name(line, name, number)
            lines.append(line)
            number += 1
        if len(index["MSH"]) > 1:
            raise HL7ParseError(Code.SEGMENT_SEQUENCE, "there are several messages; split them first", "MSH(2)")
        self._fields = [None] * number
        return self

    def _new_name(self, line: str, name: str, number: int) -> None:
        if _NAME.fullmatch(name) is None or line[3:4] not in ("", self._delimiters.field):
            raise HL7ParseError(
                Code.SEGMENT_SEQUENCE,
                f"segment {number + 1} does not start with a name of three characters and a field separator",
            )
        self._index.setdefault(name, []).append(number)
        if len(_SEEN_NAMES) < 1000:
            _SEEN_NAMES.add(name)

    # --- reading ------------------------------------------------------------------------------------------------

    def __getitem__(self, path: str) -> str:
        """The value at ``path``; MissingField, naming the path, when it is absent, empty or null."""
        value = self.get(path)
        if value is None:
            raise MissingField(path)
        return value

    def get(self, path: str) -> str | None:
        """The value at ``path``, or None when it is absent, empty or null. InvalidPath when it is no path."""
        name, occurrence, field, repetition, component, subcomponent = field_path(path)
        numbers = self._index.get(name)
        if numbers is None or occurrence > len(numbers):
            return None
        return self._value(numbers[occurrence - 1], field, repetition, component, subcomponent)

    def raw(self, path: str) -> str | None:
        """The text at ``path`` as sent, escapes and the null ``""`` included; "" when empty, None when absent."""
        where = field_path(path)
        numbers = self._index.get(where.segment)
        if numbers is None or where.occurrence > len(numbers):
            return None
        return self._raw(numbers[where.occurrence - 1], where)

    def is_null(self, path: str) -> bool:
        """Whether the sender wrote the HL7 null ``""`` there (ch. 2.5.3): delete the value."""
        return self.raw(path) == NULL

    def repetitions(self, path: str) -> int:
        """How many repetitions the field of ``path`` has; 0 when it is absent or empty."""
        where = field_path(path)
        numbers = self._index.get(where.segment)
        return (
            self._count(numbers[where.occurrence - 1], where.field)
            if numbers and where.occurrence <= len(numbers)
            else 0
        )

    def segments(self, name: str | None = None) -> list[Segment]:
        """The segments called ``name`` in their order, or all of them."""
        if name is None:
            return list(self)
        return [Segment(self, number, name, place) for place, number in enumerate(self._index.get(name, ()), 1)]

    def names(self) -> tuple[str, ...]:
        """The names of all segments in their order."""
        return tuple([line[:3] for line in self._lines])

    def fields(self, number: int) -> list[str]:
        """The segment ``number``, from 0, split at its field separators: its name, then each field as sent."""
        return self._fields[number] or self._split(number)

    def line_numbers(self) -> list[int]:
        """On which line, from 1, each segment stands; blank lines count."""
        lines = _LINE_END.split(self._data)
        return [number for number, line in enumerate(lines, 1) if line and line != UTF8_MARK]

    def groups(self, name: str) -> list[Group]:
        """The groups called ``name`` at any depth, as the structure of the message's type has them.

        ``message.groups("ORDER_OBSERVATION")[0].groups("OBSERVATION")``; empty where there are none, or no such structure.
        """
        return groups_of(self).groups(name)

    def __iter__(self) -> Iterator[Segment]:
        places: dict[str, int] = {}
        for number, line in enumerate(self._lines):
            name = line[:3]
            places[name] = place = places.get(name, 0) + 1
            yield Segment(self, number, name, place)

    def __contains__(self, name: object) -> bool:
        """Whether a segment of this name is there."""
        return name in self._index

    def __len__(self) -> int:
        """How many segments there are."""
        return len(self._lines)

    def _split(self, number: int) -> list[str]:
        line = self._lines[number]
        fields = line.split(self._delimiters.field)
        if line[:3] in _HEADERS:
            fields.insert(1, self._delimiters.field)
        self._fields[number] = fields
        return fields

    def _value(self, number: int, field: int, repetition: int, component: int, subcomponent: int) -> str | None:
        fields = self._fields[number]
        if fields is None:
            fields = self._split(number)
        try:
            text = fields[field]
        except IndexError:
            return None
        if not text:
            return None
        _, components, repeats, escape, subcomponents, _ = self._delimiters
        if field < 3 and fields[0] in _HEADERS:
            return text if repetition == 1 and component < 2 and subcomponent < 2 else None
        if repeats and repeats in text:
            parts = text.split(repeats)
            if repetition > len(parts):
                return None
            text = parts[repetition - 1]
        elif repetition > 1:
            return None
        if component:
            if components and components in text:
                parts = text.split(components)
                if component > len(parts):
                    return None
                text = parts[component - 1]
            elif component > 1:
                return None
            if subcomponent:
                if subcomponents and subcomponents in text:
                    parts = text.split(subcomponents)
                    if subcomponent > len(parts):
                        return None
                    text = parts[subcomponent - 1]
                elif subcomponent > 1:
                    return None
        if not text or text == NULL:
            return None
        if escape and escape in text:
            # Decoding what still has parts would make a delimiter of the data look like one of the message.
            if not component and components and components in text:
                return text
            if not subcomponent and subcomponents and subcomponents in text:
                return text
            return self._unescape(text)
        return text

    def _raw(self, number: int, where: Path) -> str | None:
        fields = self._fields[number] or self._split(number)
        if where.field >= len(fields):
            return None
        text = fields[where.field]
        if where.field < 3 and fields[0] in _HEADERS:
            return text if where[3:] <= (1, 1, 1) else None
        _, component, repetition, _, subcomponent, _ = self._delimiters
        for delimiter, part in (
            (repetition, where.repetition),
            (component, where.component),
            (subcomponent, where.subcomponent),
        ):
            if part:
                parts = text.split(delimiter) if delimiter else [text]
                if part > len(parts):
                    return None
                text = parts[part - 1]
        return text

    def _count(self, number: int, field: int) -> int:
        fields = self._fields[number] or self._split(number)
        if field >= len(fields) or not fields[field]:
            return 0
        mark = self._delimiters.repetition
        return 1 if not mark or (field < 3 and fields[0] in _HEADERS) else fields[field].count(mark) + 1

    # --- what MSH says --------------------------------------------------------------------------------------------

    @property
    def header(self) -> Header:
        """MSH, as ``acknowledge`` takes it."""
        return self._header

    @property
    def delimiters(self) -> Delimiters:
        """MSH-1 and MSH-2."""
        return self._delimiters

    @property
    def codec(self) -> str:
        """Python's name of the character set."""
        return self._codec

    @property
    def type(self) -> str | None:
        """MSH-9.1 and MSH-9.2, such as ``DFT^P03``."""
        return self._header.type

    @property
    def structure(self) -> str | None:
        """MSH-9.3, such as ``ADT_A01``."""
        return self._header.structure

    @property
    def control_id(self) -> str | None:
        """MSH-10."""
        return self._header.control_id

    @property
    def version(self) -> str | None:
        """MSH-12.1, such as ``2.5.1``."""
        return self._header.version

    @property
    def sending_application(self) -> str | None:
        """MSH-3.1."""
        return self._header.sending_application

    @property
    def sending_facility(self) -> str | None:
        """MSH-4.1."""
        return self._header.sending_facility

    @property
    def receiving_application(self) -> str | None:
        """MSH-5.1."""
        return self._header.receiving_application

    @property
    def receiving_facility(self) -> str | None:
        """MSH-6.1."""
        return self._header.receiving_facility

    @property
    def timestamp(self) -> str | None:
        """MSH-7.1 as sent; ``parse_timestamp`` reads it."""
        return self._header.timestamp

    @property
    def processing_id(self) -> str | None:
        """MSH-11.1."""
        return self._header.processing_id

    # --- writing --------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The bytes as they came, every one of them, whatever encoding they came in."""
        return self._source

    def to_er7(self) -> bytes:
        """The message in the vertical-bar encoding: what came, or the same message where XML came."""
        return self._source if self._header.wide or self._source is self._data else self._data

    def with_field(self, path: str, value: str | None) -> Message:
        """A copy in which the leaf at ``path`` is ``value`` and every other byte is as it was.

        ``value`` is escaped; None empties the place and ``NULL`` tells the receiver to delete. What is missing on the
        way (fields, repetitions, components) is added; a missing segment raises MissingField. MSH-1 and MSH-2 cannot be
        edited (ValueError), nor MSH-18 of a message that is not ASCII: its bytes would mean something else.
        """
        where = field_path(path)
        numbers = self._index.get(where.segment, [])
        if where.occurrence > len(numbers):
            raise MissingField(path, "the segment to be edited is missing")
        header = where.segment in _HEADERS
        if header and where.field < 3:
            raise ValueError(f"{path} holds the delimiters of the whole message and cannot be edited")
        if where.segment == "MSH" and where.field == 18 and not self._data.isascii():
            raise ValueError(
                "MSH-18 cannot be edited in place: the message's other characters would change their meaning"
            )
        begin, end = _line_span(self._data, self._header.span[0], numbers[where.occurrence - 1])
        fields = self._data[begin:end].decode(self._codec).split(self._delimiters.field)
        position = where.field - 1 if header else where.field
        fields.extend([""] * (position + 1 - len(fields)))
        leaf = "" if value is None else escaper(self._delimiters)(value)
        fields[position] = self._edited(fields[position], where, leaf)
        try:
            line = self._delimiters.field.join(fields).encode(self._codec)
        except UnicodeEncodeError:
            raise HL7Error(
                Code.DATA_TYPE,
                f"the value cannot be written in {self._codec.upper()}, the message's character set",
                path,
            ) from None
        edited = self._data[:begin] + line + self._data[end:]
        wide = self._header.wide
        return Message.parse(widened(edited, wide, is_marked(self._source)) if wide else edited)

    def _edited(self, text: str, where: Path, leaf: str) -> str:
        """``text`` of one field with the leaf at ``where`` replaced."""
        marks = self._delimiters
        steps = [
            (marks.repetition, where.repetition),
            (marks.component, where.component),
            (marks.subcomponent, where.subcomponent),
        ]
        opened: list[tuple[str, list[str], int]] = []
        for mark, part in steps:
            if part:
                if not mark and part > 1:
                    raise ValueError(f"MSH-2 declares no delimiter that {where} could be written with")
                parts = text.split(mark) if mark else [text]
                parts.extend([""] * (part - len(parts)))
                opened.append((mark, parts, part - 1))
                text = parts[part - 1]
        text = leaf
        for mark, parts, place in reversed(opened):
            parts[place] = text
            text = mark.join(parts)
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self._data == other._data

    def __hash__(self) -> int:
        return hash(self._data)

    def __repr__(self) -> str:
        """Without a value of the message but its type and number."""
        return f"<Message {self.type} {self.control_id}, {len(self)} segments>"


class Segment:
    """One segment of a message, read by paths inside it: ``charge["7.1"]``, ``charge.get("10")``."""

    __slots__ = ("_message", "_number", "name", "occurrence")

    def __init__(self, message: Message, number: int, name: str, occurrence: int) -> None:
        self._message = message
        self._number = number
        self.name = name
        self.occurrence = occurrence

    def __getitem__(self, path: str) -> str:
        """The value at ``path``; MissingField, naming the whole path, when it is absent, empty or null."""
        value = self.get(path)
        if value is None:
            raise MissingField(self.path(path))
        return value

    def get(self, path: str) -> str | None:
        """The value at ``path``, or None when it is absent, empty or null. InvalidPath when it is no path."""
        _, _, field, repetition, component, subcomponent = relative_path(path)
        return self._message._value(self._number, field, repetition, component, subcomponent)

    def raw(self, path: str) -> str | None:
        """The text at ``path`` as sent; "" when empty, None when absent."""
        return self._message._raw(self._number, relative_path(path))

    def is_null(self, path: str) -> bool:
        """Whether the sender wrote the HL7 null ``""`` there."""
        return self.raw(path) == NULL

    def repetitions(self, path: str) -> int:
        """How many repetitions the field of ``path`` has; 0 when it is absent or empty."""
        return self._message._count(self._number, relative_path(path).field)

    def path(self, path: str) -> str:
        """The path from the message: ``7.1`` in the second FT1 is ``FT1(2)-7.1``."""
        return str(relative_path(path)._replace(segment=self.name, occurrence=self.occurrence))

    @property
    def position(self) -> int:
        """Which segment of the message it is, from 1."""
        return self._number + 1

    @property
    def length(self) -> int:
        """How many fields it has, trailing empty ones included."""
        return len(self._message._fields[self._number] or self._message._split(self._number)) - 1

    def whole(self, number: int) -> str:
        """The whole field ``number``, from 1, as sent with all its repetitions; "" when absent."""
        fields = self._message._fields[self._number] or self._message._split(self._number)
        return fields[number] if number < len(fields) else ""

    @property
    def text(self) -> str:
        """The whole segment as sent, without its line end."""
        return self._message._lines[self._number]

    def __repr__(self) -> str:
        """Without a value: a segment is PHI more often than not."""
        return f"<Segment {parse_path(self.name)._replace(occurrence=self.occurrence)}>"


def _line_span(data: bytes, begin: int, number: int) -> tuple[int, int]:
    """Where the ``number``-th line that is not blank starts and ends; no character set has line ends inside a character."""
    for match in _LINE_END.finditer(data, begin):
        if match.start() > begin:
            if number == 0:
                return begin, match.start()
            number -= 1
        begin = match.end()
    return begin, len(data)
