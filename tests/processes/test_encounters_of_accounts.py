"""FHIR Encounters and Accounts: snapshots that become the same facts as ADT."""

from __future__ import annotations

from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hilum.authoring import InvalidData
from hilum.model.patient_account import AccountFact, fold_account
from hilum.processes.patient_access.clerk import change_of
from hilum.processes.patient_access.encounters import accounts_told
from hilum.processes.patient_account import AccountEvent, CoverageReported, PatientUpdated

CHICAGO = ZoneInfo("America/Chicago")
AUTHORITIES = {"urn:lakeshore:mrn": "ST-MARY", "urn:lakeshore:account": "ST-MARY"}
PATIENT = {
    "resourceType": "Patient", "id": "casey", "name": [{"family": "EXAMPLE", "given": ["CASEY"]}], "birthDate": "1980-02-14",
    "identifier": [
        {"system": "urn:plan", "value": "900"},
        {"system": "urn:lakeshore:mrn", "value": "CASEY", "type": {"coding": [{"code": "MR"}]}},
    ],
}  # fmt: skip
ACCOUNT = {
    "resourceType": "Account", "id": "acc", "status": "active", "subject": [{"reference": "Patient/casey"}],
    "identifier": [{"system": "urn:lakeshore:account", "value": "ACC-1"}],
    "meta": {"versionId": "3", "lastUpdated": "2026-11-21T09:00:00Z"},
    "owner": {"identifier": {"system": "urn:lakeshore:facility", "value": "ST-MARY"}},
    "coverage": [{"coverage": {"reference": "Coverage/harbor"}, "priority": 2}],
}  # fmt: skip
COVERAGE = {
    "resourceType": "Coverage", "id": "harbor", "status": "active", "beneficiary": {"reference": "Patient/casey"},
    "subscriberId": "W-1001", "payor": [{"identifier": {"system": "urn:insurers", "value": "HARBOR"}}],
}  # fmt: skip


def encounter(status: str, version: int = 1, minute: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": "stay", "status": status, "class": {"code": "IMP"},
        "meta": {"versionId": str(version), "lastUpdated": f"2026-11-21T10:{minute:02}:00Z"},
        "subject": {"reference": "Patient/casey"}, "account": [{"reference": "Account/acc"}],
        "serviceProvider": {"identifier": {"system": "urn:lakeshore:facility", "value": "ST-MARY"}},
        "period": {"start": "2026-11-21T10:00:00Z"}, **more,
    }  # fmt: skip


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources]}


def told(*resources: dict[str, Any]) -> list[Any]:
    return accounts_told(bundle(*resources, PATIENT, ACCOUNT), CHICAGO, AUTHORITIES)


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        ("planned", ["pre-admitted", "updated"]),
        ("arrived", ["admitted", "updated"]),
        ("in-progress", ["admitted", "updated"]),
        ("finished", ["admitted", "discharged", "updated"]),
        ("cancelled", ["admission-cancelled", "pre-admission-cancelled"]),
        ("entered-in-error", ["admission-cancelled", "pre-admission-cancelled"]),
    ],
)
def test_an_encounters_status_is_a_phase_of_its_account(status: str, changes: list[str]) -> None:
    events = told(encounter(status))
    assert [change_of(event) for event in events] == changes
    assert {(str(e.account), str(e.mrn), e.facility.value, e.patient_class) for e in events} == {
        ("ACC-1@ST-MARY", "CASEY@ST-MARY", "ST-MARY", "I"),
    }  # fmt: skip


def test_an_encounter_began_when_its_period_says_whenever_it_is_told() -> None:
    began, updated = told(encounter("in-progress", 7, 45))
    assert (began.occurred_at.isoformat(), updated.occurred_at.isoformat()) == (
        "2026-11-21T10:00:00+00:00", "2026-11-21T10:45:00+00:00",
    )  # fmt: skip


def test_its_versions_make_one_account_whichever_comes_first() -> None:
    versions = [
        encounter("planned", 1, 0),
        encounter("in-progress", 2, 5),
        encounter("in-progress", 3, 9),
        encounter("cancelled", 4, 20),
    ]
    for arrived in permutations(versions):
        # One fact for one identity, as intake has it.
        facts = {event.message_id: event for each in arrived for event in told(each)}
        state = fold_account(
            AccountFact(e.occurred_at, e.message_id, change_of(e), e.facility.value, str(e.mrn)) for e in facts.values()
        )
        assert state.status == "cancelled"


def test_coverages_come_with_the_account_and_are_to_be_verified() -> None:
    *_, reported = told(encounter("in-progress"), COVERAGE)
    assert isinstance(reported, CoverageReported)
    assert reported.inquiry == "ACC-1@ST-MARY/HARBOR/W-1001/2026-11-21"
    assert (reported.family_name, str(reported.birth_date)) == ("EXAMPLE", "1980-02-14")


def test_an_account_alone_updates_the_account() -> None:
    event, _ = told(COVERAGE)
    assert isinstance(event, PatientUpdated) and isinstance(event, AccountEvent)
    assert event.coverages is not None and [(c.rank, c.insurer) for c in event.coverages] == [(2, "HARBOR")]


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        (encounter("unknown"), "status says nothing"),
        (encounter("nonsense"), "no valid R4"),
        ({**encounter("arrived"), "account": []}, "no valid R4|account is missing"),
        ({**encounter("arrived"), "subject": {"display": "CASEY"}}, "subject has no identifier"),
        ({**encounter("arrived"), "meta": {}, "period": {}}, "no valid R4|no time"),
    ],
)
def test_what_does_not_say_whose_account_it_is_is_refused(resource: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidData, match=why):
        told(resource)
