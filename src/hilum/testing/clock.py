"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

LAKESHORE_MORNING = datetime(2026, 3, 2, 7, 30, tzinfo=UTC)


class StoppedClock:
    """Pass it wherever ``clock: Callable[[], datetime]`` is asked for."""

    def __init__(self, at: datetime = LAKESHORE_MORNING) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def passes(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> datetime:
        """Let time pass."""
        self.at += timedelta(hours=hours, minutes=minutes, seconds=seconds)
        return self.at
