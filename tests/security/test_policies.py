"""Decisions by Cedar policies: deny by default, forbid wins, errors and misspellings never allow."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from hilum.authoring.caller import NOBODY, Caller
from hilum.model.where import EVERYTHING, NOTHING, Equals
from hilum.security.decisions import Resource
from hilum.security.policies import Policies, PoliciesRefused
from hilum.security.policies.engine import digest
from hilum.security.policies.explaining import explain
from hilum.security.policies.questions import UnclearQuestion, read_question
from hilum.security.policies.spelling import spelled

ANA = Caller("person", "ana", roles=frozenset({"ap-analyst"}), facilities=frozenset({"ST-MARY"}))
MIA = Caller("person", "mia", roles=frozenset({"supplier"}), supplier="MEDLINE")

RULES = """
// A rule may say; "anything" here.
@id("analysts-read")
@because("Accounts payable; compares \\"invoices\\" with orders.")
permit (principal, action in Hilum::Action::"looking", resource is Hilum::Order)
when { principal.roles.contains("ap-analyst") };

@id("own-supplier")
permit (principal, action == Hilum::Action::"read", resource is Hilum::Order)
when { principal has supplier && resource has supplier && resource.supplier == principal.supplier };

@id("own-facility")
forbid (principal, action, resource is Hilum::Order)
when { resource has facility && !principal.facilities.contains(resource.facility) }
unless { principal has supplier };
"""


def of(text: str, *, validate: bool = True) -> Policies:
    return Policies({"policies/rules.cedar": text}, validate=validate)


def order(**attributes: object) -> Resource:
    return Resource("Order", "PO-1", attributes)


def refusals(text: str, file: str = "policies/rules.cedar") -> list[str]:
    with pytest.raises(PoliciesRefused) as refused:
        Policies({file: text})
    return [str(problem) for problem in refused.value.problems]


# --- deciding ----------------------------------------------------------------------------------------------------


def test_what_no_policy_permits_is_denied():
    decision = of(RULES).decide(ANA, "update", order())
    assert (decision.allowed, decision.policies, decision.errors) == (False, (), ())


def test_a_forbid_wins_over_every_permit():
    decision = of(RULES).decide(ANA, "read", order(facility="HARBOR-VIEW"))
    assert not decision.allowed
    assert decision.policies == ("own-facility",)
    assert of(RULES).decide(ANA, "read", order(facility="ST-MARY")).policies == ("analysts-read",)


def test_whoever_is_not_recognised_is_denied_even_where_everybody_is_permitted():
    everybody = of('@id("all") permit (principal, action, resource);')
    assert everybody.decide(ANA, "read", order()).allowed
    assert not everybody.decide(NOBODY, "read", order()).allowed
    assert everybody.where(NOBODY, "list", "Order") == NOTHING
    assert not everybody.decide(Caller("anonymous", "ana", roles=ANA.roles), "read", order()).allowed


@pytest.mark.parametrize(
    ("action", "resource", "error"),
    [
        ("raed", order(), "know no action 'raed'"),
        ("read", Resource("Odrer"), "know no resource 'Odrer'"),
        ("read", order(facilty="HARBOR-VIEW"), "gives Order no attribute 'facilty'"),
        ("read", order(facility=5), "'facility' of Order is a int, not a String"),
        ("read", order(amount_usd=True), "'amount_usd' of Order is a bool"),
        ("read", order(amount_usd=2**63), "'amount_usd' of Order is a int"),
        ("read", order(amount_usd=5.0), "'amount_usd' of Order is a float"),
        ("read", order(facility=["ST-MARY"]), "'facility' of Order is a frozenset"),
    ],
)
def test_what_the_schema_does_not_know_is_denied_with_the_reason(action: str, resource: Resource, error: str):
    everybody = of('@id("all") permit (principal, action, resource);')
    decision = everybody.decide(ANA, action, resource)
    assert not decision.allowed
    assert error in decision.errors[0]
    if action != "read" or resource.type != "Order":
        assert everybody.where(ANA, action, resource.type) == NOTHING


def test_an_error_never_shows_a_value():
    secret = "4111-CANARY"
    decision = of(RULES).decide(ANA, "read", order(amount_usd=secret, owner={secret}))
    assert decision.errors and secret not in str(decision)


def test_a_forbid_that_cannot_be_evaluated_forbids_and_a_permit_permits_nothing():
    text = (
        '@id("all") permit (principal, action, resource);'
        '@id("broken") forbid (principal, action, resource) when { resource.supplier == "MEDLINE" };'
    )
    broken = of(text, validate=False)
    decision = broken.decide(ANA, "read", order())
    assert (decision.allowed, decision.policies) == (False, ("broken",))
    assert decision.errors == ("broken could not be evaluated",)
    assert broken.decide(ANA, "read", order(supplier="STRYKER")).allowed

    alone = of(
        '@id("broken") permit (principal, action, resource) when { resource.supplier == "MEDLINE" };', validate=False
    )
    assert not alone.decide(ANA, "read", order()).allowed
    assert alone.where(ANA, "list", "Order") == Equals("supplier", "MEDLINE")


def test_a_missing_attribute_is_not_an_empty_one():
    policies = of(RULES)
    assert policies.decide(MIA, "read", order(supplier="MEDLINE")).allowed
    assert not policies.decide(MIA, "read", order(supplier=None)).allowed
    assert not policies.decide(replace(MIA, supplier=None), "read", order(supplier=None)).allowed
    assert not policies.decide(replace(MIA, supplier=""), "read", order()).allowed


def test_what_a_handler_adds_to_the_context_never_overrules_the_callers_own():
    purposeful = of(
        '@id("care") permit (principal, action, resource) when { context.purpose == "treatment" || context.break_glass };'
    )
    assert not purposeful.decide(ANA, "read", order(), {"purpose": "treatment", "break_glass": True}).allowed
    assert purposeful.decide(replace(ANA, purpose="treatment"), "read", order()).allowed


def test_a_grant_reaches_its_type_of_resource_and_its_facility_only():
    glass = of(
        '@id("glass") permit (principal, action, resource is Hilum::PatientAccount) when { context.break_glass && '
        "context has break_glass_facility && resource has facility && resource.facility == context.break_glass_facility };"
        '@id("order") permit (principal, action, resource is Hilum::Order) when { context.break_glass };'
    )
    under = replace(ANA, break_glass="7", break_glass_facility="ST-MARY", break_glass_resource="PatientAccount")
    assert glass.decide(under, "read", Resource("PatientAccount", "", {"facility": "ST-MARY"})).allowed
    assert not glass.decide(under, "read", Resource("PatientAccount", "", {"facility": "HARBOR-VIEW"})).allowed
    assert not glass.decide(under, "read", order()).allowed
    assert glass.decide(replace(under, break_glass_resource=None), "read", order()).allowed
    assert not glass.decide(replace(under, break_glass=None), "read", order()).allowed


def test_callers_who_differ_in_anything_policies_see_do_not_share_a_decision():
    policies = of(RULES)
    assert policies.decide(MIA, "read", order(supplier="MEDLINE")).allowed
    for other in (replace(MIA, supplier="STRYKER"), replace(MIA, supplier=None)):
        assert not policies.decide(other, "read", order(supplier="MEDLINE")).allowed
    assert policies.decide(ANA, "read", order(facility="ST-MARY")).allowed
    assert not policies.decide(replace(ANA, facilities=frozenset()), "read", order(facility="ST-MARY")).allowed
    person_only = of('@id("p") permit (principal is Hilum::Person, action, resource);')
    assert person_only.decide(ANA, "read", order()).allowed
    assert not person_only.decide(replace(ANA, kind="service"), "read", order()).allowed


@pytest.mark.parametrize(
    "name", ['an"a', "o'neil", "a\\b", "a\nb", "日本", "a) || true", "\x00", "e\u0301", "auth0|12"]
)
def test_a_callers_name_is_never_read_as_a_policy(name: str):
    policies = of(RULES + '@id("ana") permit (principal == Hilum::Person::"ana", action, resource is Hilum::Item);')
    stranger = replace(ANA, id=name)
    assert policies.where(stranger, "list", "Order") == policies.where(ANA, "list", "Order") != NOTHING
    assert policies.where(stranger, "list", "Item") == NOTHING
    assert policies.where(ANA, "list", "Item") == EVERYTHING


def test_a_policy_that_lists_cannot_follow_is_told_once(caplog: pytest.LogCaptureFixture):
    policies = of('@id("cheap") permit (principal, action, resource is Hilum::Order) when { resource has amount_usd && resource.amount_usd < 5 };')  # fmt: skip
    with caplog.at_level(logging.WARNING):
        for facility in ("ST-MARY", "HARBOR-VIEW"):
            assert policies.where(replace(ANA, facilities=frozenset({facility})), "list", "Order") == NOTHING
    assert [record.getMessage() for record in caplog.records] == [
        "policy cheap cannot filter lists: `<` is no condition on records"
    ]
    assert policies.decide(ANA, "list", order(amount_usd=4)).allowed
    assert policies.findings[0].where == "policies/rules.cedar:1"
    assert "in a list it permits nothing" in policies.findings[0].what


# --- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('\n@id("a")\npermit (principal, action, resource)\nwhen { resource.suplier == "x" };', "rules.cedar:4: The policy a does not fit the schema: attribute `suplier`"),
        ('@id("a")\npermit (principal,\n  action == Hilum::Action::"raed", resource);', 'rules.cedar:3: The policy a does not fit the schema: unrecognized action `Hilum::Action::"raed"`'),
        ('@id("a") permit (principal, action, resource is Hilum::Order)\nwhen { resource.supplier == "x" };', "rules.cedar:2: The policy a does not fit the schema: unable to guarantee safety of access to optional attribute `supplier`"),
        ("// nothing\n\npermit (principal, action, resource);", "rules.cedar:3: The policy has no @id"),
        ('@id("A b") permit (principal, action, resource);', "rules.cedar:1: 'A b' is no id of a policy"),
        ('@id("a") permit (principal, action, resource);\n@id("a") forbid (principal, action, resource);', "rules.cedar:2: There are two policies called a; the other is at policies/rules.cedar:1"),
        ('@id("a") permit (principal, action, resource)\nwhen { principal.roles.contains( };', "rules.cedar:1: This is no Cedar policy: unexpected token"),
        ('@id("a") permit (principal, action, resource)', "rules.cedar:1: This is no Cedar policy"),
        ('@id("a") permit (principal == ?principal, action, resource);', "rules.cedar:1: This is a template"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_policy_is_told_with_its_place(text: str, told: str):
    assert any(problem.startswith(f"policies/{told}") for problem in refusals(text)), refusals(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("namespace Hilum {\n entity Order = { facility?: Strin };\n}", "hilum.cedarschema:2: This is no Cedar schema: failed to resolve type: Strin"),
        ("namespace H {}", "hilum.cedarschema: The schema has no namespace Hilum"),
        ("namespace Hilum {\n entity Person, Service = {};\n}", "hilum.cedarschema:2: The entity `Person` is not what callers are"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_schema_is_told_with_its_place(text: str, told: str):
    assert any(problem.startswith(f"policies/{told}") for problem in refusals(text, "policies/hilum.cedarschema"))


CALLERS = "entity Person, Service = { actor: String, roles: Set<String>, facilities: Set<String>, supplier?: String, department?: String };"  # fmt: skip
CONTEXT = "context: { purpose: String, break_glass: Bool, break_glass_facility?: String }"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"entity Order = {{ facility: String }}; action read appliesTo {{ principal: [Person, Service], resource: [Order], {CONTEXT} }};", "is not optional"),
        (f"entity Order = {{ lines?: Set<Long> }}; action read appliesTo {{ principal: [Person, Service], resource: [Order], {CONTEXT} }};", "is a Set<Long>"),
        (f"entity Order; action read appliesTo {{ principal: [Person], resource: [Order], {CONTEXT} }};", "The action `read` cannot be asked"),
        ("entity Order; action read appliesTo { principal: [Person, Service], resource: [Order], context: { purpose: String } };", "The action `read` cannot be asked"),
        ("entity Order; action read appliesTo { principal: [Person, Service], resource: [Order], context: { purpose: String, break_glass: Bool, break_glass_facility?: String, mood: String } };", "The action `read` cannot be asked"),
    ],
)  # fmt: skip
def test_a_schema_must_take_every_question_the_platform_asks(text: str, told: str):
    schema = f"namespace Hilum {{ {CALLERS} {text} }}"
    assert any(told in problem for problem in refusals(schema, "policies/hilum.cedarschema"))


def test_an_estate_without_policies_has_the_shipped_baseline():
    baseline = Policies({})
    ada = Caller("person", "ada", roles=frozenset({"administrator"}))
    assert baseline.decide(ada, "release", Resource("WorkItem", "1", {"queue": "item-master"})).allowed
    assert not baseline.sees(ada, "phi", Resource("Thread", "c/1", {"facility": "ST-MARY"}))
    assert not baseline.decide(ada, "approve", Resource("Policy", "", {"author": "person:ada"})).allowed
    assert not baseline.decide(ANA, "read", order()).allowed
    assert not baseline.decide(replace(ada, kind="service"), "read", order()).allowed


def test_the_version_is_of_every_byte_and_every_name():
    files = {"policies/a.cedar": RULES, "policies/b.cedar": "// nothing"}
    assert Policies(files).version == Policies(dict(reversed(files.items()))).version
    others = [
        {**files, "policies/b.cedar": "// Nothing"},
        {"policies/a.cedar": RULES, "policies/c.cedar": "// nothing"},
        {"policies/a.cedar": RULES},
    ]
    assert len({Policies(texts).version for texts in [files, *others]}) == 4
    assert digest({"a": "b c"}) != digest({"a b": "c"})


# --- explaining --------------------------------------------------------------------------------------------------


def test_a_permit_is_explained_by_the_policy_its_place_and_its_reason():
    told = explain(of(RULES), ANA, "read", order(facility="ST-MARY"))
    assert [(p.id, p.where, p.effect) for p in told.by] == [("analysts-read", "policies/rules.cedar:3", "permit")]
    assert told.by[0].because == 'Accounts payable; compares "invoices" with orders.'


def test_a_denial_by_default_says_what_would_have_to_be_different():
    told = explain(of(RULES), MIA, "read", order(supplier="STRYKER"))
    assert {near.id: near.missing for near in told.near} == {
        "analysts-read": ('principal.roles.contains("ap-analyst")',),
        "own-supplier": ("resource.supplier == principal.supplier",),
    }
    sentence = told.sentence("person:mia", "read", order(supplier="STRYKER"))
    assert sentence.startswith("person:mia may not read this Order: no policy permits it; analysts-read")
    assert "STRYKER" not in sentence


def test_a_denial_by_a_forbid_names_it():
    told = explain(of(RULES), ANA, "read", order(facility="HARBOR-VIEW"))
    assert told.sentence("ana", "read", order()) == (
        "ana may not read this Order: own-facility (policies/rules.cedar:12) forbids it."
    )


def test_a_condition_is_spelled_as_it_was_written():
    conditions = [
        'principal.roles.containsAny(["a", "b"]) && (context.break_glass || !(resource has facility))',
        'resource has facility && resource.facility like "ST-*"',
        "resource has amount_usd && (resource.amount_usd + 1) * 2 <= 10",
        'if context.break_glass then resource has owner else context.purpose != "audit"',
        "the resource is one of Item, Order",
    ]
    for condition in conditions:
        written = condition.replace(
            "the resource is one of Item, Order", "resource is Hilum::Item || resource is Hilum::Order"
        )
        policies = of(f'@id("x") permit (principal, action, resource is Hilum::Order) when {{ {written} }};')
        parts = policies.policies["x"].parsed["conditions"][0]["body"]
        assert spelled(parts) == condition


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sea Order", "did you mean 'see'"),
        ("read Odrer", "did you mean 'Order'"),
        ("read Order suplier=X", "did you mean 'supplier'"),
        ("read Order MEDLINE", "is no attribute=value"),
        ("read Order amount_usd=much", "is a whole number"),
        ("read", "an action and a resource"),
        ('read Order supplier="x', "cannot be read"),
    ],
)
def test_an_unclear_question_is_refused_with_the_word(text: str, told: str):
    with pytest.raises(UnclearQuestion, match=told):
        read_question(text, of(RULES).vocabulary)


def test_a_question_is_read_with_typed_values():
    question = read_question('read Order id=PO-1 amount_usd=500 supplier="MED LINE"', of(RULES).vocabulary)
    assert question.resource == Resource("Order", "PO-1", {"amount_usd": 500, "supplier": "MED LINE"})
