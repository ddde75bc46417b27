"""An OpenAPI document read for people: operations in order, schemas as flat tables of fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hilum.authoring.classification import SCHEMA_KEYWORD

_DEEPEST = 6


@dataclass(frozen=True)
class Described:
    """One operation as the page shows it."""

    method: str
    path: str
    operation: Mapping[str, Any]
    body: Mapping[str, Any] | None
    success: str
    answer: Mapping[str, Any] | None
    problems: tuple[tuple[str, str], ...]  # Status and what it means.


@dataclass(frozen=True)
class Row:
    """One field of a schema. ``path`` is dotted, ``[]`` marks items of a list."""

    path: str
    kind: str
    required: bool
    data_class: str
    description: str


def described(document: Mapping[str, Any]) -> list[Described]:
    """Every operation of a document, in its order."""
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            success = next(status for status in responses if status.startswith("2"))
            found.append(
                Described(
                    method.upper(),
                    path,
                    operation,
                    _content(operation.get("requestBody")),
                    success,
                    _content(responses[success]),
                    tuple((status, _meaning(document, r)) for status, r in responses.items() if status[0] in "45"),
                )
            )
    return found


def _content(part: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if part is None or "content" not in part:
        return None
    media: Mapping[str, Any] = next(iter(part["content"].values()))
    return media


def _meaning(document: Mapping[str, Any], response: Mapping[str, Any]) -> str:
    target = response.get("$ref")
    if target is not None:
        response = document["components"]["responses"][target.rpartition("/")[2]]
    return str(response["description"])


def example_of(media: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """Title and value of each example."""
    if media is None:
        return []
    return [(example.get("summary", ""), example["value"]) for example in media.get("examples", {}).values()]


def rows_of(media: Mapping[str, Any] | None, document: Mapping[str, Any]) -> list[Row]:
    """The fields of a body as a table, those of the shapes inside it with their path before them."""
    return [] if media is None else list(_rows(media["schema"], document, "", 0))


def _rows(schema: Mapping[str, Any], document: Mapping[str, Any], prefix: str, depth: int) -> Iterator[Row]:
    shape = _resolved(schema, document)
    if depth > _DEEPEST:
        return
    if shape.get("type") == "array":
        yield from _rows(shape.get("items", {}), document, prefix + "[]", depth + 1)
        return
    required = shape.get("required", ())
    for name, plain in shape.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        inner = _resolved(plain, document)
        yield Row(
            path,
            kind_of(plain, document),
            name in required,
            plain.get(SCHEMA_KEYWORD, ""),
            plain.get("description", inner.get("description", "") if inner is not plain else ""),
        )
        for form in _forms(plain, document):
            if form.get("properties") or form.get("type") == "array":
                yield from _rows(form, document, path, depth + 1)
                break


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    target = schema.get("$ref")
    if not isinstance(target, str):
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][target.rpartition("/")[2]]
    return found


def _forms(schema: Mapping[str, Any], document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    shape = _resolved(schema, document)
    return [_resolved(form, document) for form in shape["anyOf"]] if "anyOf" in shape else [shape]


def kind_of(schema: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """The type of a field in words: ``string or null``, ``date``, ``list``, the values of an enumeration."""
    words = []
    for form in _forms(schema, document):
        if form.get("pattern") == "^\\*\\*\\*":
            words.append("masked")
        elif "enum" in form:
            words.append(" | ".join(str(value) for value in form["enum"]))
        elif "const" in form:
            words.append(str(form["const"]))
        elif form.get("type") == "array":
            words.append("list")
        elif "format" in form:
            words.append(str(form["format"]))
        else:
            kind = form.get("type", "anything")
            words.append(" or ".join(kind) if isinstance(kind, list) else str(kind))
    return " or ".join(dict.fromkeys(words))
