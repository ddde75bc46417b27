"""Crosswalk entries, which of them wins, and the snapshot that flow steps look codes up in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from types import MappingProxyType

TABLE = "table"
STEWARD = "steward"


@dataclass(frozen=True)
class CrosswalkEntry:
    """One decision: ``code`` is ``target`` at ``facility`` (empty: everywhere), both days inclusive."""

    crosswalk: str
    code: str
    target: str
    facility: str = ""
    valid_from: date = date.min
    valid_to: date = date.max
    origin: str = TABLE
    changed_by: str = ""
    changed_at: datetime | None = None

    def in_force(self, day: date) -> bool:
        return self.valid_from <= day <= self.valid_to


class UnknownCrosswalk(KeyError):
    """A crosswalk was looked up that no estate declares."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        names = ", ".join(sorted(known))
        super().__init__(
            f"there is no crosswalk {name!r}; "
            + (f"the estate declares {names}" if names else "no estate has been loaded into this database")
        )

    def __str__(self) -> str:
        return str(self.args[0])


class Snapshot:
    """Crosswalks as they stood at one moment. Never changed after it was made, so any thread may read it.

    Precedence: a facility's own entry beats the network's, then a steward's beats the table's, then the one
    that came into force last. Only entries in force on the day take part.
    """

    def __init__(self, names: Iterable[str], entries: Iterable[CrosswalkEntry], zone: tzinfo) -> None:
        grouped: dict[str, dict[tuple[str, str], list[CrosswalkEntry]]] = {name: {} for name in names}
        for entry in entries:
            grouped.setdefault(entry.crosswalk, {}).setdefault((entry.code, entry.facility), []).append(entry)
        self._entries: Mapping[str, Mapping[tuple[str, str], tuple[CrosswalkEntry, ...]]] = MappingProxyType(
            {
                name: {place: tuple(sorted(found, key=precedence, reverse=True)) for place, found in places.items()}
                for name, places in grouped.items()
            }
        )
        self._zone = zone

    def lookup(self, name: str, value: str, facility: str, on: datetime) -> str | None:
        """The target of ``value`` on the day that ``on`` is in the estate's time zone; None without an entry in force.

        ``UnknownCrosswalk`` (a KeyError) when no estate declares ``name``: that is a mistake, not a missing code.
        """
        places = self._entries.get(name)
        if places is None:
            raise UnknownCrosswalk(name, self._entries)
        # An instant without a zone is taken as the estate's own wall clock, as senders write it.
        day = (on.astimezone(self._zone) if on.tzinfo is not None else on).date()
        for place in ((value, facility), (value, "")) if facility else ((value, ""),):
            for entry in places.get(place, ()):
                if entry.in_force(day):
                    return entry.target
        return None

    def __len__(self) -> int:
        return sum(len(found) for places in self._entries.values() for found in places.values())


def precedence(entry: CrosswalkEntry) -> tuple[bool, date]:
    """Of two entries of one code and facility that are both in force, the one with more of this wins."""
    return entry.origin == STEWARD, entry.valid_from
