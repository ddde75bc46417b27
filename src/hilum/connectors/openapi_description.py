"""A vendor's OpenAPI 3 document, reduced to the parts that the estate relies on (see ``governance.drift``)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
MOST_DEEP = 8
Parts = dict[str, dict[str, Any]]


def describe_openapi(document: Mapping[str, Any], relies_on: Collection[str] = ()) -> dict[str, Any]:
    """The parts of the operations in ``relies_on`` (``GET /patients/{id}``), or of all.

    ValueError when it is no OpenAPI 3 document. An operation that is relied on and not described has no parts, so it is gone.
    """
    if not str(document.get("openapi", "")).startswith("3."):
        raise ValueError("this is no OpenAPI 3 document: it has no `openapi: 3.x`")
    parts: Parts = {}
    for path, item in sorted(document.get("paths", {}).items()):
        for method in METHODS:
            operation = item.get(method)
            name = f"{method.upper()} {path}"
            if isinstance(operation, dict) and (not relies_on or name in relies_on):
                shared = [_resolved(document, p) for p in item.get("parameters", ())]
                parts |= dict(_operation(document, name, operation, shared))
    return {"source": "openapi", "parts": parts}


def _operation(
    document: Mapping[str, Any], name: str, operation: Mapping[str, Any], shared: list[Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    deprecated = {"deprecated": True} if operation.get("deprecated") else {}
    yield name, {"type": "operation", "relied_on_by": [name], **deprecated}
    own = [_resolved(document, p) for p in operation.get("parameters", ())]
    given = {(p["in"], p["name"]): p for p in (*shared, *own)}
    for (where, parameter), told in given.items():
        schema = _resolved(document, told.get("schema", {}))
        yield f"{name} {where}.{parameter}", _part(schema, "given", bool(told.get("required")), name)
    body = _resolved(document, operation.get("requestBody", {}))
    for schema in _json_schemas(body):
        yield f"{name} body", _part(_resolved(document, schema), "given", bool(body.get("required")), name)
        yield from _fields(document, f"{name} body", schema, "given", name, 0)
    for status, answer in operation.get("responses", {}).items():
        if str(status).startswith("2"):
            for schema in _json_schemas(_resolved(document, answer)):
                yield f"{name} {status}", _part(_resolved(document, schema), "asked", True, name)
                yield from _fields(document, f"{name} {status}", schema, "asked", name, 0)


def _fields(
    document: Mapping[str, Any], path: str, schema: Mapping[str, Any], side: str, name: str, depth: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    if depth >= MOST_DEEP:
        return  # Schemas may contain themselves.
    schema = _resolved(document, schema)
    for branch in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(branch, ()):
            yield from _fields(document, path, part, side, name, depth + 1)
    if isinstance(schema.get("items"), dict):
        yield from _fields(document, f"{path}[]", schema["items"], side, name, depth + 1)
    required = schema.get("required", ())
    for field, inner in schema.get("properties", {}).items():
        at = f"{path}.{field}"
        yield at, _part(_resolved(document, inner), side, field in required, name)
        yield from _fields(document, at, inner, side, name, depth + 1)


def _part(schema: Mapping[str, Any], side: str, required: bool, name: str) -> dict[str, Any]:
    kind = schema.get("type", "object" if "properties" in schema else "any")
    text = "|".join(sorted(kind)) if isinstance(kind, list) else str(kind)
    if "format" in schema:
        text += f":{schema['format']}"
    found: dict[str, Any] = {"type": text, "side": side, "required": required, "relied_on_by": [name]}
    if "enum" in schema:
        found["values"] = sorted(str(value) for value in schema["enum"])
    if schema.get("deprecated"):
        found["deprecated"] = True
    return found


def _json_schemas(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for media, told in content.get("content", {}).items():
        if media.partition(";")[0].strip().endswith("json") and isinstance(told.get("schema"), dict):
            yield told["schema"]


def _resolved(document: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a local reference; one that leads nowhere is an empty schema."""
    seen = 0
    while isinstance(reference := found.get("$ref"), str) and reference.startswith("#/") and seen < MOST_DEEP:
        at: Any = document
        for step in reference[2:].split("/"):
            at = at.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(at, dict) else {}
        found = at if isinstance(at, dict) else {}
        seen += 1
    return found
