"""Schedules say when, who answers for them, and which facts they state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from hilum.governance.loader import Loaded
from hilum.governance.problems import EstateProblem
from hilum.governance.rules.owners import owner_problems

_ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def schedule_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    for name, schedule in loaded.estate.schedules.items():
        where = loaded.estate.declared_at[f"schedule:{name}"]
        what = f"The schedule {name}"
        yield from owner_problems(what, schedule.owner, loaded.estate.owners, where, "`owner=` in its @schedule(...)")
        try:
            next(CronSim(schedule.cron, _ANY_DAY))
        except (CronSimError, StopIteration):
            yield EstateProblem(
                where,
                f"{what} is due at {schedule.cron!r}, which is no time or never comes.",
                "Write five fields: minute, hour, day of the month, month, day of the week; `30 2 * * *` is half past two every night.",
            )
        if schedule.catch_up not in ("all", "latest"):
            yield EstateProblem(
                where,
                f"{what} has catch_up {schedule.catch_up!r}, which is none.",
                'Write "all" to make up for every moment that was missed, or "latest" for the newest of them.',
            )
        if not schedule.events:
            yield EstateProblem(
                where,
                f"{what} does not say which facts it states.",
                "Annotate what it returns: `-> list[ChargesDue]`.",
            )
