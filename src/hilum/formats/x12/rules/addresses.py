"""Addresses in the United States and Canada have a state and a postal code."""

from __future__ import annotations

import re

from hilum.formats.x12.document import Transaction, value
from hilum.formats.x12.rules.report import Report

_ZIP = re.compile(r"\d{5}(?:-?\d{4})?", re.ASCII)
_DOMESTIC = {None, "US", "USA", "CA", "CAN"}
_UNITED_STATES = {None, "US", "USA"}


def domestic_addresses(transaction: Transaction, report: Report) -> None:
    """N402 and N403 are there unless N404 names another country; a ZIP code has five or nine digits."""
    for segment in transaction.segments:
        if segment[0] != "N4":
            continue
        country = value(segment, 4)
        if country not in _DOMESTIC or value(segment, 1) is None:
            continue
        for at, words in ((2, "state"), (3, "postal code")):
            if value(segment, at) is None:
                report(
                    "I9",
                    f"an address in the United States or Canada has a {words}",
                    segment=segment,
                    element=at,
                    level="element",
                    snip=4,
                )
        postal = value(segment, 3)
        if postal is not None and country in _UNITED_STATES and not _ZIP.fullmatch(postal):
            report(
                "n4-postal-code",
                "a ZIP code has five or nine digits",
                segment=segment,
                element=3,
                level="element",
                snip=5,
                severity="warning",
            )
