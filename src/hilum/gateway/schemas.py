"""Compiled schemas, and what they find, told by place and rule and never by value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import jsonschema_rs
from pydantic import ValidationError

MOST_FINDINGS = 20
_VALUE = "this"
_OWN_WORDS = {
    "additionalProperties": "a member that the contract does not have",
    "unevaluatedProperties": "a member that the contract does not have",
    "propertyNames": "a member's name that the contract does not allow",
    "anyOf": "none of the forms that the contract allows",
    "oneOf": "not exactly one of the forms that the contract allows",
    "not": "a form that the contract excludes",
}


class Checked:
    """One schema, compiled once. ``place`` says where the value stands: body, query, path, answer."""

    def __init__(self, schema: Mapping[str, Any], place: str) -> None:
        # Bounded: an expression from a contract must not be a way to keep this process busy.
        self._validator = jsonschema_rs.Draft202012Validator(
            dict(schema),
            validate_formats=True,
            mask=_VALUE,
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=10_000),
        )
        self._place = place

    def is_valid(self, value: Any) -> bool:
        return self._validator.is_valid(value)

    def findings(self, value: Any) -> list[dict[str, str]]:
        """``{"in", "pointer", "detail"}`` of the first findings: an RFC 6901 pointer in a URI fragment, and the rule."""
        found = islice(self._validator.iter_errors(value), MOST_FINDINGS)
        return [
            {"in": self._place, "pointer": pointer(error.instance_path), "detail": _words(error)} for error in found
        ]

    def causes(self, value: Any) -> list[str]:
        """Places in the schema that the value is against: names of the contract only, fit for logs and titles."""
        found = islice(self._validator.iter_errors(value), MOST_FINDINGS)
        return list(dict.fromkeys("/".join(_named(error.schema_path)) for error in found))


def _words(error: jsonschema_rs.ValidationError) -> str:
    keyword = error.kind.name
    if keyword == "required":
        return f"{error.kind.property} is missing"  # type: ignore[attr-defined]
    own = _OWN_WORDS.get(keyword)
    return own if own is not None else error.message


def _named(path: Iterable[str | int]) -> list[str]:
    """A schema path without its scaffolding: ``properties/lines/items/properties/price/type`` is ``lines/price/type``."""
    return [
        str(part)
        for part in path
        if not isinstance(part, int) and part not in ("properties", "items", "anyOf", "$ref", "$defs")
    ]


def pointer(path: Iterable[str | int]) -> str:
    """``#/lines/0/price`` (RFC 6901 section 6)."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def findings_of(error: ValidationError, place: str) -> list[dict[str, str]]:
    """What pydantic found, for rules that no JSON Schema can say. Never the value, and no author's text that may hold it."""
    return [
        {
            "in": place,
            "pointer": pointer(finding["loc"]),
            "detail": "against a rule of the contract"
            if finding["type"] in ("value_error", "assertion_error")
            else finding["msg"],
        }
        for finding in islice(
            error.errors(include_input=False, include_url=False, include_context=False), MOST_FINDINGS
        )
    ]
