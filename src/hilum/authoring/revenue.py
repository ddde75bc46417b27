"""The platform's own revenue books: the subledger in which financial facts wait for the ERP's ledger, as flows speak to it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring.classification import Phi
from hilum.authoring.failures import Rejected
from hilum.authoring.system import System, command, question
from hilum.model.ledger import DocumentRef, Journal
from hilum.model.posting import FinancialMovement


class NoPostingRule(Rejected, queue="finance-master", due_hours=24):
    """Add the rule to the posting rules (or the reason to the adjustment kinds) of the estate, load it, then release."""


class StagedOtherwise(Rejected, queue="cash-posting", due_hours=8):
    """The same document was staged before with other amounts, and stays as it was. Find out which is right; skip this one, or
    have its sender correct it under a number of its own."""


class Staging(BaseModel):
    """What a document moves, to be staged as one: all of it or nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1, max_length=200, description="remittance/HHP01/EFT-7: one source is staged once.")
    kind: str
    reference: str
    payer: str = ""
    on: date
    amount: Decimal = Field(description="What the document itself says it comes to.")
    movements: tuple[FinancialMovement, ...]


class StagedJournal(BaseModel):
    """The journal of one facility that a source makes; ``number`` is the ERP's, once it is posted."""

    model_config = ConfigDict(frozen=True)

    facility: str
    total: Decimal
    number: str | None = None


class StagedSource(BaseModel):
    """A staged document and its journals, by facility. Without journals it moved nothing between accounts."""

    model_config = ConfigDict(frozen=True)

    source: str
    entries: int
    journals: tuple[StagedJournal, ...]


class StagedBatch(BaseModel):
    """The charges of one service day that one run found. From the second batch of a day on they came after it was posted."""

    model_config = ConfigDict(frozen=True)

    source: str
    service_on: date
    batch: int
    on: date = Field(
        description="From when on it may stand in the ledger: later than the service when it was accrued before."
    )
    charges: int
    amount: Decimal
    journals: tuple[StagedJournal, ...]


class StagedCharges(BaseModel):
    """What one run staged, by service day; none when nothing was open."""

    model_config = ConfigDict(frozen=True)

    run: str
    batches: tuple[StagedBatch, ...]


class Accrual(BaseModel):
    """What a period owes at its end: the facility's charges that no journal has, and ``not_invoiced``, which others know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    facility: str
    period: str = Field(pattern=r"^\d{4}-\d{2}$")
    last_day: date
    first_day_after: date
    not_invoiced: tuple[FinancialMovement, ...] = ()


class StagedAccrual(BaseModel):
    """Both halves of an accrual: on the last day of its period, and taken back on the first day after."""

    model_config = ConfigDict(frozen=True)

    accrual: StagedSource
    reversal: StagedSource


class RevenueBooks(System):
    """The subledger: authoritative for what was staged, and for which journal of the ERP it stands in."""

    @command
    def stage(self, staging: Annotated[Staging, Phi], key: str | None = None) -> StagedSource:
        """Stage a document by the posting tables of the estate; staging it again changes nothing."""
        raise AssertionError("answered by the run")

    @question
    def journal(self, source: str, facility: str, description: str, on: date) -> Journal | None:
        """The journal that a source makes at one facility, dated that day; None when it makes none there."""
        raise AssertionError("answered by the run")

    @command
    def posted(
        self, source: str, facility: str, document: DocumentRef, on: date, key: str | None = None
    ) -> StagedSource:
        """Write down that the ERP has the journal, on which day of its ledger."""
        raise AssertionError("answered by the run")

    @command
    def stage_charges(self, facility: str, until: date, run: str, key: str | None = None) -> StagedCharges:
        """Stage every open charge of a facility whose service day is not after ``until``. A run is one: again, it finds what it found."""
        raise AssertionError("answered by the run")

    @command
    def accrue(self, accrual: Accrual, key: str | None = None) -> StagedAccrual:
        """Stage a period's accrual and its reversal, once: what came since stays out of it."""
        raise AssertionError("answered by the run")
