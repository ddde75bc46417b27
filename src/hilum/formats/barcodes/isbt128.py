"""ISBT 128 labels of blood, cells and tissue (ICCBBA ST-001; as UDI: ST-017 and 21 CFR 830).

Each data structure starts with its own identifier of two or three characters; most are of one length, so structures may
stand in one symbol, with or without the compound message ``=+`` before them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta

from hilum.formats.barcodes.errors import UdiError, WrongCheck

__all__ = ["STRUCTURES", "Tissue", "check_character", "read_isbt"]

# The value of a character in the modulo 37-2 check (ISO/IEC 7064) is its place here.
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*"

_DATE = r"[0-9]{6}"
_MOMENT = r"[0-9]{10}"
_CODE = r"[A-Z0-9]"
DONATION = "="
"""The donation identification number: its identifier is ``=`` alone, told by what follows it."""

STRUCTURES: dict[str, tuple[str, int, str]] = {
    "&,1": ("lot", 18, rf"{_CODE}{{18}}"),
    "=/": ("processor product identification code", 16, rf"{_CODE}{{16}}"),
    "=,": ("serial (product division)", 6, rf"{_CODE}{{6}}"),
    "=>": ("expiration date", 6, _DATE),
    "&>": ("expiration date and time", 10, _MOMENT),
    "=}": ("production date", 6, _DATE),
    "&}": ("production date and time", 10, _MOMENT),
    "=*": ("collection date", 6, _DATE),
    "&*": ("collection date and time", 10, _MOMENT),
    "=%": ("blood groups", 4, rf"{_CODE}{{4}}"),
    "=<": ("product code", 8, rf"[A-Z]{_CODE}{{7}}"),
    "&(": ("special testing", 5, rf"{_CODE}{{5}}"),
    "=)": ("container manufacturer and catalogue number", 10, rf"{_CODE}{{10}}"),
    "&)": ("container lot", 10, rf"{_CODE}{{10}}"),
    "=-": ("manufacturer and catalogue number", 10, rf"{_CODE}{{10}}"),
    "&-": ("manufacturer lot", 10, rf"{_CODE}{{10}}"),
    "=+": ("compound message", 5, r"[0-9]{5}"),
    DONATION: ("donation identification number", 15, rf"[A-NP-Z1-9]{_CODE}{{4}}[0-9]{{8}}[0-9A-Z]{{2}}"),
}
"""By identifier: the name, how many characters of data follow, and their form. Only structures that labels of tissue,
blood and their containers carry; a label with another is refused."""

_PATTERNS = {identifier: re.compile(form) for identifier, (_, _, form) in STRUCTURES.items()}
_FIRST_CHECK_FLAG, _LAST_CHECK_FLAG = 60, 96


@dataclass(slots=True)
class Tissue:
    """A label read: its structures in order, and what they say; None where they say nothing.

    ``donation_number`` are the thirteen characters without flags; ``flags`` the two behind them.
    """

    elements: list[tuple[str, str]] = field(default_factory=list)
    device_identifier: str | None = None
    donation_number: str | None = None
    flags: str | None = None
    serial: str | None = None
    lot: str | None = None
    product_code: str | None = None
    expires_on: date | None = None
    manufactured_on: date | None = None


def check_character(text: str) -> str:
    """The modulo 37-2 character that belongs behind ``text`` (ISO/IEC 7064): a digit, a letter or ``*``."""
    total = 0
    for character in text:
        place = _ALPHABET.find(character)
        if not 0 <= place < 36:
            raise UdiError("a donation number has digits and capital letters only", location=DONATION)
        total = (total + place) * 2 % 37
    return _ALPHABET[(38 - total) % 37]


def read_isbt(text: str) -> Tissue:
    """Read one or many structures; UdiError when an identifier is unknown or data are not of its form, WrongCheck when
    the flags of a donation number carry a check that does not agree."""
    label = Tissue()
    rest = text
    while rest:
        identifier = next((rest[:size] for size in (3, 2) if rest[:size] in STRUCTURES), None)
        if identifier is None and rest[0] == DONATION:
            identifier = DONATION
        if identifier is None:
            raise UdiError("the label is no ISBT 128 data structure: an identifier is unknown")
        name, length, _ = STRUCTURES[identifier]
        data, rest = rest[len(identifier) : len(identifier) + length], rest[len(identifier) + length :]
        if _PATTERNS[identifier].fullmatch(data) is None:
            raise UdiError(f"the {name} is not of its form", location=identifier)
        label.elements.append((identifier, data))
        _take(label, identifier, data)
    if label.elements and label.elements[0][0] == "=+" and int(label.elements[0][1][:2]) != len(label.elements) - 1:
        raise UdiError("the compound message does not have as many structures as it says", location="=+")
    return label


def _take(label: Tissue, identifier: str, data: str) -> None:
    if identifier in ("=/", "=)", "=-"):
        if label.device_identifier is None:
            label.device_identifier = data
    elif identifier == DONATION:
        label.donation_number, label.flags = data[:13], data[13:]
        carried = int(data[13:]) - _FIRST_CHECK_FLAG if data[13:].isdigit() else -1
        if 0 <= carried <= _LAST_CHECK_FLAG - _FIRST_CHECK_FLAG and _ALPHABET[carried] != check_character(data[:13]):
            raise WrongCheck("the check of the donation number is wrong; scan the label again", location=DONATION)
    elif identifier == "=,":
        label.serial = data
    elif identifier in ("&,1", "&)", "&-"):
        label.lot = data
    elif identifier == "=<":
        label.product_code = data
    elif identifier in ("=>", "&>"):
        label.expires_on = _date(data, identifier)
    elif identifier in ("=}", "&}"):
        label.manufactured_on = _date(data, identifier)
    elif identifier in ("=*", "&*"):
        _date(data, identifier)


def _date(text: str, identifier: str) -> date:
    """``cYYJJJ`` with or without ``hhmm``: c is the century's last digit (9 for the twentieth), JJJ the day from 001."""
    century, year, day = int(text[0]), int(text[1:3]), int(text[3:6])
    full = (1900 if century == 9 else 2000 + 100 * century) + year
    at = date(full, 1, 1) + timedelta(days=day - 1) if day else None
    if at is None or at.year != full:
        raise UdiError("a date on the label does not exist", location=identifier)
    if len(text) == 10 and (int(text[6:8]) > 23 or int(text[8:]) > 59):
        raise UdiError("a time on the label does not exist", location=identifier)
    return at
