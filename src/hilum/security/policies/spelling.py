"""Conditions of policies in the words they were written in, with no more parentheses than they need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hilum.security.policies.vocabulary import NAMESPACE

Expression = Mapping[str, Any]

_INFIX = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3, "+": 4, "-": 4, "*": 5}
_TIGHT = 9


def spelled(expression: Expression) -> str:
    """One condition as a person would write it: ``principal.roles.contains("supplier")``."""
    return _spell(expression, 0)


def kinds_named(expression: Expression) -> frozenset[str] | None:
    """The resource types of a condition that asks for nothing else, ``resource is A || resource is B``; otherwise None."""
    (operator, operand), *_ = expression.items()
    if operator == "||":
        left, right = kinds_named(operand["left"]), kinds_named(operand["right"])
        return None if left is None or right is None else left | right
    if operator == "is" and operand["left"] == {"Var": "resource"}:
        return frozenset({operand["entity_type"].removeprefix(f"{NAMESPACE}::")})
    return None


def _spell(expression: Expression, outside: int) -> str:
    kinds = kinds_named(expression)
    if kinds is not None and len(kinds) > 1:
        return f"the resource is one of {', '.join(sorted(kinds))}"
    (operator, operand), *_ = expression.items()
    if operator in _INFIX:
        strength = _INFIX[operator]
        text = f"{_spell(operand['left'], strength)} {operator} {_spell(operand['right'], strength)}"
        return f"({text})" if strength < outside else text
    match operator:
        case "Value":
            return _literal(operand)
        case "Var":
            return str(operand)
        case "Set":
            return f"[{', '.join(_spell(part, 0) for part in operand)}]"
        case ".":
            return f"{_spell(operand['left'], _TIGHT)}.{operand['attr']}"
        case "has":
            return f"{_spell(operand['left'], _TIGHT)} has {operand['attr']}"
        case "is":
            return f"{_spell(operand['left'], _TIGHT)} is {operand['entity_type']}"
        case "like":
            return f"{_spell(operand['left'], _TIGHT)} like {_pattern(operand['pattern'])}"
        case "!":
            return f"!({_spell(operand['arg'], 0)})" if _loose(operand["arg"]) else f"!{_spell(operand['arg'], _TIGHT)}"
        case "contains" | "containsAll" | "containsAny":
            return f"{_spell(operand['left'], _TIGHT)}.{operator}({_spell(operand['right'], 0)})"
        case "if-then-else":
            parts = (_spell(operand[word], 0) for word in ("if", "then", "else"))
            return "if {} then {} else {}".format(*parts)
    return json.dumps(dict(expression))


def _loose(expression: Expression) -> bool:
    return not {"Var", "Value", ".", "contains", "containsAll", "containsAny"} & expression.keys()


def _literal(value: object) -> str:
    if isinstance(value, Mapping) and "__entity" in value:
        return f"{value['__entity']['type']}::{json.dumps(value['__entity']['id'])}"
    return json.dumps(value, ensure_ascii=False)


def _pattern(parts: object) -> str:
    """``"ST-*"`` from Cedar's list of literals and wildcards."""
    if not isinstance(parts, list):
        return json.dumps(parts)
    return json.dumps("".join("*" if part == "Wildcard" else part["Literal"] for part in parts), ensure_ascii=False)
