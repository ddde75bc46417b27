"""Decisions by Cedar: default deny, forbid wins, and nothing that cannot be evaluated allows anything."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from hashlib import sha256
from importlib.resources import files
from types import MappingProxyType
from typing import Any, NamedTuple

import cedarpy

from hilum.authoring.caller import ANONYMOUS, PERSON, Caller
from hilum.model.where import NOTHING, Where, all_of, any_of, negated
from hilum.security.decisions import Decision, Resource
from hilum.security.policies.residuals import Translator, Untranslatable
from hilum.security.policies.texts import PoliciesRefused, PolicyProblem, PolicyText, read_files
from hilum.security.policies.vocabulary import NAMESPACE, Vocabulary

log = logging.getLogger(__name__)

NO_CONTEXT: Mapping[str, Any] = MappingProxyType({})
REMEMBERED = 16_384
"""Decisions kept: a caller asks the same few questions again and again."""
_IN_ERROR = re.compile(r"policy `([^`]+)`")


class _Asker(NamedTuple):
    """What policies can know of a caller; callers that are the same to policies share their decisions."""

    kind: str
    id: str
    actor: str
    roles: frozenset[str]
    facilities: frozenset[str]
    supplier: str | None
    department: str | None


class _Question(NamedTuple):
    asker: _Asker
    action: str
    type: str
    id: str
    attributes: tuple[tuple[str, Any], ...]
    context: tuple[tuple[str, Any], ...]


class Policies:
    """Decides by policies and a schema given as texts by file name (``policies/suppliers.cedar``); a ``PolicyPoint``.

    Without a schema the shipped vocabulary is used, without policies the shipped baseline: administrators only.
    Raises ``PoliciesRefused`` with every problem. ``validate=False`` takes policies the schema refuses: for tests that
    ask what then happens.
    """

    def __init__(self, texts: Mapping[str, str], *, validate: bool = True) -> None:
        full = in_force(texts)
        read = read_files(full, validate=validate)
        if read.problems:
            raise PoliciesRefused(tuple(sorted(set(read.problems))))
        assert read.vocabulary is not None
        self._use(full, read.policies, read.vocabulary)

    def _use(self, texts: Mapping[str, str], policies: Mapping[str, PolicyText], vocabulary: Vocabulary) -> None:
        self.texts = texts
        self.policies = policies
        self.vocabulary = vocabulary
        self._version = digest(texts)
        self._set: Callable[[str, str], Any] = lru_cache(1024)(self._concerning)
        self._answer: Callable[[_Question], Decision] = lru_cache(REMEMBERED)(self._evaluate)
        self._left: Callable[[_Question], Where] = lru_cache(REMEMBERED)(self._residual)
        self._principal: Callable[[_Asker], Any] = lru_cache(1024)(self._known)
        self._told: set[tuple[str, str]] = set()

    @property
    def version(self) -> str:
        """SHA-256 over every file's name and text, as ``sha256:<hex>``."""
        return self._version

    def decide(
        self, caller: Caller, action: str, resource: Resource, context: Mapping[str, Any] = NO_CONTEXT
    ) -> Decision:
        """Whether ``caller`` may do ``action`` to ``resource``. An attribute that is None is one the resource does not have.

        What the schema does not know (an action, a type, an attribute, a value of another type) is denied, with the reason
        in ``errors``: a misspelled attribute must not slip past the policy that forbids by it.
        """
        if caller.kind == ANONYMOUS:
            return Decision(False)
        misfit = self._misfit(action, resource)
        if misfit is not None:
            return Decision(False, errors=(misfit,))
        attributes = tuple(sorted((k, _hashable(v)) for k, v in resource.attributes.items() if v is not None))
        return self._answer(self._question(caller, action, resource.type, resource.id, attributes, context))

    def where(self, caller: Caller, action: str, resource_type: str, context: Mapping[str, Any] = NO_CONTEXT) -> Where:
        """Which resources of a type the caller may do ``action`` to.

        A record matches exactly when ``decide`` allows a resource with its attributes. Where a policy has no exact
        condition (``findings`` lists them), fewer records match, never more.
        """
        if caller.kind == ANONYMOUS or self.vocabulary.misfit(action, resource_type) is not None:
            return NOTHING
        return self._left(self._question(caller, action, resource_type, "", (), context))

    def sees(
        self, caller: Caller, data_class: str, resource: Resource, context: Mapping[str, Any] = NO_CONTEXT
    ) -> bool:
        """Whether the caller sees values of a data class (``phi``, ``financial`` ...) of this resource unmasked."""
        seen = Resource(resource.type, resource.id, {**resource.attributes, "data_class": data_class})
        return self.decide(caller, "see", seen, context).allowed

    @cached_property
    def findings(self) -> tuple[PolicyProblem, ...]:
        """Policies that lists cannot be filtered by exactly: each permits nothing, or forbids everything, in a list."""
        return tuple(self._unfit_for_lists())

    def with_only(self, parsed: Mapping[str, Any]) -> Policies:
        """Decides by this one policy (Cedar's JSON format) and nothing else: to ask about one condition of a policy."""
        alone = object.__new__(Policies)
        text = PolicyText("part", "", 0, "", parsed)
        alone._use({}, {text.id: text}, self.vocabulary)
        return alone

    def _misfit(self, action: str, resource: Resource) -> str | None:
        misfit = self.vocabulary.misfit(action, resource.type)
        if misfit is not None:
            return misfit
        for name, value in resource.attributes.items():
            if value is not None:
                misfit = self.vocabulary.misfit_value(resource.type, name, _hashable(value))
                if misfit is not None:
                    return misfit
        return None

    def _question(
        self,
        caller: Caller,
        action: str,
        resource_type: str,
        resource_id: str,
        attributes: tuple[tuple[str, Any], ...],
        context: Mapping[str, Any],
    ) -> _Question:
        asker = _Asker(
            caller.kind, caller.id, caller.actor, caller.roles, caller.facilities, caller.supplier, caller.department
        )
        # What the caller's session says of purpose and emergency is never overruled by what a handler adds.
        told = {**context, **circumstances(caller, resource_type)}
        return _Question(asker, action, resource_type, resource_id, attributes, tuple(sorted(told.items())))

    def _evaluate(self, question: _Question) -> Decision:
        resource = {
            "uid": {"type": f"{NAMESPACE}::{question.type}", "id": question.id},
            "attrs": {k: sorted(v) if isinstance(v, frozenset) else v for k, v in question.attributes},
            "parents": [],
        }
        result = cedarpy.is_authorized(
            {
                "principal": _uid(question.asker),
                "action": {"type": f"{NAMESPACE}::Action", "id": question.action},
                "resource": resource["uid"],
                "context": dict(question.context),
            },
            self._set(question.action, question.type),
            self._principal(question.asker).with_added_json_str(json.dumps([resource])),
            self.vocabulary.schema,
        )
        if result.decision is cedarpy.Decision.NoDecision:
            return Decision(False, errors=(f"the question could not be asked: {_unvalued(result.diagnostics.errors)}",))
        failed = _in_error(result.diagnostics.errors)
        # Cedar passes over a forbid that is an error. Here it forbids: it might have applied.
        blocking = [name for name in failed if name not in self.policies or self.policies[name].effect == "forbid"]
        by = sorted(blocking) if result.allowed and blocking else sorted(result.diagnostics.reasons)
        return Decision(
            result.allowed and not blocking,
            tuple(by),
            tuple(f"{name} could not be evaluated" for name in sorted(failed)),
        )

    def _residual(self, question: _Question) -> Where:
        result = cedarpy.is_authorized_partial(
            {
                "principal": f"{_uid(question.asker)['type']}::{_quoted(question.asker.id)}",
                "action": f"{NAMESPACE}::Action::{_quoted(question.action)}",
                "resource": None,
                "context": dict(question.context),
            },
            self._set(question.action, question.type),
            self._principal(question.asker),
            self.vocabulary.schema,
        )
        failed = _in_error(result.diagnostics.errors)
        if not result.residuals or any(
            name not in self.policies or self.policies[name].effect == "forbid" for name in failed
        ):
            return NOTHING
        known = {"principal": _principal_attributes(question.asker), "context": dict(question.context)}
        translate = Translator(question.type, self.vocabulary.attributes[question.type], known)
        permitted: list[Where] = []
        forbidden: list[Where] = []
        for name, residual in sorted(result.residuals.items()):
            try:
                outcome = translate.policy(residual)
            except Untranslatable as reason:
                self._tell_once(name, str(reason))
                if residual["effect"] == "forbid":
                    return NOTHING
                continue
            if residual["effect"] == "permit":
                permitted.append(outcome.holds)
            else:
                forbidden.extend([outcome.holds, outcome.fails])
        return all_of([any_of(permitted), negated(any_of(forbidden))])

    def _concerning(self, action: str, resource_type: str) -> Any:
        """The policies whose heads an action on a type of resource can meet: a third of them, as a rule."""
        return policy_set(
            p for p in self.policies.values() if may_concern(p.parsed, self.vocabulary, action, resource_type)
        )

    def _known(self, asker: _Asker) -> Any:
        return _principal_entities(asker, self.vocabulary)

    def _tell_once(self, policy: str, reason: str) -> None:
        if (policy, reason) not in self._told:
            self._told.add((policy, reason))
            log.warning("policy %s cannot filter lists: %s is no condition on records", policy, reason)

    def _unfit_for_lists(self) -> Iterator[PolicyProblem]:
        for policy in self.policies.values():
            for resource_type in sorted(self.vocabulary.resources.get("list", frozenset())):
                if not may_concern(policy.parsed, self.vocabulary, "list", resource_type):
                    continue
                translate = Translator(resource_type, self.vocabulary.attributes[resource_type])
                try:
                    translate.policy(policy.parsed)
                except Untranslatable as reason:
                    effect = "permits nothing" if policy.effect == "permit" else "forbids everything"
                    yield PolicyProblem(
                        policy.where,
                        f"The policy {policy.id} cannot filter lists of {resource_type}: {reason} is no condition on "
                        f"records, so in a list it {effect}.",
                        "Compare an attribute of the resource with ==, or ask whether a set contains it; or let the policy "
                        "not concern `list`.",
                    )


