"""What a table cannot say: balancing (SNIP type 3) and situations (SNIP type 4), a module for each family of sets."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from hilum.formats.x12.document import Transaction
from hilum.formats.x12.rules.report import Report

__all__ = ["Report", "Rule", "rules_for"]

Rule = Callable[[Transaction, Report], None]
"""Looks at one walked transaction (``transaction.root`` is set) and reports; it never raises, whatever the values are."""

_MODULES = {
    "835": "remittance",
    "837": "claim",
    "270": "eligibility",
    "271": "eligibility",
    "276": "claim_status",
    "277": "claim_status",
    "278": "authorization",
    "834": "enrollment",
    "820": "payment",
    "999": "acknowledgement",
    "997": "acknowledgement",
    "850": "order",
    "860": "order",
    "855": "order",
    "865": "order",
    "810": "invoice",
    "856": "ship_notice",
    "832": "catalogue",
    "846": "inventory",
    "867": "inventory",
}


@cache
def rules_for(set_id: str) -> tuple[Rule, ...]:
    """The rules of a set, from ``RULES`` of its family's module: {ST01: (rule, ...)}; none when it has no module."""
    if set_id not in _MODULES or find_spec(f"{__name__}.{_MODULES[set_id]}") is None:
        return ()
    family: dict[str, tuple[Rule, ...]] = import_module(f"{__name__}.{_MODULES[set_id]}").RULES
    return family.get(set_id, ())
