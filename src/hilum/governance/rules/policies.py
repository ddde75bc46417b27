"""What APIs ask the policies must be words the policies know; and whatever breaks the glass must be looked at."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.authoring.api import Operation
from hilum.authoring.estate import Estate
from hilum.governance.loader import ESTATE_FILE, Loaded
from hilum.governance.problems import EstateProblem
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
        and may_concern(policy.parsed, policies.vocabulary, "create", "BreakGlass")
    ]
    if asks and queue not in estate.queues:
        yield EstateProblem(
            loaded.places.toml(ESTATE_FILE, "break_glass", "queue"),
            f"The policy {asks[0].id} ({asks[0].where}) lets people break the glass, and there is no queue {queue!r} in "
            "which that is reviewed.",
            f"Add [queues.{queue}] with an owner.",
        )
