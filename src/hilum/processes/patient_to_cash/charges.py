"""What patients are charged: the fact of one charge or credit, and where it belongs in the books.

Sources are DFT^P03 and BAR (FT1, HL7 v2.5.1 ch. 6.5.1) and delimited files. A charge is never changed: what was wrong comes back
as a credit (FT1-6 CR), an amount below zero with a line of its own.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from hilum.authoring import Agreed, AtRisk, Contract, Crosswalk, Key, Phi, Rejected
from hilum.model.charge import Charge, ChargePlace
from hilum.model.identifiers import AccountNumber, ChargeCode, DepartmentCode, FacilityCode
from hilum.processes.implant_usage import ImplantUsed, UnknownDepartment
from hilum.processes.patient_to_cash.posting import UnknownPayer

CHARGE, CREDIT = "charge", "credit"
IMPLANT = "implant"
"""The class of what implant usage charges: its codes are items', not the charge master's."""

class_by_charge_code = Crosswalk("charge_code_to_class")
cost_centre_by_department = Crosswalk("department_to_cost_centre")
class_by_payer = Crosswalk("payer_to_class")


class ChargeRecorded(Contract, version=1, identities=[("charge_id", "recorded_by", "kind")], owner="revenue-cycle"):
    """One charge on a patient's account, or one credit that takes an earlier charge back.

    A credit may carry the number of the charge it takes back as its own: both are told apart by their kind.
    """

    charge_id: Annotated[str, Key("charge")]
    recorded_by: str  # The system whose number that is: ehr, lab.
    kind: Literal["charge", "credit"]
    takes_back: Annotated[str, Key("charge")] | None = None
    account: Annotated[AccountNumber, Phi]
    charge_code: ChargeCode
    description: str = ""
    quantity: Decimal = Decimal(1)
    amount_usd: Annotated[Decimal, Agreed, AtRisk]  # Of the whole line; below zero for a credit.
    facility: FacilityCode
    department: DepartmentCode
    service_on: date
    recorded_on: date | None = None
    payer: str | None = None  # The plan that is expected to pay, where the sender says one.

    @property
    def number(self) -> str:
        """As the books call it: ``ehr/C-1001``, and ``ehr/C-1001/credit`` for a credit."""
        return f"{self.recorded_by}/{self.charge_id}" + ("/credit" if self.kind == CREDIT else "")


class UnknownChargeCode(Rejected, queue="finance-master", due_hours=24):
    """Map the charge code to its class (`hilum crosswalk set charge_code_to_class`), then release: all charges kept aside for it go on."""


def charge_of(event: ChargeRecorded | ImplantUsed) -> Charge | None:
    """What the books collect of an event; None for an implant whose price to the patient nobody said."""
    if isinstance(event, ImplantUsed):
        return _implant(event)
    return Charge(
        number=event.number,
        account=event.account,
        facility=event.facility.value,
        department=event.department.value,
        code=event.charge_code.value,
        service_on=event.service_on,
        amount=event.amount_usd,
        payer=event.payer if event.payer is not None else "",
        takes_back=f"{event.recorded_by}/{event.takes_back}" if event.takes_back is not None else "",
    )


def _implant(used: ImplantUsed) -> Charge | None:
    if used.charge_usd is None:
        return None
    code = used.charge_code.value if used.charge_code is not None else used.device_identifier
    return Charge(
        number=f"usage/{used.usage_id}",
        account=used.account,
        facility=used.facility.value,
        department=used.department.value,
        code=code if code is not None else IMPLANT,
        service_on=used.used_at.date(),
        amount=used.charge_usd,
        charge_class=IMPLANT,
    )


def place_of_charge(charge: Charge) -> ChargePlace:
    """Its class, the cost centre of its department and the class of its payer, as they were on the day of the service."""
    at = charge.moment
    found = charge.charge_class or class_by_charge_code.lookup(charge.code, facility=charge.facility, on=at)
    if found is None:
        raise UnknownChargeCode(charge.code)
    centre = cost_centre_by_department.lookup(charge.department, facility=charge.facility, on=at)
    if centre is None:
        raise UnknownDepartment(f"{charge.department} at {charge.facility}")
    payer_class = class_by_payer.lookup(charge.payer, facility=charge.facility, on=at) if charge.payer else ""
    if payer_class is None:
        raise UnknownPayer(charge.payer)
    return ChargePlace(charge_class=found, cost_centre=centre, payer_class=payer_class)
