"""The primitive datatypes of FHIR R4 as JSON writes them (R4 chapter 2.24.0.1): whether a value is one.

The expressions are the specification's, except where its own would take quadratic time (base64Binary) or let days pass
that no calendar has.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Check = Callable[[Any], bool]

_YEAR = r"(?:[0-9](?:[0-9](?:[0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_DAY = r"(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

_date = re.compile(rf"{_YEAR}(?:-(?:0[1-9]|1[0-2])|-{_DAY})?").fullmatch
_date_time = re.compile(rf"{_YEAR}(?:-(?:0[1-9]|1[0-2])|-{_DAY}(?:T{_CLOCK}{_ZONE})?)?").fullmatch
_instant = re.compile(rf"{_YEAR}-{_DAY}T{_CLOCK}{_ZONE}").fullmatch
_time = re.compile(_CLOCK).fullmatch
_code = re.compile(r"[^\s]+(?:\s[^\s]+)*").fullmatch
_id = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
_uri = re.compile(r"\S+").fullmatch
_oid = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+").fullmatch
_uuid = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_base64 = re.compile(r"[0-9A-Za-z+/]+={0,2}").fullmatch
# Tabs, line ends and everything from the space on may stand in a string (R4 2.24.0.1, string).
_control = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]").search
_SPACES = str.maketrans("", "", " \t\r\n")

LARGEST_INTEGER = 2**31 - 1
MAX_STRING = 1024 * 1024
"""Strings SHALL NOT exceed 1 MB (R4 2.24.0.1); counted in characters."""
MAX_EXPONENT = 400
"""R4's own example goes to 1e245, doubles to 308; a decimal beyond would only fill pages when written out."""
_BEYOND: int = 10**MAX_EXPONENT
MAX_KEPT_DIGITS = 18
"""What systems can be relied on to keep of a decimal (R4 2.24.0.1 on precision; the regex of R5 says so outright)."""


def _in_calendar(text: str) -> bool:
    return bool(len(text) < 10 or text[8:10] < "29" or int(text[8:10]) <= monthrange(int(text[:4]), int(text[5:7]))[1])


def is_date(value: Any) -> bool:
    return type(value) is str and _date(value) is not None and _in_calendar(value)


def is_date_time(value: Any) -> bool:
    return type(value) is str and _date_time(value) is not None and _in_calendar(value)


def is_instant(value: Any) -> bool:
    return type(value) is str and _instant(value) is not None and _in_calendar(value)


def is_time(value: Any) -> bool:
    return type(value) is str and _time(value) is not None


def is_string(value: Any) -> bool:
    """Something visible must be in it, and no control character."""
    return type(value) is str and value.strip() != "" and _control(value) is None and len(value) <= MAX_STRING


def is_code(value: Any) -> bool:
    return type(value) is str and _code(value) is not None


def is_id(value: Any) -> bool:
    return type(value) is str and _id(value) is not None


def is_uri(value: Any) -> bool:
    """Any URI; one that says it is a UUID or an OID must be one."""
    if type(value) is not str or _uri(value) is None:
        return False
    if value.startswith("urn:uuid:"):
        return _uuid(value.lower()) is not None  # Lower case is asked for; R4's own examples do without.
    return not value.startswith("urn:oid:") or _oid(value) is not None


def is_oid(value: Any) -> bool:
    return type(value) is str and _oid(value) is not None


def is_uuid(value: Any) -> bool:
    return type(value) is str and _uuid(value) is not None


def is_base64(value: Any) -> bool:
    if type(value) is not str:
        return False
    bare = value.translate(_SPACES)
    return len(bare) % 4 == 0 and _base64(bare) is not None


def is_boolean(value: Any) -> bool:
    return value is True or value is False


def is_decimal(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < _BEYOND
    return isinstance(value, Decimal) and bool(value.is_finite() and abs(value.adjusted()) <= MAX_EXPONENT)


def is_integer(value: Any) -> bool:
    return type(value) is int and -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER


def is_unsigned(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_INTEGER


def is_positive(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST_INTEGER


def is_text(value: Any) -> bool:
    return type(value) is str and value != ""


PRIMITIVES: dict[str, Check] = {
    "base64Binary": is_base64,
    "boolean": is_boolean,
    "canonical": is_uri,
    "code": is_code,
    "date": is_date,
    "dateTime": is_date_time,
    "decimal": is_decimal,
    "id": is_id,
    "instant": is_instant,
    "integer": is_integer,
    "markdown": is_string,
    "oid": is_oid,
    "positiveInt": is_positive,
    "string": is_string,
    "time": is_time,
    "unsignedInt": is_unsigned,
    "uri": is_uri,
    "url": is_uri,
    "uuid": is_uuid,
    "xhtml": is_text,
}

NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
"""The primitives that JSON writes as numbers."""
