"""Schedules: time as a source of facts. What a clock says is taken in like any other fact, and flows start from it.

@schedule(cron="30 2 * * *", owner="revenue-cycle")
def charges_due(moment: Moment) -> list[ChargesDue]:
    return [ChargesDue(facility=FacilityCode(code), day=moment.day) for code in moment.facilities]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, get_args, get_type_hints

from hilum.authoring.contract import Contract

CatchUp = Literal["all", "latest"]


@dataclass(frozen=True)
class Moment:
    """When a schedule is due: ``at`` in the estate's time zone, ``facilities`` the estate's, in its order."""

    at: datetime
    facilities: tuple[str, ...]

    @property
    def day(self) -> date:
        """The day on the estate's own calendar."""
        return self.at.date()


@dataclass(eq=False)
class Schedule:
    """A pure function from a moment to facts. Called directly, it is that function."""

    function: Callable[[Moment], Iterable[Contract]]
    name: str
    cron: str
    owner: str
    catch_up: CatchUp
    events: tuple[type[Contract], ...]

    def __call__(self, moment: Moment) -> Iterable[Contract]:
        return self.function(moment)


def schedule(
    *, cron: str, owner: str = "", catch_up: CatchUp = "all"
) -> Callable[[Callable[[Moment], Iterable[Contract]]], Schedule]:
    """Declare a schedule by a cron expression in the estate's time zone: ``30 2 * * *`` is half past two every night.

    Each moment's facts are taken in once, whatever is repeated: their identities say which are the same. ``catch_up`` says
    what is made up for after the platform was away: all moments that were missed, or only the latest of them.
    """

    def declare(function: Callable[[Moment], Iterable[Contract]]) -> Schedule:
        events = tuple(dict.fromkeys(_contracts(get_type_hints(function).get("return"))))
        return Schedule(function, function.__name__, cron, owner, catch_up, events)

    return declare


def _contracts(shape: Any) -> Iterator[type[Contract]]:
    if isinstance(shape, type) and issubclass(shape, Contract):
        yield shape
    for part in get_args(shape):
        yield from _contracts(part)
