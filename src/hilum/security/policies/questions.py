"""Questions as people write them: ``read Order supplier=MEDLINE facility=ST-MARY``."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from hilum.security.decisions import Resource
from hilum.security.policies.vocabulary import Vocabulary


class UnclearQuestion(ValueError):
    """A question the policies cannot be asked; the text says which word is wrong and what is known."""


@dataclass(frozen=True)
class Question:
    """What someone wants to do: an action and the resource it is about."""

    action: str
    resource: Resource

    def __str__(self) -> str:
        shown = (f"{name}={_shown(value)}" for name, value in sorted(self.resource.attributes.items()))
        named = [f"id={self.resource.id}"] if self.resource.id else []
        return " ".join([self.action, self.resource.type, *named, *shown])


def read_question(text: str, vocabulary: Vocabulary) -> Question:
    """``ACTION TYPE [id=ID] [attribute=value ...]`` as a question; values with spaces are quoted. UnclearQuestion."""
    try:
        words = shlex.split(text)
    except ValueError as unclosed:
        raise UnclearQuestion(f"the question cannot be read: {unclosed}") from unclosed
    if len(words) < 2:
        raise UnclearQuestion("a question is an action and a resource, such as `read Order facility=ST-MARY`")
    action, resource_type, *pairs = words
    if action not in vocabulary.resources:
        raise UnclearQuestion(_unknown("action", action, vocabulary.resources))
    if resource_type not in vocabulary.attributes:
        raise UnclearQuestion(_unknown("resource", resource_type, vocabulary.attributes))
    misfit = vocabulary.misfit(action, resource_type)
    if misfit is not None:
        raise UnclearQuestion(misfit)
    name, attributes = read_attributes(pairs, resource_type, vocabulary)
    return Question(action, Resource(resource_type, name, attributes))


def read_attributes(pairs: Iterable[str], resource_type: str, vocabulary: Vocabulary) -> tuple[str, dict[str, Any]]:
    """The id (empty without one) and attributes of a resource from ``attribute=value`` words."""
    known = vocabulary.attributes[resource_type]
    name, attributes = "", {}
    for pair in pairs:
        attribute, equals, value = pair.partition("=")
        if not equals:
            raise UnclearQuestion(f"{pair!r} is no attribute=value")
        if attribute == "id":
            name = value
        elif attribute in known:
            attributes[attribute] = _value(attribute, value, known[attribute])
        else:
            raise UnclearQuestion(_unknown(f"attribute of {resource_type}", attribute, known))
    return name, attributes


def _value(attribute: str, text: str, kind: str) -> object:
    match kind:
        case "Long":
            try:
                return int(text)
            except ValueError:
                raise UnclearQuestion(f"{attribute} is a whole number, not {text!r}") from None
        case "Bool":
            if text not in ("true", "false"):
                raise UnclearQuestion(f"{attribute} is true or false, not {text!r}")
            return text == "true"
        case "Set<String>":
            return frozenset(part for part in text.split(",") if part)
    return text


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unknown(what: str, word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    return f"there is no {what} {word!r}; " + (f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}")
