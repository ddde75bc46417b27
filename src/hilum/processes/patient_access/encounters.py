"""What FHIR R4 says of a patient's account: an Encounter or Account, alone or with what it refers to in a Bundle.

A resource is a snapshot, not an event: it says where things stand. Each phase of an encounter is a fact of its own that is told once
(its identity is the encounter and the phase), and each later version is an update of the account. Numbers are
``Reference.identifier`` or those of the resources referred to; ``authorities`` says which authority a FHIR identifier system is, so
that an account is the same whether ADT or FHIR tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from hilum.authoring import InvalidData
from hilum.formats import fhir
from hilum.model import AccountNumber, FacilityCode, Mrn
from hilum.processes.patient_access.adt import coverage_reported
from hilum.processes.patient_account import (
    AccountEvent,
    AdmissionCancelled,
    CoverageOnFile,
    CoverageReported,
    PatientDischarged,
    PatientRegistered,
    PatientUpdated,
)

Resource = Mapping[str, Any]

_CLASSES = {
    "AMB": "O", "EMER": "E", "IMP": "I", "ACUTE": "I", "NONAC": "I", "OBSENC": "O", "SS": "O", "VR": "O", "HH": "O",
    "PRENC": "P",
}  # fmt: skip
"""HL7 v3 ActEncounterCode to table 0004, which billing and the books know."""
_OPEN = ("arrived", "triaged", "in-progress", "onleave")
_MRN = "MR"


@dataclass(frozen=True)
class _Told:
    """The resources of one message, found by what refers to them."""

    by_reference: Mapping[str, Resource]
    resources: tuple[Resource, ...]
    authorities: Mapping[str, str]

    def of_type(self, name: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.get("resourceType") == name]

    def referred(self, reference: Any) -> Resource:
        """What a Reference leads to; a mapping with nothing but its own identifier where that is not in the message."""
        if not isinstance(reference, Mapping):
            return {}
        found = self.by_reference.get(str(reference.get("reference", "")))
        if found is not None:
            return found
        identifier = reference.get("identifier")
        return {"identifier": [identifier]} if isinstance(identifier, Mapping) else {}

    def number(self, resource: Resource, what: str, *, prefer: str = "") -> tuple[str, str]:
        """Value and authority of a resource's identifier: of the type ``prefer``, else the first. InvalidData without one."""
        found = [each for each in _list(resource, "identifier") if each.get("value") and each.get("system")]
        typed = [each for each in found if prefer in {code.get("code") for code in _list(each.get("type"), "coding")}]
        if not found:
            raise InvalidData(f"{what} has no identifier", detail="an identifier needs a value and a system")
        chosen = (typed or found)[0]
        system = str(chosen["system"])
        return str(chosen["value"]), self.authorities.get(system, system)


def accounts_told(
    resource: Resource, zone: tzinfo, authorities: Mapping[str, str]
) -> list[PatientRegistered | PatientDischarged | AdmissionCancelled | PatientUpdated | CoverageReported]:
    """The facts in a resource or Bundle. InvalidData when it is no valid R4, or does not say whose account it is."""
    document = fhir.build(dict(resource))
    wrong = next((finding for finding in fhir.validate(document) if finding.severity == "error"), None)
    if wrong is not None:
        raise InvalidData(f"{document.type} is no valid R4 at {wrong.location or 'its root'}")
    told = _gathered(document, authorities)
    events: list[Any] = []
    for encounter in told.of_type("Encounter"):
        events += _encounter(told, encounter, zone)
    if not told.of_type("Encounter"):
        for account in told.of_type("Account"):
            events += _account(told, account, zone)
    if not events:
        raise InvalidData(f"{document.type} has neither an Encounter nor an Account")
    return events


def _gathered(document: fhir.Document, authorities: Mapping[str, str]) -> _Told:
    found: dict[str, Resource] = {}
    for entry in _list(document.resource, "entry"):
        inner = entry.get("resource")
        if isinstance(inner, Mapping) and isinstance(entry.get("fullUrl"), str):
            found[entry["fullUrl"]] = inner
    resources = tuple(document.entries())
    for each in resources:
        if "id" in each:
            found.setdefault(f"{each.get('resourceType')}/{each['id']}", each)
        for contained in _list(each, "contained"):
            found[f"#{contained.get('id')}"] = contained
    return _Told(found, resources, authorities)


def _encounter(told: _Told, encounter: Resource, zone: tzinfo) -> list[Any]:
    number = str(encounter.get("id", ""))
    if not number:
        raise InvalidData(
            "Encounter has no id", detail="without it a second version could not be told from another stay"
        )
    updated_at = _instant(_object(encounter, "meta").get("lastUpdated"), zone)
    period = _object(encounter, "period")
    begun, ended = _instant(period.get("start"), zone), _instant(period.get("end"), zone)
    about = _about(told, encounter, zone)
    status, place = encounter.get("status"), f"Encounter/{number}"

    def at(*moments: datetime | None) -> dict[str, Any]:
        moment = next((each for each in moments if each is not None), None)
        if moment is None:
            raise InvalidData("Encounter says no time", detail="period or meta.lastUpdated is needed")
        return {**about, "occurred_at": moment}

    events: list[Any] = []
    if status == "planned":
        events.append(PatientRegistered(message_id=f"{place}/planned", pre_admission=True, **at(updated_at, begun)))
    elif status in _OPEN:
        events.append(PatientRegistered(message_id=f"{place}/open", **at(begun, updated_at)))
    elif status == "finished":
        events.append(PatientRegistered(message_id=f"{place}/open", **at(begun, ended, updated_at)))
        events.append(PatientDischarged(message_id=f"{place}/finished", **at(ended, updated_at)))
    elif status in ("cancelled", "entered-in-error"):
        events.append(AdmissionCancelled(message_id=f"{place}/cancelled", **at(updated_at)))
        events.append(AdmissionCancelled(message_id=f"{place}/cancelled/planned", pre_admission=True, **at(updated_at)))
        return events
    else:
        raise InvalidData("Encounter.status says nothing", detail="unknown is no state that an account could take")
    version = _object(encounter, "meta").get("versionId")
    if version is not None and updated_at is not None:
        events.append(PatientUpdated(message_id=f"{place}/version/{version}", **at(updated_at)))
    return [*events, *_coverages_reported(told, events[0], zone)]


