"""The platform's own register of patient accounts, as flows speak to it: where an account stands, and what payers said of it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring.classification import Phi
from hilum.authoring.system import System, command, question
from hilum.model.identifiers import AccountNumber, FacilityCode
from hilum.model.patient_account import Change, Status

CoverageStatus = Literal["to-verify", "not-verified", "active", "inactive", "unknown", "not-asked", "stopped"]
"""``not-asked``: the table says that nobody is asked for this insurer. ``stopped``: the account was cancelled meanwhile."""


class AccountStanding(BaseModel):
    """Where an account stands by all that is known of it."""

    model_config = ConfigDict(frozen=True)

    status: Status
    facility: FacilityCode
    merged: bool = Field(description="Another account stands for it now.")
    charged: Decimal = Field(description="USD of the charges that the platform knows for it.")


class Provider(BaseModel):
    """A facility as payers know it: who asks."""

    model_config = ConfigDict(frozen=True)

    npi: str
    name: str


class CoverageInquiryStanding(BaseModel):
    """What has come of one inquiry. ``attempts`` counts the times a payer was asked, ``reference`` is what it is asked under."""

    model_config = ConfigDict(frozen=True)

    reference: str
    attempts: int
    status: CoverageStatus
    since: datetime | None = None


class CoverageOutcome(BaseModel):
    """What came of asking once."""

    model_config = ConfigDict(frozen=True)

    inquiry: Annotated[str, Phi]
    account: Annotated[AccountNumber, Phi]
    facility: FacilityCode
    insurer: str
    payer: str = ""
    on: date
    attempt: int = Field(ge=1)
    status: CoverageStatus


class PatientAccounts(System):
    """The register: authoritative for what was told of an account and what became of its verifications."""

    @question
    def standing(self, account: AccountNumber) -> AccountStanding | None:
        """Where the account stands; None when nothing is known of it yet."""
        raise AssertionError("answered by the run")

    @question
    def standing_after(
        self, account: AccountNumber, facility: FacilityCode, at: datetime, message: str, change: Change
    ) -> AccountStanding:
        """Where the account stands with this fact of it, whether the register has read it yet or not."""
        raise AssertionError("answered by the run")

    @question
    def provider(self, facility: FacilityCode) -> Provider | None:
        """The facility as payers know it, by the estate's ``tables/providers.csv``."""
        raise AssertionError("answered by the run")

    @question
    def inquiry(self, inquiry: str) -> CoverageInquiryStanding:
        """What has come of an inquiry so far."""
        raise AssertionError("answered by the run")

    @command
    def note_coverage(
        self, outcome: Annotated[CoverageOutcome, Phi], key: str | None = None
    ) -> CoverageInquiryStanding:
        """Write down what came of asking; the same attempt again changes nothing."""
        raise AssertionError("answered by the run")
