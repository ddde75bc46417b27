"""Rehearsing a flow or an API's handler without a platform: the author's unit test, answered by plain objects.

rehearse(implant_usage, used, systems={"stock": shelf_of(5), "erp": tariff}, crosswalks={...})
call(read_order, number="PO-1", systems={"erp": books}).answer
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hilum.authoring.flow import Flow, Step
from hilum.authoring.running import running_in
from hilum.authoring.system import System


@dataclass
class Rehearsal:
    """What a flow or a handler did: its steps in order, the commands it gave with their arguments, and its answer."""

    systems: Mapping[str, Any]
    crosswalks: Mapping[str, Mapping[str, str]]
    steps: list[str] = field(default_factory=list)
    commands: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    asked: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    answer: Any = None

    def step(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        self.steps.append(step.name)
        return step.function(*args, **kwargs)

    def ask(self, system: System, operation: str, arguments: Mapping[str, Any]) -> Any:
        self.asked.append((system.name, operation, arguments))
        return getattr(self.systems[system.name], operation)(**arguments)

    def command(self, system: System, operation: str, arguments: Mapping[str, Any], key: str | None) -> Any:
        self.commands.append((system.name, operation, arguments))
        self.keys.append(key)
        return getattr(self.systems[system.name], operation)(**arguments)

    def lookup(self, crosswalk: str, value: str, facility: str, on: datetime | None) -> str | None:
        return self.crosswalks.get(crosswalk, {}).get(value)


def rehearse(
    flow: Flow, event: Any, *, systems: Mapping[str, Any], crosswalks: Mapping[str, Mapping[str, str]] | None = None
) -> Rehearsal:
    """Run a flow once. What a step raises comes out: expect it with ``pytest.raises(UnknownItem)``."""
    rehearsal = Rehearsal(systems, crosswalks or {})
    leave = running_in(rehearsal)
    try:
        flow(event)
    finally:
        leave()
    return rehearsal


def call(
    handler: Callable[..., Any],
    *,
    systems: Mapping[str, Any],
    crosswalks: Mapping[str, Mapping[str, str]] | None = None,
    **given: Any,
) -> Rehearsal:
    """Call an operation's handler, or its ``about``, as the gateway does once it has decided; ``given`` by parameter.

    What it raises comes out: expect it with ``pytest.raises(Problem)``.
    """
    rehearsal = Rehearsal(systems, crosswalks or {})
    leave = running_in(rehearsal)
    try:
        rehearsal.answer = handler(**given)
    finally:
        leave()
    return rehearsal
