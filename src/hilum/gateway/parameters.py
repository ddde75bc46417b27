"""The parts of an address as typed values: path parameters by the operation, the query by its contract."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from hilum.authoring.api import Operation
from hilum.gateway.problems import Refusal
from hilum.gateway.schemas import Checked, findings_of
from hilum.governance.api_schemas import request_schema
from hilum.governance.openapi import path_schema

MOST_FIELDS = 100
LONGEST_QUERY = 8192
DEFAULT_LIMIT = 50
MOST_RECORDS = 200
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TEXT = {"type": "string", "maxLength": 300}
_PAGING = {
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_RECORDS},
    "cursor": {"type": "string", "minLength": 1, "maxLength": 2048},
}


class PathReader:
    """Reads an operation's path parameters."""

    def __init__(self, operation: Operation) -> None:
        self._names = operation.path_parameters
        self._integers = frozenset(name for name in self._names if operation.hints.get(name) is int)
        self._checked = Checked(
            {"type": "object", "properties": {name: path_schema(operation, name) for name in self._names}}, "path"
        )

    def read(self, values: Sequence[str]) -> dict[str, Any]:
        """By name; ``Refusal`` 422 with findings."""
        found: dict[str, Any] = {
            name: int(value) if name in self._integers and _INTEGER.fullmatch(value) else value
            for name, value in zip(self._names, values, strict=True)
        }
        if found and not self._checked.is_valid(found):
            raise Refusal("invalid", "the address is against the contract", errors=self._checked.findings(found))
        return found


class QueryReader:
    """Reads an operation's query: text becomes what the contract's schema calls for, and is then checked by it."""

    def __init__(self, shape: type[BaseModel] | None, *, paged: bool) -> None:
        self._shape = shape
        schema: dict[str, Any] = request_schema(shape) if shape is not None else {"type": "object"}
        definitions = schema.get("$defs", {})
        properties = dict(schema.get("properties", {}))
        self._kinds = {name: _kinds(prop, definitions) for name, prop in properties.items()}
        for name, kinds in self._kinds.items():
            if "object" in kinds:
                properties[name] = _TEXT  # An identifier is written as text in an address; its own type reads it.
        if paged:
            properties = {**properties, **{name: rule for name, rule in _PAGING.items() if name not in properties}}
            self._kinds |= {"limit": frozenset({"integer"}), "cursor": frozenset({"string"})}
        self._paged = paged
        self._own = frozenset(shape.model_fields) if shape is not None else frozenset()
        self._empty_is_valid = not schema.get("required")
        checked = {**schema, "properties": properties, "additionalProperties": False}
        self._checked = Checked(checked, "query")

    def read(self, query_string: bytes) -> tuple[dict[str, Any], BaseModel | None]:
        """Every value by name, and the contract's part of them. ``Refusal`` 400 or 422."""
        given = self._typed(query_string) if query_string else {}
        if (given or not self._empty_is_valid) and not self._checked.is_valid(given):
            raise Refusal("invalid", "the query is against the contract", errors=self._checked.findings(given))
        if self._shape is None:
            return given, None
        try:
            return given, self._shape.model_validate({n: v for n, v in given.items() if n in self._own})
        except ValidationError as error:
            found = findings_of(error, "query")
            raise Refusal("invalid", "the query is against the contract", errors=found) from None

    def _typed(self, query_string: bytes) -> dict[str, Any]:
        if len(query_string) > LONGEST_QUERY:
            raise Refusal("malformed", f"the query is longer than {LONGEST_QUERY} bytes")
        try:
            text = query_string.decode("ascii")
            if _BROKEN_ESCAPE.search(text):
                raise ValueError("a broken escape")
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
        except ValueError:
            raise Refusal("malformed", "the query is no percent-encoded UTF-8, or has too many fields") from None
        found: dict[str, Any] = {}
        for name, value in pairs:
            if "\0" in value or "\0" in name:
                raise Refusal("malformed", "the query holds NUL")
            kinds = self._kinds.get(name, frozenset())
            if "array" in kinds:
                found.setdefault(name, []).append(_as(kinds, value))
            elif name in found:
                raise Refusal("malformed", "the query gives a parameter twice that is no list")
            else:
                found[name] = _as(kinds, value)
        return found


def _as(kinds: frozenset[str], value: str) -> Any:
    """What the text says in the kinds that the schema allows; the text itself where it says none of them."""
    if "integer" in kinds and _INTEGER.fullmatch(value):
        return int(value)
    if "number" in kinds and _NUMBER.fullmatch(value):
        # Decimal fields allow text as well, which keeps every digit.
        return value if "string" in kinds else float(value)
    if "boolean" in kinds and value in ("true", "false"):
        return value == "true"
    return value


def _kinds(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int = 0) -> frozenset[str]:
    """The JSON types that a schema allows, those of an array's items included."""
    if depth > 8:
        return frozenset()
    found: set[str] = set()
    target = schema.get("$ref")
    if isinstance(target, str):
        found |= _kinds(definitions.get(target.rpartition("/")[2], {}), definitions, depth + 1)
    named = schema.get("type", ())
    found |= {named} if isinstance(named, str) else set(named)
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        found |= _kinds(part, definitions, depth + 1)
    if isinstance(schema.get("items"), Mapping):
        found |= _kinds(schema["items"], definitions, depth + 1)
    return frozenset(found)
