"""An 837 adds up, and says what its circumstances ask for (X12 005010X222A1, X223A2, X224A2 and their 4010 forerunners)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hilum.formats.x12.document import Loop, Segment, Transaction, component, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.addresses import domestic_addresses
from hilum.formats.x12.rules.amounts import ZERO, added, number, shown
from hilum.formats.x12.rules.coordination import coordination
from hilum.formats.x12.rules.identifiers import npi_check_digits
from hilum.formats.x12.rules.report import Report

CHARGE = {"SV1": 2, "SV2": 3, "SV3": 2}
"""Where the charge stands in the service segment of a professional, institutional and dental line."""

POINTERS = {"SV1": 7, "SV3": 11}
"""Where the diagnosis pointers stand."""

REPLACES = frozenset("678")
"""Claim frequencies (CLM05-3) that correct, replace or void a claim the payer has."""

INPATIENT = frozenset({"11", "18", "21", "41"})
"""Facility types (first two digits of the type of bill) where a patient is admitted."""

ADMITTED = frozenset({"21", "51", "61"})
"""Places of service where a patient is admitted."""


@dataclass(frozen=True, slots=True)
class PlacedClaim:
    """A claim and the levels it stands in; ``patient`` is None where the subscriber is the patient."""

    claim: Loop
    subscriber: Loop
    patient: Loop | None

    @property
    def header(self) -> Segment:
        """Its CLM."""
        return self.claim.segments[0]


def claims_of(transaction: Transaction) -> Iterator[PlacedClaim]:
    """The claims (loops 2300) of a walked 837, in order."""
    if transaction.root is None:
        return
    for provider in transaction.root.inside("2000A"):
        for subscriber in provider.inside("2000B"):
            for loop in subscriber.loops:
                if loop.name == "2300":
                    yield PlacedClaim(loop, subscriber, None)
                elif loop.name == "2000C":
                    for claim in loop.inside("2300"):
                        yield PlacedClaim(claim, subscriber, loop)


def service_of(line: Loop) -> Segment | None:
    """The SV1, SV2 or SV3 of a loop 2400."""
    for segment in line.segments:
        if segment[0] in CHARGE:
            return segment
    return None


def lines_and_totals(transaction: Transaction, report: Report) -> None:
    """CLM02 is the sum of the lines' charges; lines count from 1; diagnosis pointers point at diagnoses that are there."""
    parts = transaction.separators
    for placed in claims_of(transaction):
        claim, header = placed.claim, placed.header
        total, lines, expected = ZERO, 0, 1
        diagnoses: int | None = None
        for line in claim.loops:
            if line.name != "2400":
                continue
            lines += 1
            assigned = value(line.segments[0], 1)
            if assigned is not None and assigned != str(expected):
                report(
                    "837-line-number",
                    "service lines of a claim are numbered from 1 in steps of 1",
                    loop=line,
                    segment=line.segments[0],
                    element=1,
                    level="element",
                    snip=4,
                )
            expected = (
                int(assigned) + 1
                if assigned is not None and assigned.isdecimal() and len(assigned) < 7
                else expected + 1
            )
            service = service_of(line)
            if service is None:
                continue
            total += added(service, CHARGE[service[0]])
            at = POINTERS.get(service[0])
            if at is not None and (pointers := value(service, at)) is not None:
                if diagnoses is None:
                    diagnoses = _diagnoses(claim, parts.component)
                for part, pointer in enumerate(pointers.split(parts.component), 1):
                    if pointer and not (pointer.isdecimal() and len(pointer) < 4 and 1 <= int(pointer) <= diagnoses):
                        report(
                            "837-diagnosis-pointer",
                            f"the pointer points at no diagnosis: the claim has {diagnoses}",
                            loop=line,
                            segment=service,
                            element=at,
                            component=part,
                            level="element",
                            snip=4,
                        )
        charge = number(header, 2)
        if lines and charge is not None and charge != total:
            report(
                "837-claim-total",
                f"the claim's charge (CLM02) differs from the sum of its service lines by {shown(charge - total)}",
                loop=claim,
                segment=header,
                element=2,
            )


