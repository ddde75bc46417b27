"""Unique device identifiers (21 CFR 830): which device, and which lot or piece of it.

What an issuing agency prints is told apart by its first characters: HIBCC starts with ``+``, ICCBBA with ``=`` or ``&``,
all else is read as GS1.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from hilum.formats.barcodes.errors import UdiError, WrongCheck
from hilum.formats.barcodes.gs1 import check_digit, elements, is_gtin, misread, two_digit_year
from hilum.formats.barcodes.hibc import Label, read_label
from hilum.formats.barcodes.isbt128 import Tissue, read_isbt

__all__ = ["Reading", "Udi", "UdiError", "WrongCheck", "check_digit", "parse_udi", "read"]

IssuingAgency = Literal["GS1", "HIBCC", "ICCBBA"]

_SYMBOLOGY = re.compile(r"\A\](?:C0|C1|d1|d2|e0|Q1|Q3|J1|A0|X0|E0|E4|L2|z0)")
_MOST_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Udi:
    """A label read: the device identifier (DI) and what it says of production (PI); None where it says nothing.

    The device identifier is 14 digits for GS1 (a GTIN, shorter ones filled with zeros), LIC, PCN and unit of measure for
    HIBCC, and 16 characters for ICCBBA (10 for a container), as in the FDA's GUDID. ``count_each`` is the number of
    pieces inside, ``donation_number`` tells a donor's gift.
    """

    device_identifier: str
    lot: str | None = None
    serial: str | None = None
    expires_on: date | None = None
    issuing_agency: IssuingAgency = "GS1"
    manufactured_on: date | None = None
    count_each: int | None = None
    donation_number: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A label taken apart: the symbology identifier it was scanned with (ISO/IEC 15424), who issued it, its elements in
    order by their identifiers, and the device with its production. ``udi`` is None when the label names no device;
    ``misread`` is the GS1 application identifier whose check digit is wrong."""

    symbology: str | None
    agency: IssuingAgency
    elements: tuple[tuple[str, str], ...]
    udi: Udi | None
    misread: str | None = None


def parse_udi(text: str, *, reference_year: int = 2025) -> Udi:
    """Read a label as scanned or as printed under the bars; UdiError (a ValueError) when it is none.

    Taken are GS1 element strings (with FNC1 as GS, 0x1D, and with or without a symbology identifier), the same in
    parentheses ``(01)...(17)...``, a GTIN alone, HIBC primary and concatenated labels (ANSI/HIBC 2.6), and ISBT 128
    labels with a product. Two-digit years fall between 49 years before and 50 after ``reference_year`` (GS1 General
    Specifications 7.12).
    """
    reading = read(text, reference_year=reference_year)
    if reading.misread is not None:
        raise WrongCheck(
            f"the check digit of application identifier {reading.misread} is wrong; scan the label again",
            location=f"({reading.misread})",
        )
    if reading.udi is None:
        missing = {
            "GS1": "has no GTIN (application identifier 01)",
            "HIBCC": "has no primary data (labeler, product and unit of measure)",
            "ICCBBA": "has no product (data identifier =/)",
        }[reading.agency]
        raise UdiError(f"the label {missing}, so it names no device")
    return reading.udi


def read(text: str, *, reference_year: int = 2025) -> Reading:
    """Take a label apart, also one that names no device; UdiError when it is of no agency's form."""
    label = text.strip("\t\r\n").lstrip(" ")
    if len(label) > _MOST_CHARACTERS:
        raise UdiError(f"the text is longer than {_MOST_CHARACTERS} characters, so it is no label")
    symbology = None
    if (match := _SYMBOLOGY.match(label)) is not None:
        symbology, label = match[0], label[match.end() :]
    if label.strip("*").startswith("+"):
        return _hibcc(read_label(label.strip("*"), reference_year), symbology)
    label = label.rstrip(" ")
    if not label:
        raise UdiError("the label is empty")
    if label[0] in "=&":
        return _iccbba(read_isbt(label), symbology)
    return _gs1(label, symbology, reference_year)


def _hibcc(label: Label, symbology: str | None) -> Reading:
    udi = None
    if label.device_identifier is not None:
        udi = Udi(
            device_identifier=label.device_identifier,
            lot=label.lot,
            serial=label.serial,
            expires_on=label.expires_on,
            issuing_agency="HIBCC",
            manufactured_on=label.manufactured_on,
            count_each=label.count,
        )
    said = (
        ("LIC", label.labeler),
        ("PCN", label.product),
        ("U/M", label.unit_of_measure),
        ("lot", label.lot),
        ("serial", label.serial),
        ("expires", label.expires_on),
        ("made", label.manufactured_on),
        ("count", label.count),
        ("link", label.link),
        ("check", label.check),
    )
    found = tuple((name, str(value)) for name, value in said if value is not None)
    return Reading(symbology, "HIBCC", found, udi)


def _iccbba(label: Tissue, symbology: str | None) -> Reading:
    udi = None
    if label.device_identifier is not None:
        udi = Udi(
            device_identifier=label.device_identifier,
            lot=label.lot,
            serial=label.serial,
            expires_on=label.expires_on,
            issuing_agency="ICCBBA",
            manufactured_on=label.manufactured_on,
            donation_number=label.donation_number,
        )
    return Reading(symbology, "ICCBBA", tuple(label.elements), udi)


def _gs1(label: str, symbology: str | None, reference_year: int) -> Reading:
    if is_gtin(label):
        return Reading(symbology, "GS1", (("01", label.zfill(14)),), Udi(label.zfill(14)))
    found = elements(label)
    dates = {identifier: _date(found.get(identifier), identifier, reference_year) for identifier in _DATES}
    return Reading(symbology, "GS1", tuple(found.items()), _gs1_udi(found, dates), misread(found))


# Production, due, packaging, best before, sell by and expiry (GS1 General Specifications 3.4).
_DATES = ("11", "12", "13", "15", "16", "17")


def _gs1_udi(found: Mapping[str, str], dates: Mapping[str, date | None]) -> Udi | None:
    gtin, count = found.get("01"), found.get("30")
    if gtin is None:
        return None
    return Udi(
        device_identifier=gtin,
        lot=found.get("10"),
        serial=found.get("21"),
        expires_on=dates["17"],
        manufactured_on=dates["11"],
        count_each=int(count) if count is not None else None,
    )


def _date(digits: str | None, identifier: str, reference_year: int) -> date | None:
    """``YYMMDD``; day 00 is the last day of the month (GS1 General Specifications 3.4)."""
    if digits is None:
        return None
    year, month, day = two_digit_year(int(digits[:2]), reference_year), int(digits[2:4]), int(digits[4:6])
    try:
        return date(year, month, day or calendar.monthrange(year, month)[1])
    except ValueError:
        raise UdiError(f"the date of application identifier {identifier} does not exist") from None
