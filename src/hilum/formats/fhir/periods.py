"""When two FHIR dates of any precision and zone can be compared, and how."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hilum.formats.fhir.primitives import is_date_time


def starts_before_end(start: Any, end: Any) -> bool:
    """False only when the start is surely after the end; dates of different precision compare as far as both go."""
    if not is_date_time(start) or not is_date_time(end):
        return True
    if "T" in start and "T" in end:
        first, last = _instant(start), _instant(end)
        return first is None or last is None or first <= last
    # A time of day without its zone's counterpart cannot be placed: a day's difference decides, hours do not.
    length = min(len(start.partition("T")[0]), len(end.partition("T")[0]))
    return bool(start[:length] <= end[:length])


def _instant(text: str) -> datetime | None:
    head, tail = text[:19], text[19:]
    fraction = ""
    if tail.startswith("."):
        digits = len(tail) - len(tail[1:].lstrip("0123456789")) - 1
        fraction, tail = tail[: min(digits, 6) + 1], tail[digits + 1 :]
    try:
        return datetime.fromisoformat(head + fraction.ljust(7, "0") * bool(fraction) + tail.replace("Z", "+00:00"))
    except ValueError:
        return None  # A leap second, which no calendar here can place.
