"""The messages of a day, written as an EHR and an inventory platform write them.

HL7 v2.5.1 with CR between segments, PRT as 2.7 has it (many 2.5.1 senders carry the UDI so). Written without
``hilum.formats``, so that a day tests the platform's reading instead of agreeing with its writing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from hilum.testing.day_catalogue import Place


@dataclass(frozen=True)
class Patient:
    """A made-up person with one account: every name says that it is synthetic."""

    family: str
    given: str
    born: str
    sex: str
    mrn: str
    account: str
    facility: str


@dataclass(frozen=True)
class Device:
    """What the label says: DI, lot and serial (GS1 AI 01, 10, 21)."""

    identifier: str
    lot: str
    serial: str
    expires: str  # YYMMDD, AI 17.

    @property
    def udi(self) -> str:
        """The human-readable form, as PRT-10 carries it."""
        return f"(01){self.identifier}(17){self.expires}(10){self.lot}(21){self.serial}"


@dataclass(frozen=True)
class Usage:
    """One implant, or one handful of screws, opened for one patient: the fact that everyone reports."""

    usage_id: str
    at: datetime
    patient: Patient
    facility: str
    department: str
    charge_code: str
    description: str
    quantity: int
    charge_usd: Decimal
    device: Device | None = None
    item: str | None = None  # What it is; None when nobody has said so in a crosswalk yet.
    place: Place | None = None  # Where it belongs; None for a department that is not mapped.


def adt(
    trigger: str,
    patient: Patient,
    *,
    control_id: str,
    at: datetime,
    location: str,
    before: str = "",
    insured: tuple[str, str] | None = None,
) -> str:
    """ADT^A01 to A04, A08 or A11; ``insured`` is the insurer as the EHR calls it and the member's number there (IN1-3, IN1-36)."""
    segments = [
        _header("ADT", trigger, "ADT_A01", patient.facility, control_id, at),
        _segment("EVN", {1: trigger, 2: _moment(at)}),
        _identity(patient),
        _segment("PV1", {1: "1", 2: "I", 3: location, 6: before, 36: "01" if trigger == "A03" else ""}),
    ]
    if insured is not None:
        segments.append(_segment("IN1", {1: "1", 2: "GOLD", 3: insured[0], 17: "SEL", 36: insured[1]}))
    return _message(*segments)


def merge(survivor: Patient, merged: Patient, *, control_id: str, at: datetime) -> str:
    """ADT^A40: ``merged``, patient and account, is ``survivor`` from now on."""
    return _message(
        _header("ADT", "A40", "ADT_A39", survivor.facility, control_id, at),
        _segment("EVN", {1: "A40", 2: _moment(at)}),
        _identity(survivor),
        _segment("MRG", {1: f"{merged.mrn}^^^{merged.facility}^MR", 3: f"{merged.account}^^^{merged.facility}^AN"}),
    )


def dft(usages: Sequence[Usage], *, control_id: str, at: datetime, without_quantity: bool = False) -> str:
    """DFT^P03 with one FT1 for each usage, each followed by the device's PRT where it has a label."""
    patient = usages[0].patient
    segments = [
        _header("DFT", "P03", "DFT_P03", patient.facility, control_id, at),
        _segment("EVN", {1: "P03", 2: _moment(at)}),
        _identity(patient),
    ]
    for number, usage in enumerate(usages, 1):
        charge = {
            1: str(number),
            2: usage.usage_id,
            4: _moment(usage.at),
            5: _moment(at),
            6: "CG",
            7: f"{_escaped(usage.charge_code)}^{_escaped(usage.description)}",
            10: "" if without_quantity else str(usage.quantity),
            11: f"{usage.charge_usd:.2f}",
            13: usage.department,
        }
        segments.append(_segment("FT1", charge))
        if usage.device is not None:
            segments.append(_segment("PRT", {2: "UC", 4: "EQUIP", 10: _escaped(usage.device.udi)}))
    return _message(*segments)


def scan(usage: Usage) -> str:
    """The inventory platform's consumption report of the same usage."""
    report: dict[str, object] = {
        "type": "consumption",
        "usage_id": usage.usage_id,
        "charge_code": usage.charge_code,
        "description": usage.description,
        "quantity": usage.quantity,
        "account": usage.patient.account,
        "department": usage.department,
        "facility": usage.facility,
        "used_at": usage.at.isoformat(),
        "charge_usd": f"{usage.charge_usd:.2f}",
    }
    if usage.device is not None:
        report["device_identifier"] = usage.device.identifier
        report["lot"] = usage.device.lot
        report["serial"] = usage.device.serial
    return json.dumps(report)


def _header(kind: str, trigger: str, structure: str, facility: str, control_id: str, at: datetime) -> str:
    return f"MSH|^~\\&|EHR|{facility}|HILUM|LAKESHORE|{_moment(at)}||{kind}^{trigger}^{structure}|{control_id}|P|2.5.1"


def _identity(patient: Patient) -> str:
    return _segment(
        "PID",
        {
            1: "1",
            3: f"{patient.mrn}^^^{patient.facility}^MR",
            5: f"{_escaped(patient.family)}^{_escaped(patient.given)}",
            7: patient.born,
            8: patient.sex,
            18: f"{patient.account}^^^{patient.facility}^AN",
        },
    )


def _segment(name: str, fields: Mapping[int, str]) -> str:
    last = max((number for number, value in fields.items() if value), default=0)
    return "|".join([name, *(fields.get(number, "") for number in range(1, last + 1))])


def _message(*segments: str) -> str:
    return "".join(f"{segment}\r" for segment in segments)


def _moment(at: datetime) -> str:
    """HL7 TS without an offset: the sender's local time, as most write it."""
    return f"{at:%Y%m%d%H%M%S}"


_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
