"""835 to a canonical remittance (X12 005010X221A1, 004010X091A1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hilum.formats.canonical import (
    Adjustment,
    Canonical,
    ClaimPayment,
    Party,
    ProviderAdjustment,
    Remittance,
    ServicePayment,
)
from hilum.formats.findings import FormatError
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.health_parties import first_of, named, party
from hilum.formats.x12.conversion.iso_dates import iso_date
from hilum.formats.x12.conversion.procedures import procedure
from hilum.formats.x12.document import Loop, Segment, Separators, Transaction, value
from hilum.formats.x12.rules.amounts import ZERO, added, number
from hilum.formats.x12.rules.remittance import (
    claim_difference,
    claims_of,
    payment_difference,
    readable,
    service_difference,
    transaction_difference,
)

_MIA_REMARKS = (5, 20, 21, 22, 23)
_MOA_REMARKS = (3, 4, 5, 6, 7)


def remittance(transaction: Transaction) -> list[Canonical]:
    """The remittance of an 835; FormatError when it has no payment (BPR02) or no payer or payee.

    It is balanced when payment, claims and services all balance and every amount in the sums is a number. A charge or payment
    of a claim that is missing or no number counts as zero, as balances count it, and such a claim is never balanced.
    """
    root = transaction.root
    payment = None if root is None else root.first("BPR")
    amount = number(payment, 2)
    if root is None or amount is None:
        raise FormatError("1", "an 835 says what it pays: BPR02 is missing or no number", "BPR02")
    payer, payee = party(first_of(root.loops, "PR")), party(first_of(root.loops, "PE"))
    if payer is None or payee is None:
        raise FormatError("3", "an 835 names its payer and its payee: N1 with PR or PE is missing", "N1")
    trace = root.first("TRN")
    separators = transaction.separators
    claims = tuple(_claim(claim, separators) for claim in claims_of(transaction))
    difference = transaction_difference(transaction) or ZERO
    return [
        Remittance(
            control_number=transaction.control_number,
            payer=payer,
            payee=payee,
            trace_number=value(trace, 2),
            payer_identifier=value(trace, 3),
            amount=amount,
            currency=value(root.first("CUR"), 2),
            credit=value(payment, 3) == "C",
            method=value(payment, 4),
            payment_date=iso_date(value(payment, 16)),
            production_date=iso_date(value(root.first("DTM", "405"), 2)),
            claims=claims,
            provider_adjustments=tuple(_provider_adjustments(root.every("PLB"), separators)),
            balanced=not difference and readable(root.segments) and all(claim.balanced for claim in claims),
            difference=difference,
        )
    ]


def _claim(claim: Loop, separators: Separators) -> ClaimPayment:
    header = claim.segments[0]
    claim_number, status = value(header, 1), value(header, 2)
    if claim_number is None or status is None:
        raise FormatError("1", "a paid claim has the provider's number and a status: CLP01 or CLP02 is missing", "CLP")
    return ClaimPayment(
        claim_number=claim_number,
        payer_claim_number=value(header, 7),
        status=status,
        charge=added(header, 3),
        paid=added(header, 4),
        patient_responsibility=number(header, 5),
        filing_indicator=value(header, 6),
        facility_type=value(header, 8),
        frequency=value(header, 9),
        drg=value(header, 11),
        patient=_person(claim, "QC"),
        subscriber=_person(claim, "IL"),
        corrected_patient=_person(claim, "74"),
        rendering_provider=_person(claim, "82"),
        crossover_payer=_person(claim, "TT"),
        statement_from=_day(claim, "232"),
        statement_to=_day(claim, "233"),
        received=_day(claim, "050"),
        adjustments=tuple(_adjustments(claim.segments)),
        remarks=tuple(_remarks(claim)),
        services=tuple(_service(service, separators) for service in claim.loops),
        balanced=number(header, 3) is not None
        and number(header, 4) is not None
        and readable(claim.segments)
        and all(readable(service.segments) for service in claim.loops)
        and not (
            claim_difference(claim)
            or payment_difference(claim)
            or any(service_difference(service) for service in claim.loops)
        ),
    )


def _service(service: Loop, separators: Separators) -> ServicePayment:
    """One service; a charge or payment that is not said is left out, though balances count it as nothing."""
    line = service.segments[0]
    done = procedure(line, 1, separators, value(line, 4))
    first, last = _day(service, "150"), _day(service, "151")
    single = _day(service, "472")
    return ServicePayment(
        procedure=done.code,
        procedure_kind=done.kind,
        modifiers=done.modifiers,
        revenue_code=done.revenue_code,
        charge=number(line, 2),
        paid=number(line, 3),
        allowed=number(service.first("AMT", "B6"), 2),
        units=number(line, 5),
        service_from=single if first is None else first,
        service_to=single if last is None else last,
        line_control_number=value(service.first("REF", "6R"), 2),
        adjustments=tuple(_adjustments(service.segments)),
        remarks=tuple(text for remark in service.every("LQ") if (text := value(remark, 2)) is not None),
    )


def _adjustments(segments: Iterable[Segment]) -> Iterator[Adjustment]:
    """Up to six adjustments in each CAS: reason, amount, quantity."""
    for segment in segments:
        group = value(segment, 1)
        if segment[0] != "CAS" or group is None:
            continue
        for at in range(2, 20, 3):
            reason, amount = value(segment, at), number(segment, at + 1)
            if reason is not None and amount is not None:
                yield Adjustment(group=group, reason=reason, amount=amount, quantity=number(segment, at + 2))


def _provider_adjustments(segments: Iterable[Segment], separators: Separators) -> Iterator[ProviderAdjustment]:
    for segment in segments:
        provider = value(segment, 1)
        for at in range(3, 14, 2):
            why, amount = value(segment, at), number(segment, at + 1)
            if provider is None or why is None or amount is None:
                continue
            reason, _, reference = why.partition(separators.component)
            yield ProviderAdjustment(
                provider=provider,
                fiscal_period_end=iso_date(value(segment, 2)),
                reason=reason,
                reference=reference.rstrip(separators.component) or None,
                amount=amount,
            )


def _remarks(claim: Loop) -> Iterator[str]:
    for segment in claim.segments:
        places = _MIA_REMARKS if segment[0] == "MIA" else _MOA_REMARKS if segment[0] == "MOA" else ()
        for at in places:
            if (text := value(segment, at)) is not None:
                yield text


def _person(claim: Loop, entity: str) -> Party | None:
    return named(claim.first("NM1", entity))


def _day(loop: Loop, qualifier: str) -> str | None:
    return iso_date(value(loop.first("DTM", qualifier), 2))


CONVERTERS: dict[str, Converter] = {"835": remittance}
