"""Why a decision was made, and what would have to be different: for the person who was refused and the one who asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hilum.authoring.caller import Caller
from hilum.security.decisions import Decision, Resource
from hilum.security.policies.engine import NO_CONTEXT, Policies, may_concern
from hilum.security.policies.spelling import kinds_named, spelled
from hilum.security.policies.texts import PolicyText

_MOST_NEAR = 4


@dataclass(frozen=True)
class Named:
    """One policy that decided: what it is called, where it stands, and what it says of itself."""

    id: str
    where: str
    effect: str
    because: str


@dataclass(frozen=True)
class Near:
    """A policy that would have permitted it, and the conditions that do not hold, in Cedar's words."""

    id: str
    where: str
    because: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """A decision with its reasons. ``near`` are the permits that came closest, nearest first, when none applied."""

    decision: Decision
    by: tuple[Named, ...]
    near: tuple[Near, ...]

    def sentence(self, who: str, action: str, resource: Resource) -> str:
        """The decision in one sentence, for whoever was refused. No attribute's value is in it: one may be protected."""
        asked = f"{who} may {'' if self.decision.allowed else 'not '}{action} this {resource.type}"
        if self.decision.errors and not self.by:
            return f"{asked}: {'; '.join(self.decision.errors)}."
        if self.by:
            verb = "permits" if self.decision.allowed else "forbids"
            reasons = "; ".join(f"{p.id} ({p.where}) {verb} it{': ' + p.because if p.because else ''}" for p in self.by)
            return f"{asked}: {reasons.rstrip('.')}."
        if self.near:
            nearest = self.near[0]
            return f"{asked}: no policy permits it; {nearest.id} ({nearest.where}) would if {' and '.join(nearest.missing)}."
        return f"{asked}: no policy permits it."


def explain(
    policies: Policies, caller: Caller, action: str, resource: Resource, context: Mapping[str, Any] = NO_CONTEXT
) -> Explanation:
    """The decision, the policies that made it, and for a denial by default what would have to be different."""
    decision = policies.decide(caller, action, resource, context)
    by = tuple(_named(policies.policies[name]) for name in decision.policies if name in policies.policies)
    near: tuple[Near, ...] = ()
    if not decision.allowed and not by and not decision.errors:
        near = tuple(sorted(_near(policies, caller, action, resource, context), key=_distance)[:_MOST_NEAR])
    return Explanation(decision, by, near)


def _named(policy: PolicyText) -> Named:
    return Named(policy.id, policy.where, policy.effect, policy.because)


def _distance(near: Near) -> tuple[int, str]:
    return len(near.missing), near.id


def _near(
    policies: Policies, caller: Caller, action: str, resource: Resource, context: Mapping[str, Any]
) -> Iterator[Near]:
    """Every permit for this action on this type, with its conditions that do not hold."""
    for policy in policies.policies.values():
        if policy.effect != "permit" or not may_concern(policy.parsed, policies.vocabulary, action, resource.type):
            continue
        parts = list(_parts(policy))
        failing = [part for part in parts if not _holds(policies, part, caller, action, resource, context)]
        if any(kinds_named(part) is not None for part in failing):
            continue  # It is about other types of resource.
        if not _for_this_kind(policy, caller):
            yield Near(policy.id, policy.where, policy.because, (_principal_text(policy),))
        elif failing:
            yield Near(policy.id, policy.where, policy.because, tuple(spelled(part) for part in failing))


def _for_this_kind(policy: PolicyText, caller: Caller) -> bool:
    wanted = policy.parsed["principal"].get("entity_type")
    return wanted is None or wanted.endswith("Person") == (caller.kind == "person")


def _principal_text(policy: PolicyText) -> str:
    return f"principal is {policy.parsed['principal']['entity_type']}"


def _parts(policy: PolicyText) -> Iterator[Mapping[str, Any]]:
    """A policy's conditions, taken apart where ``&&`` joins them."""
    for condition in policy.parsed["conditions"]:
        body = condition["body"]
        yield from _conjuncts(body if condition["kind"] == "when" else {"!": {"arg": body}})


def _conjuncts(expression: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "&&" in expression:
        yield from _conjuncts(expression["&&"]["left"])
        yield from _conjuncts(expression["&&"]["right"])
    else:
        yield expression


def _alone(part: Mapping[str, Any]) -> dict[str, Any]:
    every = {"op": "All"}
    conditions = [{"kind": "when", "body": part}]
    return {"effect": "permit", "principal": every, "action": every, "resource": every, "conditions": conditions}


def _holds(
    policies: Policies,
    part: Mapping[str, Any],
    caller: Caller,
    action: str,
    resource: Resource,
    context: Mapping[str, Any],
) -> bool:
    """Whether one condition holds by itself; one that is an error does not."""
    return policies.with_only(_alone(part)).decide(caller, action, resource, context).allowed
