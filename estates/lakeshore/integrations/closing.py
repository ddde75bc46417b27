"""Record to report: books are compared through the day, and what was posted returns to billing."""

from __future__ import annotations

from hilum.authoring import Moment, schedule
from hilum.processes.patient_to_cash.reconciliation import LOOKED_BACK, ComparisonDue, compare_books
from hilum.processes.patient_to_cash.settlement import return_settlement

__all__ = ["compare_books", "return_settlement"]


@schedule(cron="20 * * * *", owner="revenue-cycle", catch_up="latest")
def comparison_due(moment: Moment) -> list[ComparisonDue]:
    """Every hour, all days that may still change."""
    return [ComparisonDue(run=f"{moment.at:%Y-%m-%dT%H:%M}", since=moment.day - LOOKED_BACK, until=moment.day)]
