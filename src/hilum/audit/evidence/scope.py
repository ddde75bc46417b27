"""What a package is about: one key's threads, or one period of a facility or of all."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

_PERIOD = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


class NoPeriod(ValueError):
    """A period that is none; the text shows how one is written."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Either ``key`` (any business key or address), ``addresses`` that one led to, or ``period`` (2026, 2026-11,
    2026-11-21) with or without a facility.

    ``subject`` is how the scope is called where it may be shown; a protected key's is made by whoever knows its token.
    """

    subject: str
    key: str | None = None
    period: str | None = None
    facility: str | None = None
    addresses: tuple[str, ...] = ()

    @classmethod
    def of_key(cls, key: str, shown: str | None = None) -> Scope:
        return cls(f"key/{key if shown is None else shown}", key=key)

    @classmethod
    def of_period(cls, period: str, facility: str | None = None) -> Scope:
        """NoPeriod when ``period`` is not a year, a month or a day."""
        period_bounds(period, UTC)
        return cls(f"period/{period}/{facility if facility is not None else 'all'}", period=period, facility=facility)

    def as_fields(self) -> dict[str, str]:
        """As it stands in manifests: without the key, which may be protected."""
        given = {"subject": self.subject, "period": self.period, "facility": self.facility}
        return {name: value for name, value in given.items() if value is not None}


def period_bounds(period: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first instant of a period in a zone's time, and the first after it, both in UTC."""
    match = _PERIOD.fullmatch(period)
    try:
        if match is None:
            raise ValueError
        year, month, day = int(match[1]), match[2], match[3]
        if month is None:
            start, end = datetime(year, 1, 1, tzinfo=zone), datetime(year + 1, 1, 1, tzinfo=zone)
        elif day is None:
            start = datetime(year, int(month), 1, tzinfo=zone)
            days = calendar.monthrange(year, int(month))[1]
            end = start + timedelta(days=days)
        else:
            start = datetime(year, int(month), int(day), tzinfo=zone)
            end = start + timedelta(days=1)
    except ValueError:
        raise NoPeriod(f"{period!r} is no period; write 2026, 2026-11 or 2026-11-21") from None
    return start.astimezone(UTC), end.astimezone(UTC)


def month_before(now: datetime, zone: tzinfo) -> str:
    """The month that ended last, as a period is written."""
    first = now.astimezone(zone).replace(day=1)
    return f"{first - timedelta(days=1):%Y-%m}"
