"""Conditions on records: which rows a question is about, independent of who answers it.

A policy that depends on the resource leaves such a condition behind (Cedar partial evaluation); a list is asked for
with it, so that nobody fetches first and filters afterwards. Fields are the names of a resource's attributes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


class Where(ABC):
    """A condition. Compose with ``all_of``, ``any_of`` and ``negated``, which simplify as they go."""

    @abstractmethod
    def matches(self, attributes: Mapping[str, Any]) -> bool:
        """Whether a record with these attributes satisfies the condition; a missing attribute satisfies nothing."""

    def fields(self) -> frozenset[str]:
        """The attributes the condition looks at."""
        return frozenset()


@dataclass(frozen=True)
class Everything(Where):
    """Every record."""

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        return True


@dataclass(frozen=True)
class Nothing(Where):
    """No record."""

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        return False


@dataclass(frozen=True)
class Equals(Where):
    """The attribute has this value."""

    field: str
    value: str | int | bool

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        return attributes.get(self.field) is not None and attributes[self.field] == self.value

    def fields(self) -> frozenset[str]:
        return frozenset({self.field})


@dataclass(frozen=True)
class OneOf(Where):
    """The attribute has one of these values."""

    field: str
    values: frozenset[str]

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        return attributes.get(self.field) in self.values

    def fields(self) -> frozenset[str]:
        return frozenset({self.field})


@dataclass(frozen=True)
class Has(Where):
    """The attribute is known."""

    field: str

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        return attributes.get(self.field) is not None

    def fields(self) -> frozenset[str]:
        return frozenset({self.field})


@dataclass(frozen=True)
class AllOf(Where):
    """Every part holds."""

    parts: tuple[Where, ...]

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        return all(part.matches(attributes) for part in self.parts)

    def fields(self) -> frozenset[str]:
        return frozenset().union(*(part.fields() for part in self.parts))


@dataclass(frozen=True)
class AnyOf(Where):
    """At least one part holds."""

    parts: tuple[Where, ...]

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        return any(part.matches(attributes) for part in self.parts)

    def fields(self) -> frozenset[str]:
        return frozenset().union(*(part.fields() for part in self.parts))


@dataclass(frozen=True)
class Not(Where):
    """The part does not hold."""

    part: Where

    def matches(self, attributes: Mapping[str, Any]) -> bool:
        return not self.part.matches(attributes)

    def fields(self) -> frozenset[str]:
        return self.part.fields()


EVERYTHING, NOTHING = Everything(), Nothing()


def all_of(parts: Iterable[Where]) -> Where:
    """The conjunction, without what says nothing; ``NOTHING`` when a part is never true."""
    kept: list[Where] = []
    for part in parts:
        if isinstance(part, Nothing):
            return NOTHING
        if isinstance(part, AllOf):
            kept.extend(p for p in part.parts if p not in kept)
        elif not isinstance(part, Everything) and part not in kept:
            kept.append(part)
    if not kept:
        return EVERYTHING
    return kept[0] if len(kept) == 1 else AllOf(tuple(kept))


def any_of(parts: Iterable[Where]) -> Where:
    """The disjunction; ``EVERYTHING`` when a part is always true, ``NOTHING`` when there is none."""
    kept: list[Where] = []
    for part in parts:
        if isinstance(part, Everything):
            return EVERYTHING
        if isinstance(part, AnyOf):
            kept.extend(p for p in part.parts if p not in kept)
        elif not isinstance(part, Nothing) and part not in kept:
            kept.append(part)
    if not kept:
        return NOTHING
    return kept[0] if len(kept) == 1 else AnyOf(tuple(kept))


def negated(part: Where) -> Where:
    """The opposite condition."""
    match part:
        case Everything():
            return NOTHING
        case Nothing():
            return EVERYTHING
        case Not(inner):
            return inner
    return Not(part)


def narrowed(where: Where, wanted: Mapping[str, str | int | bool | None]) -> Where:
    """``where``, and each attribute that a value is wanted of equals it; None wants nothing."""
    return all_of([where, *(Equals(field, value) for field, value in wanted.items() if value is not None)])
