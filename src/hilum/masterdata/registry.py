"""The registry of master records in the database: what owners told, each thing once, and the lists that were complete."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from hashlib import sha256
from typing import Any

import asyncpg
import orjson

from hilum.authoring.estate_master import MasterSpec
from hilum.authoring.master import Scope, Taken, Telling, ToldRecord
from hilum.masterdata.records import STATED, Records, Snapshot, Version, fold, newest

CHANNEL = "hilum_master"
"""Notified when master records changed."""
_COLUMNS = (
    "object", "code", "facility", "system", "effective_at", "said_at", "again_at", "action", "name", "attributes", "valid_from",
    "valid_to", "source", "digest",
)  # fmt: skip


@dataclass(frozen=True)
class _Judged:
    records: tuple[ToldRecord, ...]
    complete: tuple[Scope, ...]
    refused: tuple[str, ...]


def judged(telling: Telling, specs: Mapping[str, MasterSpec]) -> _Judged:
    """What of a telling its system has the authority for, and what not, in the words of a work item."""
    refused: dict[str, None] = {}

    def admits(object: str, facility: str) -> bool:
        spec = specs.get(object)
        owner = spec.authority(facility) if spec is not None else None
        if owner == telling.system:
            return True
        at = f" of {facility}" if facility else ""
        whose = f"{owner} owns it" if owner is not None else "the estate names no owner"
        refused[f"{object}{at} by {telling.system}: {whose}"] = None
        return False

    records = tuple(each for each in telling.records if admits(each.object, each.facility))
    complete = tuple(each for each in telling.complete if admits(each.object, each.facility))
    return _Judged(records, complete, tuple(refused))


async def take(
    connection: asyncpg.Connection, telling: Telling, specs: Mapping[str, MasterSpec], *, now: datetime
) -> Taken:
    """Add what is news in a telling, in the caller's transaction. Of a complete list that lacks too much nothing is added."""
    allowed = judged(telling, specs)
    # One telling after the other: two at once would each find the other's records missing.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('hilum.master_version'))")
    objects = sorted({record.object for record in allowed.records} | {scope.object for scope in allowed.complete})
    versions = await _versions(connection, objects)
    snapshots = await _snapshots(connection, objects)
    by_record: dict[tuple[str, str, str], list[Version]] = {}
    for version in versions:
        by_record.setdefault((version.object, version.code, version.facility), []).append(version)
    gone, too_short = await _missing(connection, telling, allowed, specs, by_record, snapshots)
    if too_short:
        return Taken(refused=allowed.refused, too_short=too_short)
    # What counts first is looked at first, so that a telling may say several things of one record.
    wanted = sorted(
        (_version(telling, record) for record in allowed.records), key=lambda v: (v.effective_at, v.said_at, v.digest)
    )
    lists: dict[tuple[str, str], list[datetime]] = {}
    for snapshot in sorted(snapshots, key=lambda each: each.taken_at):
        if snapshot.system == telling.system:
            lists.setdefault((snapshot.object, snapshot.facility), []).append(snapshot.taken_at)
    added: list[Version] = []
    again: list[tuple[Version, datetime]] = []
    for version in wanted:
        mine = by_record.setdefault((version.object, version.code, version.facility), [])
        same = _says_the_same(mine, version, lists.get((version.object, version.facility), ()))
        if same is None:
            mine.append(version)
            added.append(version)
        elif not same.covers(version.effective_at):
            again.append((same, version.effective_at))
    await _insert(connection, added, now)
    await _say_again(connection, again)
    listed = 0
    for scope in allowed.complete:
        count = sum(1 for r in allowed.records if (r.object, r.facility) == (scope.object, scope.facility))
        listed += await _applied(connection, telling, scope, count, now)
    if added or again or listed:
        await connection.execute("UPDATE master_change SET version = version + 1")
        await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
    return Taken(news=len(added), known=len(wanted) - len(added), gone=gone if listed else 0, refused=allowed.refused)


async def read_records(
    connection: asyncpg.Connection, specs: Mapping[str, MasterSpec], zone: tzinfo, *, object: str | None = None
) -> Records:
    """All that was told, or what was told of one object."""
    objects = None if object is None else [object]
    return Records(await _versions(connection, objects), await _snapshots(connection, objects), specs, zone)


async def history(connection: asyncpg.Connection, object: str, code: str) -> list[dict[str, Any]]:
    """Everything that was said of a code, by facility and in the order of its owner's time."""
    rows = await connection.fetch(
        """SELECT facility, system, effective_at, said_at, again_at, action, name, attributes, valid_from, valid_to, source, told_at
             FROM master_version WHERE object = $1 AND code = $2 ORDER BY facility, effective_at, said_at, digest""",
        object, code,
    )  # fmt: skip
    return [{**dict(row), "attributes": orjson.loads(row["attributes"])} for row in rows]


async def allow(connection: asyncpg.Connection, source: str, *, by: str, now: datetime) -> None:
    """A person found a list right that lacks much: it is applied when it is told the next time."""
    await connection.execute(
        "INSERT INTO master_allowed (source, allowed_by, allowed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        source, by, now,
    )  # fmt: skip


