"""What resources of one document say of one another: references followed, and the people, codes and amounts read out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hilum.formats.canonical import Identifier, Party
from hilum.formats.fhir.document import Document
from hilum.formats.fhir.primitives import is_decimal

Json = dict[str, Any]

SCHEMES = {
    "http://hl7.org/fhir/sid/us-npi": "npi",
    "urn:oid:2.16.840.1.113883.4.6": "npi",
    "http://hl7.org/fhir/sid/us-ssn": "ssn",
    "urn:oid:2.16.840.1.113883.4.1": "ssn",
    "urn:oid:2.16.840.1.113883.4.4": "tax-id",
    "urn:oid:1.3.88": "gln",
    "https://www.gs1.org/gln": "gln",
    "https://www.gs1.org/gtin": "gtin",
    "http://hl7.org/fhir/sid/ndc": "ndc",
}
"""Identifier and code systems that have a short word; any other stands for itself."""


class Resources:
    """The resources of a document by fullUrl and by type and id."""

    def __init__(self, document: Document) -> None:
        self.found: dict[str, Json] = {}
        # By the identity of the resource that contains them: the document keeps it alive.
        self._contained: dict[int, dict[str, Json]] = {}
        for resource in document.entries():
            kind, own = resource.get("resourceType"), resource.get("id")
            if isinstance(kind, str) and isinstance(own, str):
                self.found.setdefault(f"{kind}/{own}", resource)
        for holder in document.resources:
            for entry in objects(holder.get("entry")):
                url, held = entry.get("fullUrl"), entry.get("resource")
                if isinstance(url, str) and isinstance(held, dict):
                    self.found.setdefault(url, held)

    def follow(self, reference: Any, inside: Json) -> Json | None:
        """The resource a Reference points to, when the document has it; ``inside`` is the resource that refers."""
        literal = reference.get("reference") if isinstance(reference, dict) else None
        if not isinstance(literal, str):
            return None
        if literal.startswith("#"):
            return self._inside(inside).get(literal[1:])
        return self.found.get(literal)

    def _inside(self, holder: Json) -> dict[str, Json]:
        known = self._contained.get(id(holder))
        if known is None:
            known = self._contained[id(holder)] = {}
            for part in objects(holder.get("contained")):
                if (own := text(part, "id")) is not None:
                    known.setdefault(own, part)
        return known

    def party(self, reference: Any, inside: Json) -> Party | None:
        """Who a Reference points to, as far as the document says; None without a reference."""
        if not isinstance(reference, dict):
            return None
        who = self.follow(reference, inside)
        if who is None:
            held = reference.get("identifier")
            own = identifiers([held]) if isinstance(held, dict) else ()
            literal = text(reference, "reference")
            if not own and literal is not None and not literal.startswith("#"):
                own = (Identifier(value=literal, scheme="fhir"),)
            name = text(reference, "display")
            return Party(name=name, identifiers=own) if name or own else None
        return party_of(who)


def party_of(resource: Json) -> Party:
    """An Organization, Location, Patient, Practitioner or RelatedPerson as a party."""
    name = resource.get("name")
    family = given = None
    if isinstance(name, str):
        family = name
    elif people := objects(name):
        person = next((one for one in people if one.get("use") == "official"), people[0])
        family = text(person, "family") or text(person, "text")
        parts = person.get("given")
        given = " ".join(part for part in parts if isinstance(part, str)) if isinstance(parts, list) else None
    held = resource.get("address")
    places = objects(held) or ([held] if isinstance(held, dict) else [])
    place = places[0] if places else {}
    lines = place.get("line")
    return Party(
        name=family,
        given_name=given or None,
        identifiers=identifiers(resource.get("identifier")),
        address_lines=tuple(line for line in lines if isinstance(line, str)) if isinstance(lines, list) else (),
        city=text(place, "city"),
        state=text(place, "state"),
        postal_code=text(place, "postalCode"),
        country=text(place, "country"),
    )


def objects(value: Any) -> list[Json]:
    """The objects of a list; nothing when it is none."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def text(value: Any, name: str) -> str | None:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) and found else None


def identifiers(value: Any) -> tuple[Identifier, ...]:
    told: list[Identifier] = []
    for one in objects(value):
        number, system = text(one, "value"), text(one, "system")
        if number is not None:
            told.append(Identifier(value=number, scheme=SCHEMES.get(system, system) if system else None))
    return tuple(told)


def number_of(resource: Json) -> str | None:
    """The business number of a resource: its first identifier with a value, else its id on the server."""
    own = resource.get("identifier")
    found = identifiers([own] if isinstance(own, dict) else own)
    return found[0].value if found else text(resource, "id")


def codings(value: Any) -> list[Json]:
    return objects(value.get("coding")) if isinstance(value, dict) else []


def code(value: Any) -> str | None:
    """The first code of a CodeableConcept."""
    return next((found for one in codings(value) if (found := text(one, "code"))), None)


def exact(value: Any) -> Decimal | None:
    """A JSON number as Decimal; True is none."""
    return Decimal(value) if is_decimal(value) else None


def amount(value: Any) -> Decimal | None:
    """The value of a Money or a Quantity."""
    return exact(value.get("value")) if isinstance(value, dict) else None


def currencies(*resources: Json) -> set[str]:
    """The currencies of all amounts of Money in some resources."""
    told: set[str] = set()
    waiting: list[Any] = list(resources)
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "value" in part and (found := text(part, "currency")) is not None:
                told.add(found)
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return told


def span(value: Json, name: str) -> tuple[str | None, str | None]:
    """Start and end of a choice of date, dateTime or Period; a date is both."""
    day = text(value, name + "Date") or text(value, name + "DateTime")
    if day is not None:
        return day, day
    period = value.get(name + "Period")
    return text(period, "start"), text(period, "end")
