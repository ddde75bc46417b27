"""Transactions to canonical documents, a module for each family of sets."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from hilum.formats.canonical import Canonical
from hilum.formats.x12.document import Transaction

__all__ = ["Converter", "converter_for"]

Converter = Callable[[Transaction], list[Canonical]]
"""Takes one walked transaction; a claim file gives a canonical claim for each claim. Raises FormatError when what the shape
needs is missing."""

_MODULES = {
    "835": "remittance",
    "837": "claim",
    "271": "eligibility_answer",
    "277": "claim_acknowledgement",
    "999": "acknowledgement",
    "997": "acknowledgement",
    "850": "order",
    "860": "order",
    "855": "order_response",
    "865": "order_response",
    "856": "ship_notice",
    "810": "invoice",
    "820": "payment",
    "832": "catalogue",
    "846": "inventory",
    "867": "inventory",
}


@cache
def converter_for(set_id: str) -> Converter | None:
    """The converter of a set, from ``CONVERTERS`` of its family's module: {ST01: converter}; None when it has none."""
    if set_id not in _MODULES or find_spec(f"{__name__}.{_MODULES[set_id]}") is None:
        return None
    family: dict[str, Converter] = import_module(f"{__name__}.{_MODULES[set_id]}").CONVERTERS
    return family.get(set_id)
