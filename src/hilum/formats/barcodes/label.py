"""A label as a document: its bytes as scanned, and what every format offers for its documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hilum.formats.barcodes.errors import Code, UdiError, WrongCheck
from hilum.formats.barcodes.gs1 import GS
from hilum.formats.barcodes.isbt128 import DONATION, STRUCTURES
from hilum.formats.barcodes.udi import IssuingAgency, Reading, Udi, read
from hilum.formats.canonical import Canonical, Record
from hilum.formats.findings import Finding
from hilum.formats.outline import Outline

__all__ = ["Barcode", "convert", "element_string", "outline", "parse", "recognise", "validate", "write"]

_MOST_BYTES = 2000
_REFERENCE_YEAR = 2025

# Names for people, ours; the agencies' own titles are in their specifications.
_GS1_NAMES = {
    "00": "shipping container", "01": "device (GTIN)", "02": "content (GTIN)", "10": "lot", "11": "made", "12": "due",
    "13": "packed", "15": "best before", "16": "sell by", "17": "expires", "20": "variant", "21": "serial",
    "30": "count", "37": "count of content", "240": "additional item number", "241": "customer's item number",
    "250": "serial of a part", "400": "order number", "410": "ship to", "414": "location",
}  # fmt: skip
# What has to stand on the same label (GS1 General Specifications 4.13): any of the second for the first.
_GS1_PAIRS = {
    "10": ("01", "02", "8006"), "11": ("01", "02", "8006"), "13": ("01", "02", "8006"), "15": ("01", "02", "8006"),
    "17": ("01", "02", "8006"), "20": ("01", "02", "8006"), "21": ("01", "8006"), "240": ("01", "02", "8006"),
    "250": ("21",), "30": ("01", "02"), "37": ("00", "02"), "02": ("00", "37"),
}  # fmt: skip
# Elements of variable length, behind which FNC1 is needed unless they are the last (GS1 General Specifications 7.8.4).
_VARIABLE_START = ("10", "21", "22", "24", "25", "30", "37", "40", "42", "71", "72", "80", "9")


@dataclass(frozen=True, slots=True)
class Barcode:
    """One label: ``data`` as they came, and the ``reading``."""

    data: bytes
    reading: Reading

    @property
    def agency(self) -> IssuingAgency:
        return self.reading.agency

    @property
    def elements(self) -> tuple[tuple[str, str], ...]:
        """Identifier and data of each element, in order."""
        return self.reading.elements

    @property
    def udi(self) -> Udi | None:
        """The device and its production; None when the label names no device (a second symbol, a carton)."""
        return self.reading.udi


def parse(data: bytes, *, reference_year: int = _REFERENCE_YEAR) -> Barcode:
    """One label as scanned or printed; UdiError when it is of no agency's form.

    A wrong check character of HIBC or ISBT 128 is a WrongCheck; that of a GS1 key is told by ``validate``, because people
    key such labels in and want to see what they have.
    Two-digit years fall between 49 years before and 50 after ``reference_year``.
    """
    if len(data) > _MOST_BYTES:
        raise UdiError(f"more than {_MOST_BYTES} bytes are no label")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UdiError("a label is ASCII, and this is not even text") from None
    return Barcode(data, read(text, reference_year=reference_year))


def validate(document: Barcode) -> list[Finding]:
    """A wrong GS1 check digit (an error), and what a readable label lacks (warnings). That it can be read at all says
    that forms, dates and the other agencies' checks are right."""
    found: list[Finding] = []
    if (wrong := document.reading.misread) is not None:
        text = f"the check digit of application identifier {wrong} is wrong; scan the label again"
        found.append(Finding(Code.CHECK, text, f"({wrong})", "error", 1))
    present = {identifier for identifier, _ in document.elements}
    if document.udi is None and "00" not in present:
        text = "the label names no device; scan the symbol with the device identifier too"
        found.append(Finding(Code.DEVICE_MISSING, text, None, "warning", 1))
    if document.agency == "GS1":
        for identifier, needed in _GS1_PAIRS.items():
            if identifier in present and not present & set(needed):
                text = f"application identifier {identifier} needs {' or '.join(needed)} on the same label"
                found.append(Finding(Code.PAIR, text, f"({identifier})", "warning", 1))
    return found


def write(document: Barcode) -> bytes:
    """The bytes as they came."""
    return document.data


def element_string(elements: Mapping[str, str], *, printed: bool = False) -> str:
    """A GS1 element string of our own, with GS for FNC1, or in parentheses as printed; UdiError when it is none."""
    if printed:
        text = "".join(f"({identifier}){data}" for identifier, data in elements.items())
    else:
        # What is of fixed length comes first, so that fewer separators are needed.
        ordered = sorted(elements.items(), key=lambda element: element[0].startswith(_VARIABLE_START))
        text = "".join(
            identifier + data + (GS if identifier.startswith(_VARIABLE_START) else "") for identifier, data in ordered
        ).rstrip(GS)
    reading = read(text)
    if reading.misread is not None:
        raise WrongCheck("a check digit of the elements is wrong", location=f"({reading.misread})")
    if dict(reading.elements) != dict(elements):
        raise UdiError("the elements cannot be written as a GS1 element string")
    return text


def outline(document: Barcode) -> Outline:
    """The elements with their names; a donation's number is protected, because it leads to a donor."""
    root = Outline("label", document.agency, document.reading.symbology)
    for identifier, value in document.elements:
        name = None
        if document.agency == "GS1":
            name = _GS1_NAMES.get(identifier)
        elif document.agency == "ICCBBA":
            name = STRUCTURES[identifier][0]
        label = f"({identifier})" if document.agency == "GS1" else identifier
        root.children.append(Outline(label, value, name, protected=identifier == DONATION))
    return root


def convert(document: Barcode) -> list[Canonical]:
    """One record: the agency, the device identifier and the production, as far as the label says them."""
    content: dict[str, str | int | dict[str, str]] = {"issuing_agency": document.agency}
    udi = document.udi
    if udi is not None:
        said = {
            "device_identifier": udi.device_identifier,
            "lot": udi.lot,
            "serial": udi.serial,
            "expires_on": udi.expires_on.isoformat() if udi.expires_on is not None else None,
            "manufactured_on": udi.manufactured_on.isoformat() if udi.manufactured_on is not None else None,
            "count_each": udi.count_each,
            "donation_number": udi.donation_number,
        }
        content |= {name: value for name, value in said.items() if value is not None}
    content["elements"] = dict(document.elements)
    return [Record(type="udi", content=content)]


def recognise(data: bytes) -> bool:
    """Whether this is one line that reads as a label, or would if it had been scanned rightly."""
    if len(data) > _MOST_BYTES or b"\n" in data.strip() or b"\r" in data.strip():
        return False
    try:
        parse(data)
    except WrongCheck:
        return True
    except UdiError:
        return False
    return True
