"""What `hilum check` refuses where policies, APIs and duties do not fit together."""

from __future__ import annotations

import pytest
from tests.governance.conftest import EstateCopy

from hilum.authoring.api import Api
from hilum.authoring.estate import Estate
from hilum.governance.loader import Loaded, read_estate
from hilum.governance.places import Places
from hilum.governance.rules.policies import policy_problems, release_problems

APPROVALS = "apis/approvals.toml"


def released(estate: EstateCopy) -> list[str]:
    return [f"{problem.where} {problem.what}" for problem in release_problems(read_estate(estate.root))]


def test_lakeshores_apis_were_released_by_others_than_their_authors(estate: EstateCopy):
    assert released(estate) == []


@pytest.mark.parametrize("name", ["integration", "Integration", "integration-lead"])
def test_an_author_releases_nothing_under_any_name(estate: EstateCopy, name: str):
    estate.adds("estate.toml", '\n[same_person]\nintegration = ["integration-lead"]\n')
    estate.changes(APPROVALS, 'approved_by = "finance"', f'approved_by = "{name}"')
    assert any(
        f"{name} wrote version 1 of the API approvals and released it too" in found for found in released(estate)
    )


@pytest.mark.parametrize("line", ['approved_by = "finance"\n', 'author = "integration"\n'])
def test_a_published_version_says_who_wrote_and_who_released_it(estate: EstateCopy, line: str):
    estate.changes(APPROVALS, line, "")
    assert any(found.startswith(APPROVALS) and "says no" in found for found in released(estate))


def test_a_draft_needs_nobody_yet(estate: EstateCopy):
    estate.changes(APPROVALS, 'state = "published"', 'state = "draft"')
    estate.changes(APPROVALS, 'approved_by = "finance"\n', "")
    assert released(estate) == []


shelves = Api("shelves")


@shelves.get("/a", resource="Shelf")
def unknown_type() -> None:
    """Its type of resource is in nobody's vocabulary."""


@shelves.get("/b", action="peek", resource="Item")
def unknown_action() -> None:
    """Its action is in nobody's vocabulary."""


@shelves.get("/c", resource="Item", attributes={"suplier": "supplier", "facility": "facility"})
def misspelled_attribute() -> None:
    """It tells the policies something they do not ask about."""


@shelves.get("/d", resource="Item", attributes={"supplier": "supplier"})
def sound() -> None:
    """It asks in words the policies know."""


def test_an_operation_that_nobody_could_ever_call_is_refused(tmp_path):
    loaded = Loaded(Estate(tmp_path, "small", apis={"shelves": shelves}), Places(tmp_path))
    found = {problem.what.split(":")[0].split(" tells")[0]: problem.what for problem in policy_problems(loaded)}
    assert "know no resource 'Shelf'" in found["Nobody can ever call shelves.unknown_type"]
    assert "know no action 'peek'" in found["Nobody can ever call shelves.unknown_action"]
    assert "'suplier'" in found["shelves.misspelled_attribute"]
    assert len(found) == 3


def test_whoever_may_break_the_glass_is_looked_at_in_a_queue(estate: EstateCopy):
    estate.changes("estate.toml", '[queues.privacy]\nowner = "compliance"\n', "")
    problems = [problem.what for problem in policy_problems(read_estate(estate.root))]
    assert any("ask-to-break-the-glass" in what and "no queue 'privacy'" in what for what in problems)
