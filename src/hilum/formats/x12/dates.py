"""Dates, times and periods as X12 writes them (element types DT and TM; element 1251 in the formats of element 1250)."""

from __future__ import annotations

import re
from datetime import date

_DAY = (
    "(?:(?:0[13578]|1[02])(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)(?:0[1-9]|[12][0-9]|30)|02(?:0[1-9]|1[0-9]|2[0-8]))"
)
_HOUR = "(?:[01][0-9]|2[0-3])"
_MONTH = "(?:0[1-9]|1[0-2])"
_MINUTE = _HOUR + "[0-5][0-9]"

DATE_8 = "[0-9]{4}" + _DAY
"""A regular expression of CCYYMMDD; it leaves out leap days, which ``real_date`` knows."""
DATE_6 = "[0-9]{2}" + _DAY
TIMES = {4: _MINUTE, 6: _MINUTE + "[0-5][0-9]", 7: _MINUTE + "[0-5][0-9]{2}", 8: _MINUTE + "[0-5][0-9]{3}"}

_PIECES = {
    "D8": DATE_8,
    "D6": DATE_6,
    "YY": "[0-9]{2}",
    "CY": "[0-9]{4}",
    "CM": "[0-9]{4}" + _MONTH,
    "YM": "[0-9]{2}" + _MONTH,
    "MD": _DAY,
    "TM": _MINUTE,
    "TS": _MINUTE + "[0-5][0-9]",
    "DT": DATE_8 + _MINUTE,
    "DS": DATE_8 + _MINUTE + "[0-5][0-9]",
    "DB": _DAY + "[0-9]{4}",
    "TT": _DAY + "[0-9]{2}",
}
PERIODS = {
    **{code: (code,) for code in ("D8", "D6", "CY", "CM", "YM", "MD", "TM", "TS", "DT", "DB", "TT", "YY")},
    "RTS": ("DS", "DS"),
    "RD8": ("D8", "D8"),
    "RD6": ("D6", "D6"),
    "RD5": ("CM", "CM"),
    "RD4": ("CY", "CY"),
    "RD2": ("YY", "YY"),
    "RD": ("DB", "DB"),
    "RDM": ("D6", "MD"),
    "RDT": ("DT", "DT"),
    "RMD": ("MD", "MD"),
    "RMY": ("YM", "YM"),
    "RTM": ("TM", "TM"),
}
"""The pieces of a period by its format (element 1250), joined by a hyphen; formats that are not here are not checked."""

_LENGTHS = {"D8": 8, "D6": 6, "DT": 12, "DS": 14}


def period_pattern(code: str) -> str | None:
    """A regular expression of a period in the format ``code``, without leap days; None for a format that is not checked."""
    pieces = PERIODS.get(code)
    return None if pieces is None else "-".join(_PIECES[piece] for piece in pieces)


def real_date(text: str) -> bool:
    """Whether a text is a day of the calendar, CCYYMMDD or YYMMDD (a year without its century is read as 20YY)."""
    if len(text) not in (6, 8) or not _digits(text):
        return False
    year = int(text[:-4]) + (2000 if len(text) == 6 else 0)
    try:
        date(year, int(text[-4:-2]), int(text[-2:]))
    except ValueError:
        return False
    return True


def real_time(text: str) -> bool:
    """Whether a text is a time of the day: HHMM, HHMMSS, HHMMSSD or HHMMSSDD."""
    return len(text) in TIMES and re.fullmatch(TIMES[len(text)], text) is not None


def real_period(code: str, text: str) -> bool:
    """Whether a text is a period in the format ``code``; True for a format that is not checked."""
    pieces = PERIODS.get(code)
    if pieces is None:
        return True
    parts = text.split("-")
    return len(parts) == len(pieces) and all(_real(piece, part) for piece, part in zip(pieces, parts, strict=True))


def _real(piece: str, text: str) -> bool:
    if piece in ("D8", "D6"):
        return len(text) == _LENGTHS[piece] and real_date(text)
    if piece in ("DT", "DS"):
        return len(text) == _LENGTHS[piece] and real_date(text[:8]) and real_time(text[8:])
    if piece == "DB":
        return len(text) == 8 and real_date(text[4:] + text[:4])
    if piece == "TT":
        return len(text) == 6 and real_date(text[4:] + text[:4])
    if piece == "MD":
        return len(text) == 4 and real_date("2000" + text)
    return re.fullmatch(_PIECES[piece], text) is not None


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
