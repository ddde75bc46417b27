"""Contracts: the typed, versioned shape of an event, with the classification of its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict

from hilum.authoring.classification import DataClass
from hilum.model.identifiers import Identifier


class AtRisk:
    """Marks the field that says how much money waits when the case waits, in USD."""


class Key:
    """Marks a field by which people search, under ``kind``: ``Annotated[str, Key("usage")]``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class Agreed:
    """Marks a field on which all reports of the same fact must agree; a difference becomes a work item."""


class Contract(BaseModel):
    """An event's shape. ``version`` is required; ``identities`` name the fields that make two reports one fact.

    Each identity is a tuple of field paths. An identity with a missing field is not used; an event needs at
    least one that is complete. Two events that share any identity are the same fact: the second has no effect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    contract_version: ClassVar[int] = 0
    identities: ClassVar[tuple[tuple[str, ...], ...]] = ()
    owner: ClassVar[str] = ""
    raised_by_platform: ClassVar[bool] = False  # No mapping and no API makes it: the platform itself does.

    def __init_subclass__(
        cls,
        *,
        version: int = 0,
        identities: Sequence[str | tuple[str, ...]] = (),
        owner: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.contract_version = version
        cls.identities = tuple((i,) if isinstance(i, str) else tuple(i) for i in identities)
        cls.owner = owner

    @classmethod
    def type_name(cls) -> str:
        """The event's type, as it is stored and subscribed to: ``ImplantUsed``."""
        return cls.__name__


def marked(contract: type[Contract], mark: type[Any]) -> list[str]:
    """The names of the contract's fields that carry ``mark`` (``Phi``, ``AtRisk``, ``Agreed``)."""
    return [name for name, marks, _ in _fields(contract) if any(isinstance(m, mark) or m is mark for m in marks)]


def key_fields(contract: type[Contract]) -> list[tuple[str, str]]:
    """``(kind, field)`` for every field people search by: identifiers, and those marked ``Key``."""
    found: list[tuple[str, str]] = []
    for name, marks, types in _fields(contract):
        kinds = [m.kind for m in marks if isinstance(m, Key)]
        kinds += [t.kind for t in types if issubclass(t, Identifier) and t.searchable]
        if kinds:
            found.append((kinds[0], name))
    return found


def _fields(contract: type[Contract]) -> Iterator[tuple[str, list[Any], list[type[Any]]]]:
    """Each field with its marks and types, also those inside an optional: ``Annotated[str, Key("serial")] | None``."""
    for name, field in contract.model_fields.items():
        marks: list[Any] = list(field.metadata)
        types: list[type[Any]] = []
        _unfold(field.annotation, marks, types)
        yield name, marks, types


def _unfold(annotation: Any, marks: list[Any], types: list[type[Any]]) -> None:
    marks.extend(getattr(annotation, "__metadata__", ()))
    if isinstance(annotation, type):
        types.append(annotation)
    for inner in get_args(annotation):
        if not isinstance(inner, Key | DataClass | Agreed | AtRisk):
            _unfold(inner, marks, types)


def value_at(event: BaseModel, path: str) -> str | None:
    """The text of a field path (``account.value``), or None when any part of it is missing."""
    here: Any = event
    for part in path.split("."):
        here = getattr(here, part, None)
        if here is None:
            return None
    return str(here)


def getter(path: str) -> Callable[[BaseModel], str | None]:
    """A reader of one field path, with the common single-field case made cheap: it runs for every message."""
    if "." in path:
        return lambda event: value_at(event, path)

    def read(event: BaseModel) -> str | None:
        value = getattr(event, path)
        return None if value is None else str(value)

    return read
