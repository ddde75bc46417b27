"""What is left of policies when everything but the resource is known, as a condition on records.

Cedar's truth has three values: an expression holds, does not hold, or is an error (it reads an attribute the resource does
not have). A policy whose condition is an error does not apply. So each expression becomes two conditions, when it holds and
when it is an error; ``&&`` and ``||`` look at their right side only when the left one does not decide, as Cedar does.

What has no exact condition (a comparison by size, ``like``, two attributes compared) raises ``Untranslatable``: the engine
then takes a permit for never and a forbid for always applying.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hilum.model.where import (
    EVERYTHING,
    NOTHING,
    AllOf,
    Equals,
    Has,
    Not,
    Nothing,
    OneOf,
    Where,
    all_of,
    any_of,
    negated,
)
from hilum.security.policies.vocabulary import NAMESPACE, VALUE_TYPES

Expression = Mapping[str, Any]


class Untranslatable(ValueError):
    """A part of a policy that is no condition on records; the text says which."""


@dataclass(frozen=True)
class Outcome:
    """When an expression holds and when it is an error; otherwise it does not hold."""

    holds: Where
    fails: Where = NOTHING

    @property
    def is_false(self) -> Where:
        return conjunction([negated(self.holds), negated(self.fails)])


@dataclass(frozen=True)
class Attribute:
    """An attribute of the resource."""

    name: str


@dataclass(frozen=True)
class Unknown:
    """Something that is known when the question is asked, but not while policies are checked: the caller's roles."""

    text: str


@dataclass(frozen=True)
class Failure:
    """A value that cannot be had: Cedar has an error wherever it is needed."""


FAILED = Failure()
ALWAYS_FAILS = Outcome(NOTHING, EVERYTHING)


