"""Crosswalks in the database: the estate's tables, what stewards decided since, and who decided it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import CrosswalkSpec, Estate
from hilum.masterdata.entries import STEWARD, TABLE, CrosswalkEntry, UnknownCrosswalk
from hilum.masterdata.tables import read_table, read_targets
from hilum.model.where import EVERYTHING, Where
from hilum.store.where_sql import platform_columns, sql_condition

CHANNEL = "hilum_crosswalk"
"""Notified with the crosswalk's name when an entry changes."""
_ATTRIBUTES = platform_columns(facility="nullif(facility, '')", author="changed_by")


class CrosswalkRefused(ValueError):
    """A decision that cannot be kept; the text says why and what to do."""


@dataclass(frozen=True)
class Synced:
    """What loading the estate's tables changed, in entries."""

    added: int
    changed: int
    removed: int

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


class Crosswalks:
    """Reads and writes crosswalk entries. Every change is audited in its own transaction and notified."""

    def __init__(self, pool: asyncpg.Pool, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._clock = clock

    async def sync_tables(self, estate: Estate, *, by: str = "system:estate") -> Synced:
        """Make the table entries those of the estate's files; a steward's entries stay as they are.

        Doing it again changes nothing. ``TableUnreadable`` or ``CrosswalkRefused`` when a table is not as
        ``check_estate`` wants it; then nothing is changed at all.
        """
        tables = {name: _read(estate, spec) for name, spec in estate.crosswalks.items()}
        total = Synced(0, 0, 0)
        async with self._pool.acquire() as connection, connection.transaction():
            # Two processes that start together load one after the other: the second finds nothing to do.
            await connection.execute("LOCK TABLE hilum.crosswalk IN EXCLUSIVE MODE")
            now = self._clock()
            # Entries of a crosswalk that is gone are kept for the record; without its name nobody can look them up.
            await connection.execute("DELETE FROM hilum.crosswalk WHERE name <> ALL($1::text[])", list(tables))
            audit = []
            for name, (entries, targets) in tables.items():
                await _declare(connection, estate, estate.crosswalks[name], targets, now)
                synced = await _replace_table(connection, name, entries, by, now)
                if synced:
                    detail = {"added": synced.added, "changed": synced.changed, "removed": synced.removed}
                    audit.append(Entry(now, by, "crosswalk.synced", f"x/{name}", detail))
                total = Synced(
                    total.added + synced.added, total.changed + synced.changed, total.removed + synced.removed
                )
            await _announce(connection, "*")
            await append(connection, audit)
        return total

    async def set(
        self, name: str, code: str, target: str, *, by: str, facility: str = "", valid_from: date | None = None
    ) -> CrosswalkEntry:
        """A steward's decision that ``code`` is ``target``, at one facility or everywhere, from a day or always.

        ``by`` is the audit log's actor, ``person:<login>``. ``CrosswalkRefused`` for a target that is not in the
        crosswalk's target list; ``UnknownCrosswalk`` for a name that no estate declares.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            return await set_entry(
                connection, name, code, target, by=by, facility=facility, valid_from=valid_from, now=self._clock()
            )

    async def retire(
        self, name: str, code: str, *, by: str, last_day: date, facility: str = ""
    ) -> list[CrosswalkEntry]:
        """End a steward's entries of ``code`` after ``last_day``; the entries that were ended, as they stand now.

        An entry that would only have come into force after ``last_day`` is removed. What stands in the estate's
        table is ended there, in Git: ``CrosswalkRefused`` says so, and so it does when there is nothing to end.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            declared = await _declared(connection, name)
            now = self._clock()
            rows = await connection.fetch(
                """SELECT * FROM hilum.crosswalk_entry
                    WHERE crosswalk = $1 AND code = $2 AND facility = $3 AND valid_to > $4 FOR UPDATE""",
                name,
                code,
                facility,
                last_day,
            )
            entries = [entry for entry in map(_entry, rows) if entry.origin == STEWARD]
            if not entries:
                at = f" at {facility}" if facility else ""
                raise CrosswalkRefused(
                    f"{code}{at} is an entry of the estate's table: end or remove its row there and load the estate again"
                    if rows
                    else f"no steward's entry for {code}{at} is in force after {last_day} in {declared['name']}"
                )
            ended = []
            for entry in entries:
                key = (name, code, facility, entry.valid_from)
                if entry.valid_from > last_day:
                    await connection.execute(
                        """DELETE FROM hilum.crosswalk_entry WHERE crosswalk = $1 AND code = $2 AND facility = $3
                              AND valid_from = $4 AND origin = 'steward'""",
                        *key,
                    )
                    ended.append(entry)
                    continue
                row = await connection.fetchrow(
                    """UPDATE hilum.crosswalk_entry SET valid_to = $5, changed_by = $6, changed_at = $7
                        WHERE crosswalk = $1 AND code = $2 AND facility = $3 AND valid_from = $4 AND origin = 'steward'
                    RETURNING *""",
                    *key,
                    last_day,
                    by,
                    now,
                )
                ended.append(_entry(row))
            await _announce(connection, name)
            detail = {"facility": facility, "last_day": _day(last_day), "entries": len(ended)}
            await append(connection, [Entry(now, by, "crosswalk.retired", _subject(name, code), detail)])
        return ended

    async def entries(
        self, name: str | None = None, *, origin: str | None = None, where: Where = EVERYTHING
    ) -> list[CrosswalkEntry]:
        """The entries of one crosswalk or of all, sorted by code, facility and day. ``where`` by their facility."""
        allowed = sql_condition(where, _ATTRIBUTES, first_parameter=3)
        if name is not None:
            async with self._pool.acquire() as connection:
                await _declared(connection, name)
        rows = await self._pool.fetch(
            f"""SELECT * FROM hilum.crosswalk_entry
                 WHERE ($1::text IS NULL OR crosswalk = $1) AND ($2::text IS NULL OR origin = $2) AND {allowed.text}
                 ORDER BY crosswalk, code, facility, valid_from, origin""",
            name, origin, *allowed.parameters,
        )  # fmt: skip
        return [_entry(row) for row in rows]


async def set_entry(
    connection: asyncpg.Connection,
    name: str,
    code: str,
    target: str,
    *,
    by: str,
    now: datetime,
    facility: str = "",
    valid_from: date | None = None,
) -> CrosswalkEntry:
    """``Crosswalks.set`` inside the caller's transaction."""
    for what, text in (("code", code), ("target", target)):
        if not text or text != text.strip():
            raise CrosswalkRefused(f"the {what} {text!r} is empty or has spaces around it; write it without them")
    start = date.min if valid_from is None else valid_from
    declared = await _declared(connection, name)
    if declared["targets"] and not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM hilum.crosswalk_target WHERE crosswalk = $1 AND target = $2)", name, target
    ):
        raise CrosswalkRefused(
            f"{target!r} is not in {declared['targets']}, where {declared['target']} lists what exists; "
            "correct the target, or add it there and load the estate again"
        )
    if facility and facility not in declared["facilities"]:
        raise CrosswalkRefused(
            f"{facility!r} is no facility of the estate; write one of {', '.join(declared['facilities'])}, "
            "or none for the whole network"
        )
    earlier = await connection.fetchrow(
        """SELECT target, valid_to FROM hilum.crosswalk_entry
            WHERE crosswalk = $1 AND code = $2 AND facility = $3 AND valid_from = $4 AND origin = 'steward'
              FOR UPDATE""",
        name, code, facility, start,
    )  # fmt: skip
    row = await connection.fetchrow(
        """INSERT INTO hilum.crosswalk_entry AS e
               (crosswalk, code, target, facility, valid_from, valid_to, origin, changed_by, changed_at)
           VALUES ($1, $2, $3, $4, $5, 'infinity', 'steward', $6, $7)
           ON CONFLICT (crosswalk, code, facility, valid_from, origin)
           DO UPDATE SET target = excluded.target, valid_to = 'infinity',
                         changed_by = excluded.changed_by, changed_at = excluded.changed_at
           RETURNING *""",
        name, code, target, facility, start, by, now,
    )  # fmt: skip
    detail = {"target": target, "facility": facility, "valid_from": _day(start)}
    if earlier is not None:
        detail["instead_of"] = earlier["target"]
    await _announce(connection, name)
    await append(connection, [Entry(now, by, "crosswalk.set", _subject(name, code), detail)])
    return _entry(row)


