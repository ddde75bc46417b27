"""Table tests of an estate's policies: who may do what, as rows a person can read and an auditor can add to.

``policies/callers.toml`` names callers, ``policies/tests/*.csv`` has the rows: who, action, resource, attributes
(``facility=ST-MARY amount_usd=500``), expected (allowed or denied), because.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hilum.authoring.caller import PERSON, SERVICE, Caller
from hilum.authoring.estate import Estate
from hilum.governance.places import Places
from hilum.governance.problems import EstateProblem
from hilum.security.policies import Policies, PoliciesRefused
from hilum.security.policies.explaining import explain
from hilum.security.policies.questions import Question, UnclearQuestion, read_question

CALLERS = "policies/callers.toml"
TESTS = "policies/tests"
COLUMNS = ["who", "action", "resource", "attributes", "expected", "because"]


class _Caller(BaseModel):
    """One table of ``policies/callers.toml``."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["person", "service"] = "person"
    roles: frozenset[str] = frozenset()
    facilities: frozenset[str] = frozenset()
    supplier: str | None = None
    department: str | None = None
    purpose: str = "operations"
    break_glass_facility: str | None = None
    break_glass_resource: str | None = None


@dataclass(frozen=True)
class PolicyTest:
    """One row: where it stands, who asks what, and what is expected for which reason."""

    where: str
    who: str
    question: Question
    allowed: bool
    because: str


@dataclass(frozen=True)
class PolicyTests:
    """The tests of an estate as far as they can be read."""

    callers: Mapping[str, Caller]
    tests: tuple[PolicyTest, ...]
    problems: tuple[EstateProblem, ...]


@dataclass(frozen=True)
class Outcome:
    """What a test found: ``explanation`` says why the policies decided so, where that is not what was expected."""

    test: PolicyTest
    allowed: bool
    explanation: str

    @property
    def passed(self) -> bool:
        return self.allowed == self.test.allowed


def read_policy_tests(estate: Estate, policies: Policies) -> PolicyTests:
    """The callers and rows of an estate, with the places of those that cannot be read."""
    problems: list[EstateProblem] = []
    callers = dict(_callers(estate.root, problems))
    rows: list[PolicyTest] = []
    for path in sorted((estate.root / TESTS).glob("*.csv")):
        rows.extend(_rows(path, path.relative_to(estate.root).as_posix(), callers, policies, problems))
    return PolicyTests(callers, tuple(rows), tuple(problems))


def run_policy_tests(tests: PolicyTests, policies: Policies) -> list[Outcome]:
    """Every row, asked of the policies themselves."""
    return [_run(test, tests.callers[test.who], policies) for test in tests.tests]


def policy_test_problems(estate: Estate) -> Iterator[EstateProblem]:
    """What `hilum check` says of them: rows that cannot be read, and rows the policies decide otherwise."""
    policies = _policies(estate)
    if policies is None:
        return
    tests = read_policy_tests(estate, policies)
    yield from tests.problems
    for outcome in run_policy_tests(tests, policies):
        if not outcome.passed:
            expected = "allowed" if outcome.test.allowed else "denied"
            yield EstateProblem(
                outcome.test.where,
                f"{outcome.explanation} The table expects it to be {expected}.",
                "Correct the policy, or the row when it is what is wrong.",
            )


def policy_warnings(estate: Estate) -> Iterator[EstateProblem]:
    """Policies that are in force and may yet not do what their author means."""
    policies = _policies(estate)
    if policies is None:
        return
    yield from (EstateProblem(found.where, found.what, found.do) for found in policies.findings)


def _policies(estate: Estate) -> Policies | None:
    """The policies, unless they cannot be used: then the loader has said why."""
    try:
        return Policies(estate.policies)
    except PoliciesRefused:
        return None


def _run(test: PolicyTest, caller: Caller, policies: Policies) -> Outcome:
    asked = test.question
    allowed = policies.decide(caller, asked.action, asked.resource).allowed
    if allowed == test.allowed:
        return Outcome(test, allowed, "")
    told = explain(policies, caller, asked.action, asked.resource)
    return Outcome(test, allowed, told.sentence(test.who, asked.action, asked.resource))


def _callers(root: Path, problems: list[EstateProblem]) -> Iterator[tuple[str, Caller]]:
    places = Places(root)
    try:
        document = tomllib.loads((root / CALLERS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(EstateProblem(CALLERS, f"This is not TOML: {error}.", "Correct it."))
        return
    for name, settings in document.items():
        try:
            spec = _Caller.model_validate(settings)
        except ValidationError as error:
            for finding in error.errors(include_input=False, include_url=False):
                path = ".".join(str(part) for part in (name, *finding["loc"]))
                where = places.toml(CALLERS, name, *(str(part) for part in finding["loc"]))
                problems.append(EstateProblem(where, f"`{path}` cannot be used: {finding['msg']}.", "Correct it."))
            continue
        under = "0" if spec.break_glass_facility is not None or spec.break_glass_resource is not None else None
        yield name, Caller(
            PERSON if spec.kind == "person" else SERVICE, name, issuer="test", roles=spec.roles,
            facilities=spec.facilities, supplier=spec.supplier, department=spec.department, purpose=spec.purpose,
            break_glass=under, break_glass_facility=spec.break_glass_facility,
            break_glass_resource=spec.break_glass_resource,
        )  # fmt: skip


def _rows(
    path: Path, file: str, callers: Mapping[str, Caller], policies: Policies, problems: list[EstateProblem]
) -> Iterator[PolicyTest]:
    with path.open(encoding="utf-8", newline="") as opened:
        reader = csv.reader(opened)
        head = next(reader, [])
        if head != COLUMNS:
            problems.append(EstateProblem(f"{file}:1", f"The head is {','.join(head)}.", f"Write {','.join(COLUMNS)}."))
            return
        for row in reader:
            where = f"{file}:{reader.line_num}"
            if not row:
                continue
            try:
                yield _row(where, row, callers, policies)
            except UnclearQuestion as unclear:
                problems.append(EstateProblem(where, f"The row cannot be asked: {unclear}.", "Correct it."))


def _row(where: str, row: list[str], callers: Mapping[str, Caller], policies: Policies) -> PolicyTest:
    if len(row) != len(COLUMNS):
        raise UnclearQuestion(f"it has {len(row)} columns, not {len(COLUMNS)}")
    who, action, resource, attributes, expected, because = row
    if who not in callers:
        raise UnclearQuestion(f"there is no caller {who!r} in {CALLERS}")
    if expected not in ("allowed", "denied"):
        raise UnclearQuestion(f"{expected!r} is neither allowed nor denied")
    question = read_question(f"{action} {resource} {attributes}", policies.vocabulary)
    return PolicyTest(where, who, question, expected == "allowed", because)
