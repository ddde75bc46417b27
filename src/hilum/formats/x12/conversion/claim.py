"""837 to canonical claims, one for each CLM (X12 005010X222A1, X223A2, X224A2 and their 4010 forerunners)."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats.canonical import Canonical, Claim, Party, ServiceLine
from hilum.formats.findings import FormatError
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.health_parties import first_of, party
from hilum.formats.x12.conversion.iso_dates import period
from hilum.formats.x12.conversion.procedures import procedure
from hilum.formats.x12.document import Loop, Segment, Separators, Transaction, component, value
from hilum.formats.x12.rules.amounts import ZERO, added, number
from hilum.formats.x12.rules.claim import CHARGE, POINTERS, PlacedClaim, claims_of, service_of

_TYPES = {"SV1": "professional", "SV2": "institutional", "SV3": "dental"}
_GUIDES = {
    "X222": "professional",
    "X098": "professional",
    "X223": "institutional",
    "X096": "institutional",
    "X224": "dental",
    "X097": "dental",
}
_DIAGNOSES = frozenset({"ABK", "BK", "ABF", "BF"})
_ADMITTING = frozenset({"ABJ", "BJ"})


def claims(transaction: Transaction) -> list[Canonical]:
    """The claims of an 837 in order; FormatError when one has no number (CLM01) or no charge (CLM02)."""
    root = transaction.root
    if root is None:
        return []
    submitter, receiver = party(first_of(root.loops, "41")), party(first_of(root.loops, "40"))
    billing: dict[int, Party | None] = {}
    found: list[Canonical] = []
    for placed in claims_of(transaction):
        provider = placed.subscriber.parent
        if provider is not None and id(provider) not in billing:
            billing[id(provider)] = party(first_of(provider.loops, "85"))
        found.append(
            _claim(transaction, placed, submitter, receiver, None if provider is None else billing[id(provider)])
        )
    return found


def _claim(
    transaction: Transaction,
    placed: PlacedClaim,
    submitter: Party | None,
    receiver: Party | None,
    billing: Party | None,
) -> Claim:
    claim, header, separators = placed.claim, placed.header, transaction.separators
    claim_number, charge = value(header, 1), number(header, 2)
    if claim_number is None or charge is None:
        raise FormatError("1", "a claim has a number and a charge: CLM01 or CLM02 is missing", "CLM")
    lines = claim.inside("2400")
    claim_dates = period(claim.first("DTP", "472"))
    services = tuple(_service(line, separators, claim_dates) for line in lines)
    begins, ends = period(claim.first("DTP", "434"))
    subscriber = party(first_of(placed.subscriber.loops, "IL"))
    patient = subscriber if placed.patient is None else party(first_of(placed.patient.loops, "QC"))
    insured = placed.subscriber.first("SBR")
    relationship = value(insured, 2) if placed.patient is None else value(placed.patient.first("PAT"), 1)
    others = (party(first_of(other.loops, "PR")) for other in claim.inside("2320"))
    return Claim(
        type=_type(transaction, lines),
        claim_number=claim_number,
        currency=None if placed.subscriber.parent is None else value(placed.subscriber.parent.first("CUR"), 2),
        charge=charge,
        facility_type=component(header, 5, 1, separators),
        frequency=component(header, 5, 3, separators),
        payer_claim_number=value(claim.first("REF", "F8"), 2),
        prior_authorization=value(claim.first("REF", "G1"), 2),
        referral_number=value(claim.first("REF", "9F"), 2),
        payer_sequence=value(insured, 1),
        relationship=relationship,
        group_number=value(insured, 3),
        submitter=submitter,
        receiver=receiver,
        billing_provider=billing,
        subscriber=subscriber,
        patient=patient,
        payer=party(first_of(placed.subscriber.loops, "PR")),
        other_payers=tuple(other for other in others if other is not None),
        rendering_provider=party(first_of(claim.loops, "82")),
        attending_provider=party(first_of(claim.loops, "71")),
        referring_provider=party(first_of(claim.loops, "DN")),
        filing_indicator=value(insured, 9),
        statement_from=begins,
        statement_to=ends,
        diagnoses=_diagnoses(claim, separators, _DIAGNOSES),
        admitting_diagnosis=next(iter(_diagnoses(claim, separators, _ADMITTING)), None),
        services=services,
        balanced=charge == sum((line.charge for line in services), ZERO),
    )


def _type(transaction: Transaction, lines: list[Loop]) -> str:
    """What kind of claim it is: by its guide, or by its lines where the guide is not said."""
    for line in lines:
        service = service_of(line)
        if service is not None:
            return _TYPES[service[0]]
    guide = "" if transaction.definition is None else transaction.definition.convention[6:10]
    return _GUIDES.get(guide, "professional")


def _diagnoses(claim: Loop, separators: Separators, kinds: frozenset[str]) -> tuple[str, ...]:
    found = []
    for segment in claim.every("HI"):
        for element in segment[1:]:
            parts = element.split(separators.component)
            if parts[0] in kinds and len(parts) > 1 and parts[1]:
                found.append(parts[1])
    return tuple(found)


def _service(line: Loop, separators: Separators, claim_dates: tuple[str | None, str | None]) -> ServiceLine:
    assigned = value(line.segments[0], 1)
    if assigned is None:
        raise FormatError("1", "a service line has a number: LX01 is missing", "LX01")
    service = service_of(line)
    begins, ends = period(line.first("DTP", "472"))
    if begins is None and ends is None:
        begins, ends = claim_dates
    control = value(line.first("REF", "6R"), 2)
    if service is None:
        return ServiceLine(
            number=assigned, charge=ZERO, service_from=begins, service_to=ends, line_control_number=control
        )
    at = {"SV1": 1, "SV2": 2, "SV3": 1}[service[0]]
    done = procedure(service, at, separators, value(service, 1) if service[0] == "SV2" else None)
    unit, units = _units(service)
    return ServiceLine(
        number=assigned,
        procedure=done.code,
        procedure_kind=done.kind,
        modifiers=done.modifiers,
        revenue_code=done.revenue_code,
        charge=added(service, CHARGE[service[0]]),
        units=units,
        unit=unit,
        drug=next((code for inner in line.inside("2410") if (code := value(inner.first("LIN", "N4", 2), 3))), None),
        service_from=begins,
        service_to=ends,
        diagnosis_pointers=_pointers(service, separators),
        line_control_number=control,
    )


def _units(service: Segment) -> tuple[str | None, Decimal | None]:
    """(unit of measure, quantity): dental lines count procedures and have no unit."""
    if service[0] == "SV1":
        return value(service, 3), number(service, 4)
    if service[0] == "SV2":
        return value(service, 4), number(service, 5)
    return None, number(service, 6)


def _pointers(service: Segment, separators: Separators) -> tuple[str, ...]:
    at = POINTERS.get(service[0])
    text = None if at is None else value(service, at)
    return () if text is None else tuple(part for part in text.split(separators.component) if part)


CONVERTERS: dict[str, Converter] = {"837": claims}
