"""What patients are charged, as the revenue books collect it, and where each charge belongs in them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from hilum.model.identifiers import AccountNumber


class Charge(BaseModel):
    """One amount on one account for one service. ``amount`` is below zero for a credit: what it takes back stays as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: str = Field(min_length=1, max_length=200, description="The source's own with its authority: ehr/C-1001.")
    account: AccountNumber | None = Field(description="None when read back from the books, which keep its token only.")
    facility: str
    department: str
    code: str = Field(description="Of the charge master.")
    service_on: date
    amount: Decimal = Field(max_digits=16, decimal_places=2)
    charge_class: str = Field(default="", description="Where the fact itself says what it is; else the code does.")
    payer: str = ""
    takes_back: str = Field(default="", description="The number of the charge that a credit takes back.")

    @property
    def moment(self) -> datetime:
        """An instant of the service day, by which crosswalks are read: noon, so that it is that day in each zone of the country."""
        return datetime.combine(self.service_on, time(12), tzinfo=UTC)


class ChargePlace(BaseModel):
    """What posting rules ask of a charge beside its facility: its class, whose payer's, and the cost centre that earned it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    charge_class: str
    cost_centre: str
    payer_class: str = ""
