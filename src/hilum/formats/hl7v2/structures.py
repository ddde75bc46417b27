"""What an estate may ask of a message beyond the standard, and the few codes that decide how a message is treated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hilum.formats.hl7v2.findings import Code
from hilum.formats.hl7v2.tables import MANY

VERSIONS = frozenset(
    {"2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2"}
)


@dataclass(frozen=True, slots=True)
class Need:
    """A segment that a message must have: at most ``most`` times, ``MANY`` for any number."""

    name: str
    most: int = 1


@dataclass(frozen=True)
class Profile:
    """What a message must have beyond what its version and type ask for.

    ``needs`` in the order in which they first appear; ``fields`` are paths inside their segments (``{"PV1": ("3.1",)}``)
    that every such segment must have a value at.
    """

    name: str
    needs: tuple[Need, ...]
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ESSENTIAL = ("MSH-9.1", "MSH-10", "MSH-11.1", "MSH-12.1")
"""What every version requires, for a message that does not say which version it is of."""

# Closed tables of the standard that decide how a message is treated.
TABLES: dict[str, tuple[str, frozenset[str], str]] = {
    "MSH-11.1": (
        Code.UNSUPPORTED_PROCESSING_ID,
        frozenset({"P", "T", "D"}),
        "the processing id is none of P, T and D (table 0103)",
    ),
    "MSA-1": (
        Code.TABLE_VALUE,
        frozenset({"AA", "AE", "AR", "CA", "CE", "CR"}),
        "the acknowledgement code is not in table 0008",
    ),
}

__all__ = ["ESSENTIAL", "MANY", "TABLES", "VERSIONS", "Need", "Profile"]
