"""How arguments and results are written down: JSON by the types the author annotated, never pickles."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json, to_json


@lru_cache(maxsize=512)
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


@lru_cache(maxsize=512)
def _returns(signature: Callable[..., Any]) -> Any:
    return get_type_hints(inspect.unwrap(signature)).get("return", Any)


def dump_arguments(arguments: Mapping[str, Any]) -> bytes:
    """The arguments of a command as JSON, for the record and for people."""
    return to_json(
        {
            name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            for name, value in arguments.items()
        }
    )


def load_arguments(signature: Callable[..., Any], data: bytes) -> dict[str, Any]:
    """The arguments of a command as they were written down, by the operation's annotations."""
    annotations = get_type_hints(inspect.unwrap(signature), include_extras=True)
    return {name: _adapter(annotations[name]).validate_python(value) for name, value in from_json(data).items()}


def dump_result(signature: Callable[..., Any], result: Any) -> bytes:
    """A result as JSON by the operation's return annotation."""
    return _adapter(_returns(signature)).dump_json(result)


def load_result(signature: Callable[..., Any], data: bytes) -> Any:
    return _adapter(_returns(signature)).validate_json(data)


def dump_as(annotation: Any, value: Any) -> Any:
    """A step's result as plain JSON values, for the journal."""
    return _adapter(annotation).dump_python(value, mode="json")


def load_as(annotation: Any, value: Any) -> Any:
    return _adapter(annotation).validate_python(value)