def in_force(texts: Mapping[str, str]) -> dict[str, str]:
    """The texts with what ships where the estate has nothing: the vocabulary, and the baseline."""
    shipped = files(__package__)
    full = dict(texts)
    if not any(name.endswith(".cedarschema") for name in full):
        full["policies/hilum.cedarschema"] = (shipped / "baseline.cedarschema").read_text(encoding="utf-8")
    if not any(name.endswith(".cedar") for name in full):
        full["policies/baseline.cedar"] = (shipped / "baseline.cedar").read_text(encoding="utf-8")
    return full


def digest(texts: Mapping[str, str]) -> str:
    """The version of a set of policy files."""
    whole = sha256()
    for name, text in sorted(texts.items()):
        # Lengths first: no two sets of files may be spelled as the same bytes.
        whole.update(f"{len(name)} {len(text.encode())} {name}\n".encode() + text.encode())
    return f"sha256:{whole.hexdigest()}"


def circumstances(caller: Caller, resource_type: str) -> dict[str, Any]:
    """The context every question has: purpose, and the break-glass grant as far as it reaches this type of resource."""
    granted = caller.break_glass is not None and caller.break_glass_resource in (None, resource_type)
    told: dict[str, Any] = {"purpose": caller.purpose, "break_glass": granted}
    if granted and caller.break_glass_facility is not None:
        told["break_glass_facility"] = caller.break_glass_facility
    return told


