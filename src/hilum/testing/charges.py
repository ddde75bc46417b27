"""Charges as an EHR writes them (HL7 v2.5.1 DFT^P03), for tests and for days of a simulated hospital.

Written without ``hilum.formats``, so that a test tries the platform's reading instead of agreeing with its writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class ChargeLine:
    """One FT1. ``kind`` is CG or CR; ``amount`` is written as it is given."""

    number: str
    amount: Decimal
    code: str = "OR-3600"
    kind: str = "CG"
    service_on: date = date(2026, 3, 2)
    department: str = "OR"
    payer: str = ""
    takes_back: str = ""
    quantity: int = 1


def charge_message(
    lines: Sequence[ChargeLine],
    *,
    control_id: str,
    facility: str = "ST-MARY",
    account: str = "ACC-9001",
    trigger: str = "DFT^P03",
) -> bytes:
    """One message with these charges on one account."""
    kind, _, event = trigger.partition("^")
    day = max(line.service_on for line in lines)
    segments = [
        f"MSH|^~\\&|EHR|{facility}|HILUM|LAKESHORE|{day:%Y%m%d}2210||{kind}^{event}^{kind}_{event}|{control_id}|P|2.5.1",
        f"EVN|{event}|{day:%Y%m%d}2210",
        f"PID|1||MRN-{account}^^^{facility}^MR||SYNTHETIC^PATIENT||19700101|F||||||||||{account}^^^{facility}^AN",
    ]
    for at, line in enumerate(lines, start=1):
        fields = [""] * 31
        for number, value in {
            1: str(at), 2: line.number, 4: f"{line.service_on:%Y%m%d}1045", 5: f"{day:%Y%m%d}2210", 6: line.kind,
            7: f"{line.code}^SERVICE", 10: str(line.quantity), 11: str(line.amount), 13: line.department, 14: line.payer,
            30: line.takes_back,
        }.items():  # fmt: skip
            fields[number] = value
        segments.append("|".join(["FT1", *fields[1:]]).rstrip("|"))
    return "".join(f"{segment}\r" for segment in segments).encode()