def _account(told: _Told, account: Resource, zone: tzinfo) -> list[Any]:
    """An Account without its Encounter: what it says of the patient and the coverage, and nothing of a stay."""
    meta = _object(account, "meta")
    updated_at = _instant(meta.get("lastUpdated"), zone)
    if updated_at is None:
        raise InvalidData("Account says no time", detail="meta.lastUpdated is needed")
    value, authority = told.number(account, "Account")
    subjects = [told.referred(each) for each in _list(account, "subject")]
    patient = next((each for each in subjects if each.get("resourceType", "Patient") == "Patient"), {})
    mrn = told.number(patient, "Account.subject", prefer=_MRN)
    event = PatientUpdated(
        message_id=f"Account/{value}/version/{meta.get('versionId', updated_at.isoformat())}",
        account=AccountNumber(value=value, authority=authority),
        mrn=Mrn(value=mrn[0], authority=mrn[1]),
        facility=_facility(told, account.get("owner"), "Account.owner"),
        occurred_at=updated_at,
        coverages=_coverages(told, account),
    )
    return [event, *_coverages_reported(told, event, zone)]


def _about(told: _Told, encounter: Resource, zone: tzinfo) -> dict[str, Any]:
    accounts = [told.referred(each) for each in _list(encounter, "account")]
    if not accounts:
        raise InvalidData("Encounter.account is missing", detail="an account's number is needed")
    account = told.number(accounts[0], "Encounter.account")
    patient = told.number(told.referred(encounter.get("subject")), "Encounter.subject", prefer=_MRN)
    code = _object(encounter, "class").get("code")
    period = _object(encounter, "period")
    places = [_object(each, "location") for each in _list(encounter, "location") if each.get("status") != "completed"]
    location = _object(places[-1], "identifier").get("value", places[-1].get("display")) if places else None
    said = {
        "patient_class": _CLASSES.get(str(code), str(code)),
        "location": location,
        "admitted_at": _instant(period.get("start"), zone),
        "discharged_at": _instant(period.get("end"), zone),
        "coverages": _coverages(told, accounts[0]),
    }
    return {
        "account": AccountNumber(value=account[0], authority=account[1]),
        "mrn": Mrn(value=patient[0], authority=patient[1]),
        "facility": _facility(told, encounter.get("serviceProvider"), "Encounter.serviceProvider"),
        **{name: value for name, value in said.items() if value is not None},
    }


def _facility(told: _Told, reference: Any, what: str) -> FacilityCode:
    return FacilityCode(value=told.number(told.referred(reference), what)[0])


def _coverages(told: _Told, account: Resource) -> tuple[CoverageOnFile, ...] | None:
    """The coverages that the account names, else all of the message; None when it speaks of none."""
    named = [(told.referred(_object(each, "coverage")), each.get("priority")) for each in _list(account, "coverage")]
    found = [(each, rank) for each, rank in named if each.get("resourceType") == "Coverage"]
    if not found:
        found = [(each, each.get("order")) for each in told.of_type("Coverage")]
    if not found:
        return None
    return tuple(
        CoverageOnFile(
            rank=int(rank) if isinstance(rank, int) and rank > 0 else place,
            insurer=told.number(told.referred(payor), "Coverage.payor")[0],
            plan=next((str(c["value"]) for c in _list(each, "class") if c.get("value")), None),
            member_number=each.get("subscriberId"),
            valid_from=_day(_object(each, "period").get("start")),
            valid_to=_day(_object(each, "period").get("end")),
        )
        for place, (each, rank) in enumerate(found, 1)
        for payor in _list(each, "payor")[:1]
        if each.get("status") == "active"
    )


def _coverages_reported(told: _Told, event: AccountEvent, zone: tzinfo) -> list[CoverageReported]:
    patient: Resource = next(iter(told.of_type("Patient")), {})
    names = _list(patient, "name")
    given = names[0].get("given") if names else None
    found = {}
    for coverage in event.coverages if event.coverages is not None else ():
        each = coverage_reported(
            event, coverage, on=event.occurred_at.astimezone(zone).date(),
            family_name=names[0].get("family") if names else None, given_name=given[0] if given else None,
            birth_date=_day(patient.get("birthDate")),
        )  # fmt: skip
        found[each.inquiry] = each
    return list(found.values())


def _list(resource: Any, name: str) -> list[Any]:
    found = resource.get(name) if isinstance(resource, Mapping) else None
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def _object(resource: Any, name: str) -> Resource:
    found = resource.get(name) if isinstance(resource, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _instant(text: Any, zone: tzinfo) -> datetime | None:
    """A dateTime or instant; one that says less than a minute, or nothing of its zone, is the estate's midnight or time."""
    if not isinstance(text, str) or len(text) < 10:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def _day(text: Any) -> date | None:
    return date.fromisoformat(text[:10]) if isinstance(text, str) and len(text) >= 10 else None
