"""Canonical eligibility inquiries to 270 transactions, as a provider asks in real time (X12 005010X279A1)."""

from __future__ import annotations

from datetime import datetime

from hilum.formats.canonical import EligibilityInquiry, Identifier, Party
from hilum.formats.findings import FormatError
from hilum.formats.x12.conversion.line_details import needed, x12_date
from hilum.formats.x12.writer import Element, NewTransaction

CONVENTION = "005010X279A1"
_PAYER = {"naic": "NI", "payer": "PI", "health-plan": "XV", "tax-id": "FI", "etin": "46"}
_PROVIDER = {"npi": "XX", "tax-id": "FI", "payer-provider": "SV", "payer": "PI"}
_SUBSCRIBER = {"member": "MI", "health-identifier": "II"}
_SEX = {"F", "M", "U"}


def eligibility_inquiry_to_270(
    inquiry: EligibilityInquiry, *, asker: str, now: datetime, control_number: str | None = None
) -> NewTransaction:
    """One real-time inquiry as the segments of a 270 for ``x12.build``; ``asker`` is who assigned the trace (TRN03).

    FormatError when payer or provider has no identifier of a kind that the guide knows, or the subscriber has neither a
    member number nor a name with a date of birth: no payer could answer that.
    """
    subscriber, dependent = inquiry.subscriber, inquiry.dependent
    if len(asker) != 10 or not asker[1:].isalnum():
        raise FormatError(
            "TRN03", "the asker is 10 characters: 1 and a tax number, 3 and a DUNS, or 9 and one's own", "TRN03"
        )
    trace: list[Element] = ["TRN", "1", needed(inquiry.reference, "TRN02", "the inquiry's reference"), asker]
    segments: list[list[Element]] = [
        ["BHT", "0022", "13", inquiry.reference, f"{now:%Y%m%d}", f"{now:%H%M}"],
        ["HL", "1", None, "20", "1"],
        _named("PR", inquiry.payer, _PAYER, "the payer", "2100A/NM1"),
        ["HL", "2", "1", "21", "1"],
        _named("1P", inquiry.provider, _PROVIDER, "the provider", "2100B/NM1"),
        ["HL", "3", "2", "22", "1" if dependent is not None else "0"],
    ]
    if dependent is None:
        segments.append(trace)
    segments.append(_person("IL", subscriber, member=True))
    segments += _born(subscriber)
    if dependent is not None:
        relationship = needed(inquiry.relationship, "2100D/INS", "the dependent's relationship to the subscriber")
        segments += [["HL", "4", "3", "23", "0"], trace, _person("03", dependent, member=False), *_born(dependent)]
        segments.append(["INS", "N", relationship])
    elif not _known(subscriber):
        raise FormatError(
            "2100C", "the subscriber has neither a member number nor a name with a date of birth", "2100C/NM1"
        )
    segments.append(["DTP", "291", "D8", x12_date(inquiry.date, "DTP03", "the day of service")])
    segments += [["EQ", kind] for kind in inquiry.service_types]
    return NewTransaction(set_id="270", segments=segments, control_number=control_number, convention=CONVENTION)


def _known(person: Party) -> bool:
    return _identifier(person, _SUBSCRIBER) is not None or (person.name is not None and person.birth_date is not None)


def _identifier(party: Party, schemes: dict[str, str]) -> Identifier | None:
    """The first identifier in the order of the schemes, which is that of the guide's preference."""
    return next((i for scheme in schemes for i in party.identifiers if i.scheme == scheme), None)


def _named(entity: str, party: Party, schemes: dict[str, str], what: str, place: str) -> list[Element]:
    found = _identifier(party, schemes)
    if found is None or found.scheme is None:
        raise FormatError("NM109", f"{what} has no identifier ({', '.join(schemes)})", place)
    person = "1" if party.given_name is not None else "2"
    return ["NM1", entity, person, party.name, party.given_name, None, None, None, schemes[found.scheme], found.value]


def _person(entity: str, party: Party, *, member: bool) -> list[Element]:
    segment: list[Element] = ["NM1", entity, "1", party.name, party.given_name]
    found = _identifier(party, _SUBSCRIBER) if member else None
    if found is not None and found.scheme is not None:
        segment += [None, None, None, _SUBSCRIBER[found.scheme], found.value]
    return segment


def _born(person: Party) -> list[list[Element]]:
    if person.birth_date is None:
        return []
    sex = person.sex if person.sex in _SEX else None
    return [["DMG", "D8", x12_date(person.birth_date, "DMG02", "the date of birth"), sex]]
