"""How long one data key seals: the shorter the period, the closer shredding follows retention.

=========  =======  ============================================================================================
class      period   why
=========  =======  ============================================================================================
message    day      raw bytes leave by the day, with their partition: destroying a day's key destroys its copies
                    in backups and replicas too
event      day      as messages; a day that open cases still need keeps its key
delivery   month    commands and answers are kept with their case
journal    month    results of steps, as deliveries
answer     day      answers kept for `Idempotency-Key`: hours to days
evidence   none     what a legal hold or an archive keeps is destroyed by its own decision, one key at a time
identity   none     sessions, client secrets: a handful of rows, replaced rather than expired
index      none     makes tokens; another key would make every stored token unfindable
=========  =======  ============================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

DAY, MONTH, NONE = "day", "month", "none"
PERIODS: Mapping[str, str] = {
    "message": DAY,
    "event": DAY,
    "delivery": MONTH,
    "journal": MONTH,
    "answer": DAY,
    "evidence": NONE,
    "identity": NONE,
    "index": NONE,
}
ALWAYS = date(1970, 1, 1)
"""The period of a key that has none."""


class UnknownDataClass(LookupError):
    """A class of stored data that ``PERIODS`` does not have."""


def period_of(data_class: str, at: datetime) -> date:
    """The first day (UTC) of the period in which ``at`` falls."""
    kind = _kind(data_class)
    if kind == NONE:
        return ALWAYS
    day = at.astimezone(UTC).date()
    return day if kind == DAY else day.replace(day=1)


def ends_of(data_class: str, period: date) -> date | None:
    """The first day after a period; None when it never ends."""
    kind = _kind(data_class)
    if kind == NONE:
        return None
    return period + timedelta(days=1) if kind == DAY else (period + timedelta(days=32)).replace(day=1)


def _kind(data_class: str) -> str:
    try:
        return PERIODS[data_class]
    except KeyError:
        raise UnknownDataClass(f"{data_class!r} is no class of stored data; there are {', '.join(PERIODS)}") from None
