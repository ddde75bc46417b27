"""Master records: what the things that owners said, in whatever order they arrived, come to at a moment.

Each version stands at the time from which it counts by its owner's word; of two at one time the one said later counts later.
What arrives late therefore changes the past and not the present, and a record is the same whatever the order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, tzinfo

from hilum.authoring.estate_master import MasterSpec

STATED, UPDATED, ENDED, RESUMED = "stated", "updated", "ended", "resumed"
_Position = tuple[datetime, datetime, bytes]


@dataclass(frozen=True)
class Version:
    """One thing an owner said of one record. ``again_at``: when a complete list said the same for the last time."""

    object: str
    code: str
    facility: str
    system: str
    effective_at: datetime
    said_at: datetime
    again_at: datetime
    action: str
    name: str | None
    attributes: Mapping[str, str | None]
    valid_from: date | None
    valid_to: date | None
    source: str
    digest: bytes

    def places(self) -> Iterator[_Position]:
        """When it was said to count: once, or for the first and the last time."""
        yield self.effective_at, self.said_at, self.digest
        if self.again_at > self.effective_at:
            yield self.again_at, self.again_at, self.digest

    def covers(self, moment: datetime) -> bool:
        return self.effective_at <= moment <= self.again_at


@dataclass(frozen=True)
class Snapshot:
    """A complete list of a system that was applied."""

    object: str
    facility: str
    system: str
    taken_at: datetime


@dataclass(frozen=True)
class MasterRecord:
    """A record as its owner has it at a moment. ``ended_at``: since when it is out of use; None while it is in use."""

    object: str
    code: str
    facility: str
    system: str
    name: str
    attributes: Mapping[str, str]
    valid_from: date
    valid_to: date
    since: datetime
    ended_at: datetime | None = None

    @property
    def active(self) -> bool:
        return self.ended_at is None

    def in_force(self, day: date) -> bool:
        """Whether it is in use and the day is one of its own."""
        return self.active and self.valid_from <= day <= self.valid_to


def fold(versions: Iterable[Version], snapshots: Iterable[Snapshot], at: datetime) -> MasterRecord | None:
    """What the versions of one record come to at ``at``; None when nothing was said of it that counted by then.

    A complete list of its system in which it is missing ends it. Only the newest such list is looked at: what was said again
    and again is kept with its first and its last time.
    """
    known = list(versions)
    steps: list[tuple[_Position, Version | Snapshot]] = [
        (place, version) for version in known for place in version.places() if place[0] <= at
    ]
    if not steps:
        return None
    for snapshot in newest(snapshots, at):
        if not any(v.system == snapshot.system and v.covers(snapshot.taken_at) for v in known):
            steps.append(((snapshot.taken_at, snapshot.taken_at, b""), snapshot))
    record: MasterRecord | None = None
    for (when, _, _), step in sorted(steps, key=lambda each: each[0]):
        if isinstance(step, Version):
            record = _applied(record, step, when)
        elif record is not None and record.active and record.system == step.system:
            record = replace(record, ended_at=when, since=when)
    return record


def newest(snapshots: Iterable[Snapshot], at: datetime) -> list[Snapshot]:
    """The last complete list of each system by a moment: whoever had the authority speaks for its own lists."""
    found: dict[str, Snapshot] = {}
    for snapshot in snapshots:
        if snapshot.taken_at <= at:
            known = found.get(snapshot.system)
            if known is None or known.taken_at < snapshot.taken_at:
                found[snapshot.system] = snapshot
    return list(found.values())


def _applied(record: MasterRecord | None, said: Version, when: datetime) -> MasterRecord:
    if record is None or said.action == STATED:
        # An update, an end or a return of what nobody had told is all that is known of it.
        return MasterRecord(
            object=said.object,
            code=said.code,
            facility=said.facility,
            system=said.system,
            name=said.name if said.name is not None else "",
            attributes={key: value for key, value in said.attributes.items() if value is not None},
            valid_from=said.valid_from if said.valid_from is not None else date.min,
            valid_to=said.valid_to if said.valid_to is not None else date.max,
            since=when,
            ended_at=when if said.action == ENDED else None,
        )
    ended_at = record.ended_at
    if said.action == ENDED and ended_at is None:
        ended_at = when
    elif said.action == RESUMED:
        ended_at = None
    merged = {**record.attributes, **said.attributes}
    return replace(
        record,
        system=said.system,
        name=said.name if said.name is not None else record.name,
        attributes={key: value for key, value in merged.items() if value is not None},
        valid_from=said.valid_from if said.valid_from is not None else record.valid_from,
        valid_to=said.valid_to if said.valid_to is not None else record.valid_to,
        since=when,
        ended_at=ended_at,
    )


class Records:
    """All master records that were told, to be asked for any moment."""

    def __init__(
        self, versions: Iterable[Version], snapshots: Iterable[Snapshot], specs: Mapping[str, MasterSpec], zone: tzinfo
    ) -> None:
        self._specs = specs
        self._zone = zone
        self._versions: dict[tuple[str, str, str], list[Version]] = {}
        for version in versions:
            self._versions.setdefault((version.object, version.code, version.facility), []).append(version)
        self._snapshots: dict[tuple[str, str], list[Snapshot]] = {}
        for snapshot in snapshots:
            self._snapshots.setdefault((snapshot.object, snapshot.facility), []).append(snapshot)
        self._newest: dict[tuple[str, str, datetime], list[Snapshot]] = {}
        self._told = {name for name, _, _ in self._versions} | {name for name, _ in self._snapshots}

    def told(self, object: str) -> bool:
        """Whether its owner ever said anything of this object: before that nothing is unknown."""
        return object in self._told

    def at(self, object: str, moment: datetime) -> list[MasterRecord]:
        """Every record of an object as it stands at a moment, out of use or not, by code and facility."""
        found = (
            fold(versions, self._lists(object, facility, moment), moment)
            for (name, _, facility), versions in sorted(self._versions.items())
            if name == object
        )
        return [record for record in found if record is not None and self._counts(record)]

    def find(self, object: str, code: str, facility: str, moment: datetime) -> MasterRecord | None:
        """The facility's own record, else the network's where the facility has no authority of its own."""
        spec = self._specs.get(object)
        places = [facility] if facility and spec is not None and facility in spec.facilities else [facility, ""]
        for place in dict.fromkeys(places):
            versions = self._versions.get((object, code, place))
            if versions is not None:
                record = fold(versions, self._lists(object, place, moment), moment)
                if record is not None and self._counts(record):
                    return record
        return None

    def changes(self, object: str, code: str, facility: str) -> list[datetime]:
        """The moments at which what counts of a record may change."""
        own = self._versions.get((object, code, facility), [])
        return sorted({place[0] for version in own for place in version.places()})

    def day_of(self, moment: datetime) -> date:
        """The day on the estate's calendar."""
        return moment.astimezone(self._zone).date()

    def _lists(self, object: str, facility: str, moment: datetime) -> list[Snapshot]:
        """The lists that matter at a moment, found once for all records: there is one more of them every night."""
        key = (object, facility, moment)
        if key not in self._newest:
            self._newest[key] = newest(self._snapshots.get((object, facility), ()), moment)
        return self._newest[key]

    def _counts(self, record: MasterRecord) -> bool:
        # What a system said while it had the authority counts no more once the estate names another one.
        spec = self._specs.get(record.object)
        return spec is None or record.system == spec.authority(record.facility)
