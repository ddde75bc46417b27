"""HL segments: numbers in order, parents that exist, child codes that agree (X12 HL01, HL02, HL04)."""

from __future__ import annotations

from hilum.formats.findings import Severity
from hilum.formats.x12.document import Transaction, X12Finding, value

FINDINGS_MAX = 50


def hierarchy_findings(transaction: Transaction, guide: bool) -> list[X12Finding]:
    """What is wrong with the hierarchy of a transaction: ``hl-sequence``, ``hl-parent``, ``hl-children``.

    A guide wants HL01 to count from 1; the standard only wants it to be unique, so that a gap is a warning outside of guides.
    """
    found: list[X12Finding] = []

    def find(code: str, text: str, number: int, element: int, severity: Severity = "error") -> None:
        if len(found) < FINDINGS_MAX:
            found.append(
                X12Finding(
                    code,
                    text,
                    f"HL{element:02d}",
                    severity,
                    transaction.line_of(number),
                    level="balance",
                    snip=2,
                    transaction=transaction.control_number,
                    segment="HL",
                    segment_number=number,
                    element=element,
                    first_segment=transaction.first_segment,
                )
            )

    levels = [(number, segment) for number, segment in enumerate(transaction.segments, 1) if segment[0] == "HL"]
    seen: dict[str, int] = {}
    parents: set[str] = set()
    for count, (number, segment) in enumerate(levels, 1):
        own, parent = value(segment, 1), value(segment, 2)
        if own is not None and own in seen:
            find("hl-sequence", "HL01 was the number of a level before", number, 1)
        elif own is not None and own != str(count):
            find(
                "hl-sequence",
                f"HL01 is not {count}, its place in the count",
                number,
                1,
                "error" if guide else "warning",
            )
        if parent is not None:
            if parent not in seen:
                find("hl-parent", "HL02 is no level before this one", number, 2)
            parents.add(parent)
        if own is not None:
            seen.setdefault(own, number)
    for number, segment in levels:
        own, said = value(segment, 1), value(segment, 4)
        if own is None or said not in ("0", "1"):
            continue
        if said == "1" and own not in parents:
            find("hl-children", "HL04 says that levels are below this one; there are none", number, 4, "warning")
        elif said == "0" and own in parents:
            find("hl-children", "HL04 says that no level is below this one; there are some", number, 4)
    return found