def _diagnoses(claim: Loop, separator: str) -> int:
    """How many diagnoses a pointer can point at: the principal one and the others."""
    found = 0
    for segment in claim.segments:
        if segment[0] == "HI":
            found += sum(
                1 for element in segment[1:] if element.partition(separator)[0] in {"ABK", "BK", "ABF", "BF", "TQ"}
            )
    return found


def circumstances(transaction: Transaction, report: Report) -> None:
    """What a claim must have because of what it says: frequency, accident, admission."""
    parts = transaction.separators
    convention = "" if transaction.definition is None else transaction.definition.convention
    guide, older = convention[6:10], convention.startswith("004010")
    institutional = guide in {"X223", "X096"}
    for placed in claims_of(transaction):
        claim, header = placed.claim, placed.header
        if component(header, 5, 3, parts) in REPLACES and claim.first("REF", "F8") is None:
            _lacking(
                report,
                claim,
                header,
                "a claim that replaces or voids another (CLM05-3) names the payer's number of that claim in a REF with F8",
                element=5,
                part=3,
            )
        facility = component(header, 5, 1, parts)
        if institutional and facility is not None:
            if facility[:2] in INPATIENT:
                _admission(report, claim, header, parts.component, older)
        elif facility in ADMITTED and guide in {"X222", "X098"} and claim.first("DTP", "435") is None:
            _lacking(
                report,
                claim,
                header,
                "services to an inpatient ask for the date of admission (DTP with 435)",
                5,
                1,
                severity_error=False,
            )
        causes = {component(header, 11, part, parts) for part in (1, 2, 3)}
        if causes & {"AA", "OA"} and not institutional and claim.first("DTP", "439") is None:
            _lacking(report, claim, header, "an accident (CLM11) asks for its date (DTP with 439)", 11, 1)
        if "AA" in causes and component(header, 11, 4, parts) is None and component(header, 11, 5, parts) is None:
            words = "a car accident (CLM11) asks for the state or country where it was"
            _lacking(report, claim, header, words, 11, 4, severity_error=not older)
        for pricing in claim.every("HCP"):
            _repriced(report, claim, pricing, header, 2)
        for line in claim.inside("2400"):
            service = service_of(line)
            for pricing in line.every("HCP"):
                if service is not None:
                    _repriced(report, line, pricing, service, CHARGE[service[0]])


def _lacking(
    report: Report,
    loop: Loop,
    segment: Segment,
    text: str,
    element: int | None = None,
    part: int | None = None,
    severity_error: bool = True,
) -> None:
    report(
        "I6",
        text,
        loop=loop,
        segment=segment,
        element=element,
        component=part,
        level="segment",
        snip=4,
        severity="error" if severity_error else "warning",
    )


def _admission(report: Report, claim: Loop, header: Segment, separator: str, older: bool) -> None:
    """An inpatient claim says when, how and why the patient was admitted; 4010 left the why to payers."""
    if claim.first("DTP", "435") is None:
        _lacking(report, claim, header, "an inpatient claim says when the patient was admitted (DTP with 435)", 5, 1)
    admission = claim.first("CL1")
    if admission is not None and value(admission, 1) is None:
        _lacking(report, claim, admission, "an inpatient claim says what type of admission it was (CL101)", 1)
    if not any(
        element.partition(separator)[0] in {"BJ", "ABJ"} for coded in claim.every("HI") for element in coded[1:]
    ):
        words = "an inpatient claim has an admitting diagnosis (HI with BJ or ABJ)"
        _lacking(report, claim, header, words, 5, 1, severity_error=not older)


