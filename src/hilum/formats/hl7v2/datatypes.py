"""Whether a text is of its primitive data type (HL7 v2.5.1 ch. 2A): numbers, sequence numbers, dates and times.

Texts of ST, TX, FT, ID, IS and GTS are whatever the sender wrote; their length is a matter of the version's tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_CLOCK = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d(?:\.\d{1,6})?)?)?"
_OFFSET = r"(?:[+-](?:0\d|1[0-4])[0-5]\d)?"
_DAY = r"(\d{4})(?:(0[1-9]|1[0-2])(?:(0[1-9]|[12]\d|3[01])"
_DATE = re.compile(_DAY + ")?)?", re.ASCII)
_MOMENT = re.compile(f"{_DAY}(?:{_CLOCK})?)?)?{_OFFSET}", re.ASCII)
_TIME = re.compile(_CLOCK + _OFFSET, re.ASCII)


def _exists(match: re.Match[str]) -> bool:
    """Whether the day is in the calendar."""
    year, month, day = match.groups()
    if day is None or int(day) < 29:
        return year != "0000"
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _number(text: str) -> str | None:
    return None if _NUMBER.fullmatch(text) else "the value is no number"


def _sequence(text: str) -> str | None:
    return None if text.isdigit() and text.isascii() else "the value is no sequence number"


def _date(text: str) -> str | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return "the value is no HL7 date (YYYYMMDD, shortened from the right)"
    return None if _exists(match) else "the date does not exist"


def _moment(text: str) -> str | None:
    match = _MOMENT.fullmatch(text)
    if match is None:
        return "the value is no HL7 timestamp (YYYYMMDDHHMMSS, shortened from the right, and an offset)"
    return None if _exists(match) else "the timestamp names a moment that does not exist"


def _time(text: str) -> str | None:
    return (
        None if _TIME.fullmatch(text) else "the value is no HL7 time (HHMMSS, shortened from the right, and an offset)"
    )


CHECKS: dict[str, Callable[[str], str | None]] = {
    "NM": _number,
    "SI": _sequence,
    "DT": _date,
    "DTM": _moment,
    "TM": _time,
}
"""For a primitive type why a text is not of it, without the text; None when it is."""
