"""Health care services review: a request asks for services, a response decides on them (X12 005010X217)."""

from __future__ import annotations

from hilum.formats.x12.document import Transaction, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.identifiers import npi_check_digits
from hilum.formats.x12.rules.report import Report

REQUEST, RESPONSE = "13", "11"
"""BHT02: one table reads both, so that what belongs to one of them only is looked at here."""


def decided(transaction: Transaction, report: Report) -> None:
    """Decisions (HCR) and refusals (AAA) belong to a response, and a response has one of them for each event."""
    if transaction.root is None:
        return
    purpose = value(transaction.root.first("BHT"), 2)
    if purpose == REQUEST:
        for segment in transaction.segments:
            if segment[0] in {"HCR", "AAA"}:
                report(
                    "I4",
                    f"{segment[0]} belongs to a response and not to a request (BHT02)",
                    segment=segment,
                    level="segment",
                    snip=2,
                )
    elif purpose == RESPONSE:
        refused = any(segment[0] == "AAA" for segment in transaction.segments)
        for event in transaction.root.anywhere("2000E"):
            said = {segment[0] for segment in event.segments}
            said |= {segment[0] for service in event.inside("2000F") for segment in service.segments}
            if "HCR" not in said and not refused:
                report(
                    "I6",
                    "a response decides (HCR) on each event or says why it cannot (AAA)",
                    loop=event,
                    segment=event.segments[0],
                    level="segment",
                    snip=4,
                )


def events(transaction: Transaction, report: Report) -> None:
    """A request has a patient, and the patient an event."""
    if transaction.root is None or value(transaction.root.first("BHT"), 2) != REQUEST:
        return
    if not any(True for _ in transaction.root.anywhere("2000E")):
        report(
            "I6",
            "a request asks for at least one event (HL with EV) of a patient",
            segment=transaction.root.first("BHT"),
            level="segment",
            snip=4,
        )


RULES: dict[str, tuple[Rule, ...]] = {"278": (decided, events, npi_check_digits)}
