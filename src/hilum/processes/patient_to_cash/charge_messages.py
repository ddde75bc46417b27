"""Charges in HL7 v2: each FT1 (v2.5.1 ch. 6.5.1) as the fact of a charge or a credit."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from zoneinfo import ZoneInfo

from hilum.authoring import Hl7, InvalidData
from hilum.formats.hl7v2 import Segment, parse_timestamp
from hilum.model.identifiers import AccountNumber, ChargeCode, DepartmentCode, FacilityCode
from hilum.processes.patient_to_cash.charges import CHARGE, CREDIT, ChargeRecorded
from hilum.processes.patient_to_cash.remittance import fits_books

_KINDS = {"CG": CHARGE, "CR": CREDIT}
"""FT1-6 (HL7 table 0017): payments and adjustments come by remittance."""
CURRENCY = "USD"


def charge_lines(message: Hl7) -> Iterator[tuple[Segment, str | None]]:
    """Each FT1 with the device label (PRT-10) that follows it: absent for most, sent where the scanner read one."""
    line: Segment | None = None
    label: str | None = None
    for segment in message:
        if segment.name == "FT1":
            if line is not None:
                yield line, label
            line, label = segment, None
        elif segment.name == "PRT" and line is not None and label is None:
            label = segment.get("10.1")
    if line is not None:
        yield line, label


def charge_recorded(message: Hl7, line: Segment, *, recorded_by: str, zone: ZoneInfo) -> ChargeRecorded:
    """The fact of one FT1. Times without an offset are of ``zone``, and so is the service day.

    A charge with an amount below zero is a credit, and a credit's amount counts below zero whatever its sign: senders write both.
    A credit names the charge it takes back in FT1-30, or carries its number as its own.
    """
    kind = _KINDS.get(line["6.1"])
    if kind is None:
        raise InvalidData("FT1-6 is neither CG nor CR", detail="payments and adjustments come by remittance")
    number = line["2.1"]
    quantity = abs(_number(line.get("10.1.1"), Decimal(1)))
    amount = _amount(line, quantity)
    if amount < 0:
        kind = CREDIT
    facility = message["MSH-4.1"]
    department = line.get("13.1") or line.get("16.1")
    if department is None:
        raise InvalidData("FT1-13 is missing", detail="a charge without a department belongs to no cost centre")
    said, named = line.get("30.1"), line.get("7.2")
    posted = line.get("5.1")
    return ChargeRecorded(
        charge_id=number,
        recorded_by=recorded_by,
        kind="credit" if kind == CREDIT else "charge",
        takes_back=(said if said is not None else number) if kind == CREDIT else None,
        account=AccountNumber(value=message["PID-18.1"], authority=message.get("PID-18.4.1") or facility),
        charge_code=ChargeCode(value=line["7.1"]),
        description=named if named is not None else "",
        quantity=quantity,
        amount_usd=-abs(amount) if kind == CREDIT else amount,
        facility=FacilityCode(value=facility),
        department=DepartmentCode(value=department),
        service_on=parse_timestamp(line["4.1"], zone).astimezone(zone).date(),
        recorded_on=parse_timestamp(posted, zone).astimezone(zone).date() if posted is not None else None,
        payer=line.get("14.1"),
    )


def _amount(line: Segment, quantity: Decimal) -> Decimal:
    """FT1-11 for the whole line, else FT1-12 for each unit; InvalidData when there is none that books can hold."""
    for field, times in (("11", Decimal(1)), ("12", quantity)):
        if line.get(f"{field}.1.1") is None:
            continue
        if (currency := line.get(f"{field}.1.2")) not in (None, CURRENCY):
            raise InvalidData(
                f"FT1-{field} is in {currency[:3] if currency else ''}", detail=f"books are kept in {CURRENCY}"
            )
        amount = _number(line.get(f"{field}.1.1"), Decimal(0)) * times
        if not fits_books(amount):
            raise InvalidData(f"FT1-{field} has fractions of a cent, or is larger than books hold")
        return amount
    raise InvalidData("FT1-11 is missing", detail="a charge without an amount cannot be posted")


def _number(text: str | None, otherwise: Decimal) -> Decimal:
    return otherwise if text is None else Decimal(text)
