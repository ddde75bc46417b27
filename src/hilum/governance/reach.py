"""What the code of an estate reaches: the systems, crosswalks and rejections named in its modules and theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from hilum.authoring import Api, Collection, Crosswalk, Feed, Flow, Mapping, Rejected, Step, System
from hilum.governance.loader import Loaded


@dataclass
class Reach:
    """Each thing with the place that names it, once."""

    systems: list[tuple[System, str]] = field(default_factory=list)
    crosswalks: list[tuple[Crosswalk, str]] = field(default_factory=list)
    rejections: list[tuple[type[Rejected], str]] = field(default_factory=list)


def reach(loaded: Loaded) -> Reach:
    """Everything named in the integrations and in the modules of the flows, mappings, feeds, steps and APIs they use."""
    found = Reach()
    seen: set[object] = set()
    for namespace in _namespaces(loaded):
        for name, thing in namespace.items():
            match thing:
                case System():
                    mark: object = (type(thing), thing.name)
                    if mark not in seen:
                        found.systems.append((thing, loaded.places.variable(namespace, name)))
                case Crosswalk():
                    mark = thing
                    if mark not in seen:
                        found.crosswalks.append((thing, loaded.places.variable(namespace, name)))
                case type() if issubclass(thing, Rejected) and thing is not Rejected:
                    mark = thing
                    if mark not in seen:
                        found.rejections.append((thing, loaded.places.cls(thing)))
                case _:
                    continue
            seen.add(mark)
    return found


def _namespaces(loaded: Loaded) -> Iterator[dict[str, Any]]:
    waiting: list[dict[str, Any]] = [vars(module) for module in loaded.modules]
    seen: set[str] = set()
    while waiting:
        namespace = waiting.pop(0)
        if namespace["__name__"] in seen:
            continue
        seen.add(namespace["__name__"])
        yield namespace
        for thing in namespace.values():
            if isinstance(thing, Flow | Mapping | Feed | Step | Collection) and isinstance(
                thing.function, FunctionType
            ):
                waiting.append(thing.function.__globals__)
            if isinstance(thing, Collection):
                waiting.append(thing.placed.__globals__)
            if isinstance(thing, Api):
                waiting.extend(operation.function.__globals__ for operation in thing.operations)
