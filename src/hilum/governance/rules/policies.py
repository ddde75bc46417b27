"""What APIs ask the policies must be words the policies know; what breaks the glass is looked at; authors release nothing."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.authoring.api import Operation
from hilum.authoring.estate import Estate
from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem
from hilum.runtime.approvals import Names
from hilum.security.policies import Policies, PoliciesRefused
from hilum.security.policies.engine import may_concern
from hilum.security.policies.vocabulary import Vocabulary


def policy_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    estate = loaded.estate
    try:
        policies = Policies(estate.policies)
    except PoliciesRefused:
        return  # The loader has told what is wrong with them.
    for operation in estate.operations():
        yield from _operation(loaded, operation, policies.vocabulary)
    yield from _queue(loaded, estate, policies)


def release_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    """Whoever wrote a version of an API does not release it, under none of their names."""
    names = Names(loaded.estate)
    for name, spec in loaded.estate.api_specs.items():
        for version, life in spec.versions.items():
            if life.state == "draft":
                continue
            where = loaded.places.toml(f"apis/{name}.toml", "versions", str(version), "approved_by")
            if not life.approved_by or not life.author:
                what = "`approved_by`" if not life.approved_by else "`author`"
                yield EstateProblem(
                    where,
                    f"Version {version} of the API {name} is {life.state} and says no {what}.",
                    "Say who wrote it and who released it.",
                )
            elif names.behind(f"person:{life.author}") & names.behind(f"person:{life.approved_by}"):
                yield EstateProblem(
                    where,
                    f"{life.approved_by} wrote version {version} of the API {name} and released it too.",
                    "Let somebody else release it.",
                )


def _operation(loaded: Loaded, operation: Operation, vocabulary: Vocabulary) -> Iterator[EstateProblem]:
    where = loaded.places.function(operation.function)
    misfit = vocabulary.misfit(operation.action, operation.resource)
    if misfit is not None:
        yield EstateProblem(
            where,
            f"Nobody can ever call {operation.id}: {misfit}.",
            "Correct the word, or add it to the schema in policies/.",
        )
        return
    known = vocabulary.attributes[operation.resource]
    for attribute in sorted(operation.attributes.keys() - known.keys()):
        yield EstateProblem(
            where,
            f"{operation.id} tells the policies {attribute!r} of each {operation.resource}, which has no such attribute, so "
            "every answer would be denied.",
            f"Correct it, or add it to the schema in policies/. Known: {', '.join(sorted(known))}.",
        )


def _queue(loaded: Loaded, estate: Estate, policies: Policies) -> Iterator[EstateProblem]:
    """Where somebody may break the glass, somebody must be there to look at it afterwards."""
    queue = estate.break_glass.queue
    asks = [
        policy
        for policy in policies.policies.values()
        if estate.policies
        and policy.effect == "permit"
        and policies.vocabulary.misfit("create", "BreakGlass") is None
        and "BreakGlass" in policy.text
        and may_concern(policy.parsed, policies.vocabulary, "create", "BreakGlass")
    ]
    if asks and queue not in estate.queues:
        yield EstateProblem(
            loaded.places.toml(ESTATE_FILE, "break_glass", "queue"),
            f"The policy {asks[0].id} ({asks[0].where}) lets people break the glass, and there is no queue {queue!r} in "
            "which that is reviewed.",
            f"Add [queues.{queue}] with an owner.",
        )