def _read(estate: Estate, spec: CrosswalkSpec) -> tuple[list[CrosswalkEntry], frozenset[str]]:
    table = read_table(estate.root, spec.file)
    if table.faults:
        first = table.faults[0]
        raise CrosswalkRefused(f"{spec.file}:{first.line}: {first.what} {first.do}")
    targets = read_targets(estate.root, spec.targets) if spec.targets else frozenset()
    for row in table.rows:
        if spec.targets and row.target not in targets:
            raise CrosswalkRefused(
                f"{spec.file}:{row.line}: {row.target} is not in {spec.targets}; add it there or correct it"
            )
    return [
        CrosswalkEntry(spec.name, row.code, row.target, row.facility, row.valid_from, row.valid_to, TABLE)
        for row in table.rows
    ], targets


async def _declare(
    connection: asyncpg.Connection, estate: Estate, spec: CrosswalkSpec, targets: frozenset[str], now: datetime
) -> None:
    await connection.execute(
        """INSERT INTO hilum.crosswalk (name, source, target, owner, targets, facilities, synced_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (name) DO UPDATE SET source = excluded.source, target = excluded.target, owner = excluded.owner,
                      targets = excluded.targets, facilities = excluded.facilities, synced_at = excluded.synced_at""",
        spec.name,
        spec.source,
        spec.target,
        spec.owner,
        spec.targets,
        list(estate.facilities),
        now,
    )
    await connection.execute(
        "DELETE FROM hilum.crosswalk_target WHERE crosswalk = $1 AND target <> ALL($2::text[])",
        spec.name,
        list(targets),
    )
    await connection.execute(
        "INSERT INTO hilum.crosswalk_target SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING",
        spec.name,
        list(targets),
    )


