"""Crosswalks point from a system to a system, and every row of their tables to something that exists."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem
from hilum.governance.reach import Reach
from hilum.governance.rules.owners import owner_problems
from hilum.masterdata.tables import TableUnreadable, read_table, read_targets


def crosswalk_problems(loaded: Loaded, reached: Reach) -> Iterator[EstateProblem]:
    estate, places = loaded.estate, loaded.places
    for name, spec in estate.crosswalks.items():
        what = f"The crosswalk {name}"
        yield from owner_problems(
            what, spec.owner, estate.owners, places.toml(ESTATE_FILE, "crosswalks", name, "owner"), "`owner`"
        )
        for setting, system in (("from", spec.source), ("to", spec.target)):
            if not loaded.has_system(system):
                yield EstateProblem(
                    places.toml(ESTATE_FILE, "crosswalks", name, setting),
                    f"{what} leads {setting} {system!r}, which is no system of the estate.",
                    f"Name one of {', '.join(sorted(estate.systems))}, or describe it in systems/{system}.toml.",
                )
        yield from _table(loaded, name)
    for crosswalk, where in reached.crosswalks:
        if crosswalk.name not in estate.crosswalks:
            yield EstateProblem(
                where,
                f"The crosswalk {crosswalk.name} is looked up here, but the estate does not declare it.",
                f"Add [crosswalks.{crosswalk.name}] with file, from, to and owner to {ESTATE_FILE}.",
            )


def _table(loaded: Loaded, name: str) -> Iterator[EstateProblem]:
    estate, places = loaded.estate, loaded.places
    spec = estate.crosswalks[name]
    targets: frozenset[str] | None = None
    if spec.targets:
        try:
            targets = read_targets(estate.root, spec.targets)
        except TableUnreadable as error:
            yield EstateProblem(
                places.toml(ESTATE_FILE, "crosswalks", name, "targets"),
                f"The targets of the crosswalk {name} cannot be read: {error}.",
                "Write `targets` as FILE:COLUMN of a table of the estate.",
            )
    try:
        table = read_table(estate.root, spec.file)
    except TableUnreadable as error:
        yield EstateProblem(
            places.toml(ESTATE_FILE, "crosswalks", name, "file"),
            f"The table of the crosswalk {name} cannot be read: {error}.",
            "Correct `file`, or write the table.",
        )
        return
    for fault in table.faults:
        yield EstateProblem(f"{spec.file}:{fault.line}", fault.what, fault.do)
    for row in table.rows:
        where = f"{spec.file}:{row.line}"
        if targets is not None and row.target not in targets:
            yield EstateProblem(
                where,
                f"The crosswalk {name} points {row.code} to {row.target}, which is not in {spec.targets}.",
                "Add the target there or correct it here.",
            )
        if row.facility and row.facility not in estate.facilities:
            yield EstateProblem(
                where,
                f"The crosswalk {name} has a row for {row.facility}, which is no facility of the estate.",
                f"Write one of {', '.join(sorted(estate.facilities))}, or leave it empty for the whole network.",
            )
