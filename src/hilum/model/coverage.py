"""Coverage: what a payer says of one person's plan on one day."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hilum.model.identifiers import AccountNumber, FacilityCode, Mrn


class CoverageInquiry(BaseModel):
    """What a payer is asked about one subscriber. PHI but for reference, payer, provider and day."""

    model_config = ConfigDict(frozen=True)

    reference: str = Field(min_length=1, max_length=50, description="Ours; the payer's answer carries it back.")
    payer: str = Field(min_length=2, max_length=80, description="The payer's number at the clearinghouse.")
    facility: FacilityCode
    provider_npi: str = Field(pattern=r"^\d{10}$")
    provider_name: str = Field(min_length=1, max_length=60)
    member_number: str | None = Field(default=None, min_length=2, max_length=80)
    family_name: str | None = Field(default=None, min_length=1, max_length=60)
    given_name: str | None = Field(default=None, min_length=1, max_length=35)
    birth_date: date | None = None
    sex: Literal["F", "M", "U"] | None = None
    on: date
    service_types: tuple[str, ...] = Field(default=("30",), min_length=1, max_length=20)

    @model_validator(mode="after")
    def _can_be_found(self) -> CoverageInquiry:
        if self.member_number is None and (self.family_name is None or self.birth_date is None):
            raise ValueError("give the member number, or the family name with the date of birth")
        return self


class CoverageBenefit(BaseModel):
    """One statement about a benefit: what the person pays, or what is covered."""

    model_config = ConfigDict(frozen=True)

    information: str = Field(description="X12 element 1390: A coinsurance, B copayment, C deductible, G out of pocket.")
    service_types: tuple[str, ...] = ()
    plan: str | None = None
    period: str | None = None
    amount: Decimal | None = None
    percent: Decimal | None = Field(default=None, description="As a share: 0.2 is twenty per cent.")
    in_network: bool | None = None


class Coverage(BaseModel):
    """What the payer answered. ``rejections`` say why it could not: X12 element 901, with 889 behind a colon."""

    model_config = ConfigDict(frozen=True)

    reference: str
    status: Literal["active", "inactive", "unknown"]
    plan: str | None = None
    benefits: tuple[CoverageBenefit, ...] = ()
    rejections: tuple[str, ...] = ()


class CoverageNote(BaseModel):
    """What is known of an account's coverage, as billing is told of it. PHI but for facility, payer, day and status."""

    model_config = ConfigDict(frozen=True)

    account: AccountNumber
    mrn: Mrn | None = None
    facility: FacilityCode
    insurer: str = Field(description="As registration calls the company.")
    payer: str = Field(default="", description="The payer's number at the clearinghouse; empty when it is not known.")
    member_number: str | None = None
    on: date
    status: Literal["active", "inactive", "unknown", "not-verified"]
    plan: str | None = None
    reference: str
