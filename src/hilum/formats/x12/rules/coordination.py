"""Coordination of benefits in an 837: what an earlier payer decided must balance too (X12 005010X222A1 section 1.4.4)."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats.x12.document import Loop, Segment, Transaction, value
from hilum.formats.x12.rules.amounts import ZERO, added, adjusted, number, shown
from hilum.formats.x12.rules.report import Report

_CHARGE = {"SV1": 2, "SV2": 3, "SV3": 2}


def coordination(transaction: Transaction, report: Report) -> None:
    """Each line's charge is the earlier payer's payment and adjustments, and so is the claim's, payer by payer."""
    if transaction.root is None:
        return
    for claim in transaction.root.anywhere("2300"):
        others = [loop for loop in claim.loops if loop.name == "2320"]
        if others:
            lines = [loop for loop in claim.loops if loop.name == "2400"]
            for other in others:
                _payer(claim, other, lines, report)


def _payer(claim: Loop, other: Loop, lines: list[Loop], report: Report) -> None:
    paid_segment = other.first("AMT", "D")
    paid = number(paid_segment, 2)
    if paid is None:
        return
    named = [value(loop.first("NM1"), 9) for loop in other.inside("2330B")]
    payer = named[0] if named else None
    decided = False
    paid_on_lines, adjusted_on_lines = ZERO, ZERO
    for line in lines:
        line_paid, line_adjusted, first = _line(line, payer)
        if first is None:
            continue
        decided = True
        paid_on_lines += line_paid
        adjusted_on_lines += line_adjusted
        charge = _charge(line)
        if charge is not None and charge != line_paid + line_adjusted:
            report(
                "837-cob-line-balance",
                "the line's charge differs from what the earlier payer paid and adjusted (SVD02, CAS) by "
                + shown(charge - line_paid - line_adjusted),
                loop=line,
                segment=first,
                element=2,
            )
    own = adjusted(other.segments)
    if decided and paid != paid_on_lines - own:
        report(
            "837-cob-claim-balance",
            "what the earlier payer paid (AMT with D) differs from its payments on the lines less the claim's adjustments by "
            + shown(paid - paid_on_lines + own),
            loop=other,
            segment=paid_segment,
            element=2,
        )
    elif not decided and own:
        charge = number(claim.segments[0], 2)
        if charge is not None and charge != paid + own:
            report(
                "837-cob-claim-balance",
                "the claim's charge differs from what the earlier payer paid and adjusted (AMT with D, CAS) by "
                + shown(charge - paid - own),
                loop=other,
                segment=paid_segment,
                element=2,
            )


def _line(line: Loop, payer: str | None) -> tuple[Decimal, Decimal, Segment | None]:
    """(paid, adjusted, first SVD) of a line by one payer."""
    paid, off, first = ZERO, ZERO, None
    for loop in line.loops:
        if loop.name == "2430" and loop.segments and value(loop.segments[0], 1) == payer:
            first = loop.segments[0] if first is None else first
            paid += added(loop.segments[0], 2)
            off += adjusted(loop.segments)
    return paid, off, first


def _charge(line: Loop) -> Decimal | None:
    for segment in line.segments:
        if segment[0] in _CHARGE:
            return number(segment, _CHARGE[segment[0]])
    return None
