"""The XML encoding (HL7 v2.xml): read into the same ``Message`` as the vertical-bar encoding.

``<ORU_R01 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>|</MSH.1> ... </MSH><ORU_R01.PATIENT_RESULT> ... <PID><PID.3><CX.1>``:
groups only hold segments, a field's element repeats, its children are components and theirs subcomponents.
"""

from __future__ import annotations

import re
from typing import Any

from hilum.formats import xml
from hilum.formats.hl7v2.charsets import codec_of
from hilum.formats.hl7v2.delimiters import NULL, STANDARD, Delimiters, escaper
from hilum.formats.hl7v2.findings import Code, HL7ParseError
from hilum.formats.hl7v2.message import Message

NAMESPACE = "urn:hl7-org:v2xml"
_SEGMENT = re.compile("[A-Z][A-Z0-9]{2}", re.ASCII)
# More than any segment or type has, and few enough that a short element cannot become a long line of delimiters.
_FIELD = re.compile(r"[A-Za-z0-9_]+\.([1-9]\d{0,2})", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9_]+\.([1-9]\d?)", re.ASCII)
_ROOT = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?[A-Z][A-Z0-9]{2}(?:_[A-Z0-9]{3})?[\s/>]")
_HEADERS = ("MSH", "FHS", "BHS")
_SEGMENTS_MAX = 100_000


def looks_like_xml(data: bytes) -> bool:
    """Whether the bytes begin as a message in XML: some markup, then a root such as ``ADT_A01`` or HL7's namespace."""
    start = data[:2048].removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n")
    if not start.startswith(b"<"):
        return False
    return NAMESPACE.encode() in start or (_ROOT.search(start) is not None and b"<MSH" in start)


def parse_xml(data: bytes) -> Message:
    """Read a message in XML; HL7ParseError when it is none, or when it declares a document type.

    A document type may define entities that fetch files or grow without bound, and no message needs one: it is refused.
    ``to_bytes`` gives the XML back as it came, ``to_er7`` the message in the vertical-bar encoding.
    """
    try:
        read = xml.read(data)
    except xml.XmlError as error:
        text = f"the document cannot be read as XML: {error.text}"
        raise HL7ParseError(Code.DATA_TYPE, text, None, error.line) from None
    if read.doctype:
        raise HL7ParseError(Code.DATA_TYPE, "the document declares a document type (DTD), which is refused", None, 1)
    segments: list[Any] = []
    _collect(read.root, segments)
    if not segments or _name(segments[0]) != "MSH":
        raise HL7ParseError(Code.SEGMENT_SEQUENCE, "the first segment is not MSH", "MSH")
    marks = _marks(segments[0])
    lines = [_segment(element, marks) for element in segments]
    declared = lines[0].split(marks.field)
    charset = declared[17].partition(marks.repetition)[0] if len(declared) > 17 else ""
    text = "\r".join(lines) + "\r"
    try:
        er7 = text.encode(codec_of(charset))
    except UnicodeEncodeError:
        raise HL7ParseError(
            Code.DATA_TYPE, "a value is not in the character set that MSH-18 declares; declare UNICODE UTF-8", "MSH-18"
        ) from None
    message = Message.parse(er7)
    message._source = data
    return message


def _name(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _collect(element: Any, segments: list[Any]) -> None:
    """The segments in their order; ``xml.read`` bounds how deep elements are nested."""
    for child in element:
        name = _name(child)
        if _SEGMENT.fullmatch(name) is not None:
            if len(segments) >= _SEGMENTS_MAX:
                raise HL7ParseError(Code.INTERNAL_ERROR, f"there are more than {_SEGMENTS_MAX} segments")
            segments.append(child)
        elif name:
            _collect(child, segments)
        else:
            raise HL7ParseError(
                Code.DATA_TYPE, "the document refers to an entity, which is refused", None, child.sourceline
            )


def _marks(header: Any) -> Delimiters:
    said = {_name(child): "".join(child.itertext()) for child in header}
    separator, encoding = said.get("MSH.1", "|").strip(), said.get("MSH.2", "^~\\&").strip()
    if len(separator) != 1 or not 4 <= len(encoding) <= 5 or len({separator, *encoding}) != len(encoding) + 1:
        return STANDARD
    return Delimiters(separator, *encoding)


def _segment(element: Any, marks: Delimiters) -> str:
    name = _name(element)
    fields: dict[int, list[str]] = {}
    for child in element:
        fields.setdefault(_number(child, _FIELD), []).append(
            _value(child, (marks.component, marks.subcomponent), marks)
        )
    texts = [marks.repetition.join(fields.get(number, ())) for number in range(1, max(fields, default=0) + 1)]
    if name in _HEADERS:
        texts[:2] = [marks.encoding]
    return marks.field.join([name, *texts])


def _value(element: Any, below: tuple[str, ...], marks: Delimiters) -> str:
    parts: dict[int, str] = {}
    for child in element:
        if _name(child) == "escape":
            continue
        if below:
            parts[_number(child, _PART)] = _value(child, below[1:], marks)
    if not parts:
        return _leaf(element, marks)
    return below[0].join(parts.get(number, "") for number in range(1, max(parts) + 1))


def _leaf(element: Any, marks: Delimiters) -> str:
    """A text with its ``<escape V="H"/>`` elements, which stand for escape sequences that are no characters."""
    text = element.text or ""
    if not len(element):
        plain = text.strip()
        return plain if plain == NULL else escaper(marks)(_trimmed(text))
    written = [escaper(marks)(_trimmed(text))]
    for child in element:
        if _name(child) == "escape":
            written.append(f"{marks.escape}{child.get('V', '')}{marks.escape}")
        elif not _name(child):
            raise HL7ParseError(
                Code.DATA_TYPE, "the document refers to an entity, which is refused", None, child.sourceline
            )
        else:
            written.append("".join(escaper(marks)(piece) for piece in child.itertext()))
        written.append(escaper(marks)(child.tail or ""))
    return "".join(written)


def _trimmed(text: str) -> str:
    """Without the indentation that pretty printers put around a text on lines of its own."""
    return text.strip() if "\n" in text else text


def _number(element: Any, shape: re.Pattern[str]) -> int:
    match = shape.fullmatch(_name(element))
    if match is None:
        raise HL7ParseError(
            Code.DATA_TYPE,
            "an element is no field or component: its name does not end in a number",
            None,
            element.sourceline,
        )
    return int(match.group(1))
