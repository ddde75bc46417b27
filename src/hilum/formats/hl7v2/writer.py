"""Messages written from values: escaped, delimited, with the character set declared where one is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeAlias

from hilum.formats.hl7v2.charsets import codec_of
from hilum.formats.hl7v2.delimiters import STANDARD, Delimiters, escaper, unescape
from hilum.formats.hl7v2.findings import Code, HL7Error

Leaf: TypeAlias = str | int | Decimal | None
Component: TypeAlias = Leaf | Sequence[Leaf]
Field: TypeAlias = "Leaf | Sequence[Component] | Repeated"


class Repeated:
    """The repetitions of one field: ``Repeated("555-0001", "555-0002")``, each a text or a list of components."""

    __slots__ = ("repetitions",)

    def __init__(self, *repetitions: Leaf | Sequence[Component]) -> None:
        self.repetitions = repetitions


def build(segments: Sequence[Sequence[Field]], *, delimiters: Delimiters = STANDARD) -> bytes:
    """Write a message; segments end with CR.

    A segment is its name and its fields in their order. A field is a text, a number, None (nothing), a list of
    components (each a text or a list of subcomponents) or ``Repeated``. All text is escaped; ``NULL`` stays the null.
    The header's fields start at MSH-3, for the delimiters are MSH-1 and MSH-2. Characters are those of MSH-18; where it
    is silent and the message is not ASCII, UTF-8 is written and declared. Empty fields at a segment's end are left out.
    HL7Error 102 for a value that the character set has no character for; ValueError for what is no message.
    """
    if not segments or not segments[0] or segments[0][0] != "MSH":
        raise ValueError("a message starts with MSH")
    escape = escaper(delimiters)
    lines = [_line(segment, delimiters, escape) for segment in segments]
    text = "\r".join(lines) + "\r"
    header = lines[0].split(delimiters.field)
    first = header[17].split(delimiters.repetition or "~")[0] if len(header) > 17 else ""
    declared = unescape(first, delimiters, "ascii")
    if not declared and not text.isascii():
        header.extend([""] * (18 - len(header)))
        declared = "UNICODE UTF-8"
        header[17] = escape(declared)
        text = "\r".join([delimiters.field.join(header), *lines[1:]]) + "\r"
    try:
        return text.encode(codec_of(declared))
    except UnicodeEncodeError:
        raise HL7Error(Code.DATA_TYPE, "a value cannot be written in the declared character set", "MSH-18") from None


def _line(segment: Sequence[Field], delimiters: Delimiters, escape: Callable[[str], str]) -> str:
    name = segment[0] if segment else None
    if not isinstance(name, str) or len(name) != 3 or not name.isalnum() or not name.isascii() or not name.isupper():
        raise ValueError("a segment starts with its name of three capitals or digits")
    fields = [_field(field, delimiters, escape) for field in segment[1:]]
    while fields and not fields[-1]:
        fields.pop()
    if name in ("MSH", "FHS", "BHS"):
        fields.insert(0, delimiters.encoding)
    return delimiters.field.join([name, *fields])


def _field(field: Field, delimiters: Delimiters, escape: Callable[[str], str]) -> str:
    if isinstance(field, Repeated):
        return _joined(
            delimiters.repetition, [_parts(part, delimiters, escape) for part in field.repetitions], trim=False
        )
    return _parts(field, delimiters, escape)


def _parts(value: Leaf | Sequence[Component], delimiters: Delimiters, escape: Callable[[str], str]) -> str:
    if value is None or isinstance(value, (str, int, Decimal)):
        return _leaf(value, escape)
    return _joined(
        delimiters.component,
        [
            _leaf(part, escape)
            if part is None or isinstance(part, (str, int, Decimal))
            else _joined(delimiters.subcomponent, [_leaf(leaf, escape) for leaf in part])
            for part in value
        ],
    )


def _leaf(value: Leaf, escape: Callable[[str], str]) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")  # Never 1E+2: data type NM has no exponent.
    return escape(str(value))


def _joined(delimiter: str, parts: list[str], trim: bool = True) -> str:
    while trim and len(parts) > 1 and not parts[-1]:
        parts.pop()
    if not delimiter and len(parts) > 1:
        raise ValueError("the delimiters given have none for what is to be written")
    return delimiter.join(parts)
