"""Contracts say which version they are, what they mean and what makes two reports one fact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from hilum.authoring import Contract
from hilum.authoring.classification import data_class_of, fields_of, shapes_in
from hilum.governance.loader import Loaded
from hilum.governance.problems import EstateProblem
from hilum.governance.rules.owners import owner_problems


def contract_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    yield from _unmaskable(loaded)
    spoken = _only_spoken(loaded)
    for name, contract in loaded.estate.contracts.items():
        where = loaded.estate.declared_at[f"contract:{name}"]
        yield from owner_problems(
            f"The contract {name}", contract.owner, loaded.estate.owners, where, "`owner=` in its class line"
        )
        if contract.contract_version < 1:
            yield EstateProblem(
                where,
                f"The contract {name} has no version.",
                "Write `version=1` in its class line; raise it with every incompatible change.",
            )
        if not contract.__dict__.get("__doc__"):
            yield EstateProblem(
                where,
                f"The contract {name} has no docstring.",
                "Say in one sentence what business fact it states.",
            )
        if not contract.identities and name not in spoken:
            yield EstateProblem(
                where,
                f"The contract {name} has no identities, so a resend could not be told from a second fact.",
                "Write `identities=[...]` in its class line: the fields that make two reports one fact.",
            )
        for path in (path for identity in contract.identities for path in identity):
            if not has_field(contract, path):
                yield EstateProblem(
                    where,
                    f"An identity of the contract {name} names {path!r}, which is no field of it.",
                    f"Name one of {', '.join(contract.model_fields)}.",
                )


def _unmaskable(loaded: Loaded) -> Iterator[EstateProblem]:
    """Names in a mapping are data that no mask covers: a mapping of protected values says whose they are."""
    told: set[tuple[type[BaseModel], str]] = set()
    said: list[tuple[str, type[BaseModel], str]] = [
        (f"The contract {name}", contract, loaded.estate.declared_at[f"contract:{name}"])
        for name, contract in loaded.estate.contracts.items()
    ]
    for operation in loaded.estate.operations():
        shapes = (shape for shape in (operation.answer, operation.body, operation.query) if shape is not None)
        said += [(f"The operation {operation.id}", shape, f"{operation.id}@v{operation.version}") for shape in shapes]
    for what, shape, where in said:
        for holder, path in named_by_data(shape):
            if (holder, path) not in told:
                told.add((holder, path))
                yield EstateProblem(
                    where,
                    f"{what} keeps classified values in a mapping at {holder.__name__}.{path}: its names are shown to everybody.",
                    "Make it a list of entries, each with a field for the name and its mark; or mark the whole field: "
                    "`Annotated[dict[str, str], Phi]` is hidden as one.",
                )


def named_by_data(shape: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str]]:
    """Fields of a shape and the shapes inside it that are mappings with a mark inside, whose names are no declared words."""
    seen: set[type[BaseModel]] = set()
    waiting = [shape]
    while waiting:
        holder = waiting.pop()
        if holder in seen:
            continue
        seen.add(holder)
        for field in fields_of(holder):
            waiting += shapes_in(field.annotation)
            if data_class_of(field.metadata, None) is None and _has_marked_mapping(field.annotation):
                yield holder, field.name


def _has_marked_mapping(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2:
        name, value = arguments
        declared = get_origin(name) is Literal or (isinstance(name, type) and issubclass(name, Enum))
        if not declared and data_class_of((), annotation) is not None:
            return True
        return _has_marked_mapping(value)
    # What is marked as a whole is hidden as a whole, with the names in it.
    if data_class_of(getattr(annotation, "__metadata__", ()), None) is not None:
        return False
    return any(_has_marked_mapping(part) for part in arguments)


def _only_spoken(loaded: Loaded) -> set[str]:
    """The contracts that APIs take or answer and that are no events: they state no fact that could arrive twice."""
    estate = loaded.estate
    events = {event.type_name() for mapping in estate.mappings for event in mapping.events}
    events |= {flow.on.type_name() for flow in estate.flows.values()}
    events |= {event.type_name() for feed in estate.feeds.values() for event in feed.on}
    events |= {event.type_name() for collection in estate.collections.values() for event in collection.on}
    events |= {event.__name__ for operation in estate.operations() for event in operation.raises}
    shapes = [s for o in estate.operations() for s in (o.body, o.query, o.answer) if s is not None]
    return {shape.type_name() for shape in shapes if issubclass(shape, Contract)} - events


def has_field(contract: type[Contract], path: str) -> bool:
    """Whether a field path such as ``account.value`` leads somewhere in the contract."""
    shapes: list[Any] = [contract]
    for part in path.split("."):
        fields = [s.model_fields[part] for s in shapes if _is_shape(s) and part in s.model_fields]
        if not fields:
            return False
        shapes = [c for f in fields for c in (f.annotation, *getattr(f.annotation, "__args__", ()))]
    return True


def _is_shape(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)
