"""Policy decisions of the door, each asked once: policies are pure, so the same question has the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hilum.authoring.caller import Caller
from hilum.model.where import Where
from hilum.security.decisions import Decision, PolicyPoint, Resource

REMEMBERED = 8192

Attributes = tuple[tuple[str, Any], ...]


def frozen(attributes: Mapping[str, Any]) -> Attributes:
    """Attributes as something to remember by; what is missing is left out, for missing is never empty."""
    return tuple(
        sorted(
            (name, frozenset(value) if isinstance(value, list | set | tuple) else value)
            for name, value in attributes.items()
            if value is not None
        )
    )


class Decisions:
    """A policy point with a bounded memory. Keys hold the caller's roles and bonds, so a changed caller is asked anew."""

    def __init__(self, point: PolicyPoint) -> None:
        self._point = point
        self._decide = lru_cache(REMEMBERED)(self._asked)
        self._where = lru_cache(REMEMBERED)(self._asked_where)
        self._sees = lru_cache(REMEMBERED)(self._asked_sees)

    @property
    def version(self) -> str:
        return self._point.version

    def decide(self, caller: Caller, action: str, kind: str, id: str, attributes: Attributes) -> Decision:
        return self._decide(self._point.version, caller, action, kind, id, attributes)

    def where(self, caller: Caller, action: str, kind: str) -> Where:
        return self._where(self._point.version, caller, action, kind)

    def sees(self, caller: Caller, data_class: str, kind: str, attributes: Attributes) -> bool:
        return self._sees(self._point.version, caller, data_class, kind, attributes)

    def _asked(self, version: str, caller: Caller, action: str, kind: str, id: str, attributes: Attributes) -> Decision:
        return self._point.decide(caller, action, Resource(kind, id, dict(attributes)))

    def _asked_where(self, version: str, caller: Caller, action: str, kind: str) -> Where:
        return self._point.where(caller, action, kind)

    def _asked_sees(self, version: str, caller: Caller, data_class: str, kind: str, attributes: Attributes) -> bool:
        return self._point.sees(caller, data_class, Resource(kind, "", dict(attributes)))
