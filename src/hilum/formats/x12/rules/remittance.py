"""An 835 must balance at service, claim and transaction level (X12 005010X221A1 section 1.10.2.1)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from hilum.formats.x12.document import Loop, Segment, Transaction, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.amounts import ZERO, added, adjusted, number, shown
from hilum.formats.x12.rules.identifiers import npi_check_digits
from hilum.formats.x12.rules.report import Report

_AMOUNTS = {"BPR": (2,), "CLP": (3, 4), "SVC": (2, 3), "CAS": range(3, 20, 3), "PLB": range(4, 15, 2)}
"""The amounts that balances are made of, by segment."""
REVERSAL = "22"
"""CLP02 of a claim that takes an earlier payment back."""


def claims_of(transaction: Transaction) -> list[Loop]:
    """The claims (loops 2100) of a walked 835, in order."""
    root = transaction.root
    if root is None:
        return []
    return [claim for header in root.inside("2000") for claim in header.inside("2100")]


def readable(segments: Iterable[Segment]) -> bool:
    """Whether each amount written in these segments is a number: what is none counts as nothing in the sums, and hides."""
    for segment in segments:
        for at in _AMOUNTS.get(segment[0], ()):
            if value(segment, at) is not None and number(segment, at) is None:
                return False
    return True


def service_difference(service: Loop) -> Decimal:
    """SVC02 - adjustments - SVC03 of a loop 2110; zero when the service balances."""
    line = service.segments[0]
    return added(line, 2) - adjusted(service.segments) - added(line, 3)


def claim_difference(claim: Loop) -> Decimal:
    """CLP03 - all adjustments of the claim and its services - CLP04 of a loop 2100; zero when the claim balances."""
    header = claim.segments[0]
    taken_off = adjusted(claim.segments)
    for service in claim.loops:
        taken_off += adjusted(service.segments)
    return added(header, 3) - taken_off - added(header, 4)


def payment_difference(claim: Loop) -> Decimal:
    """Sum of SVC03 - adjustments of the claim itself - CLP04; zero without services, which are then not told apart."""
    if not claim.loops:
        return ZERO
    paid = ZERO
    for service in claim.loops:
        paid += added(service.segments[0], 3)
    return paid - adjusted(claim.segments) - added(claim.segments[0], 4)


def transaction_difference(transaction: Transaction) -> Decimal:
    """BPR02 - (sum of CLP04 - sum of PLB); zero when the payment is what claims and provider adjustments make."""
    root = transaction.root
    if root is None:
        return ZERO
    payment, expected = ZERO, ZERO
    for segment in root.segments:
        if segment[0] == "BPR":
            payment = added(segment, 2)
        elif segment[0] == "PLB":
            for at in range(4, min(len(segment), 15), 2):
                expected -= added(segment, at)
    for claim in claims_of(transaction):
        expected += added(claim.segments[0], 4)
    return payment - expected


def balances(transaction: Transaction, report: Report) -> None:
    """The payments less PLB are BPR02, and charge less adjustments is the payment, for each claim and service.

    The transaction comes first: however much else is wrong, it is among the findings.
    """
    if difference := transaction_difference(transaction):
        root = transaction.root
        report(
            "835-transaction-balance",
            f"the payment differs from claim payments less provider adjustments (BPR02 - (CLP04 - PLB)) by {shown(difference)}",
            segment=root.first("BPR") if root is not None else None,
            element=2,
        )
    for claim in claims_of(transaction):
        header = claim.segments[0]
        for service in claim.loops:
            if difference := service_difference(service):
                report(
                    "835-service-balance",
                    "charge less adjustments differs from the service's payment (SVC02 - CAS - SVC03) by "
                    + shown(difference),
                    loop=service,
                    segment=service.segments[0],
                    element=3,
                )
        if difference := claim_difference(claim):
            report(
                "835-claim-balance",
                f"charge less all adjustments differs from the claim's payment (CLP03 - CAS - CLP04) by {shown(difference)}",
                loop=claim,
                segment=header,
                element=4,
            )
        elif difference := payment_difference(claim):
            report(
                "835-claim-services",
                "the payments of the services less the claim's own adjustments differ from the claim's payment by "
                + shown(difference),
                loop=claim,
                segment=header,
                element=4,
            )


def payment(transaction: Transaction, report: Report) -> None:
    """A payment is not negative, goes out by some means, and its trace number is of the payer that sends it."""
    header = None if transaction.root is None else transaction.root.first("BPR")
    paid = number(header, 2)
    trace = None if transaction.root is None else transaction.root.first("TRN")
    originator, payer = value(header, 10), value(trace, 3)
    if originator is not None and payer is not None and originator != payer:
        report(
            "835-trace-payer",
            "the payer of the trace number (TRN03) is not the one that sends the money (BPR10)",
            segment=trace,
            element=3,
            level="element",
            snip=4,
            severity="warning",
        )
    if paid is None:
        return
    if paid < 0:
        report(
            "835-negative-payment",
            "a payment cannot be negative: what a payee still owes goes forward in a PLB (FB) and BPR02 is zero",
            segment=header,
            element=2,
        )
    elif paid and value(header, 4) == "NON":
        report(
            "835-payment-without-means",
            "BPR04 says that nothing is paid, so BPR02 must be zero",
            segment=header,
            element=2,
            severity="warning" if value(header, 1) == "H" else "error",
        )
    elif not paid and value(header, 4) in {"ACH", "BOP", "FWT"}:
        report(
            "835-payment-without-means",
            "nothing is paid, so BPR04 is NON (or CHK where a check over zero is sent)",
            segment=header,
            element=4,
            severity="warning",
        )


def claims(transaction: Transaction, report: Report) -> None:
    """What belongs to the status of a claim: signs of a reversal, and adjustments that explain the patient's part."""
    for claim in claims_of(transaction):
        header = claim.segments[0]
        charge, paid, owed = number(header, 3), number(header, 4), number(header, 5)
        if value(header, 2) == REVERSAL:
            if paid is not None and paid > 0:
                report(
                    "835-reversal-sign",
                    "a reversal takes a payment back, so its payment is not positive",
                    loop=claim,
                    segment=header,
                    element=4,
                    level="element",
                    snip=4,
                )
        elif charge is not None and charge < 0:
            report(
                "835-reversal-sign",
                "only a reversal (CLP02 is 22) has a negative charge",
                loop=claim,
                segment=header,
                element=3,
                level="element",
                snip=4,
                severity="warning",
            )
        if owed is not None and owed:
            explained = adjusted(claim.segments, "PR")
            for service in claim.loops:
                explained += adjusted(service.segments, "PR")
            if explained and explained != owed:
                report(
                    "835-patient-responsibility",
                    f"the patient's part (CLP05) differs from the PR adjustments by {shown(owed - explained)}",
                    loop=claim,
                    segment=header,
                    element=5,
                    severity="warning",
                )


RULES: dict[str, tuple[Rule, ...]] = {"835": (balances, payment, claims, npi_check_digits)}
