"""Patient accounts as billing keeps them: where they stand and what is owed."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from hilum.model.identifiers import AccountNumber, FacilityCode
from hilum.model.money import Money


class PatientAccountStatus(BaseModel):
    """One patient account. ``handle`` is billing's own number for it, says nothing about the patient and may stand in a URL."""

    model_config = ConfigDict(frozen=True)

    handle: str
    account: AccountNumber
    facility: FacilityCode | None = Field(default=None, description="None until a registration has named it.")
    status: str = Field(
        description="provisional (charged before it was registered), expected, open, discharged, cancelled, merged."
    )


class PatientBalance(BaseModel):
    """What stands on one account: ``balance`` is charges less payments."""

    model_config = ConfigDict(frozen=True)

    handle: str
    account: AccountNumber
    facility: FacilityCode | None = None
    charges: Money
    payments: Money
    balance: Money


class ChargeTotal(BaseModel):
    """What was charged at a facility for services of one day, credits taken off. ``payer`` is the plan, empty where none was said."""

    model_config = ConfigDict(frozen=True)

    facility: str
    payer: str = ""
    charges: int
    amount: Decimal


class BilledCharge(BaseModel):
    """One charge as billing has it: ``number`` is the sender's own (FT1-2), ``amount`` is below zero for a credit."""

    model_config = ConfigDict(frozen=True)

    number: str
    payer: str = ""
    amount: Decimal
