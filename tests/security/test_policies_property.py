"""A list filtered by a policy holds what the policy allows one by one: for any policy, caller and resource."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from hilum.authoring.caller import Caller
from hilum.model.where import NOTHING
from hilum.security.decisions import Resource
from hilum.security.policies import Policies

FACILITIES = ("ST-MARY", "HARBOR-VIEW")
SUPPLIERS = ("MEDLINE", "STRYKER")

# Attributes are read without asking first whether they are there: Cedar then has an error, and Where must have it too.
CONDITIONS = [
    "resource has facility",
    "resource has supplier",
    "resource has queue",  # WorkItem has it, Order does not.
    'resource.queue == "purchasing"',
    'resource.facility == "ST-MARY"',
    'resource.facility != "ST-MARY"',
    '"ST-MARY" == resource.facility',
    "resource.supplier == principal.supplier",  # An error when the caller has none, too.
    "resource.author == principal.actor",
    "resource.facility == resource.facility",
    "resource.facility == 5",
    "resource.amount_usd == 5",
    "principal.facilities.contains(resource.facility)",
    '["MEDLINE", "STRYKER"].contains(resource.supplier)',
    "[1, 5].contains(resource.amount_usd)",
    "[].contains(resource.supplier)",
    'principal.roles.contains("ap-analyst")',
    "principal has supplier",
    'principal.supplier == "MEDLINE"',
    'context.purpose == "payment"',
    "context.break_glass",
    "context.break_glass_facility == resource.facility",
    "resource is Hilum::Order",
    "resource is Hilum::WorkItem",
    "true",
    "false",
    "resource.facility",  # No truth value: an error wherever it is asked.
]
INEXACT = [
    'resource.facility like "ST-*"',
    "resource.amount_usd < 5",
    "resource.amount_usd + 1 == 6",
    "resource.facility == resource.supplier",
    "[resource.facility].contains(principal.supplier)",
    'resource == Hilum::Order::"PO-1"',
    'principal.facilities.containsAny([resource.facility, "x"])',
]


def expressions(leaves: list[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(leaves),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda p: f"({p[0]} && {p[1]})"),
            st.tuples(inner, inner).map(lambda p: f"({p[0]} || {p[1]})"),
            inner.map(lambda p: f"!({p})"),
            st.tuples(inner, inner, inner).map(lambda p: f"(if {p[0]} then {p[1]} else {p[2]})"),
        ),
        max_leaves=6,
    )


HEADS = [
    "principal, action, resource",
    'principal is Hilum::Person, action in Hilum::Action::"looking", resource',
    "principal is Hilum::Service, action, resource",
    'principal, action == Hilum::Action::"list", resource is Hilum::Order',
    'principal, action == Hilum::Action::"approve", resource',
    'principal == Hilum::Person::"an\\"a\\n", action, resource is Hilum::WorkItem',
]


def policy_files(leaves: list[str]) -> st.SearchStrategy[str]:
    one = st.tuples(
        st.sampled_from(["permit", "permit", "forbid"]),
        st.sampled_from(HEADS),
        st.sampled_from(["when", "unless"]),
        expressions(leaves),
    )
    return st.lists(one, min_size=1, max_size=4).map(
        lambda rows: "\n".join(
            f'@id("p-{n}") {effect} ({head}) {kind} {{ {condition} }};'
            for n, (effect, head, kind, condition) in enumerate(rows)
        )
    )


CALLERS = st.builds(
    Caller,
    kind=st.sampled_from(["person", "service"]),
    id=st.sampled_from(["ana", 'an"a\n', "ap-bot"]),
    roles=st.frozensets(st.sampled_from(["ap-analyst", "supplier"])),
    facilities=st.frozensets(st.sampled_from(FACILITIES)),
    supplier=st.sampled_from([None, *SUPPLIERS]),
    purpose=st.sampled_from(["payment", "operations"]),
    break_glass=st.sampled_from([None, "1"]),
    break_glass_facility=st.sampled_from([None, *FACILITIES]),
    break_glass_resource=st.sampled_from([None, "Order"]),
)


def attributes(draw: st.DrawFn, resource_type: str) -> dict[str, Any]:
    known = {
        "facility": st.sampled_from(FACILITIES),
        "supplier": st.sampled_from(SUPPLIERS),
        "author": st.sampled_from(["person:ana", "service:ap-bot"]),
    }
    known |= (
        {"queue": st.just("purchasing")} if resource_type == "WorkItem" else {"amount_usd": st.sampled_from([0, 5])}
    )
    return {name: draw(st.none() | values) for name, values in known.items()}


@st.composite
def resources(draw: st.DrawFn) -> Resource:
    resource_type = draw(st.sampled_from(["Order", "WorkItem"]))
    return Resource(resource_type, draw(st.sampled_from(["", "PO-1"])), attributes(draw, resource_type))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    policy_files(CONDITIONS),
    CALLERS,
    st.sampled_from(["list", "approve"]),
    st.lists(resources(), min_size=4, max_size=4),
)
def test_a_filtered_list_holds_exactly_what_is_allowed(text: str, caller: Caller, action: str, things: list[Resource]):
    policies = Policies({"policies/any.cedar": text}, validate=False)

    for thing in things:
        where = policies.where(caller, action, thing.type)
        allowed = policies.decide(caller, action, thing).allowed
        assert where.matches(thing.attributes) == allowed, (text, thing, where)
        event("nothing" if where == NOTHING else "allowed" if allowed else "denied")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(policy_files(CONDITIONS + INEXACT * 2), CALLERS, resources())
def test_what_is_no_condition_on_records_only_ever_narrows_a_list(text: str, caller: Caller, thing: Resource):
    policies = Policies({"policies/any.cedar": text}, validate=False)

    if policies.where(caller, "list", thing.type).matches(thing.attributes):
        assert policies.decide(caller, "list", thing).allowed, text


@pytest.mark.parametrize("inexact", INEXACT)
def test_each_inexact_condition_permits_nothing_and_forbids_everything_in_lists(inexact: str):
    ana = Caller("person", "ana")
    permit = Policies({"policies/a.cedar": f'@id("a") permit (principal, action, resource) when {{ {inexact} }};'}, validate=False)  # fmt: skip
    forbid = Policies(
        {
            "policies/a.cedar": '@id("all") permit (principal, action, resource); '
            f'@id("a") forbid (principal, action, resource) when {{ {inexact} }};'
        },
        validate=False,
    )

    assert permit.where(ana, "list", "Order") == NOTHING
    assert forbid.where(ana, "list", "Order") == NOTHING
    assert any(finding.where == "policies/a.cedar:1" for finding in permit.findings)
