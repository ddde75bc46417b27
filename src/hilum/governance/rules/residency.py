"""Classified data stays in its regions: no feed and no flow leads it to a system elsewhere."""

from __future__ import annotations

import dis
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

from hilum.authoring import Step, System
from hilum.authoring.classification import classification
from hilum.authoring.contract import Contract
from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem


def residency_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    estate = loaded.estate
    if not (estate.residency.regions or estate.residency.facilities):
        return
    for name, feed in estate.feeds.items():
        yield from _held(loaded, f"The feed {name}", estate.declared_at[f"feed:{name}"], feed.on, [feed.to.name])
    for name, collection in estate.collections.items():
        where = estate.declared_at[f"collection:{name}"]
        yield from _held(loaded, f"The collection {name}", where, collection.on, [collection.into.name])
    for name, flow in estate.flows.items():
        where = estate.declared_at[f"flow:{name}"]
        yield from _held(loaded, f"The flow {name}", where, (flow.on,), sorted(reached_systems(flow.function)))
    for facility in estate.residency.facilities:
        if facility not in estate.facilities:
            yield EstateProblem(
                ESTATE_FILE, f"Residency is declared for {facility}, which is no facility.", "Correct the name."
            )


def _held(
    loaded: Loaded, what: str, where: str, contracts: Iterable[type[Contract]], systems: Iterable[str]
) -> Iterator[EstateProblem]:
    estate = loaded.estate
    for name in systems:
        spec = estate.systems.get(name)
        if spec is None:
            continue
        facilities = spec.facilities if spec.facilities else tuple(estate.facilities)
        for contract in contracts:
            for data_class in sorted(set(classification(contract).values())):
                rules = {estate.residency.refusal(data_class, each, spec.region) for each in ("", *facilities)} - {None}
                for rule in sorted(str(rule) for rule in rules):
                    place = f"is in {spec.region}" if spec.region else "says no region"
                    yield EstateProblem(
                        where,
                        f"{what} carries {contract.type_name()} to {name}, which {place}: {rule}.",
                        f"Send it elsewhere, leave the classified fields out, or correct `region` in systems/{name}.toml.",
                    )


def reached_systems(function: Any) -> set[str]:
    """The names of the systems that a flow's code and the steps and functions it calls name. Conservative: naming is reaching."""
    found: set[str] = set()
    waiting: list[Any] = [function]
    seen: set[int] = set()
    while waiting:
        here = waiting.pop()
        if not isinstance(here, FunctionType) or id(here) in seen:
            continue
        seen.add(id(here))
        for name in _names(here.__code__):
            thing = here.__globals__.get(name)
            if isinstance(thing, System):
                found.add(thing.name)
            elif isinstance(thing, Step):
                waiting.append(thing.function)
            elif isinstance(thing, FunctionType):
                waiting.append(thing)
    return found


def _names(code: CodeType) -> set[str]:
    names = {str(i.argval) for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names
