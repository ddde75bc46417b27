"""Which format bytes are in, and one name for each format's package, loaded when it is first asked for."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from hilum.formats import bai2, barcodes, tabular

__all__ = ["FORMATS", "LOOKED_AT", "Format", "recognise"]

LOOKED_AT = 1 << 16
"""So many bytes of the start are looked at; more of a file need not be at hand."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format by the name the commands know it by. ``title`` is what people call it, ``unit`` what one document of it is."""

    name: str
    title: str
    unit: str
    package: str

    @property
    def module(self) -> ModuleType:
        """The package with the functions of every format: parse, validate, write, outline ..."""
        return import_module(self.package)

    def offers(self, function: str) -> bool:
        """Whether the package has this function: not every format has an acknowledgement."""
        return hasattr(self.module, function)


FORMATS: dict[str, Format] = {
    name: Format(name, title, unit, f"hilum.formats.{package}")
    for name, title, unit, package in (
        ("hl7v2", "HL7 v2", "message", "hl7v2"),
        ("x12", "X12", "transaction", "x12"),
        ("fhir", "FHIR R4", "resource", "fhir"),
        ("cxml", "cXML", "document", "cxml"),
        ("ubl", "UBL 2.1", "document", "ubl"),
        ("bai2", "BAI2", "file", "bai2"),
        ("table", "a table", "row", "tabular"),
        ("label", "a label", "label", "barcodes"),
    )
}
"""By name, in the order in which a start that might be several is given away."""

_BLANK = " \t\r\n\x0b\x0c\x1c\ufeff\0"
# An ISA has sixteen elements, so its separator is met again soon and often; prose that says ISA has no such thing.
_ISA = re.compile(r"ISA([^A-Za-z0-9 \t\r\n])(?:(?!\1).){0,40}(?:\1(?:(?!\1).){0,40}){8}", re.DOTALL)
_HL7 = re.compile(r"(?:\A|[\r\n\x0b\x1c])[\ufeff\x0b]*(?:MSH|FHS|BHS)[^A-Za-z0-9\s]")
# Pieces that lost their envelope: their own parsers say what is missing.
_HEADLESS_X12 = re.compile(r"(?:GS|ST)([^A-Za-z0-9\s])[A-Z0-9]{2,3}\1")
_HEADLESS_HL7 = re.compile(r"(?:EVN|PID|PD1|PV1|MSA|ORC|OBR)\|")
_FHIR = re.compile(r'"resourceType"\s*:')
_PROLOG = re.compile(r"<\?.*?\?>|<!--.*?-->|\s+|<!DOCTYPE[^>\[]*(?:\[[^\]]*\]\s*)?>", re.DOTALL)
_ROOT = re.compile(r"<(?:([\w.-]+):)?([\w.-]+)((?:\s[^>]*)?)(?:/?>|\Z)", re.DOTALL)
_SPACE = re.compile(r"""\sxmlns(?::([\w.-]+))?\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_MESSAGE_ROOT = re.compile(r"[A-Z][A-Z0-9]{2}_[A-Z][A-Z0-9]{2}|ACK")


def recognise(data: bytes) -> str | None:
    """The name of the format in ``FORMATS`` that the start of ``data`` looks like; None when it looks like none. Never raises.

    XML is told by its root element and namespace, JSON by ``resourceType``; X12 and HL7 v2 also behind prose, and in an
    encoding that their own parsers refuse with a reason.
    """
    text = _text(data[:LOOKED_AT])
    start = text.lstrip(_BLANK)
    if not start:
        return None
    if start.startswith("<"):
        return _xml(start)
    if start[0] in "{[":
        return "fhir" if _FHIR.search(start) else None
    if bai2.recognise(data):
        return "bai2"
    isa, header = _ISA.search(text), _HL7.search(text)
    if isa is not None and (header is None or isa.start() < header.start()):
        return "x12"
    if header is not None or _HEADLESS_HL7.match(start) is not None:
        return "hl7v2"
    if _HEADLESS_X12.match(start) is not None:
        return "x12"
    if barcodes.recognise(data):
        return "label"
    return "table" if tabular.recognise(data[:LOOKED_AT]) else None


def _text(head: bytes) -> str:
    """The start as characters that are good enough to look at: every ASCII one is itself."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head.decode("utf-16", "replace")
    if head.count(b"\0") * 3 > len(head):
        return head.replace(b"\0", b"").decode("latin-1")  # UTF-16 or UTF-32 that does not say so.
    return head.removeprefix(codecs.BOM_UTF8).decode("latin-1")


def _xml(start: str) -> str | None:
    place = 0
    while (skipped := _PROLOG.match(start, place)) is not None:
        if skipped[0].startswith("<!DOCTYPE") and "cXML.dtd" in skipped[0]:
            return "cxml"
        place = skipped.end()
    root = _ROOT.match(start, place)
    if root is None:
        return None
    prefix, name, attributes = root[1], root[2], root[3]
    spaces = {declared: double or single for declared, double, single in _SPACE.findall(attributes)}
    space = spaces.get(prefix if prefix is not None else "")
    if space is None:
        space = ""
    if name == "cXML":
        return "cxml"
    if "urn:oasis:names:specification:ubl" in space:
        return "ubl"
    if space == "http://hl7.org/fhir":
        return "fhir"
    if space == "urn:hl7-org:v2xml" or _MESSAGE_ROOT.fullmatch(name):
        return "hl7v2"
    return None
