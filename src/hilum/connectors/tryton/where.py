"""Conditions on records as Tryton's search domains: the ERP itself leaves out what somebody may not see.

The translation is exact, for records with missing values too: SQL's and Tryton's negations pass over what is empty, while
``Where`` takes an empty attribute as one that equals nothing. So negations are carried down to the single comparison, and
each kind of column says for itself both when it holds a value and when it does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hilum.model.where import AllOf, AnyOf, Equals, Everything, Has, Not, Nothing, OneOf, Where

Domain = list[Any]

EVERY: Domain = []
NONE: Domain = [("id", "in", [])]


class Column(Protocol):
    """Where an attribute stands in the ERP. ``values`` are never empty and may stand there."""

    def holds(self, values: Sequence[str]) -> Domain:
        """Records whose attribute is one of the values."""

    def lacks(self, values: Sequence[str]) -> Domain:
        """All other records, those without the attribute included."""

    def known(self) -> Domain:
        """Records that have the attribute."""

    def unknown(self) -> Domain:
        """Records that do not have it."""


@dataclass(frozen=True)
class Plain:
    """A field of the record, or of one it points to: ``state``, ``party.code``, ``warehouse.code``."""

    path: str

    @property
    def _hops(self) -> list[str]:
        parts = self.path.split(".")
        return [".".join(parts[: n + 1]) for n in range(len(parts))]

    def holds(self, values: Sequence[str]) -> Domain:
        return [(self.path, "in", list(values))]

    def lacks(self, values: Sequence[str]) -> Domain:
        return either([*[[(hop, "=", None)] for hop in self._hops], [(self.path, "not in", list(values))]])

    def known(self) -> Domain:
        return [(self.path, "!=", None)]

    def unknown(self) -> Domain:
        return either([[(hop, "=", None)] for hop in self._hops])


@dataclass(frozen=True)
class RecordId:
    """The record's own number, written as text."""

    def holds(self, values: Sequence[str]) -> Domain:
        return [("id", "in", _numbers(values))]

    def lacks(self, values: Sequence[str]) -> Domain:
        return [("id", "not in", _numbers(values))]

    def known(self) -> Domain:
        return EVERY

    def unknown(self) -> Domain:
        return NONE


@dataclass(frozen=True)
class Sole:
    """What all lines of a record that say it agree on; several different values are as good as none.

    ``lines`` is the field of the lines, ``back`` the lines' field of their record, ``path`` where the value stands, and
    ``target`` the model, when the path leads through a reference. ``values``: all that can stand there.
    """

    lines: str
    back: str
    path: str
    values: tuple[str, ...]
    target: str | None = None

    def holds(self, values: Sequence[str]) -> Domain:
        return either([self._only(value) for value in self.values if value in values])

    def lacks(self, values: Sequence[str]) -> Domain:
        return both([self._not_only(value) for value in self.values if value in values])

    def known(self) -> Domain:
        return self.holds(self.values)

    def unknown(self) -> Domain:
        return self.lacks(self.values)

    def _only(self, value: str) -> Domain:
        return [(self.lines, "where", self._says(value)), (self.lines, "not where", self._says_other(value))]

    def _not_only(self, value: str) -> Domain:
        return ["OR", (self.lines, "not where", self._says(value)), (self.lines, "where", self._says_other(value))]

    def _says(self, value: str) -> Domain:
        # A line without a record would make SQL's NOT IN say nothing at all.
        return [(self.back, "!=", None), self._clause("in", [value])]

    def _says_other(self, value: str) -> Domain:
        others = [other for other in self.values if other != value]
        return [(self.back, "!=", None), self._clause("in", others)] if others else NONE

    def _clause(self, operator: str, value: Any) -> Any:
        return (self.path, operator, value) if self.target is None else (self.path, operator, value, self.target)


def domain_of(where: Where, columns: Mapping[str, Column]) -> Domain | None:
    """The domain that finds exactly the records ``where`` matches; None when no record can.

    An attribute without a column is missing in every record. Raises TypeError for a kind of condition it does not know.
    """
    domain = _holds(where, columns)
    return None if domain == NONE else domain


def either(parts: Sequence[Domain]) -> Domain:
    """Any of the domains."""
    if any(part == EVERY for part in parts):
        return EVERY
    kept = [part for part in parts if part != NONE]
    if not kept:
        return NONE
    return kept[0] if len(kept) == 1 else ["OR", *kept]


def both(parts: Sequence[Domain]) -> Domain:
    """All of the domains."""
    if any(part == NONE for part in parts):
        return NONE
    kept = [part for part in parts if part != EVERY]
    if not kept:
        return EVERY
    return kept[0] if len(kept) == 1 else ["AND", *kept]


def _holds(where: Where, columns: Mapping[str, Column]) -> Domain:
    match where:
        case Everything():
            return EVERY
        case Nothing():
            return NONE
        case Equals(field, value):
            column, storable = columns.get(field), _storable([value])
            return column.holds(storable) if column is not None and storable else NONE
        case OneOf(field, values):
            column, storable = columns.get(field), _storable(sorted(values))
            return column.holds(storable) if column is not None and storable else NONE
        case Has(field):
            return columns[field].known() if field in columns else NONE
        case AllOf(parts):
            return both([_holds(part, columns) for part in parts])
        case AnyOf(parts):
            return either([_holds(part, columns) for part in parts])
        case Not(part):
            return _lacks(part, columns)
    raise TypeError(f"{type(where).__name__} is a kind of condition that has no Tryton domain")


def _lacks(where: Where, columns: Mapping[str, Column]) -> Domain:
    match where:
        case Everything():
            return NONE
        case Nothing():
            return EVERY
        case Equals(field, value):
            column, storable = columns.get(field), _storable([value])
            return column.lacks(storable) if column is not None and storable else EVERY
        case OneOf(field, values):
            column, storable = columns.get(field), _storable(sorted(values))
            return column.lacks(storable) if column is not None and storable else EVERY
        case Has(field):
            return columns[field].unknown() if field in columns else EVERY
        case AllOf(parts):
            return either([_lacks(part, columns) for part in parts])
        case AnyOf(parts):
            return both([_lacks(part, columns) for part in parts])
        case Not(part):
            return _holds(part, columns)
    raise TypeError(f"{type(where).__name__} is a kind of condition that has no Tryton domain")


def _storable(values: Sequence[object]) -> list[str]:
    """The values that can stand in a text of the ERP, which strips them and keeps no empty ones.

    Asked for any other, Tryton would strip that too and find what is not equal to it, or fail.
    """
    return [v for v in values if isinstance(v, str) and v and v == v.strip() and _is_text(v)]


def _is_text(value: str) -> bool:
    if "\x00" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _numbers(values: Sequence[str]) -> list[int]:
    """Those that a record's number is written as."""
    return [int(v) for v in values if re.fullmatch("[1-9][0-9]{0,9}", v) and int(v) < 2**31]
