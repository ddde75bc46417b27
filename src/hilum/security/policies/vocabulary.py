"""The words policies may use: the estate's Cedar schema, as far as questions are checked against it.

Cedar parses and checks the schema; it prints it back in one regular spelling, and that is what is read here. Resource
types have optional attributes only, because a door may know little of a thing when it asks; four types of value are
enough for them, and values of these types never need Cedar's escapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cedarpy

NAMESPACE = "Hilum"
PRINCIPALS = ("Person", "Service")
_PRINCIPAL_ATTRIBUTES = {"actor": "String", "roles": "Set<String>", "facilities": "Set<String>"}
_PRINCIPAL_OPTIONAL = {"supplier": "String", "department": "String"}
_CONTEXT = {"purpose": "operations", "break_glass": True, "break_glass_facility": "X"}
VALUE_TYPES = {"String": str, "Long": int, "Bool": bool, "Set<String>": frozenset}
_ENTITY = re.compile(r"^  entity (\w+)(?: in \[[^\]]*\])?(?: = \{\n(.*?)^  \})?;", re.MULTILINE | re.DOTALL)
_ATTRIBUTE = re.compile(r'^    "?(\w+)"?(\??): (.+?),?$', re.MULTILINE)
_ACTION = re.compile(
    r'^  action "([^"]+)"(?: in \[([^\]]*)\])?(?: appliesTo \{\n    principal: \[[^\]]*\],\n    resource: \[([^\]]*)\])?',
    re.MULTILINE,
)
_LONG = range(-(2**63), 2**63)


class SchemaRefused(ValueError):
    """A schema that cannot be used; says what and what to do."""

    def __init__(self, what: str, do: str) -> None:
        super().__init__(f"{what} {do}")
        self.what, self.do = what, do

    def line_in(self, schemas: Mapping[str, str]) -> str:
        """``:7``, the line that has the word the refusal is about; empty when none has it."""
        for word in re.findall(r"`([^`]+)`|types?: (\w+)", self.what):
            for text in schemas.values():
                for number, line in enumerate(text.splitlines(), start=1):
                    if re.search(rf"\b{re.escape(word[0] or word[1])}\b", line):
                        return f":{number}"
        return ""


@dataclass(frozen=True)
class Vocabulary:
    """Resource types with their attributes, and which actions apply to which of them."""

    schema: Any
    attributes: Mapping[str, Mapping[str, str]]
    """Resource type to its attributes and their types."""
    resources: Mapping[str, frozenset[str]]
    """Action to the resource types it applies to."""
    groups: Mapping[str, frozenset[str]]
    """Action to the groups of actions it is in, itself included."""

    @classmethod
    @lru_cache(8)
    def read(cls, text: str) -> Vocabulary:
        """The vocabulary of a schema; SchemaRefused when Cedar or the rules above refuse it."""
        try:
            schema = cedarpy.Schema.from_str(text)
        except ValueError as error:
            raise SchemaRefused(f"This is no Cedar schema: {error}.", "Correct it.") from error
        spelled = str(schema)
        if f"namespace {NAMESPACE} {{" not in spelled:
            raise SchemaRefused(
                f"The schema has no namespace {NAMESPACE}.", f"Write everything inside `namespace {NAMESPACE} {{ }}`."
            )
        entities = {
            name: {attribute: (kind, bool(optional)) for attribute, optional, kind in _ATTRIBUTE.findall(body)}
            for name, body in _ENTITY.findall(spelled)
        }
        for principal in PRINCIPALS:
            _check_principal(principal, entities.pop(principal, None))
        actions = _ACTION.findall(spelled)
        resources = {action: frozenset(re.findall(r"\w+", types)) for action, _, types in actions if types}
        groups = _groups({action: re.findall(r'"([^"]+)"', above) for action, above, _ in actions})
        for name, attributes in entities.items():
            _check_resource(name, attributes)
        for action, types in resources.items():
            _check_action(schema, action, min(types))
        kinds = {name: {attribute: kind for attribute, (kind, _) in have.items()} for name, have in entities.items()}
        return cls(schema, kinds, resources, groups)

    def misfit(self, action: str, resource_type: str) -> str | None:
        """Why nobody can be asked this: an unknown action or type, or an action that is not for this type."""
        if action not in self.resources:
            return f"the policies know no action {action!r}"
        if resource_type not in self.attributes:
            return f"the policies know no resource {resource_type!r}"
        if resource_type not in self.resources[action]:
            return f"the policies' schema has no action {action!r} for {resource_type}"
        return None

    def meets(self, action: str, head: Mapping[str, Any]) -> bool:
        """Whether an action is one that a policy's head (Cedar's JSON format) names, alone or as a group."""
        named = [head["entity"]] if "entity" in head else head.get("entities")
        return named is None or any(entity["id"] in self.groups[action] for entity in named)

    def misfit_value(self, resource_type: str, attribute: str, value: object) -> str | None:
        """Why this cannot be an attribute of a resource; never shows the value, which may be protected."""
        kind = self.attributes[resource_type].get(attribute)
        if kind is None:
            return f"the policies' schema gives {resource_type} no attribute {attribute!r}"
        if kind == "Set<String>":
            fits = isinstance(value, frozenset) and all(isinstance(v, str) for v in value)
        elif kind == "Long":
            fits = isinstance(value, int) and not isinstance(value, bool) and value in _LONG
        else:
            fits = isinstance(value, VALUE_TYPES[kind])
        return None if fits else f"{attribute!r} of {resource_type} is a {type(value).__name__}, not a {kind}"


def _groups(above: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    def all_above(action: str) -> frozenset[str]:
        return frozenset({action}).union(*(all_above(group) for group in above.get(action, ())))

    return {action: all_above(action) for action in above}


def _check_principal(name: str, attributes: Mapping[str, tuple[str, bool]] | None) -> None:
    wanted = {k: (v, False) for k, v in _PRINCIPAL_ATTRIBUTES.items()}
    wanted |= {k: (v, True) for k, v in _PRINCIPAL_OPTIONAL.items()}
    if attributes != wanted:
        shape = ", ".join(f"{k}{'?' if optional else ''}: {kind}" for k, (kind, optional) in wanted.items())
        raise SchemaRefused(
            f"The entity `{name}` is not what callers are.", f"Declare `entity {name} = {{ {shape} }};`."
        )


def _check_action(schema: Any, action: str, resource_type: str) -> None:
    """Every action must take the context that every question has, or nothing could be asked of it."""
    for principal in PRINCIPALS:
        asked = {
            "principal": {"type": f"{NAMESPACE}::{principal}", "id": "check"},
            "action": {"type": f"{NAMESPACE}::Action", "id": action},
            "resource": {"type": f"{NAMESPACE}::{resource_type}", "id": "check"},
        }
        for context in (_CONTEXT, {k: v for k, v in _CONTEXT.items() if k != "break_glass_facility"}):
            answer = cedarpy.is_authorized({**asked, "context": context}, "", [], schema)
            if answer.decision is cedarpy.Decision.NoDecision:
                raise SchemaRefused(
                    f"The action `{action}` cannot be asked: {'; '.join(answer.diagnostics.errors)}.",
                    "Give every action `principal: [Person, Service]` and the context "
                    "{ purpose: String, break_glass: Bool, break_glass_facility?: String }.",
                )


def _check_resource(name: str, attributes: Mapping[str, tuple[str, bool]]) -> None:
    for attribute, (kind, optional) in attributes.items():
        if not optional:
            raise SchemaRefused(
                f"The attribute `{attribute}` of {name} is not optional.", f"Write `{attribute}?`: it may be unknown."
            )
        if kind not in VALUE_TYPES:
            raise SchemaRefused(
                f"The attribute `{attribute}` of {name} is a {kind}.", f"Use one of {', '.join(VALUE_TYPES)}."
            )
