"""Every kind of master record has one authority for each place, stewards, and a queue; crosswalks name kinds that there are."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem
from hilum.governance.rules.owners import owner_problems
from hilum.masterdata.tables import TableUnreadable, read_targets

FACILITY = "facility"
"""What crosswalks may lead to besides master records: the estate's own facilities."""


def master_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    estate, places = loaded.estate, loaded.places
    for name, spec in estate.master.items():
        what = f"The master record {name}"
        where = places.toml(ESTATE_FILE, "master", name)
        yield from owner_problems(what, spec.owner, estate.owners, where, "`owner`")
        if spec.queue not in estate.queues:
            yield EstateProblem(
                where,
                f"{what} has the queue {spec.queue!r}, which the estate does not have.",
                f"Name one of {', '.join(sorted(estate.queues))}: where its stewards find what does not fit.",
            )
        for facility, system in {"": spec.owner_system, **spec.facilities}.items():
            yield from _authority(loaded, name, facility, system)
        if spec.table:
            try:
                read_targets(estate.root, spec.table)
            except TableUnreadable as error:
                yield EstateProblem(
                    places.toml(ESTATE_FILE, "master", name, "table"),
                    f"The table of {name} cannot be read: {error}.",
                    "Write `table` as FILE:COLUMN of a table of the estate.",
                )
    for crosswalk in estate.crosswalks.values():
        for setting, kind in (("codes", crosswalk.codes), ("means", crosswalk.means)):
            known = {*estate.master, FACILITY} if setting == "means" else set(estate.master)
            if kind and kind not in known:
                yield EstateProblem(
                    places.toml(ESTATE_FILE, "crosswalks", crosswalk.name, setting),
                    f"The crosswalk {crosswalk.name} has {setting} = {kind!r}, which is no kind of master record.",
                    f"Name one of {', '.join(sorted(known))}, or add [master.{kind}].",
                )
        if (crosswalk.complete or crosswalk.same_names) and not crosswalk.codes:
            yield EstateProblem(
                places.toml(ESTATE_FILE, "crosswalks", crosswalk.name),
                f"The crosswalk {crosswalk.name} shall be complete or have the same names, and does not say of what.",
                "Add `codes`: the kind of master record that its codes are.",
            )
        if crosswalk.exact_matches and crosswalk.two_people:
            yield EstateProblem(
                places.toml(ESTATE_FILE, "crosswalks", crosswalk.name),
                f"The crosswalk {crosswalk.name} takes exact matches without a person and asks for two people.",
                "Keep one of `exact_matches` and `two_people`.",
            )


def _authority(loaded: Loaded, name: str, facility: str, system: str) -> Iterator[EstateProblem]:
    estate, places = loaded.estate, loaded.places
    at = f" at {facility}" if facility else ""
    where = (
        places.toml(ESTATE_FILE, "master", name, "facilities", facility)
        if facility
        else places.toml(ESTATE_FILE, "master", name, "owner_system")
    )
    if facility and facility not in estate.facilities:
        yield EstateProblem(
            where,
            f"The master record {name} has an authority at {facility}, which is no facility of the estate.",
            f"Write one of {', '.join(sorted(estate.facilities))}.",
        )
    if not loaded.has_system(system):
        yield EstateProblem(
            where,
            f"The authority of {name}{at} is {system!r}, which is no system of the estate.",
            f"Name one of {', '.join(sorted(estate.systems))}.",
        )
        return
    if facility and system == estate.master[name].owner_system:
        yield EstateProblem(
            where,
            f"{system} is the authority of {name} already, also{at}: named twice, its records there would be two kinds.",
            "Remove the row.",
        )
    spec = estate.systems.get(system)
    if facility and spec is not None and spec.facilities and facility not in spec.facilities:
        yield EstateProblem(
            where,
            f"The authority of {name}{at} is {system}, which does not serve {facility}.",
            f"Add {facility} to `facilities` of systems/{system}.toml, or name another system.",
        )
