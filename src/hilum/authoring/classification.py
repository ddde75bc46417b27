"""Data classes: what a field holds decides how it is stored, shown, kept and where it may go.

A field without a mark is *internal*: not secret, yet nobody's business outside the health system.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def data_class_of(metadata: Iterable[Any], annotation: Any) -> str | None:
    """The class a field is marked with, on itself or in any part of its type; None when it is unmarked."""
    for mark in (*metadata, *getattr(annotation, "__metadata__", ())):
        if isinstance(mark, DataClass) or (isinstance(mark, type) and issubclass(mark, DataClass)):
            return mark.name
    for part in get_args(annotation):
        found = data_class_of((), part)
        if found is not None:
            return found
    return None


def classification(shape: type[BaseModel]) -> Mapping[str, str]:
    """Dotted field path to data class, for every marked field of a shape and of the shapes inside it.

    Items of lists and tuples share their field's path: ``lines.account`` is the account of every line.
    """
    found: dict[str, str] = {}
    _collect(shape, "", found, ())
    return found


def _collect(shape: type[BaseModel], prefix: str, found: dict[str, str], above: tuple[type[BaseModel], ...]) -> None:
    for name, field in shape.model_fields.items():
        path = prefix + name
        marked = data_class_of(field.metadata, field.annotation)
        if marked is not None:
            found[path] = marked
            continue
        for inner in _shapes(field.annotation):
            if inner not in above:
                _collect(inner, path + ".", found, (*above, shape))


def _shapes(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [shape for part in get_args(annotation) for shape in _shapes(part)]