async def _missing(
    connection: asyncpg.Connection,
    telling: Telling,
    allowed: _Judged,
    specs: Mapping[str, MasterSpec],
    by_record: Mapping[tuple[str, str, str], Sequence[Version]],
    snapshots: Sequence[Snapshot],
) -> tuple[int, tuple[str, ...]]:
    """How many records in use a complete list lacks, and the lists that lack more than their object's share."""
    gone, too_short = 0, []
    person_allowed = await connection.fetchval("SELECT 1 FROM master_allowed WHERE source = $1", telling.number)
    for scope in allowed.complete:
        listed = {r.code for r in allowed.records if (r.object, r.facility) == (scope.object, scope.facility)}
        own = [s for s in snapshots if (s.object, s.facility) == (scope.object, scope.facility)]
        lists = newest(own, telling.said_at)
        in_use = set()
        for (name, code, facility), versions in by_record.items():
            if (name, facility) == (scope.object, scope.facility):
                record = fold(versions, lists, telling.said_at)
                if record is not None and record.active and record.system == telling.system:
                    in_use.add(code)
        lacking = in_use - listed
        gone += len(lacking)
        most = specs[scope.object].most_gone_percent
        if in_use and 100 * len(lacking) > most * len(in_use) and not person_allowed:
            at = f" of {scope.facility}" if scope.facility else ""
            some = ", ".join(sorted(lacking)[:5])
            too_short.append(
                f"{scope.object}{at}: {len(lacking)} of {len(in_use)} in use are not in it ({some}); at most {most:g} % may be"
            )
    return gone, tuple(too_short)


def _says_the_same(known: Iterable[Version], said: Version, lists: Sequence[datetime]) -> Version | None:
    """The version that says exactly this and is the last thing said before it; None when ``said`` is news.

    Only what says all of a record is joined to its like, and only where no list lacked it in between.
    """
    last: tuple[Any, Version] | None = None
    for version in known:
        if (
            version.digest == said.digest
            and version.effective_at == said.effective_at
            and version.said_at == said.said_at
        ):
            return version
        for place in version.places():
            if place[0] <= said.effective_at and (last is None or place > last[0]):
                last = place, version
    if last is None or said.action != STATED or last[1].digest != said.digest or last[1].system != said.system:
        return None
    earlier = bisect_left(lists, said.effective_at)
    lacked = earlier and lists[earlier - 1] > last[0][0] and not last[1].covers(lists[earlier - 1])
    return None if lacked else last[1]


def _version(telling: Telling, record: ToldRecord) -> Version:
    content = [
        telling.system, record.action, record.name, dict(record.attributes), record.valid_from, record.valid_to,
    ]  # fmt: skip
    effective_at = record.effective_at if record.effective_at is not None else telling.said_at
    return Version(
        object=record.object, code=record.code, facility=record.facility, system=telling.system,
        effective_at=effective_at, said_at=telling.said_at, again_at=effective_at, action=record.action,
        name=record.name, attributes=dict(record.attributes), valid_from=record.valid_from, valid_to=record.valid_to,
        source=telling.number, digest=sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()[:16],
    )  # fmt: skip


async def _versions(connection: asyncpg.Connection, objects: Sequence[str] | None) -> list[Version]:
    rows = await connection.fetch(
        f"SELECT {', '.join(_COLUMNS)} FROM master_version WHERE $1::text[] IS NULL OR object = ANY($1)", objects
    )
    return [Version(**{**dict(row), "attributes": orjson.loads(row["attributes"])}) for row in rows]


async def _snapshots(connection: asyncpg.Connection, objects: Sequence[str] | None) -> list[Snapshot]:
    rows = await connection.fetch(
        "SELECT object, facility, system, taken_at FROM master_snapshot WHERE $1::text[] IS NULL OR object = ANY($1)",
        objects,
    )
    return [Snapshot(*row) for row in rows]


async def _insert(connection: asyncpg.Connection, versions: Sequence[Version], now: datetime) -> None:
    await connection.executemany(
        """INSERT INTO master_version (object, code, facility, system, effective_at, said_at, again_at, action, name, attributes,
                                       valid_from, valid_to, source, digest, told_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12, $13, $14, $15)""",
        [
            (
                v.object, v.code, v.facility, v.system, v.effective_at, v.said_at, v.again_at, v.action, v.name,
                orjson.dumps(dict(v.attributes)).decode(), v.valid_from, v.valid_to, v.source, v.digest, now,
            )
            for v in versions
        ],
    )  # fmt: skip


async def _say_again(connection: asyncpg.Connection, again: Sequence[tuple[Version, datetime]]) -> None:
    """In one statement: of a long list nearly everything was said before."""
    columns = ("object", "code", "facility", "effective_at", "said_at", "digest")
    await connection.execute(
        """UPDATE master_version v SET again_at = g.again_at
             FROM (SELECT object, code, facility, effective_at, said_at, digest, max(again_at) AS again_at
                     FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[],
                                 $7::timestamptz[]) AS u(object, code, facility, effective_at, said_at, digest, again_at)
                    GROUP BY 1, 2, 3, 4, 5, 6) AS g
            WHERE v.object = g.object AND v.code = g.code AND v.facility = g.facility AND v.effective_at = g.effective_at
              AND v.said_at = g.said_at AND v.digest = g.digest AND v.again_at < g.again_at""",
        *([getattr(version, column) for version, _ in again] for column in columns), [at for _, at in again],
    )  # fmt: skip


async def _applied(connection: asyncpg.Connection, telling: Telling, scope: Scope, records: int, now: datetime) -> int:
    written = await connection.fetchval(
        """INSERT INTO master_snapshot (object, facility, system, taken_at, records, source, told_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING 1""",
        scope.object, scope.facility, telling.system, telling.said_at, records, telling.number, now,
    )  # fmt: skip
    return 1 if written else 0
