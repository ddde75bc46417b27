"""Lakeshore's policies, role by role: every cell of a reviewed table, asked of the real engine."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.security import policy_matrix as asked

from hilum.authoring.estate import Estate
from hilum.governance.policy_tests import PolicyTests, read_policy_tests, run_policy_tests
from hilum.security.decisions import Resource
from hilum.security.policies import Policies
from hilum.security.policies.engine import may_concern

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
MATRIX = Path(__file__).with_name("policy_matrix.csv")
TEXTS = {f"policies/{file.name}": file.read_text() for file in (LAKESHORE / "policies").glob("*.cedar*")}
ROWS = list(csv.DictReader(MATRIX.open(encoding="utf-8")))


@pytest.fixture(scope="module")
def policies() -> Policies:
    return Policies(TEXTS)


@pytest.fixture(scope="module")
def table_tests(policies: Policies) -> PolicyTests:
    return read_policy_tests(Estate(LAKESHORE, "lakeshore"), policies)


def cells(policies: Policies, row: Mapping[str, str]) -> Iterator[tuple[str, bool, bool]]:
    """Each role of a row: what the policies say, and what the table says."""
    for role in asked.ROLES:
        about = asked.attributes(policies, role, row["resource"], row["facility"], row["data_class"])
        decision = policies.decide(asked.caller(role), row["action"], Resource(row["resource"], "", about))
        assert not decision.errors
        yield role, decision.allowed, row[role] == "yes"


def told(row: Mapping[str, str], role: str, allowed: bool) -> str:
    what = f"{row['action']} {row['resource']} ({row['facility']} facility{', ' + row['data_class'] if row['data_class'] else ''})"
    return f"{role} {'may' if allowed else 'may not'} {what}, and the table says otherwise"


def test_every_cell_of_the_matrix_holds(policies: Policies):
    wrong = [
        told(row, role, allowed)
        for row in ROWS
        for role, allowed, expected in cells(policies, row)
        if allowed != expected
    ]
    assert not wrong, "\n".join(wrong)


def test_the_matrix_asks_everything_there_is_to_ask(policies: Policies):
    written = [(row["action"], row["resource"], row["facility"], row["data_class"]) for row in ROWS]
    assert written == list(asked.rows_to_ask(policies))
    assert len(written) > 450
    assert {value for row in ROWS for value in (row[role] for role in asked.ROLES)} == {"yes", ""}


def test_a_filtered_list_is_not_empty_exactly_where_the_matrix_allows_reading(policies: Policies):
    for row in ROWS:
        if row["action"] == "read":
            for role in asked.ROLES:
                about = asked.attributes(policies, role, row["resource"], row["facility"], "")
                listed = policies.where(asked.caller(role), "list", row["resource"]).matches(about)
                assert listed == (row[role] == "yes"), told(row, role, listed)


def test_the_estates_own_table_tests_hold(policies: Policies, table_tests: PolicyTests):
    assert not table_tests.problems
    assert len(table_tests.tests) > 130
    assert [o.explanation for o in run_policy_tests(table_tests, policies) if not o.passed] == []


def mutants() -> Iterator[tuple[str, dict[str, str], str]]:
    """Each policy of Lakeshore's away, and each with its effect turned round."""
    for policy in Policies(TEXTS).policies.values():
        other = "forbid" if policy.effect == "permit" else "permit"
        turned = policy.text.replace(f"\n{policy.effect} (", f"\n{other} (", 1)
        assert turned != policy.text
        for what, text in (("without", ""), ("turned round", turned)):
            yield (
                f"{what} {policy.id}",
                {**TEXTS, policy.file: TEXTS[policy.file].replace(policy.text, text, 1)},
                policy.id,
            )


MUTANTS = {name: (texts, changed) for name, texts, changed in mutants()}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_no_policy_can_go_or_turn_round_unnoticed(mutant: str, policies: Policies, table_tests: PolicyTests):
    texts, changed = MUTANTS[mutant]
    mutated = Policies(texts, validate=False)

    def concerned(action: str, resource: str) -> bool:
        return may_concern(policies.policies[changed].parsed, policies.vocabulary, action, resource)

    noticed = any(
        mutated.decide(table_tests.callers[test.who], test.question.action, test.question.resource).allowed
        != test.allowed
        for test in table_tests.tests
        if concerned(test.question.action, test.question.resource.type)
    ) or any(
        allowed != expected
        for row in ROWS
        if concerned(row["action"], row["resource"])
        for _, allowed, expected in cells(mutated, row)
    )
    assert noticed, f"neither the matrix nor policies/tests/ notices Lakeshore {mutant}: add a row that does"
