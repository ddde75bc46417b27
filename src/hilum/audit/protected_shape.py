"""What a contract says of each place in its payload: protected, harmless, or nothing, at any depth.

Followed along the payload and not written out as paths, so that a shape that holds itself is known as deep as it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, RootModel

from hilum.authoring.classification import PROTECTED, classification, data_class_of, fields_of
from hilum.model.identifiers import AccountNumber, Identifier, Mrn

_INHERENTLY = frozenset({AccountNumber.kind, Mrn.kind})
_SCALARS = (str, bytes, int, float, Decimal, date, time, timedelta, UUID, Enum, NoneType)


class Known:
    """What is known of one place: whether it is protected, and what may stand below it."""

    def __init__(self, shapes: tuple[type[BaseModel], ...], values: tuple[Any, ...], *, is_protected: bool) -> None:
        self.is_protected = is_protected
        self._shapes = shapes
        self._values = values  # The types of a mapping's values, where its names are data.
        self._members: dict[str, Known] | None = None
        self._each: Known | None = None

    def names(self, name: str) -> bool:
        """Whether a name in a mapping here is a field's, and no data."""
        return name in self._declared() or (not self._shapes and not self._values and name in Identifier.model_fields)

    def member(self, name: str) -> Known:
        """What is known of a member of a mapping that stands here. Of one that nobody declared: that it is protected."""
        found = self._declared().get(name)
        if found is not None:
            return found
        if not self._values:
            return NOTHING_KNOWN
        if self._each is None:
            self._each = _known_of((), *self._values)
        return self._each

    def or_else(self, other: Known) -> Known:
        return Known(
            tuple(dict.fromkeys((*self._shapes, *other._shapes))),
            (*self._values, *other._values),
            is_protected=self.is_protected or other.is_protected,
        )

    def _declared(self) -> dict[str, Known]:
        if self._members is None:
            found: dict[str, Known] = {}
            for field in (field for shape in self._shapes for field in fields_of(shape)):
                known = _known_of(field.metadata, field.annotation)
                for name in {field.name, field.alias}:
                    # Of two shapes that may stand here, the one that protects the name is believed.
                    found[name] = found[name].or_else(known) if name in found else known
            self._members = found
        return self._members


NOTHING_KNOWN = Known((), (), is_protected=True)
"""Nobody has said that it is harmless."""


@lru_cache(maxsize=1024)
def known_by(shape: type[BaseModel]) -> Known:
    """What a shape says of a payload of it."""
    return _known_of((), shape)


def _known_of(metadata: tuple[Any, ...], *annotations: Any) -> Known:
    shapes: list[type[BaseModel]] = []
    values: list[Any] = []
    protected = any(data_class_of(metadata, annotation) in PROTECTED for annotation in annotations)
    for leaf in (leaf for annotation in annotations for leaf in _leaves(annotation)):
        if isinstance(leaf, type) and issubclass(leaf, RootModel):
            # Its payload is what it holds, without a name that could be followed.
            protected = protected or not PROTECTED.isdisjoint(classification(leaf).values())
            values.append(Any)
        elif isinstance(leaf, type) and issubclass(leaf, BaseModel):
            protected = protected or (issubclass(leaf, Identifier) and leaf.kind in _INHERENTLY)
            shapes.append(leaf)
        elif _is_mapping(leaf):
            arguments = get_args(leaf)
            values.append(arguments[1] if len(arguments) == 2 else Any)
        elif not _is_scalar(leaf):
            values.append(Any)  # Whatever it is, its field was declared without a mark.
    return Known(tuple(dict.fromkeys(shapes)), tuple(values), is_protected=protected)


def _leaves(annotation: Any) -> Iterator[Any]:
    """The types that may stand at a place, out of unions, lists and marks."""
    origin = get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        yield from _leaves(annotation.__origin__)
    elif hasattr(annotation, "__value__"):
        yield from _leaves(annotation.__value__)
    elif origin in (Union, UnionType) or (
        isinstance(origin, type) and issubclass(origin, list | tuple | set | frozenset)
    ):
        yield from (leaf for part in get_args(annotation) if part is not ... for leaf in _leaves(part))
    else:
        yield annotation


def _is_mapping(leaf: Any) -> bool:
    origin = get_origin(leaf)
    kind = leaf if origin is None else origin
    return isinstance(kind, type) and issubclass(kind, Mapping)


def _is_scalar(leaf: Any) -> bool:
    return get_origin(leaf) is Literal or (isinstance(leaf, type) and issubclass(leaf, _SCALARS))
