"""HIBC supplier labels (ANSI/HIBC 2.6).

One symbol: ``+`` LIC PCN unit [``/`` secondary data ...] check character. Two symbols: ``+`` LIC PCN unit check, and
``+`` secondary data, link, check, where the link is the check character of the first.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta

from hilum.formats.barcodes.errors import UdiError, WrongCheck
from hilum.formats.barcodes.gs1 import two_digit_year

# The value of a character in the modulo 43 check is its place here.
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%"
_PRIMARY = re.compile(r"([A-Z][A-Z0-9]{3})([A-Z0-9]{1,18})([0-9])")
_SECONDARY = re.compile(
    r"(?P<form>\$\$\+|\$\$|\$\+|\$)(?P<rest>.*)|16D(?P<made>\d{8})|14D(?P<expires>\d{8})|S(?P<serial>[A-Z0-9\-. ]{1,20})"
    r"|Q(?P<count>\d{1,5})|(?P<julian>\d{5})(?P<lot>[A-Z0-9]{0,18})",
    re.ASCII,
)
# After $$: the flag that says how the date is written, and its digits. MMYY has none: it starts with the month itself.
_DATED = re.compile(
    r"(?:8(?P<count2>\d{2})|9(?P<count5>\d{5}))?"
    r"(?:2(?P<mmddyy>\d{6})|3(?P<yymmdd>\d{6})|4(?P<yymmddhh>\d{8})|5(?P<yyjjj>\d{5})|6(?P<yyjjjhh>\d{7})|7|(?P<mmyy>[01]\d{3})|(?=\Z))"
    r"(?P<tail>[A-Z0-9\-. ]{0,20})",
    re.ASCII,
)


@dataclass(slots=True)
class Label:
    """A label read; None where it says nothing. ``check`` is its last character; a secondary label has a ``link`` and no
    ``device_identifier``. Unit of measure 0 is the unit of use, 1 to 8 a level of packaging, 9 a variable quantity."""

    device_identifier: str | None = None
    labeler: str | None = None
    product: str | None = None
    unit_of_measure: str | None = None
    link: str | None = None
    check: str | None = None
    lot: str | None = None
    serial: str | None = None
    expires_on: date | None = None
    manufactured_on: date | None = None
    count: int | None = None


def check_character(text: str) -> str:
    """The modulo 43 character that belongs behind ``text``; UdiError when a character is not of the code's set."""
    try:
        return _ALPHABET[sum(_ALPHABET.index(character) for character in text) % 43]
    except ValueError:
        raise UdiError("an HIBC label has a character that is not of its set") from None


def read_label(text: str, reference_year: int) -> Label:
    """Read a primary or concatenated label; WrongCheck when its last character does not agree, UdiError when it is none."""
    body, check = text[:-1], _unprinted(text[-1:])
    if len(body) < 2:
        raise UdiError("the HIBC label is empty")
    if check_character(body) != check:
        raise WrongCheck("the check character of the HIBC label is wrong; scan the label again")
    if body[1] in "$0123456789":
        return _secondary(body[1:], check, reference_year)
    primary, *secondary = body[1:].split("/")
    match = _PRIMARY.fullmatch(primary)
    if match is None:
        raise UdiError(
            "the HIBC label has no primary data (labeler, product and unit of measure), so it names no device"
        )
    label = Label(primary, match[1], match[2], match[3], check=check)
    for part in secondary:
        _add(label, part, reference_year)
    return label


def _secondary(text: str, check: str, reference_year: int) -> Label:
    """The second of two symbols; its data end with the link."""
    if len(text) < 2:
        raise UdiError("the secondary data of the HIBC label is of no known form")
    label = Label(link=_unprinted(text[-1]), check=check)
    for part in text[:-1].split("/"):
        _add(label, part, reference_year)
    return label


def joined(primary: Label, secondary: Label) -> Label:
    """One label of two symbols; WrongCheck when the second does not belong to the first."""
    if primary.device_identifier is None or secondary.link is None:
        raise UdiError("two HIBC labels are joined by a primary and a secondary one, in this order")
    if primary.check != secondary.link:
        raise WrongCheck("the secondary HIBC label belongs to another primary one; scan both again")
    return Label(
        primary.device_identifier,
        primary.labeler,
        primary.product,
        primary.unit_of_measure,
        secondary.link,
        secondary.check,
        secondary.lot,
        secondary.serial,
        secondary.expires_on,
        secondary.manufactured_on,
        secondary.count,
    )


def _unprinted(character: str) -> str:
    """A blank is printed as an underline."""
    return character.replace("_", " ")


def _add(label: Label, part: str, reference_year: int) -> None:
    match = _SECONDARY.fullmatch(part)
    if match is None:
        raise UdiError("the secondary data of the HIBC label is of no known form")
    said = match.groupdict()
    if (form := said["form"]) is not None:
        _dollar(label, form, said["rest"], reference_year)
    elif said["made"] is not None:
        label.manufactured_on = _date(int(said["made"][:4]), int(said["made"][4:6]), int(said["made"][6:]))
    elif said["expires"] is not None:
        label.expires_on = _date(int(said["expires"][:4]), int(said["expires"][4:6]), int(said["expires"][6:]))
    elif said["serial"] is not None:
        label.serial = said["serial"]
    elif said["count"] is not None:
        label.count = int(said["count"])
    else:
        label.expires_on = _julian(said["julian"], reference_year)
        label.lot = said["lot"] or None


def _dollar(label: Label, form: str, rest: str, reference_year: int) -> None:
    """``$lot``, ``$+serial``, ``$$`` [count] date lot, ``$$+`` [count] date serial."""
    tail = rest
    if form.startswith("$$"):
        match = _DATED.fullmatch(rest)
        if match is None:
            raise UdiError("the secondary data of the HIBC label is of no known form")
        said = match.groupdict()
        count = said["count2"] or said["count5"]
        label.count = int(count) if count is not None else label.count
        label.expires_on = _expiry(said, reference_year) or label.expires_on
        tail = said["tail"]
    if form.endswith("+"):
        label.serial = tail or label.serial
    else:
        label.lot = tail or label.lot


def _expiry(said: dict[str, str | None], reference_year: int) -> date | None:
    if (text := said["mmyy"]) is not None:
        year, month = two_digit_year(int(text[2:]), reference_year), int(text[:2])
        return _date(year, month, calendar.monthrange(year, month)[1] if 1 <= month <= 12 else 0)
    if (text := said["mmddyy"]) is not None:
        return _date(two_digit_year(int(text[4:]), reference_year), int(text[:2]), int(text[2:4]))
    if (text := said["yymmdd"] or said["yymmddhh"]) is not None:
        return _date(two_digit_year(int(text[:2]), reference_year), int(text[2:4]), int(text[4:6]))
    if (text := said["yyjjj"] or said["yyjjjhh"]) is not None:
        return _julian(text, reference_year)
    return None


def _julian(text: str, reference_year: int) -> date:
    """``YYJJJ``: the year and its day from 001."""
    year, day = two_digit_year(int(text[:2]), reference_year), int(text[2:5])
    if not 1 <= day <= 365 + calendar.isleap(year):
        raise UdiError("a date on the HIBC label does not exist")
    return date(year, 1, 1) + timedelta(days=day - 1)


def _date(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise UdiError("a date on the HIBC label does not exist") from None