def policy_set(policies: Iterable[PolicyText]) -> Any:
    """Cedar's own set of these policies, each under its ``@id``."""
    document = {"staticPolicies": {p.id: p.parsed for p in policies}, "templates": {}, "templateLinks": []}
    return cedarpy.PolicySet.from_json_str(json.dumps(document))


def may_concern(parsed: Mapping[str, Any], vocabulary: Vocabulary, action: str, resource_type: str) -> bool:
    """Whether a policy's head can be met by an action on a type of resource."""
    return _head_meets(parsed["resource"], resource_type) and vocabulary.meets(action, parsed["action"])


def _head_meets(head: Mapping[str, Any], resource_type: str) -> bool:
    if "entity_type" in head:
        return bool(head["entity_type"] == f"{NAMESPACE}::{resource_type}")
    if "entity" in head:
        return bool(head["entity"]["type"] == f"{NAMESPACE}::{resource_type}")
    return True


def _uid(asker: _Asker) -> dict[str, str]:
    return {"type": f"{NAMESPACE}::{'Person' if asker.kind == PERSON else 'Service'}", "id": asker.id}


def _principal_attributes(asker: _Asker) -> dict[str, Any]:
    """What policies can read of a caller; what the caller has no value for is not there."""
    known = {name: getattr(asker, name) for name in ("actor", "roles", "facilities", "supplier", "department")}
    return {name: value for name, value in known.items() if value is not None}


def _principal_entities(asker: _Asker, vocabulary: Vocabulary) -> Any:
    """The caller as an entity, among the schema's actions: without them no action is in any group."""
    attributes = {k: sorted(v) if isinstance(v, frozenset) else v for k, v in _principal_attributes(asker).items()}
    entities = json.dumps([{"uid": _uid(asker), "attrs": attributes, "parents": []}])
    return cedarpy.Entities.from_json_str(entities, vocabulary.schema)


_ESCAPES = {'"': '\\"', "'": "\\'", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def _quoted(text: str) -> str:
    """A Cedar string literal in the one spelling that Cedar takes for an entity's id."""
    return '"' + "".join(_ESCAPES.get(c, c if c.isprintable() else f"\\u{{{ord(c):x}}}") for c in text) + '"'


def _hashable(value: object) -> object:
    return frozenset(value) if isinstance(value, list | tuple | set) else value


def _in_error(errors: list[str]) -> set[str]:
    """The policies that Cedar's errors name; an error that names none counts as a forbid's."""
    return {match[1] if (match := _IN_ERROR.search(error)) else "?" for error in errors}


def _unvalued(errors: list[str]) -> str:
    """Cedar's errors without what they quote of values: their beginning up to the first colon, names in backticks."""
    return "; ".join(re.split(r"\n|: ", error, maxsplit=1)[0] for error in errors)
