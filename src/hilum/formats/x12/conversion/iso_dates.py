"""X12 dates as ISO 8601, as precise as they were written."""

from __future__ import annotations

from hilum.formats.x12.dates import real_date
from hilum.formats.x12.document import Segment, value


def iso_date(text: str | None) -> str | None:
    """``20260105`` -> ``2026-01-05``; a time behind the day is left off; None for what is no date of the calendar."""
    if text is None:
        return None
    day = text[:8]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 and real_date(day) else None


def period(dated: Segment | None) -> tuple[str | None, str | None]:
    """The first and last day that a DTP says (DTP02, DTP03); the same day twice for a single one."""
    text = value(dated, 3)
    if text is None:
        return None, None
    begins, _, ends = text.partition("-")
    first = iso_date(begins)
    return first, iso_date(ends) if ends else first
