"""Residency: a classified field goes to no system in a region where its class must not be. Refused before it is sent.

`hilum check` refuses what can be seen in the estate; this holds at run time for what cannot (an overlay that moves a
system, a facility known only from the event). The rule is the estate's ``[residency]``, by class and facility.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, get_type_hints

from pydantic import BaseModel

from hilum.authoring.classification import classification, data_class_of
from hilum.authoring.estate import Estate
from hilum.authoring.estate_transport import Residency
from hilum.authoring.failures import Rejected


class ResidencyForbids(Rejected, queue="integration", due_hours=24):
    """Send this to a system in an allowed region, or have the rule in [residency] changed by who answers for it; then release."""


class ResidencyGuard:
    """What may go to one system, by its region and, where a thing does not say its facility, by those it serves."""

    def __init__(self, residency: Residency, system: str, region: str, facilities: Iterable[str] = ()) -> None:
        self._residency = residency
        self._system = system
        self._region = region
        # Of nobody knows which facility's rules hold: all of those whose data could come here.
        self._facilities = tuple(facilities) or tuple(residency.facilities)
        self._any = bool(residency.regions or residency.facilities)

    @classmethod
    def of(cls, estate: Estate, system: str) -> ResidencyGuard:
        spec = estate.systems[system]
        return cls(estate.residency, system, spec.region, spec.facilities)

    def of_call(self, signature: Callable[..., Any] | None, arguments: Mapping[str, Any]) -> ResidencyForbids | None:
        """The refusal of a question or command; None when its arguments may go to the system."""
        if not self._any:
            return None
        marks = _marks(inspect.unwrap(signature)) if signature is not None else {}
        for name, value in arguments.items():
            if name in marks:
                found = self._hold({marks[name]}, _facility(value))
                if found is not None:
                    return found
        return self.of_things(arguments.values())

    def of_things(self, things: Iterable[Any]) -> ResidencyForbids | None:
        """The refusal of values (an event, the arguments of a command); None when they may go to the system."""
        if not self._any:
            return None
        for shape in _shapes(things):
            found = self._hold(_classes(type(shape)), _facility(shape))
            if found is not None:
                return found
        return None

    def _hold(self, classes: Iterable[str], facility: str | None) -> ResidencyForbids | None:
        whose = (facility,) if facility is not None else ("", *self._facilities)
        for data_class in sorted(classes):
            for each in whose:
                rule = self._residency.refusal(data_class, each, self._region)
                if rule is not None:
                    where = f"is in {self._region}" if self._region else "has no region"
                    return ResidencyForbids(f"{rule}, {self._system} {where}")
        return None


def _shapes(things: Iterable[Any]) -> Iterator[BaseModel]:
    for thing in things:
        if isinstance(thing, BaseModel):
            yield thing
        elif isinstance(thing, list | tuple | set | frozenset):
            yield from _shapes(thing)
        elif isinstance(thing, dict):
            yield from _shapes(thing.values())


@lru_cache(maxsize=512)
def _classes(shape: type[BaseModel]) -> frozenset[str]:
    return frozenset(classification(shape).values())


@lru_cache(maxsize=512)
def _marks(function: Callable[..., Any]) -> Mapping[str, str]:
    """The parameters of an operation that are themselves marked with a class."""
    hints = get_type_hints(function, include_extras=True)
    found = {name: data_class_of((), hint) for name, hint in hints.items() if name != "return"}
    return {name: data_class for name, data_class in found.items() if data_class is not None}


def _facility(value: Any) -> str | None:
    """The facility a thing says it is of; None when it says none."""
    facility = getattr(value, "facility", None)
    if facility is None:
        return None
    return str(getattr(facility, "value", facility))
