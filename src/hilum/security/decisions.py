"""Decisions: what every door asks before it does anything, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hilum.authoring.caller import Caller
from hilum.model.where import Where


@dataclass(frozen=True)
class Resource:
    """What an action is about: its Cedar entity type, its id where it has one, and the attributes policies look at."""

    type: str
    id: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """Allowed or not, and by which policies; ``errors`` are policies that could not be evaluated (they allow nothing)."""

    allowed: bool
    policies: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.allowed


class PolicyPoint(Protocol):
    """Decides by the estate's policies. Pure and fast: no input or output, the same answer for the same question."""

    @property
    def version(self) -> str:
        """A digest of the policies and their schema: goes into audit entries and caches."""

    def decide(self, caller: Caller, action: str, resource: Resource, context: Mapping[str, Any] = {}) -> Decision:
        """Whether ``caller`` may do ``action`` to ``resource``."""

    def where(self, caller: Caller, action: str, resource_type: str, context: Mapping[str, Any] = {}) -> Where:
        """Which resources of a type the caller may do ``action`` to: ``NOTHING`` when no resource could be allowed."""

    def sees(self, caller: Caller, data_class: str, resource: Resource, context: Mapping[str, Any] = {}) -> bool:
        """Whether the caller sees values of a data class (``phi``, ``financial`` ...) of this resource unmasked."""
