"""Contracts say which version they are, what they mean and what makes two reports one fact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from hilum.authoring import Contract
from hilum.governance.loader import Loaded
from hilum.governance.problems import EstateProblem
from hilum.governance.rules.owners import owner_problems


def contract_problems(loaded: Loaded) -> Iterator[EstateProblem]:
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


def _only_spoken(loaded: Loaded) -> set[str]:
    """The contracts that APIs take or answer and that are no events: they state no fact that could arrive twice."""
    estate = loaded.estate
    events = {event.type_name() for mapping in estate.mappings for event in mapping.events}
    events |= {flow.on.type_name() for flow in estate.flows.values()}
    events |= {event.type_name() for feed in estate.feeds.values() for event in feed.on}
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