def _repriced(report: Report, loop: Loop, pricing: Segment, charged: Segment, at: int) -> None:
    """What a repricer allowed and what it saved make the charge."""
    saved, charge = number(pricing, 3), number(charged, at)
    if saved is not None and charge is not None and value(pricing, 1) != "00" and added(pricing, 2) + saved != charge:
        report(
            "837-repricing",
            f"allowed amount and savings (HCP02, HCP03) differ from the charge by {shown(charge - saved - added(pricing, 2))}",
            loop=loop,
            segment=pricing,
            element=3,
            severity="warning",
        )


def subscriber_and_patient(transaction: Transaction, report: Report) -> None:
    """Who is the patient decides which level has the claims, and whose address and birth date are needed."""
    if transaction.root is None:
        return
    for provider in transaction.root.inside("2000A"):
        for subscriber in provider.inside("2000B"):
            _subscriber(subscriber, report)


def _subscriber(subscriber: Loop, report: Report) -> None:
    insured = subscriber.first("SBR")
    patients, claims = subscriber.inside("2000C"), subscriber.inside("2300")
    if insured is None:
        return
    if value(insured, 2) == "18":
        if patients:
            report(
                "I9",
                "the subscriber is the patient (SBR02 is 18), so no patient level belongs inside",
                loop=patients[0],
                segment=patients[0].segments[0],
                level="segment",
                snip=4,
            )
        for person in subscriber.inside("2010BA"):
            name = person.first("NM1")
            if value(name, 2) == "2":
                continue
            for needed, words in (("N3", "street"), ("N4", "city"), ("DMG", "birth date and gender")):
                if person.first(needed) is None:
                    report(
                        "I6",
                        f"the subscriber is the patient (SBR02 is 18), so {needed} ({words}) is needed",
                        loop=person,
                        segment=name,
                        level="segment",
                        snip=4,
                    )
    elif not patients:
        report(
            "I6",
            "the subscriber is not the patient (SBR02 is not 18), so a patient level (2000C) is needed",
            loop=subscriber,
            segment=insured,
            level="segment",
            snip=4,
        )
    elif claims:
        report(
            "I9",
            "the subscriber is not the patient (SBR02 is not 18), so claims belong inside the patient level",
            loop=claims[0],
            segment=claims[0].segments[0],
            level="segment",
            snip=4,
        )


def payer_sequence(transaction: Transaction, report: Report) -> None:
    """No two payers of a claim have the same place in the sequence (SBR01), except where it is unknown (U)."""
    for placed in claims_of(transaction):
        others = placed.claim.inside("2320")
        if not others:
            continue
        seen = {value(placed.subscriber.first("SBR"), 1)}
        for other in others:
            insured = other.first("SBR")
            place = value(insured, 1)
            if place is not None and place != "U" and place in seen:
                report(
                    "837-payer-sequence",
                    "another payer of this claim has the same place in the sequence of payers (SBR01)",
                    loop=other,
                    segment=insured,
                    element=1,
                    level="element",
                    snip=4,
                )
            seen.add(place)


def periods(transaction: Transaction, report: Report) -> None:
    """Periods do not end before they begin, and nothing is dated after the file was made (BHT04)."""
    made = value(None if transaction.root is None else transaction.root.first("BHT"), 4)
    for segment in transaction.segments:
        if segment[0] != "DTP" or len(segment) < 4:
            continue
        begins, _, ends = segment[3].partition("-")
        if segment[2] == "RD8" and len(ends) == 8 and ends < begins:
            report(
                "837-period", "the period ends before it begins", segment=segment, element=3, level="element", snip=4
            )
        if segment[1] in {"472", "434"} and made is not None and len(made) == 8 and (ends or begins)[:8] > made:
            report(
                "837-future-service",
                "the service is dated after the claim was made (BHT04)",
                segment=segment,
                element=3,
                level="element",
                snip=4,
                severity="warning",
            )


RULES: dict[str, tuple[Rule, ...]] = {
    "837": (
        lines_and_totals,
        coordination,
        circumstances,
        subscriber_and_patient,
        payer_sequence,
        periods,
        domestic_addresses,
        npi_check_digits,
    )
}
