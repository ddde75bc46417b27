"""Flows and feeds say who answers for them, how urgent they are, what their case is and how they recover."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hilum.authoring import Contract
from hilum.authoring.flow import CRITICALITIES
from hilum.governance.loader import Loaded
from hilum.governance.problems import EstateProblem
from hilum.governance.rules.contracts import has_field
from hilum.governance.rules.owners import owner_problems


def flow_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    for name, flow in loaded.estate.flows.items():
        where = loaded.estate.declared_at[f"flow:{name}"]
        what = f"The flow {name}"
        yield from owner_problems(what, flow.owner, loaded.estate.owners, where, "`owner=` in its @flow(...)")
        yield from _criticality(what, flow.criticality, where, "flow")
        yield from _key(what, "key", flow.key, (flow.on,), where)
        if flow.ordering != flow.key:
            yield from _key(what, "ordering", flow.ordering, (flow.on,), where)
        if not flow.recovery.strip():
            yield EstateProblem(
                where,
                f"{what} has no recovery.",
                "Write `recovery=` in its @flow(...): how a case that stopped is brought to its end.",
            )


def feed_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    for name, feed in loaded.estate.feeds.items():
        where = loaded.estate.declared_at[f"feed:{name}"]
        what = f"The feed {name}"
        yield from owner_problems(what, feed.owner, loaded.estate.owners, where, "`owner=` in its @feed(...)")
        yield from _criticality(what, feed.criticality, where, "feed")
        yield from _key(what, "key", feed.key, feed.on, where)
        system = loaded.estate.systems.get(feed.to.name)
        if system is not None and "connector" not in system.connect:
            yield EstateProblem(
                where,
                f"{what} goes to {feed.to.name}, which has no connector.",
                f"Write [connect] with `connector` in systems/{feed.to.name}.toml.",
            )


def collection_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    for name, collection in loaded.estate.collections.items():
        where = loaded.estate.declared_at[f"collection:{name}"]
        what = f"The collection {name}"
        yield from owner_problems(what, collection.owner, loaded.estate.owners, where, "`owner=` in its @collect(...)")
        system = loaded.estate.systems.get(collection.into.name)
        if system is None or system.connect.get("connector") != "revenue_desk":
            yield EstateProblem(
                where,
                f"{what} goes into {collection.into.name}, which are no books of the platform.",
                f'Write connector = "revenue_desk" in [connect] of systems/{collection.into.name}.toml, or name the revenue books.',
            )


def unused_warnings(loaded: Loaded) -> Iterator[EstateProblem]:
    """What is declared and has no effect: allowed, since an estate grows piece by piece, and worth knowing."""
    estate = loaded.estate
    made = {event.type_name() for mapping in estate.mappings for event in mapping.events}
    made |= {event.__name__ for operation in estate.operations() for event in operation.raises}
    made |= {event.type_name() for schedule in estate.schedules.values() for event in schedule.events}
    for name, flow in estate.flows.items():
        if flow.on.type_name() not in made and not flow.on.raised_by_platform:
            yield EstateProblem(
                estate.declared_at[f"flow:{name}"],
                f"No mapping makes {flow.on.type_name()}, so nothing starts the flow {name}.",
                "Write a mapping that returns it, or an API whose operation raises it.",
            )
    collected = {event.type_name() for collection in estate.collections.values() for event in collection.on}
    for event in sorted(made):
        if not (estate.flows_on(event) or estate.feeds_on(event) or event in collected):
            yield EstateProblem(
                estate.declared_at[f"contract:{event}"],
                f"{event} is recorded, but no flow, no feed and no collection acts on it.",
                "Write one, or keep it for the record.",
            )


def _criticality(what: str, criticality: str, where: str, kind: str) -> Iterator[EstateProblem]:
    if criticality not in CRITICALITIES:
        stated = f"criticality {criticality!r}, which is none" if criticality else "no criticality"
        yield EstateProblem(
            where,
            f"{what} has {stated}.",
            f"Write `criticality=` in its @{kind}(...) with one of {', '.join(CRITICALITIES)}.",
        )


def _key(
    what: str, setting: str, path: str, contracts: Sequence[type[Contract]], where: str
) -> Iterator[EstateProblem]:
    if not path:
        yield EstateProblem(
            where,
            f"{what} has no {setting}.",
            f"Write `{setting}=` with the field of {contracts[0].type_name()} that identifies the business case.",
        )
        return
    for contract in contracts:
        if not has_field(contract, path):
            yield EstateProblem(
                where,
                f"The {setting} of {what[0].lower()}{what[1:]} is {path!r}, which is no field of {contract.type_name()}.",
                f"Name one of {', '.join(contract.model_fields)}.",
            )
