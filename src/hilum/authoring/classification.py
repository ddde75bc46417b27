"""Data classes: what a field holds decides how it is stored, shown, kept and where it may go.

A field without a mark is *internal*: not secret, yet nobody's business outside the health system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic_core import CoreSchema

SCHEMA_KEYWORD = "x-hilum-data-class"


class DataClass:
    """A mark on a contract's field: ``account: Annotated[AccountNumber, Phi]``. The class itself is the mark."""

    name: ClassVar[str] = "internal"

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Every JSON Schema made of a contract says of each field what class it is."""
        return {**handler(core), SCHEMA_KEYWORD: cls.name}


class Phi(DataClass):
    """Protected health information (45 CFR 160.103): masked in every view, encrypted, kept out of logs and titles."""

    name = "phi"


class Pii(DataClass):
    """Personal data of people who are not patients: a supplier's contact, an employee."""

    name = "pii"


class Financial(DataClass):
    """Amounts, prices and terms that are not for everybody."""

    name = "financial"


class Confidential(DataClass):
    """A bank account, a tax number: encrypted and masked like PHI, without being about a patient."""

    name = "confidential"


DATA_CLASSES: tuple[type[DataClass], ...] = (Phi, Pii, Financial, Confidential)
PROTECTED = frozenset({"phi", "pii", "confidential"})
"""The classes that are encrypted at rest and masked unless a policy says otherwise. Financial data is only masked."""


_STRICTEST_FIRST = (Phi.name, Confidential.name, Pii.name, Financial.name)


@dataclass(frozen=True, slots=True)
class ShapeField:
    """A field of a shape, declared or computed. ``alias`` is its name in an answer's JSON."""

    name: str
    alias: str
    metadata: tuple[Any, ...]
    annotation: Any

    @property
    def data_class(self) -> str | None:
        return data_class_of(self.metadata, self.annotation)


def fields_of(shape: type[BaseModel]) -> Iterator[ShapeField]:
    """The fields of one shape, not of those inside it. What is computed is written out as what is declared is."""
    for name, field in shape.model_fields.items():
        alias = field.serialization_alias
        yield ShapeField(name, name if alias is None else alias, tuple(field.metadata), field.annotation)
    for name, made in shape.model_computed_fields.items():
        yield ShapeField(name, name if made.alias is None else made.alias, (), made.return_type)


def data_class_of(metadata: Iterable[Any], annotation: Any) -> str | None:
    """The class a field is marked with, on itself or in any part of its type; None when it is unmarked.

    Of several marks on one field the strictest counts.
    """
    found = {mark.name for mark in _marks(metadata, annotation)}
    return next((name for name in _STRICTEST_FIRST if name in found), None)


def _marks(metadata: Iterable[Any], annotation: Any) -> Iterator[type[DataClass] | DataClass]:
    for mark in (*metadata, *getattr(annotation, "__metadata__", ())):
        if isinstance(mark, DataClass) or (isinstance(mark, type) and issubclass(mark, DataClass)):
            yield mark
    for part in get_args(annotation):
        yield from _marks((), part)


def classification(shape: type[BaseModel]) -> Mapping[str, str]:
    """Dotted field path to data class, for every marked field of a shape and of the shapes inside it.

    Items of lists and tuples share their field's path: ``lines.account`` is the account of every line. A shape that holds
    itself is told once more below itself, and no deeper: its fields are the same at every depth.
    """
    found: dict[str, str] = {}
    _collect(shape, "", found, ())
    return found


def _collect(shape: type[BaseModel], prefix: str, found: dict[str, str], above: tuple[type[BaseModel], ...]) -> None:
    for field in fields_of(shape):
        path = prefix + field.name
        marked = field.data_class
        if marked is not None:
            found[path] = marked
            continue
        for inner in shapes_in(field.annotation):
            if inner not in above:
                _collect(inner, path + ".", found, (*above, shape))


def shapes_in(annotation: Any) -> list[type[BaseModel]]:
    """The shapes that a field of this type may hold, at any depth of lists, mappings and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [shape for part in get_args(annotation) for shape in shapes_in(part)]
