"""Unique device identifiers (21 CFR 830): which device, and which lot or piece of it.

What an issuing agency prints is told apart by its first characters: HIBCC starts with ``+``, all else is read as GS1.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from hilum.formats.barcodes.errors import UdiError, WrongCheck
from hilum.formats.barcodes.gs1 import check_digit, elements, is_gtin, two_digit_year
from hilum.formats.barcodes.hibc import Label, read_label

__all__ = ["Udi", "UdiError", "WrongCheck", "check_digit", "parse_udi"]

IssuingAgency = Literal["GS1", "HIBCC"]

_SYMBOLOGY = re.compile(r"\A\](?:C1|d2|e0|Q3|J1|C0|d1|Q1)")


@dataclass(frozen=True, slots=True)
class Udi:
    """A label read: the device identifier (DI) and what it says of production (PI); None where it says nothing.

    The device identifier is 14 digits for GS1 (a GTIN, shorter ones filled with zeros) and LIC, PCN and unit of measure
    for HIBCC, as in the FDA's GUDID. ``count_each`` is the number of pieces inside.
    """

    device_identifier: str
    lot: str | None = None
    serial: str | None = None
    expires_on: date | None = None
    issuing_agency: IssuingAgency = "GS1"
    manufactured_on: date | None = None
    count_each: int | None = None


def parse_udi(text: str, *, reference_year: int = 2025) -> Udi:
    """Read a label as scanned or as printed under the bars; UdiError (a ValueError) when it is none.

    Taken are GS1 element strings (with FNC1 as GS, 0x1D, and with or without a symbology identifier), the same in
    parentheses ``(01)...(17)...``, a GTIN alone, and HIBC primary and concatenated labels (ANSI/HIBC 2.6). Two-digit
    years fall between 49 years before and 50 after ``reference_year`` (GS1 General Specifications 7.12).
    """
    label = text.strip("\t\r\n").lstrip(" ")
    if label.startswith("]"):
        label = _SYMBOLOGY.sub("", label, count=1)
    if label.strip("*").startswith("+"):
        return _hibcc(read_label(label.strip("*"), reference_year))
    label = label.rstrip(" ")
    if not label:
        raise UdiError("the label is empty")
    return _gs1(label, reference_year)


def _hibcc(label: Label) -> Udi:
    return Udi(
        device_identifier=label.device_identifier,
        lot=label.lot,
        serial=label.serial,
        expires_on=label.expires_on,
        issuing_agency="HIBCC",
        manufactured_on=label.manufactured_on,
        count_each=label.count,
    )


def _gs1(label: str, reference_year: int) -> Udi:
    if is_gtin(label):
        return Udi(label.zfill(14))
    found = elements(label)
    gtin = found.get("01")
    if gtin is None:
        raise UdiError("the label has no GTIN (application identifier 01), so it names no device")
    count = found.get("30")
    return Udi(
        device_identifier=gtin,
        lot=found.get("10"),
        serial=found.get("21"),
        expires_on=_date(found.get("17"), "17", reference_year),
        manufactured_on=_date(found.get("11"), "11", reference_year),
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
