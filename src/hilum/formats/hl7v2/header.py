"""The MSH segment alone (HL7 v2.5.1 ch. 2.15.9): enough to route a message, and to refuse a broken one by its number."""

from __future__ import annotations

from typing import Literal

from hilum.formats.hl7v2.charsets import CODECS, MULTIBYTE, UTF8_MARK, codec_of, narrowed, wide_codec
from hilum.formats.hl7v2.delimiters import STANDARD, Delimiters, unescaper
from hilum.formats.hl7v2.findings import Code, HL7ParseError

# ASCII punctuation but the dot and the quote, of which escape sequences and the null are made.
_ALLOWED = frozenset("!#$%&'()*+,-/:;<=>?@[\\]^_`{|}~")


class Header:
    """What MSH says. A property is None where the sender said nothing.

    It never fails once it exists: of a broken message it tells what can be told.
    """

    __slots__ = ("_end", "_fields", "_form", "_start", "data")

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data = data
        """The bytes that ``span`` counts in: those that came, or the same in UTF-8 where they came in UTF-16 or UTF-32."""
        self._start = start
        self._end = end
        # The codecs of ``wide`` and ``answer_codec``; None for nearly all messages.
        self._form: tuple[str, str] | None = None
        # Latin 1 keeps every byte, so that a number is echoed exactly as it came whatever its character set.
        line = data[start:end].decode("latin-1")
        self._fields = line.split(line[3])
        if not line.isascii() or "\x1b" in line:
            self._multibyte(line)

    def _multibyte(self, line: str) -> None:
        """Split anew where the character set has delimiters inside its characters."""
        for name, codec in CODECS.items():
            if codec in MULTIBYTE and name in line:
                text = line.encode("latin-1").decode(codec, "replace")
                self._fields = text.encode().decode("latin-1").split(line[3])
                self._form = ("", codec)
                return

    @property
    def wide(self) -> str:
        """``utf-16-le`` and the like when the message came so, else ""."""
        return "" if self._form is None else self._form[0]

    @property
    def answer_codec(self) -> str:
        """The codec that an answer is written in where the fields here are in UTF-8 instead of it, else ""."""
        return "" if self._form is None else self._form[1]

    @property
    def span(self) -> tuple[int, int]:
        """Where the segment starts and ends in the bytes, without its line end."""
        return self._start, self._end

    def raw(self, number: int) -> str:
        """MSH-``number`` as sent, one character for each byte, "" when absent; MSH-1 is the field separator."""
        if number == 1:
            return self.data[self._start + 3 : self._start + 4].decode("latin-1")
        return self._fields[number - 1] if number <= len(self._fields) else ""

    @property
    def delimiters(self) -> Delimiters:
        """MSH-1 and MSH-2, as far as they can be used; ``checked_delimiters`` refuses what cannot."""
        encoding = self.raw(2)
        if not encoding or len(encoding) > 5:
            return STANDARD._replace(field=self.raw(1))
        return _SEEN.get((self.raw(1), encoding)) or Delimiters(self.raw(1), *_spread(encoding))

    def checked_delimiters(self) -> Delimiters:
        """MSH-1 and MSH-2; HL7ParseError when they are missing, doubled or cannot delimit."""
        separator, encoding = self.raw(1), self.raw(2)
        known = _SEEN.get((separator, encoding))
        if known is not None:
            return known
        if not encoding:
            raise HL7ParseError(Code.REQUIRED_FIELD_MISSING, "the encoding characters are missing", "MSH-2")
        if len(encoding) > 5:
            raise HL7ParseError(Code.DATA_TYPE, "there are more than five encoding characters", "MSH-2")
        used = separator + encoding
        if not _ALLOWED.issuperset(used):
            raise HL7ParseError(
                Code.DATA_TYPE, "a delimiter is a letter, a digit, a blank or a control character", "MSH-2"
            )
        if len(set(used)) != len(used):
            raise HL7ParseError(Code.DATA_TYPE, "two delimiters are the same character", "MSH-2")
        return Delimiters(separator, *_spread(encoding))

    def component(self, number: int, component: int) -> str:
        """One component of MSH-``number`` as sent, "" when absent."""
        delimiters = self.delimiters
        text = self.raw(number)
        if delimiters.repetition:
            text = text.split(delimiters.repetition, 1)[0]
        if not delimiters.component:
            return text if component == 1 else ""
        parts = text.split(delimiters.component)
        return parts[component - 1] if component <= len(parts) else ""

    def value(self, number: int, component: int = 1) -> str | None:
        """One component of MSH-``number``, decoded; None when absent, empty or null."""
        if number > len(self._fields):
            return None
        text = self.component(number, component)
        if not text or text == '""':
            return None
        codec = "utf-8" if self._form is not None else CODECS.get(self.charset, "utf-8")
        if not text.isascii():
            text = text.encode("latin-1").decode(codec, "replace")
        mark = self.delimiters.escape
        return unescaper(self.delimiters, codec)(text) if mark and mark in text else text

    @property
    def type(self) -> str | None:
        """MSH-9.1 and MSH-9.2 as ``DFT^P03``, or ``ACK`` alone; whatever characters the sender delimits with."""
        fields = self._fields
        if len(fields) > 8 and (text := fields[8]):
            if fields[1][:1] == "^" and "\\" not in text and "~" not in text:  # The common case, three times as fast.
                parts = text.split("^", 2)
                return text if len(parts) < 2 else f"{parts[0]}^{parts[1]}" if parts[1] else parts[0] or None
            kind, event = self.value(9, 1), self.value(9, 2)
            return kind if event is None else f"{kind or ''}^{event}"
        return None

    @property
    def event(self) -> str | None:
        """MSH-9.2, the trigger event."""
        return self.value(9, 2)

    @property
    def structure(self) -> str | None:
        """MSH-9.3, the message structure, such as ``ADT_A01``."""
        return self.value(9, 3)

    @property
    def control_id(self) -> str | None:
        """MSH-10, the sender's number of this message, which MSA-2 gives back."""
        fields = self._fields
        if len(fields) > 9 and (text := fields[9]) and text.isalnum() and text.isascii():
            return text
        return self.value(10)

    @property
    def version(self) -> str | None:
        """MSH-12.1, such as ``2.5.1``."""
        fields = self._fields
        if len(fields) > 11 and (text := fields[11]) and text.replace(".", "").isdigit():
            return text
        return self.value(12)

    @property
    def charset(self) -> str:
        """MSH-18, "" when not declared."""
        return unescaper(self.delimiters, "ascii")(self.component(18, 1))

    @property
    def codec(self) -> str:
        """Python's codec for MSH-18; HL7ParseError 103 when it is unknown."""
        declared = self._fields[17] if len(self._fields) > 17 else ""
        if self.wide:
            return "utf-8"
        repeats = self.delimiters.repetition
        others = tuple(declared.split(repeats)[1:]) if repeats and repeats in declared else ()
        return CODECS.get(declared) or codec_of(self.charset, others)

    @property
    def sending_application(self) -> str | None:
        """MSH-3.1."""
        return self.value(3)

    @property
    def sending_facility(self) -> str | None:
        """MSH-4.1."""
        return self.value(4)

    @property
    def receiving_application(self) -> str | None:
        """MSH-5.1."""
        return self.value(5)

    @property
    def receiving_facility(self) -> str | None:
        """MSH-6.1."""
        return self.value(6)

    @property
    def timestamp(self) -> str | None:
        """MSH-7.1, for ``parse_timestamp``."""
        return self.value(7)

    @property
    def processing_id(self) -> str | None:
        """MSH-11.1: P production, T training, D debugging."""
        return self.value(11)

    @property
    def wants_accept(self) -> bool:
        """Whether MSH-15 asks for an accept acknowledgement (enhanced mode, ch. 2.9.3): AL, ER or SU."""
        return self.value(15) in ("AL", "ER", "SU")

    def accept_due(self, accepted: bool) -> bool:
        """Whether an accept acknowledgement (CA, CE, CR) is due, by MSH-15: AL always, ER when refused, SU when taken."""
        return _due(self.value(15), accepted)

    def application_due(self, accepted: bool) -> bool:
        """Whether an application acknowledgement (AA, AE, AR) is due, by MSH-16; always in original mode (ch. 2.9.2)."""
        if self.value(15) is None and self.value(16) is None:
            return True
        return _due(self.value(16), accepted)

    @property
    def mode(self) -> Literal["original", "enhanced"]:
        """Enhanced when MSH-15 or MSH-16 has a value (ch. 2.9)."""
        return "original" if self.value(15) is None and self.value(16) is None else "enhanced"

    def __repr__(self) -> str:
        return f"<Header {self.type} {self.control_id}>"


