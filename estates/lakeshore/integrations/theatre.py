"""What happens in theatre: implants are used; other systems must follow."""

from __future__ import annotations

import csv
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, PositiveInt

from hilum.authoring import Hl7, InvalidData, System, mapping
from hilum.formats.barcodes.udi import parse_udi
from hilum.formats.hl7v2 import Segment, parse_timestamp
from hilum.model import AccountNumber, ChargeCode, DepartmentCode, FacilityCode
from hilum.processes.implant_usage import ImplantUsed, implant_usage
from hilum.processes.patient_to_cash.charge_messages import charge_lines, charge_recorded
from hilum.processes.patient_to_cash.charges import ChargeRecorded

ehr = System("ehr")
stock = System("stock")

LAKESHORE_TIME = ZoneInfo("America/Chicago")

# What the item master knows, and what the charge master numbers as an implant, uses something up; the rest is a service.
IMPLANT_CODES = "IMP-"
with (Path(__file__).parents[1] / "tables" / "charge_code_to_item.csv").open(newline="", encoding="utf-8") as table:
    IMPLANTS = frozenset(row["code"] for row in csv.DictReader(table))

__all__ = ["implant_usage"]


@mapping(source=ehr, message="DFT^P03")
def implants_charged(message: Hl7) -> list[ImplantUsed | ChargeRecorded]:
    """One event for each FT1, which charges an implant or anything else: a DFT may charge all of one procedure."""
    return [
        _implant_charged(message, charge, label)
        if label is not None or _is_implant(charge["7.1"])
        else charge_recorded(message, charge, recorded_by=ehr.name, zone=LAKESHORE_TIME)
        for charge, label in charge_lines(message)
    ]


def _is_implant(code: str) -> bool:
    return code in IMPLANTS or code.startswith(IMPLANT_CODES)


def _implant_charged(message: Hl7, charge: Segment, label: str | None) -> ImplantUsed:
    if charge["6.1"] != "CG":
        raise InvalidData(
            "FT1-6 is not CG", detail="a credit or payment uses nothing; what it takes back is a person's"
        )
    quantity = charge.get("10.1")
    if quantity is None:
        raise InvalidData("FT1-10 is missing", detail="a charge without a quantity cannot be counted")
    device = parse_udi(label) if label is not None else None
    amount = charge.get("11.1")
    return ImplantUsed(
        usage_id=charge["2.1"],
        charge_code=ChargeCode(charge["7.1"]),
        device_identifier=device.device_identifier if device is not None else None,
        lot=device.lot if device is not None else None,
        serial=device.serial if device is not None else None,
        description=charge.get("7.2") or charge["7.1"],
        quantity=int(quantity),
        account=_account(message),
        department=DepartmentCode(charge["13.1"]),
        facility=FacilityCode(message["MSH-4.1"]),
        used_at=_time(charge["4.1"]),
        charge_usd=Decimal(amount) if amount is not None else None,
    )


class Consumption(BaseModel):
    """The inventory platform's own report of a scan at the point of use."""

    type: str
    usage_id: str
    device_identifier: str | None = None
    lot: str | None = None
    serial: str | None = None
    charge_code: str | None = None
    description: str = ""
    quantity: PositiveInt
    account: str
    department: str
    facility: str
    used_at: AwareDatetime
    charge_usd: Decimal | None = None


@mapping(source=stock, message="consumption")
def implant_scanned(report: Consumption) -> ImplantUsed:
    return ImplantUsed(
        usage_id=report.usage_id,
        charge_code=ChargeCode(report.charge_code) if report.charge_code is not None else None,
        device_identifier=report.device_identifier,
        lot=report.lot,
        serial=report.serial,
        description=report.description,
        quantity=report.quantity,
        account=AccountNumber(report.account, report.facility),
        department=DepartmentCode(report.department),
        facility=FacilityCode(report.facility),
        used_at=report.used_at.astimezone(LAKESHORE_TIME),  # The journal's day is the hospital's, not the scanner's.
        charge_usd=report.charge_usd,
    )


def _account(message: Hl7) -> AccountNumber:
    return AccountNumber(message["PID-18.1"], message.get("PID-18.4.1") or message["MSH-4.1"])


def _time(text: str) -> datetime:
    return parse_timestamp(text, LAKESHORE_TIME)
