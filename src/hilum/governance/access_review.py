"""The access review: who may do what to which class of data, by role and by account, and what should not be so.

(45 CFR 164.308(a)(4)(ii)(C), access establishment and modification; NIST SP 800-53 AC-2(j), AC-6(7).)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from hilum.authoring.caller import PERSON, SERVICE, Caller
from hilum.authoring.estate import Estate
from hilum.model.where import NOTHING
from hilum.security.decisions import Resource
from hilum.security.policies import Policies

DATA_CLASSES = ("phi", "pii", "financial", "confidential")
PURPOSES = ("operations", "treatment", "payment", "audit")


@dataclass(frozen=True)
class Holder:
    """Somebody who has roles: an account, a program, or a group of the identity provider."""

    kind: str  # account, service, group
    name: str
    roles: tuple[str, ...]
    facilities: tuple[str, ...]
    supplier: str | None = None
    department: str | None = None
    owner: str = ""
    expires: date | None = None
    state: str = ""
    last_seen_at: datetime | None = None


@dataclass(frozen=True)
class Reach:
    """What a holder may do: actions by type of resource, and the classes of data they see for which purpose."""

    holder: Holder
    may: Mapping[str, tuple[str, ...]]
    sees: Mapping[str, tuple[str, ...]]
    remarks: tuple[str, ...]


def holders_of(estate: Estate) -> list[Holder]:
    """The programs and groups that the estate itself names; accounts stand in the platform's database."""
    found = [
        Holder(
            "service", spec.name, tuple(spec.roles), tuple(spec.facilities), spec.supplier, spec.department, spec.owner,
            spec.expires,
        )
        for spec in estate.services.values()
    ]  # fmt: skip
    for name, issuer in estate.identity.issuers.items():
        for group, grant in issuer.groups.items():
            found.append(Holder("group", f"{group} at {name}", tuple(grant.roles), tuple(grant.facilities)))
    return found


def reach_of(
    holder: Holder, policies: Policies, estate: Estate, *, today: date, known_roles: Iterable[str] = ()
) -> Reach:
    """What the policies let a holder do, asked of the policies themselves for every action and type of resource.

    An action counts when some resource of the type could be allowed; a data class, when it is seen at one of their
    facilities for one of the usual purposes.
    """
    may: dict[str, list[str]] = {}
    caller = _caller(holder, "operations")
    for action, types in sorted(policies.vocabulary.resources.items()):
        if action != "see":
            for resource_type in sorted(types):
                if _some(policies, caller, action, resource_type):
                    may.setdefault(resource_type, []).append(action)
    sees = {data_class: _sees(holder, policies, data_class) for data_class in DATA_CLASSES}
    return Reach(
        holder,
        {name: tuple(actions) for name, actions in sorted(may.items())},
        {name: where for name, where in sees.items() if where},
        tuple(_remarks(holder, estate, may, sees, today, frozenset(known_roles))),
    )


def _caller(holder: Holder, purpose: str) -> Caller:
    return Caller(
        SERVICE if holder.kind == "service" else PERSON, holder.name, issuer="review", roles=frozenset(holder.roles),
        facilities=frozenset(holder.facilities), supplier=holder.supplier, department=holder.department, purpose=purpose,
    )  # fmt: skip


def _some(policies: Policies, caller: Caller, action: str, resource_type: str) -> bool:
    """Whether there is a resource of the type that would be allowed; one below a limit counts, whatever a list says."""
    if policies.where(caller, action, resource_type) != NOTHING:
        return True
    known = policies.vocabulary.attributes[resource_type]
    least = {name: 0 for name in known if known[name] == "Long"}
    places: Sequence[str | None] = sorted(caller.facilities) or [None]
    return any(
        policies.decide(
            caller, action, Resource(resource_type, "", {**least, **_at(known, place, caller.supplier)})
        ).allowed
        for place in places
    )


def _at(known: Mapping[str, str], facility: str | None, supplier: str | None) -> dict[str, str]:
    have = {"facility": facility, "supplier": supplier}
    return {name: value for name, value in have.items() if value is not None and name in known}


def _sees(holder: Holder, policies: Policies, data_class: str) -> tuple[str, ...]:
    """For which types of resource, and for which purpose where that matters: ``PatientAccount (treatment)``."""
    seen = []
    for resource_type in sorted(policies.vocabulary.resources.get("see", frozenset())):
        known = policies.vocabulary.attributes[resource_type]
        places: Sequence[str | None] = sorted(holder.facilities) or [None]
        purposes = [
            purpose
            for purpose in PURPOSES
            if any(
                policies.sees(
                    _caller(holder, purpose),
                    data_class,
                    Resource(resource_type, "", _at(known, place, holder.supplier)),
                )
                for place in places
            )
        ]
        if purposes:
            seen.append(resource_type if len(purposes) == len(PURPOSES) else f"{resource_type} ({', '.join(purposes)})")
    return tuple(seen)


def _remarks(
    holder: Holder,
    estate: Estate,
    may: Mapping[str, list[str]],
    sees: Mapping[str, tuple[str, ...]],
    today: date,
    known_roles: frozenset[str],
) -> Iterable[str]:
    """What a reviewer should look at first."""
    if holder.expires is not None and holder.expires <= today:
        yield f"expired on {holder.expires}: remove it"
    if holder.kind == "service" and holder.expires is None:
        yield "never expires: give it an end"
    if holder.kind == "service" and not holder.owner:
        yield "has no owner"
    if not holder.roles:
        yield "has no role"
    for role in sorted(set(holder.roles) - known_roles) if known_roles else ():
        yield f"has the role {role}, which no policy names"
    for facility in sorted(set(holder.facilities) - estate.facilities.keys()):
        yield f"has the facility {facility}, which the estate does not have"
    if holder.kind != "group" and holder.roles and not may and not any(sees.values()):
        yield "may do nothing at all"


def roles_named(policies: Policies) -> frozenset[str]:
    """The roles that any policy asks for."""
    found: set[str] = set()

    def walk(part: object) -> None:
        if isinstance(part, Mapping):
            for operator in ("contains", "containsAny", "containsAll"):
                operand = part.get(operator)
                if isinstance(operand, Mapping) and operand["left"] == _ROLES:
                    found.update(_words(operand["right"]))
            for inner in part.values():
                walk(inner)
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    for policy in policies.policies.values():
        walk(policy.parsed.get("conditions", []))
    return frozenset(found)


_ROLES = {".": {"left": {"Var": "principal"}, "attr": "roles"}}


def _words(expression: Mapping[str, object]) -> Iterable[str]:
    value = expression.get("Value")
    if isinstance(value, str):
        yield value
    members = expression.get("Set", value)
    if isinstance(members, list):
        for member in members:
            if isinstance(member, Mapping):
                yield from _words(member)
            elif isinstance(member, str):
                yield member
