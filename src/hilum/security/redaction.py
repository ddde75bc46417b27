"""Showing data to people who need its shape, not its subject: protected health information is masked.

``mask`` keeps the last two characters, so that two people can tell that they speak of the same account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from hilum.authoring import Contract, Phi

MASK = "***"
_KEPT = 2
_SHORTEST_KEPT = 6
"""Of a shorter text two characters would be too much of it."""


def mask(text: str) -> str:
    """``***`` and the last two characters; of a short text nothing. The length is not shown."""
    return MASK + text[-_KEPT:] if len(text) >= _SHORTEST_KEPT else MASK


def mask_event(contract: type[Contract], payload: Mapping[str, Any]) -> dict[str, Any]:
    """A stored event as it may be shown: fields marked ``Phi`` masked, missing ones still missing.

    A field that this version of the contract does not know is masked too: nobody has said that it is harmless.
    """
    return _mask_fields(contract, payload)


def _mask_fields(shape: type[BaseModel], payload: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in payload.items():
        field = shape.model_fields.get(name)
        if field is None or _is_phi(field.metadata) or _says_phi(field.annotation):
            shown[name] = _mask_all(value)
        else:
            shown[name] = _mask_inside(_inner_shape(field.annotation), value)
    return shown


def _mask_inside(shape: type[BaseModel] | None, value: Any) -> Any:
    if shape is None:
        return value
    if isinstance(value, Mapping):
        return _mask_fields(shape, value)
    if isinstance(value, list | tuple):
        return [_mask_inside(shape, inner) for inner in value]
    return value


def _mask_all(value: Any) -> Any:
    """Mask every value but an identifier's authority: which hospital issued a number is not the patient's secret."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: inner if name == "authority" else _mask_all(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mask_all(inner) for inner in value]
    return mask(value) if isinstance(value, str) else MASK


def _is_phi(metadata: Iterable[Any]) -> bool:
    return any(mark is Phi or isinstance(mark, Phi) for mark in metadata)


def _says_phi(annotation: Any) -> bool:
    """Whether the mark stands inside the type: ``Annotated[Mrn, Phi] | None``, ``tuple[Annotated[str, Phi], ...]``."""
    return _is_phi(getattr(annotation, "__metadata__", ())) or any(
        _says_phi(argument) for argument in getattr(annotation, "__args__", ())
    )


def _inner_shape(annotation: Any) -> type[BaseModel] | None:
    """The model inside ``Model``, ``Model | None``, ``tuple[Model, ...]``; None when there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner_shape(argument)
        if found is not None:
            return found
    return None
