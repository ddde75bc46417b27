"""Who asks what in the matrix of Lakeshore's policies: each role, action, type of resource and facility."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hilum.authoring.caller import Caller
from hilum.security.policies import Policies

HOME, ELSEWHERE, UNKNOWN = "own", "other", "none"
PURPOSES = {"revenue-analyst": "payment", "compliance-auditor": "audit", "clinician-mobile": "treatment"}
ROLES = [
    "administrator",
    "operator",
    "integration-engineer",
    "supply-chain-analyst",
    "ap-analyst",
    "revenue-analyst",
    "data-steward",
    "compliance-auditor",
    "department-requester",
    "supplier",
    "executive",
    "clinician-mobile",
    "program",  # A service with every role but those that bind or restrain: what no program may do shows here.
    "broken-glass",  # An operator under a grant for ST-MARY.
    "no-role",
]
ACTIONS = ["read", "create", "update", "delete", "approve", "acknowledge", "release", "replay", "export", "administer"]
CLASSES = ["phi", "financial", "pii", "confidential"]
SEEN = [
    "PatientAccount",
    "Charge",
    "Implant",
    "Order",
    "Invoice",
    "Supplier",
    "Dashboard",
    "Thread",
    "Message",
    "Evidence",
]


def caller(role: str) -> Caller:
    """Somebody at ST-MARY with one role, the purpose that goes with it and the bonds it needs."""
    at_home = frozenset({"ST-MARY"})
    if role == "program":
        all_roles = frozenset(ROLES) - {"compliance-auditor", "supplier", "program", "broken-glass", "no-role"}
        return Caller("service", "program", roles=all_roles, facilities=at_home, department="OR-1", purpose="payment")
    if role == "broken-glass":
        return Caller(
            "person", "otto", roles=frozenset({"operator"}), facilities=at_home, purpose="emergency", break_glass="1",
            break_glass_facility="ST-MARY",
        )  # fmt: skip
    return Caller(
        "person", role, roles=frozenset({role}) if role != "no-role" else frozenset(),
        facilities=frozenset() if role == "supplier" else at_home,
        supplier="MEDLINE" if role == "supplier" else None,
        department="OR-1" if role == "department-requester" else None,
        purpose=PURPOSES.get(role, "operations"),
    )  # fmt: skip


def attributes(policies: Policies, role: str, resource: str, facility: str, data_class: str) -> dict[str, Any]:
    """A record that is the caller's own in every way but its facility: own, another one, or none known.

    Work items wait in a queue of Lakeshore's that the role works, where it works one; amounts are small; somebody else
    made it.
    """
    known = policies.vocabulary.attributes[resource]
    queues = {
        "supply-chain-analyst": "purchasing", "ap-analyst": "erp-refusals", "revenue-analyst": "charges",
        "data-steward": "finance-master", "operator": "integration", "integration-engineer": "integration",
        "program": "integration", "broken-glass": "integration",
    }  # fmt: skip
    record = {
        "facility": {HOME: "ST-MARY", ELSEWHERE: "HARBOR-VIEW", UNKNOWN: None}[facility],
        "supplier": "MEDLINE",
        "department": "OR-1",
        "author": "person:somebody-else",
        "amount_usd": 500,
        "queue": queues.get(role, "item-master"),
        "data_class": data_class if data_class else None,
    }
    return {name: value for name, value in record.items() if name in known and value is not None}


def rows_to_ask(policies: Policies) -> Iterator[tuple[str, str, str, str]]:
    """Every action on every type at the own and at another facility; and what is seen of which class of data."""
    for action in ACTIONS:
        for resource in sorted(policies.vocabulary.resources[action]):
            for facility in (HOME, ELSEWHERE) if action == "read" else (HOME,):
                yield action, resource, facility, ""
    for data_class in CLASSES:
        for resource in SEEN:
            for facility in (HOME, ELSEWHERE, UNKNOWN):
                yield "see", resource, facility, data_class