class Translator:
    """Translates for one type of resource, whose attributes and their types are given.

    ``known`` has the attributes of ``principal`` and ``context``: where a part of a policy would be an error, Cedar leaves
    it as it was written, with everything else in it. Without ``known`` (a policy is checked before anyone asks), what
    concerns them stands for itself.
    """

    def __init__(
        self, resource_type: str, attributes: Mapping[str, str], known: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self._type = f"{NAMESPACE}::{resource_type}"
        self._attributes = attributes
        self._known = known
        self._checking = known is None

    def policy(self, parsed: Mapping[str, Any]) -> Outcome:
        """When a policy (Cedar's JSON format, its scope decided already) applies, and when it is an error."""
        outcome = Outcome(EVERYTHING)
        for condition in parsed["conditions"]:
            part = condition["body"] if condition["kind"] == "when" else {"!": {"arg": condition["body"]}}
            outcome = self._and(outcome, part)
        return outcome

    def boolean(self, expression: Expression) -> Outcome:
        """When a boolean expression holds, and when it is an error."""
        (operator, operand), *others = expression.items()
        if others:
            raise Untranslatable("an expression of several parts")
        simple = self._logic().get(operator)
        if simple is not None:
            return simple(operand)
        if self._checking and not _mentions_resource(expression):
            return Outcome(Equals("?", repr(expression)))
        match operator:
            case "==":
                return self._equal(operand["left"], operand["right"])
            case "!=":
                same = self._equal(operand["left"], operand["right"])
                return Outcome(same.is_false, same.fails)
            case "has" if _is_resource(operand["left"]):
                known = operand["attr"] in self._attributes
                return Outcome(Has(operand["attr"]) if known else NOTHING)
            case "has" if self._facts(operand["left"]) is not None:
                return Outcome(EVERYTHING if operand["attr"] in (self._facts(operand["left"]) or ()) else NOTHING)
            case "is" if _is_resource(operand["left"]) and operand.get("in") is None:
                return Outcome(EVERYTHING if operand["entity_type"] == self._type else NOTHING)
            case "contains":
                return self._contains(operand["left"], operand["right"])
            case "Value" if isinstance(operand, bool):
                return Outcome(EVERYTHING if operand else NOTHING)
            case ".":
                value = self._value(expression)
                if isinstance(value, Attribute) and self._attributes.get(value.name) == "Bool":
                    return Outcome(Equals(value.name, True), self._missing(value))
                # What has no truth value is an error wherever it is asked for.
                return Outcome(EVERYTHING if value else NOTHING) if isinstance(value, bool) else ALWAYS_FAILS
            case "Value":
                return ALWAYS_FAILS
        raise Untranslatable(f"`{operator}`")

    def _logic(self) -> dict[str, Callable[[Any], Outcome]]:
        return {
            "&&": lambda o: self._and(self.boolean(o["left"]), o["right"]),
            "||": lambda o: self._or(self.boolean(o["left"]), o["right"]),
            "!": lambda o: self._not(self.boolean(o["arg"])),
            "if-then-else": lambda o: self._either(self.boolean(o["if"]), o["then"], o["else"]),
        }

    def _and(self, left: Outcome, right: Expression) -> Outcome:
        if isinstance(left.holds, Nothing):
            return left
        second = self.boolean(right)
        return Outcome(
            conjunction([left.holds, second.holds]), any_of([left.fails, conjunction([left.holds, second.fails])])
        )

    def _or(self, left: Outcome, right: Expression) -> Outcome:
        otherwise = left.is_false
        if isinstance(otherwise, Nothing):
            return left
        second = self.boolean(right)
        return Outcome(
            any_of([left.holds, conjunction([otherwise, second.holds])]),
            any_of([left.fails, conjunction([otherwise, second.fails])]),
        )

    def _not(self, inner: Outcome) -> Outcome:
        return Outcome(inner.is_false, inner.fails)

    def _either(self, condition: Outcome, then: Expression, otherwise: Expression) -> Outcome:
        holds: list[Where] = []
        fails = [condition.fails]
        for chosen, expression in ((condition.holds, then), (condition.is_false, otherwise)):
            if not isinstance(chosen, Nothing):
                branch = self.boolean(expression)
                holds.append(conjunction([chosen, branch.holds]))
                fails.append(conjunction([chosen, branch.fails]))
        return Outcome(any_of(holds), any_of(fails))

    def _equal(self, left: Expression, right: Expression) -> Outcome:
        one, other = self._value(left), self._value(right)
        if FAILED in (one, other):
            return ALWAYS_FAILS
        if isinstance(other, Attribute):
            one, other = other, one
        if not isinstance(one, Attribute):
            if isinstance(one, Unknown) or isinstance(other, Unknown):
                return Outcome(Equals("?", repr((one, other))))
            return Outcome(EVERYTHING if type(one) is type(other) and one == other else NOTHING)
        missing = self._missing(one)
        if isinstance(other, Attribute):
            if one == other:
                return Outcome(negated(missing), missing)
            raise Untranslatable(f"`{one.name} == {other.name}`: two attributes compared")
        if isinstance(other, Unknown):
            return Outcome(conjunction([negated(missing), Equals("?", other.text)]), missing)
        return Outcome(self._equals(one, other), missing)

    def _equals(self, attribute: Attribute, value: object) -> Where:
        """Cedar's values of different types are never equal, where Python takes ``True`` for 1."""
        kind = self._attributes.get(attribute.name)
        if kind == "Set<String>" or isinstance(value, frozenset):
            raise Untranslatable(f"`{attribute.name}` compared as a set")
        fits = kind is not None and type(value) is VALUE_TYPES[kind]
        return Equals(attribute.name, value) if fits and isinstance(value, str | int) else NOTHING

    def _contains(self, left: Expression, right: Expression) -> Outcome:
        values, member = self._value(left), self._value(right)
        if FAILED in (values, member):
            return ALWAYS_FAILS
        if not isinstance(member, Attribute):
            if isinstance(values, frozenset) and not isinstance(member, Unknown):
                return Outcome(EVERYTHING if (type(member), member) in {(type(v), v) for v in values} else NOTHING)
            raise Untranslatable("`contains` of an attribute that is a set")
        missing = self._missing(member)
        if isinstance(values, Unknown):
            return Outcome(conjunction([negated(missing), Equals("?", values.text)]), missing)
        if not isinstance(values, frozenset):
            raise Untranslatable("`contains` of an attribute that is a set")
        if self._attributes.get(member.name) == "String":
            words = frozenset(v for v in values if isinstance(v, str))
            return Outcome(OneOf(member.name, words) if words else NOTHING, missing)
        return Outcome(any_of([self._equals(member, v) for v in sorted(values, key=repr)]), missing)

    def _facts(self, expression: Expression) -> Mapping[str, Any] | None:
        """The attributes of ``principal`` or ``context``, where they are known."""
        return None if self._known is None else self._known.get(expression.get("Var", ""))

    def _missing(self, attribute: Attribute) -> Where:
        return negated(Has(attribute.name)) if attribute.name in self._attributes else EVERYTHING

    def _value(self, expression: Expression) -> object:
        """A constant, or an attribute of the resource."""
        (operator, operand), *_ = expression.items()
        match operator:
            case "Value" if isinstance(operand, str | int):
                return operand
            case "Value" if isinstance(operand, list):
                return frozenset(operand)
            case "Set":
                members = [self._value(part) for part in operand]
                if FAILED in members:
                    return FAILED
                if all(isinstance(member, str | int) for member in members):
                    return frozenset(members)
                if self._checking and not any(isinstance(member, Attribute) for member in members):
                    return Unknown(repr(expression))
            case "." if _is_resource(operand["left"]):
                return Attribute(operand["attr"])
            case "." if (facts := self._facts(operand["left"])) is not None:
                return facts.get(operand["attr"], FAILED)
        if self._checking and not _mentions_resource(expression):
            return Unknown(repr(expression))
        raise Untranslatable(f"`{operator}`")


def conjunction(parts: Iterable[Where]) -> Where:
    """All of the parts, without an attribute's being known where its value is asked for; NOTHING for a contradiction."""
    whole = all_of(parts)
    if not isinstance(whole, AllOf):
        return whole
    valued = {part.field for part in whole.parts if isinstance(part, Equals | OneOf)}
    known = valued | {part.field for part in whole.parts if isinstance(part, Has)}
    for part in whole.parts:
        if isinstance(part, Not) and (
            part.part in whole.parts or (isinstance(part.part, Has) and part.part.field in known)
        ):
            return NOTHING
    return all_of(part for part in whole.parts if not (isinstance(part, Has) and part.field in valued))


def _is_resource(expression: Expression) -> bool:
    return expression == {"Var": "resource"} or expression == {"unknown": [{"Value": "resource"}]}


def _mentions_resource(expression: object) -> bool:
    if isinstance(expression, Mapping):
        return _is_resource(expression) or any(_mentions_resource(part) for part in expression.values())
    return isinstance(expression, list) and any(_mentions_resource(part) for part in expression)
