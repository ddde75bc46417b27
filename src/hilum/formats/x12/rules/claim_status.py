"""Claim status: a 276 asks about claims, a 277 tells their status, a 277CA accepts or rejects them (X12 005010X212, X214)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hilum.formats.x12.document import Loop, Segment, Transaction, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.amounts import number
from hilum.formats.x12.rules.identifiers import npi_check_digits
from hilum.formats.x12.rules.report import Report

ACCEPTED = frozenset({"A0", "A1", "A2", "A5"})
"""Categories of a claim acknowledgement that took the claim, or sent it on."""

REJECTED = frozenset({"A3", "A4", "A6", "A7", "A8"})
"""Categories of a claim acknowledgement that did not."""

_CATEGORY = re.compile(r"[A-Z]\d{0,2}|[A-Z]{2}", re.ASCII)
_STATUS = re.compile(r"\d{1,5}", re.ASCII)


def is_claim_acknowledgement(transaction: Transaction) -> bool:
    """Whether a 277 is a claim acknowledgement (X214) and no answer to a 276."""
    return transaction.definition is not None and transaction.definition.convention[6:10] == "X214"


def statuses(transaction: Transaction, report: Report) -> None:
    """Each status (STC01, STC10, STC11) is a category and a status code, and the further ones follow without a gap."""
    separator = transaction.separators.component
    for segment in transaction.segments:
        if segment[0] != "STC":
            continue
        for at in (1, 10, 11):
            text = value(segment, at)
            if text is None:
                continue
            category, _, rest = text.partition(separator)
            code = rest.partition(separator)[0]
            if not _CATEGORY.fullmatch(category) or (code and not _STATUS.fullmatch(code)):
                report(
                    "277-status",
                    "a status is a category such as a letter and digits, and a status code of digits",
                    segment=segment,
                    element=at,
                    level="element",
                    snip=5,
                    severity="warning",
                )
        if value(segment, 11) is not None and value(segment, 10) is None:
            report(
                "277-status",
                "a third status (STC11) follows a second one (STC10), which is missing",
                segment=segment,
                element=10,
                level="element",
                snip=4,
            )


def acknowledged(transaction: Transaction, report: Report) -> None:
    """In a claim acknowledgement the action (STC03) agrees with the category, and rejected claims are as many as counted."""
    if transaction.root is None or not is_claim_acknowledgement(transaction):
        return
    for segment in transaction.segments:
        if segment[0] == "STC":
            category = segment[1].partition(transaction.separators.component)[0] if len(segment) > 1 else ""
            action = value(segment, 3)
            if (action == "WQ" and category in REJECTED) or (action == "U" and category in ACCEPTED):
                report(
                    "277-action",
                    "the action (STC03) accepts what the category rejects, or rejects what it accepts",
                    segment=segment,
                    element=3,
                    level="element",
                    snip=4,
                    severity="warning",
                )
    for provider in transaction.root.anywhere("2000C"):
        for trace in provider.inside("2200C"):
            _counted(trace.first("QTY", "QC"), _claims(provider), report, trace)


def _claims(provider: Loop) -> Iterator[Loop]:
    for patient in provider.inside("2000D"):
        yield from patient.inside("2200D")


def _counted(count: Segment | None, claims: Iterator[Loop], report: Report, loop: Loop) -> None:
    said = number(count, 2)
    if said is None:
        return
    rejected = sum(1 for claim in claims if any(value(status, 3) == "U" for status in claim.every("STC")))
    if said < rejected:
        report(
            "277-count",
            f"{rejected} claims are rejected one by one, more than the count of rejected claims (QTY) says",
            loop=loop,
            segment=count,
            element=2,
            severity="warning",
        )


def asked(transaction: Transaction, report: Report) -> None:
    """A 276 asks about at least one claim of each patient."""
    if transaction.root is None:
        return
    for subscriber in transaction.root.anywhere("2000D"):
        dependents = subscriber.inside("2000E")
        if not dependents and not subscriber.inside("2200D"):
            report(
                "I6",
                "nothing is asked about this subscriber: a claim (TRN) or a dependent level is needed",
                loop=subscriber,
                segment=subscriber.segments[0],
                level="segment",
                snip=4,
            )
        if subscriber.inside("2200D") and not dependents and subscriber.first("DMG") is None:
            report(
                "I6",
                "the subscriber is the patient, so DMG (birth date and gender) is needed",
                loop=subscriber,
                segment=subscriber.segments[0],
                level="segment",
                snip=4,
            )


RULES: dict[str, tuple[Rule, ...]] = {
    "276": (asked, npi_check_digits),
    "277": (statuses, acknowledged, npi_check_digits),
}
