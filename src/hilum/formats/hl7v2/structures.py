"""Which segments and fields a message must have, as tables (HL7 v2.5.1 ch. 2.15, 3.3, 3.4, 6.4 and 6.5).

What is required here is required in every version that has it, so one table serves 2.1 to 2.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

VERSIONS = frozenset(
    {"2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2"}
)

DataType = Literal["TS", "NM", "SI"]
MANY = 0


@dataclass(frozen=True, slots=True)
class Need:
    """A segment that a message must have: at most ``most`` times, ``MANY`` for any number."""

    name: str
    most: int = 1


@dataclass(frozen=True)
class Profile:
    """What a message must have beyond what every message must.

    ``needs`` in the order in which they first appear; ``fields`` are paths inside their segments (``{"PV1": ("3.1",)}``)
    that every such segment must have a value at.
    """

    name: str
    needs: tuple[Need, ...]
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_EVENT, _PATIENT, _VISIT = Need("EVN"), Need("PID"), Need("PV1")

STRUCTURES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        *(Profile(f"ADT^{event}", (_EVENT, _PATIENT, _VISIT)) for event in ("A01", "A02", "A03", "A04", "A08", "A11")),
        Profile("ADT^A40", (_EVENT, Need("PID", MANY), Need("MRG", MANY))),
        Profile("DFT^P03", (_EVENT, _PATIENT, Need("FT1", MANY))),
        Profile("BAR^P01", (_EVENT, _PATIENT)),
        Profile("ACK", (Need("MSA"),)),
    )
}

# Fields that a segment must have wherever it stands.
REQUIRED: dict[str, tuple[str, ...]] = {
    "MSH": ("7.1", "9.1", "10", "11.1", "12.1"),
    "EVN": ("2.1",),
    "PID": ("3.1", "5"),
    "PV1": ("2.1",),
    "FT1": ("4.1", "6.1", "7.1"),
    "MRG": ("1.1",),
    "MSA": ("1", "2"),
}

# The types of fields whose first component a machine will read.
TYPES: dict[str, dict[int, DataType]] = {
    "MSH": {7: "TS", 13: "NM"},
    "EVN": {2: "TS", 3: "TS", 6: "TS"},
    "PID": {1: "SI", 7: "TS", 25: "NM", 29: "TS"},
    "PV1": {1: "SI", 44: "TS", 45: "TS", 46: "NM", 47: "NM", 48: "NM", 49: "NM"},
    "FT1": {1: "SI", 4: "TS", 5: "TS", 10: "NM", 11: "NM", 12: "NM", 22: "NM"},
    "IN1": {1: "SI", 12: "TS", 13: "TS"},
    "GT1": {1: "SI", 8: "TS"},
    "DG1": {1: "SI", 5: "TS"},
    "OBX": {1: "SI", 14: "TS"},
    "OBR": {1: "SI", 7: "TS", 8: "TS", 22: "TS"},
}

# Closed tables of the standard that decide how a message is treated.
TABLES: dict[str, tuple[str, frozenset[str], str]] = {
    "MSH-11.1": ("202", frozenset({"P", "T", "D"}), "the processing id is none of P, T and D (table 0103)"),
    "MSA-1": ("103", frozenset({"AA", "AE", "AR", "CA", "CE", "CR"}), "the acknowledgement code is not in table 0008"),
}

# Fields that carry documents and have no useful limit.
UNLIMITED = frozenset({("OBX", 5), ("NTE", 3), ("TXA", 12)})
FIELD_MAX_CHARACTERS = 65_536
CONTROL_ID_MAX_CHARACTERS = 199
