"""A 270 asks something about somebody, a 271 answers it (X12 005010X279A1)."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.formats.x12.document import Loop, Transaction, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.addresses import domestic_addresses
from hilum.formats.x12.rules.identifiers import npi_check_digits
from hilum.formats.x12.rules.report import Report

_IN_PERCENT = {"A"}
_IN_MONEY = {"B", "C", "G", "J", "Y"}
"""Benefit information codes (EB01) that say an amount: co-payment, deductible, out of pocket, cost containment, spend down."""


def _people(transaction: Transaction) -> Iterator[Loop]:
    if transaction.root is not None:
        yield from transaction.root.anywhere("2000C", "2000D")


def inquiry(transaction: Transaction, report: Report) -> None:
    """The person a level is about is asked about (EQ), and a subscriber without dependents is that person."""
    for person in _people(transaction):
        if any(inner.name == "2000D" for inner in person.loops):
            continue
        if not any(inner.name in {"2110C", "2110D"} for inner in person.loops) and not any(
            asked.name in {"2110C", "2110D"} for inner in person.loops for asked in inner.loops
        ):
            report(
                "I6",
                "nothing is asked about this person: an EQ is needed",
                loop=person,
                segment=person.segments[0],
                level="segment",
                snip=4,
            )
    for segment in transaction.segments:
        if segment[0] == "EQ" and value(segment, 1) is None and value(segment, 2) is None:
            report(
                "I9",
                "an EQ asks for a service type (EQ01) or a procedure (EQ02)",
                segment=segment,
                element=1,
                level="element",
                snip=4,
            )


def answer(transaction: Transaction, report: Report) -> None:
    """Each person gets benefits (EB) or a reason why not (AAA), and amounts stand where their kind belongs."""
    for person in _people(transaction):
        if any(inner.name == "2000D" for inner in person.loops):
            continue
        said = {segment[0] for segment in person.segments}
        said |= {
            segment[0] for inner in person.anywhere("2100C", "2100D", "2110C", "2110D") for segment in inner.segments
        }
        if not said & {"EB", "AAA"}:
            report(
                "I6",
                "nothing is answered about this person: an EB or an AAA is needed",
                loop=person,
                segment=person.segments[0],
                level="segment",
                snip=4,
            )
    for segment in transaction.segments:
        if segment[0] != "EB":
            continue
        kind = value(segment, 1)
        wanted = 8 if kind in _IN_PERCENT else 7 if kind in _IN_MONEY else None
        if wanted is not None and value(segment, 7) is None and value(segment, 8) is None:
            report(
                "I9",
                "this kind of benefit (EB01) is an amount (EB07) or a percentage (EB08), and neither is said",
                segment=segment,
                element=wanted,
                level="element",
                snip=4,
                severity="warning",
            )


def traces(transaction: Transaction, report: Report) -> None:
    """A trace number is carried once by each person (TRN02 with TRN03)."""
    for person in _people(transaction):
        seen = set()
        for trace in person.every("TRN"):
            named = (value(trace, 1), value(trace, 2), value(trace, 3))
            if named in seen:
                report(
                    "27x-trace",
                    "this trace number is given twice for the same person",
                    loop=person,
                    segment=trace,
                    element=2,
                    level="element",
                    snip=4,
                )
            seen.add(named)


RULES: dict[str, tuple[Rule, ...]] = {
    "270": (inquiry, traces, domestic_addresses, npi_check_digits),
    "271": (answer, traces, domestic_addresses, npi_check_digits),
}
