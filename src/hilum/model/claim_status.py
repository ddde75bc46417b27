"""Claim status: what a payer is asked about one claim, and where it says the claim stands."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hilum.model.identifiers import FacilityCode


class ClaimStatusQuestion(BaseModel):
    """What a payer is asked about a subscriber's claim. PHI but for reference, payer, provider and days."""

    model_config = ConfigDict(frozen=True)

    reference: str = Field(min_length=1, max_length=50, description="Ours; the payer's answer carries it back.")
    payer: str = Field(min_length=2, max_length=80)
    facility: FacilityCode
    provider_npi: str = Field(pattern=r"^\d{10}$")
    provider_name: str = Field(min_length=1, max_length=60)
    claim_number: str = Field(min_length=1, max_length=38, description="The provider's own (CLM01).")
    payer_claim_number: str | None = Field(default=None, min_length=1, max_length=50)
    member_number: str = Field(min_length=2, max_length=80)
    family_name: str = Field(min_length=1, max_length=60)
    given_name: str | None = Field(default=None, min_length=1, max_length=35)
    birth_date: date
    sex: Literal["F", "M", "U"] | None = None
    charge: Decimal | None = None
    service_from: date | None = None
    service_to: date | None = None


class SaidStatus(BaseModel):
    """One status: category, status and entity codes (X12 lists 507, 508 and 98), and the three in words."""

    model_config = ConfigDict(frozen=True)

    category: str
    status: str | None = None
    entity: str | None = None
    words: str


class ClaimStatusSaid(BaseModel):
    """What the payer answered about the claim."""

    model_config = ConfigDict(frozen=True)

    reference: str
    statuses: tuple[SaidStatus, ...]
    on: date | None = None
    payer_claim_number: str | None = None
    charge: Decimal | None = None
    paid: Decimal | None = None
