"""HL7 timestamps, data types TS and DTM (HL7 v2.5.1 ch. 2A.22): ``YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Literal

from hilum.formats.hl7v2.findings import Code, HL7Error

Precision = Literal["year", "month", "day", "hour", "minute", "second", "fraction"]

_SHAPE = re.compile(r"(\d{4}|\d{6}|\d{8}|\d{10}|\d{12}|\d{14}(?:\.\d{1,6})?)([+-]\d{4})?", re.ASCII)
_PRECISIONS: dict[int, Precision] = {4: "year", 6: "month", 8: "day", 10: "hour", 12: "minute", 14: "second"}


def _apart(text: str) -> tuple[str, str | None]:
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise HL7Error(
            Code.DATA_TYPE, "the value is no HL7 timestamp (YYYYMMDDHHMMSS, shortened from the right, and an offset)"
        )
    return match.group(1), match.group(2)


def parse_timestamp(text: str, default_zone: tzinfo) -> datetime:
    """The moment, aware of its offset; ``default_zone`` is used where the sender gave none. HL7Error 102 when it is none.

    A shortened timestamp is the start of its year, month, day, hour or minute; ``precision_of`` tells how much was said.
    """
    digits, offset = _apart(text)
    size = len(digits)
    zone = default_zone
    try:
        if offset is not None:
            hours, minutes = int(offset[1:3]), int(offset[3:5])
            if minutes > 59:
                raise ValueError("an offset has at most 59 minutes")
            span = timedelta(hours=hours, minutes=minutes)
            zone = timezone(-span if offset[0] == "-" else span)
        return datetime(
            int(digits[:4]),
            int(digits[4:6]) if size > 4 else 1,
            int(digits[6:8]) if size > 6 else 1,
            int(digits[8:10]) if size > 8 else 0,
            int(digits[10:12]) if size > 10 else 0,
            int(digits[12:14]) if size > 12 else 0,
            int(digits[15:].ljust(6, "0")) if size > 14 else 0,
            tzinfo=zone,
        )
    except ValueError:
        # The value may be a date of birth, so it is not repeated.
        raise HL7Error(Code.DATA_TYPE, "the timestamp names a moment that does not exist") from None


def precision_of(text: str) -> Precision:
    """How much of a timestamp was said: ``20260301`` is a day, not midnight. HL7Error 102 when it is none."""
    return _PRECISIONS.get(len(_apart(text)[0]), "fraction")
