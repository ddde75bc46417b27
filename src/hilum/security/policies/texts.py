"""Policy files as they are written: where each policy stands, what it is called and what it says of itself.

Cedar's parser names neither files nor lines, and numbers policies by their place in one text. So each policy is cut out
of its file, parsed alone and known by its ``@id`` from then on: in decisions, explanations and findings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cedarpy

from hilum.security.policies.vocabulary import SchemaRefused, Vocabulary

POLICY_SUFFIX, SCHEMA_SUFFIX = ".cedar", ".cedarschema"
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_WORDS = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, order=True)
class PolicyProblem:
    """What is wrong in a policy file: ``file:line``, what, and what to do."""

    where: str
    what: str
    do: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} {self.do}"


class PoliciesRefused(ValueError):
    """Policies that cannot be used; ``problems`` has every finding, not only the first."""

    def __init__(self, problems: tuple[PolicyProblem, ...]) -> None:
        self.problems = problems
        super().__init__("the policies cannot be used:\n" + "\n".join(f"  {problem}" for problem in problems))


@dataclass(frozen=True)
class PolicyText:
    """One policy: its ``@id``, its place, its text, and its parsed form (Cedar's JSON policy format)."""

    id: str
    file: str
    line: int
    text: str
    parsed: Mapping[str, Any]

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def effect(self) -> str:
        return str(self.parsed["effect"])

    @property
    def because(self) -> str:
        """What the policy says of itself in ``@because``; empty when it says nothing."""
        said: Mapping[str, str] = self.parsed.get("annotations", {})
        return said.get("because", "")


@dataclass
class PolicyFiles:
    """All policies of an estate as far as they could be read, with what was wrong."""

    policies: dict[str, PolicyText] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None
    problems: list[PolicyProblem] = field(default_factory=list)


def read_files(texts: Mapping[str, str], *, validate: bool = True) -> PolicyFiles:
    """Every policy of ``texts`` (file name to content), checked against the schema among them.

    What was read is kept for as long as nothing in it changes, so it is for reading only: checking a policy against the
    schema takes 16 ms, and one look at an estate asks several times.
    """
    return _read_files(tuple(sorted(texts.items())), validate)


@lru_cache(maxsize=8)
def _read_files(texts: tuple[tuple[str, str], ...], validate: bool) -> PolicyFiles:
    found = PolicyFiles()
    schemas = {name: text for name, text in texts if name.endswith(SCHEMA_SUFFIX)}
    try:
        found.vocabulary = Vocabulary.read("\n".join(schemas.values()))
    except SchemaRefused as refused:
        place = next(iter(schemas), f"policies/hilum{SCHEMA_SUFFIX}")
        found.problems.append(PolicyProblem(f"{place}{refused.line_in(schemas)}", refused.what, refused.do))
    for name, text in texts:
        if name.endswith(POLICY_SUFFIX):
            for line, part in _split(text):
                _read_policy(found, name, line, part)
    if validate and found.vocabulary is not None:
        for policy in found.policies.values():
            found.problems.extend(_invalid(policy, found.vocabulary))
    return found


def _read_policy(found: PolicyFiles, file: str, line: int, text: str) -> None:
    where = f"{file}:{line}"
    try:
        document = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        found.problems.append(
            PolicyProblem(where, f"This is no Cedar policy: {error}.", "Correct it; every policy ends with `;`.")
        )
        return
    if document["templates"]:
        found.problems.append(
            PolicyProblem(where, "This is a template.", "Write the principal or resource instead of `?slot`.")
        )
        return
    for parsed in document["staticPolicies"].values():
        name = parsed.get("annotations", {}).get("id")
        if name is None or not _ID.fullmatch(name):
            what = "The policy has no @id." if name is None else f"{name!r} is no id of a policy."
            found.problems.append(
                PolicyProblem(where, what, 'Begin it with @id("what-it-allows"), lower case with hyphens.')
            )
        elif name in found.policies:
            found.problems.append(
                PolicyProblem(
                    where,
                    f"There are two policies called {name}; the other is at {found.policies[name].where}.",
                    "Rename one: decisions name policies by their @id.",
                )
            )
        else:
            found.policies[name] = PolicyText(name, file, line, text, parsed)


def _invalid(policy: PolicyText, vocabulary: Vocabulary) -> Iterator[PolicyProblem]:
    """What Cedar's validator says, each finding once and at the line that has the word it is about."""
    by_line: dict[int, str] = {}
    for error in cedarpy.validate_policies(policy.text, vocabulary.schema).errors:
        what = re.sub(r"^for policy `policy\d+`, ", "", error.error)
        by_line.setdefault(policy.line + _line_of(what, policy.text), what)
    for line, what in sorted(by_line.items()):
        yield PolicyProblem(
            f"{policy.file}:{line}",
            f"The policy {policy.id} does not fit the schema: {what}.",
            "Correct its spelling; an optional attribute is asked for first, as in `resource has supplier &&`.",
        )


def _line_of(finding: str, text: str) -> int:
    """How many lines below the policy's first one the finding's word stands; 0 when it cannot be found."""
    lines = text.splitlines()
    for word in _WORDS.findall(finding):
        bare = word.rsplit("::", 1)[-1].strip('"')
        pattern = re.compile(rf"\b{re.escape(bare)}\b")
        # An optional attribute may be asked for in one line and read unguarded in another; the dot tells which is read.
        for wanted in (re.compile(rf"\.{re.escape(bare)}\b"), pattern):
            for offset, line in enumerate(lines):
                if wanted.search(line.split("//")[0]):
                    return offset
    return 0


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Each policy of a file with the line it begins at: from its first word to its ``;``."""
    line, start, start_line = 1, -1, 1
    place, end = 0, len(text)
    while place < end:
        character = text[place]
        if text.startswith("//", place):
            place = text.find("\n", place)
            place = end if place < 0 else place
            continue
        if start < 0 and not character.isspace():
            start, start_line = place, line
        if character == '"':
            closed = _string_end(text, place)
            line += text.count("\n", place, closed)
            place = closed
            continue
        if character == ";":
            yield start_line, text[start : place + 1]
            start = -1
        line += character == "\n"
        place += 1
    if start >= 0:
        yield start_line, text[start:]


def _string_end(text: str, quote: int) -> int:
    place = quote + 1
    while place < len(text) and text[place] != '"':
        place += 2 if text[place] == "\\" else 1
    return min(place + 1, len(text))
