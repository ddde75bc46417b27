"""What became of a posting, as billing is told: the journal it stands in, or why the ledger does not take it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SettlementNote(BaseModel):
    """One source of entries (a remittance, a day's charges) at one facility. ``said`` is the journal's number or the reason's title."""

    model_config = ConfigDict(frozen=True)

    source: str
    kind: str = Field(description="remittance, charges, deposit, accrual ...")
    reference: str = Field(description="What its sender calls it: a remittance's trace number.")
    payer: str = ""
    facility: str
    state: Literal["posted", "refused"]
    said: str
    day: date
    posted_on: date | None = Field(default=None, description="The day in the ledger; its month is the fiscal period's.")
    amount_usd: Decimal
