"""Benefit enrollment and maintenance: who is covered and what changes (X12 005010X220A1)."""

from __future__ import annotations

from hilum.formats.x12.document import Loop, Transaction, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.amounts import number, shown
from hilum.formats.x12.rules.identifiers import npi_check_digits
from hilum.formats.x12.rules.report import Report

ADDITION, CANCELLATION, REINSTATEMENT, AUDIT = "021", "024", "025", "030"
_FULL_FILE = {"4", "RX"}
"""BGN08 of a file that has everybody, not only changes."""


def _members(transaction: Transaction) -> list[Loop]:
    return [] if transaction.root is None else transaction.root.inside("2000")


def maintenance(transaction: Transaction, report: Report) -> None:
    """What changes says when: coverage that begins or ends has a date, and a subscriber is related to himself."""
    beginning = None if transaction.root is None else transaction.root.first("BGN")
    full = value(beginning, 8) in _FULL_FILE
    for member in _members(transaction):
        person = member.first("INS")
        if person is None:
            continue
        if (value(person, 1) == "Y") != (value(person, 2) == "18") and value(person, 1) is not None:
            report(
                "834-relationship",
                "a subscriber (INS01 is Y) is himself (INS02 is 18), a dependent somebody else",
                loop=member,
                segment=person,
                element=2,
                level="element",
                snip=4,
                severity="warning",
            )
        kind = value(person, 3)
        coverages = member.inside("2300")
        if kind == CANCELLATION and not (
            any(value(dated, 1) in {"357", "341", "286", "301"} for dated in member.every("DTP"))
            or any(value(dated, 1) in {"349", "341", "695"} for cover in coverages for dated in cover.every("DTP"))
        ):
            _undated(report, member, "coverage that ends says when (DTP with 357, or 349 for each coverage)")
        if full and kind is not None and kind != AUDIT:
            report(
                "834-full-file",
                "a file that has everybody (BGN08) has audit members (INS03 is 030)",
                loop=member,
                segment=person,
                element=3,
                level="element",
                snip=4,
                severity="warning",
            )
        for cover in coverages:
            detail = cover.first("HD")
            dates = {value(dated, 1) for dated in cover.every("DTP")}
            if value(detail, 1) == ADDITION and dates and not dates & {"348", "300", "303", "543"}:
                _undated(report, cover, "coverage that is added says when it begins (DTP with 348)")
            if value(detail, 1) == CANCELLATION and dates and not dates & {"349", "303", "695"}:
                _undated(report, cover, "coverage that is cancelled says when it ends (DTP with 349)")
        if value(person, 11) is not None and value(person, 1) == "Y" and kind == ADDITION:
            report(
                "834-deceased",
                "a member who has died (INS12) is not added",
                loop=member,
                segment=person,
                element=12,
                level="element",
                snip=4,
                severity="warning",
            )


def _undated(report: Report, loop: Loop, text: str) -> None:
    report("I6", text, loop=loop, segment=loop.segments[0], level="segment", snip=4)


def counts(transaction: Transaction, report: Report) -> None:
    """QTY in the header counts members: TO all of them, ET subscribers, DT dependents."""
    if transaction.root is None:
        return
    persons = [value(member.first("INS"), 1) for member in _members(transaction)]
    counted = {"TO": len(persons), "ET": persons.count("Y"), "DT": persons.count("N")}
    for quantity in transaction.root.every("QTY"):
        kind, said = value(quantity, 1), number(quantity, 2)
        if kind in counted and said is not None and said != counted[kind]:
            report(
                "834-member-count",
                f"the count in QTY differs from the members in the file by {shown(said - counted[kind])}",
                segment=quantity,
                element=2,
            )


RULES: dict[str, tuple[Rule, ...]] = {"834": (maintenance, counts, npi_check_digits)}