def _due(condition: str | None, accepted: bool) -> bool:
    """Table 0155."""
    return condition == "AL" or condition == ("SU" if accepted else "ER")


def _spread(encoding: str) -> tuple[str, str, str, str, str]:
    """MSH-2 with an empty text for each character that is not declared."""
    component, repetition, escape, subcomponent, truncation = (*encoding, "", "", "", "", "")[:5]
    return component, repetition, escape, subcomponent, truncation


_SEEN = {("|", "^~\\&"): STANDARD, ("|", "^~\\&#"): STANDARD._replace(truncation="#")}


def header_of(data: bytes) -> Header:
    """Read MSH only, without looking at the rest; HL7ParseError when the bytes do not start with one.

    A byte order mark and blank lines before it are passed over.
    """
    start = 0
    if data[:3] != b"MSH":
        start = 3 if data.startswith(UTF8_MARK) else 0
        while data[start : start + 1] in (b"\r", b"\n"):
            start += 1
        if data[start : start + 3] != b"MSH":
            if (codec := wide_codec(data)) is not None:
                header = header_of(narrowed(data, codec))
                header._form = (codec, codec)
                return header
            if not data.strip():
                raise HL7ParseError(Code.SEGMENT_SEQUENCE, "there is no message: nothing was sent", "MSH")
            if data[start : start + 3] in (b"FHS", b"BHS"):
                raise HL7ParseError(Code.SEGMENT_SEQUENCE, "this is a batch; split it into its messages first", "MSH")
            raise HL7ParseError(Code.SEGMENT_SEQUENCE, "the first segment is not MSH", "MSH")
    end = data.find(b"\r", start)
    if end < 0:
        end = len(data)
    line_feed = data.find(b"\n", start, end)
    if line_feed >= 0:
        end = line_feed
    separator = data[start + 3 : start + 4].decode("latin-1")
    if end - start < 4 or separator not in _ALLOWED:
        raise HL7ParseError(Code.DATA_TYPE, "MSH is not followed by a field separator", "MSH-1")
    return Header(data, start, end)
