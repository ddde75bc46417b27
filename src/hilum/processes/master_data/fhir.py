"""Master data as FHIR R4 resources: Organization, Location, Practitioner and PractitionerRole, alone or in a Bundle.

A Bundle of the type ``collection`` is what happened to be sent; one that its sender tags as complete (``meta.tag``,
system ``urn:hilum:master``, code ``complete``) lists all there is of the objects in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from hilum.authoring import InvalidData
from hilum.authoring.master import Scope, ToldRecord
from hilum.processes.master_data.telling import MasterRecordsTold, records_told

NPI = "http://hl7.org/fhir/sid/us-npi"
COMPLETE = ("urn:hilum:master", "complete")
_DEPARTMENT, _PAYER = {"dept", "team"}, {"ins", "pay"}
"""Organization types (HL7 organization-type) that are departments and payers; all others are providers."""


class MasterBundle(BaseModel):
    """A Bundle of master resources. ``timestamp`` is when it was assembled: what is told counts from then."""

    model_config = ConfigDict(extra="ignore")

    resourceType: str
    type: str
    timestamp: AwareDatetime
    id: str = ""
    meta: dict[str, Any] = {}
    entry: tuple[dict[str, Any], ...] = ()


def bundle_told(bundle: MasterBundle, *, system: str, facilities: Collection[str]) -> MasterRecordsTold:
    """The fact of a Bundle. Resources that are no master data are passed over; InvalidData when none is left."""
    if bundle.resourceType != "Bundle":
        raise InvalidData("the document is no Bundle")
    resources = [each["resource"] for each in bundle.entry if isinstance(each.get("resource"), dict)]
    roles = _roles(resources)
    records = [r for each in resources for r in _read(each, bundle.timestamp, facilities, roles)]
    if not records:
        raise InvalidData("the Bundle holds no Organization, Location or Practitioner")
    tags = {(tag.get("system"), tag.get("code")) for tag in bundle.meta.get("tag", ()) if isinstance(tag, dict)}
    complete: list[Scope] = []
    if COMPLETE in tags:
        in_use = [r for r in records if r.action == "stated"]
        complete = [Scope(object=o, facility=f) for o, f in sorted({(r.object, r.facility) for r in in_use})]
    return records_told(system, bundle.timestamp, records, complete=complete, reference=bundle.id)


def _read(
    resource: Mapping[str, Any], at: datetime, facilities: Collection[str], roles: Mapping[str, dict[str, str]]
) -> Iterator[ToldRecord]:
    kind = resource.get("resourceType")
    if kind not in ("Organization", "Location", "Practitioner"):
        return
    code = _code(resource)
    attributes: dict[str, str | None] = {"npi": _npi(resource)}
    active = resource.get("active", True) is not False
    name = _text(resource.get("name"))
    object = "provider"
    if kind == "Organization":
        types = {coding.get("code") for each in resource.get("type", ()) for coding in each.get("coding", ())}
        object = "department" if types & _DEPARTMENT else "payer" if types & _PAYER else "provider"
        attributes["kind"] = "organization"
        address: Mapping[str, Any] = next(iter(resource.get("address", ())), {})
    elif kind == "Location":
        object = "location"
        active = resource.get("status", "active") != "inactive"
        address = resource.get("address", {})
    else:
        attributes["kind"] = "practitioner"
        name = _human(resource)
        attributes.update(roles.get(f"Practitioner/{resource.get('id')}", {}))
        address = {}
    attributes["address"] = ", ".join(address.get("line", ())) or None
    attributes["postal_code"] = _text(address.get("postalCode"))
    yield ToldRecord(
        object=object,
        code=code,
        facility=_facility(resource, facilities),
        action="stated" if active else "ended",
        name=name,
        attributes={key: value for key, value in attributes.items() if value is not None},
        effective_at=at,
    )


def _roles(resources: Collection[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """What PractitionerRole says of practitioners: their specialty and the organization they act for."""
    found: dict[str, dict[str, str]] = {}
    for role in resources:
        if role.get("resourceType") != "PractitionerRole":
            continue
        practitioner = _text(role.get("practitioner", {}).get("reference"))
        if practitioner is None:
            continue
        said = found.setdefault("/".join(practitioner.split("/")[-2:]), {})
        for each in role.get("specialty", ()):
            for coding in each.get("coding", ()):
                if coding.get("code") is not None:
                    said.setdefault("specialty", str(coding["code"]))
        organization = _text(role.get("organization", {}).get("reference"))
        if organization is not None:
            said.setdefault("organization", organization.rpartition("/")[2])
    return found


def _code(resource: Mapping[str, Any]) -> str:
    """The identifier that the sender calls official or usual, else the first that is no NPI, else the resource's id."""
    identifiers = [each for each in resource.get("identifier", ()) if _text(each.get("value")) is not None]
    own = [each for each in identifiers if each.get("system") != NPI]
    ranked = sorted(own, key=lambda each: each.get("use") not in ("official", "usual"))
    if ranked:
        return str(ranked[0]["value"])
    if _text(resource.get("id")) is not None:
        return str(resource["id"])
    if identifiers:
        return str(identifiers[0]["value"])
    raise InvalidData(f"a {resource['resourceType']} has neither an identifier nor an id")


def _npi(resource: Mapping[str, Any]) -> str | None:
    return next((_text(i.get("value")) for i in resource.get("identifier", ()) if i.get("system") == NPI), None)


def _facility(resource: Mapping[str, Any], facilities: Collection[str]) -> str:
    """The facility that manages it or that it is part of, when that is one of the estate's."""
    for member in ("managingOrganization", "partOf"):
        reference = resource.get(member, {})
        value = _text(reference.get("identifier", {}).get("value"))
        if value is None:
            said = _text(reference.get("reference"))
            value = said.rpartition("/")[2] if said is not None else None
        if value is not None and value in facilities:
            return value
    return ""


def _human(resource: Mapping[str, Any]) -> str | None:
    for each in resource.get("name", ()):
        parts = [_text(each.get("family")), *(str(given) for given in each.get("given", ()))]
        said = " ".join(part for part in parts if part is not None)
        if said:
            return said
        if _text(each.get("text")) is not None:
            return str(each["text"])
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
