"""JSON Schemas of what operations take and answer: what the gateway validates is what the documents publish.

A classified field may be shown masked, so its published schema allows the masked forms too: ``***`` and two characters
for text, null for everything that has no such form.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import orjson
from pydantic import BaseModel

from hilum.authoring.api import Operation
from hilum.authoring.classification import SCHEMA_KEYWORD

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MASKED_TEXT: Mapping[str, Any] = {"type": "string", "pattern": "^\\*\\*\\*"}
_LOCAL = "#/$defs/{model}"


def request_schema(shape: type[BaseModel], ref_template: str = _LOCAL) -> dict[str, Any]:
    """What a body or query of this shape must satisfy; ``$defs`` holds the shapes inside it."""
    schema: dict[str, Any] = orjson.loads(_generated(shape, "validation", ref_template))
    return schema


def shape_schema(shape: type[BaseModel], ref_template: str = _LOCAL) -> dict[str, Any]:
    """What an answer of this shape satisfies for every caller, masked or not."""
    schema: dict[str, Any] = orjson.loads(_generated(shape, "serialization", ref_template))
    return schema


@lru_cache(maxsize=512)
def _generated(shape: type[BaseModel], mode: Literal["validation", "serialization"], ref_template: str) -> bytes:
    """As text, because who gets it changes it; and once, because a description asks for the same shapes again and again."""
    schema: Any = shape.model_json_schema(mode=mode, ref_template=ref_template)
    return orjson.dumps(_maskable(schema) if mode == "serialization" else schema)


def answer_schema(operation: Operation, ref_template: str = _LOCAL) -> dict[str, Any] | None:
    """The body of the operation's success: the shape, or a page of it (``items`` and ``next``); None when there is none."""
    if operation.answer is None:
        return None
    schema = shape_schema(operation.answer, ref_template)
    if operation.kind != "list":
        return schema
    inner = schema.pop("$defs", None)
    page: dict[str, Any] = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": schema},
            "next": {"type": ["string", "null"], "description": "The cursor of the following page; null on the last."},
        },
        "required": ["items", "next"],
        "additionalProperties": False,
    }
    if inner is not None:
        page["$defs"] = inner
    return page


def _maskable(schema: Any) -> Any:
    """Allow the masked forms wherever a schema names a data class."""
    if isinstance(schema, list):
        return [_maskable(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {name: _maskable(part) for name, part in schema.items()}
    data_class = inside.pop(SCHEMA_KEYWORD, None)
    if data_class is None:
        return inside
    kept = {name: inside.pop(name) for name in ("title", "description", "default", "examples") if name in inside}
    alternatives = inside.pop("anyOf") if set(inside) == {"anyOf"} else [inside]
    null = {"type": "null"}
    forms = [*alternatives]
    if any(_is_text(form) for form in alternatives):
        forms.append(dict(MASKED_TEXT))
    if null not in forms:
        forms.append(null)
    return {**kept, "anyOf": forms, SCHEMA_KEYWORD: data_class}


def _is_text(form: Any) -> bool:
    """Whether masking this form gives text: a string without a format of its own (dates and decimals become null)."""
    return isinstance(form, dict) and form.get("type") == "string" and "format" not in form