async def _replace_table(
    connection: asyncpg.Connection, name: str, entries: Sequence[CrosswalkEntry], by: str, now: datetime
) -> Synced:
    places: list[list[Any]] = [
        [e.code for e in entries],
        [e.facility for e in entries],
        [e.valid_from for e in entries],
    ]
    removed = await connection.fetch(
        """DELETE FROM hilum.crosswalk_entry e WHERE crosswalk = $1 AND origin = 'table' AND NOT EXISTS (
               SELECT FROM unnest($2::text[], $3::text[], $4::date[]) AS g(code, facility, valid_from)
                WHERE g.code = e.code AND g.facility = e.facility AND g.valid_from = e.valid_from)
           RETURNING 1""",
        name,
        *places,
    )
    written = await connection.fetch(
        """INSERT INTO hilum.crosswalk_entry AS e
               (crosswalk, code, facility, valid_from, valid_to, target, origin, changed_by, changed_at)
           SELECT $1, g.code, g.facility, g.valid_from, g.valid_to, g.target, 'table', $7, $8
             FROM unnest($2::text[], $3::text[], $4::date[], $5::date[], $6::text[])
               AS g(code, facility, valid_from, valid_to, target)
           ON CONFLICT (crosswalk, code, facility, valid_from, origin)
           DO UPDATE SET target = excluded.target, valid_to = excluded.valid_to,
                         changed_by = excluded.changed_by, changed_at = excluded.changed_at
                   WHERE (e.target, e.valid_to) IS DISTINCT FROM (excluded.target, excluded.valid_to)
           RETURNING (xmax = 0) AS added""",
        name,
        *places,
        [e.valid_to for e in entries],
        [e.target for e in entries],
        by,
        now,
    )
    added = sum(1 for row in written if row["added"])
    return Synced(added, len(written) - added, len(removed))


async def _declared(connection: asyncpg.Connection, name: str) -> asyncpg.Record:
    row = await connection.fetchrow("SELECT * FROM hilum.crosswalk WHERE name = $1", name)
    if row is None:
        known = [record["name"] for record in await connection.fetch("SELECT name FROM hilum.crosswalk")]
        raise UnknownCrosswalk(name, known)
    return row


async def _announce(connection: asyncpg.Connection, name: str) -> None:
    await connection.execute("UPDATE hilum.crosswalk_version SET version = version + 1")
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, name)


def _entry(row: asyncpg.Record) -> CrosswalkEntry:
    return CrosswalkEntry(
        row["crosswalk"],
        row["code"],
        row["target"],
        row["facility"],
        row["valid_from"],
        row["valid_to"],
        row["origin"],
        row["changed_by"],
        row["changed_at"],
    )


def _subject(name: str, code: str) -> str:
    return f"x/{name}/{code}"


def _day(day: date) -> str:
    return {date.min: "always", date.max: "open"}.get(day, day.isoformat())
