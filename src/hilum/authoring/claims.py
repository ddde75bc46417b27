"""The platform's own claim books, as flows speak to them: what is known of each claim, from its 837 to the payer's last word."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring.classification import Phi
from hilum.authoring.failures import Rejected
from hilum.authoring.system import System, command, question


class BookedOtherwise(Rejected, queue="claims", due_hours=24):
    """The same document stands in the claim books with other content. Find out which one is right, then skip this one."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BookedClaim(_Part):
    """One claim of an 837. ``line`` is its place there; ``replaces`` the payer's number of the claim that it corrects or voids."""

    line: str
    claim: str
    facility: str
    provider: str = ""
    payer: str = ""
    payer_class: str = ""
    sequence: str = ""
    frequency: str = "1"
    replaces: str | None = None
    charge: Decimal = Field(max_digits=16, decimal_places=2)
    service_from: date | None = None
    service_to: date | None = None
    services: int = 0


class BookedBatch(_Part):
    """One transaction of claims: ``partner``, ``group`` and ``number`` are how a 999 will name it, ``file`` how a 277CA will."""

    batch: str = Field(min_length=1, max_length=200)
    partner: str
    interchange: str
    group: str
    number: str
    file: str
    on: date
    claims: tuple[BookedClaim, ...]


class BookedFileAnswer(_Part):
    """A word about a transaction, a group, a file or a provider's part of it; ``codes`` say why."""

    line: str
    accepted: bool
    code: str
    codes: tuple[str, ...] = ()
    group: str = ""
    number: str = ""
    file: str = ""
    provider: str = ""


class BookedAnswer(_Part):
    """A word about one claim; ``accepted`` is None where it acknowledges nothing (277)."""

    line: str
    claim: str
    category: str
    accepted: bool | None = None
    file: str = ""
    codes: tuple[str, ...] = ()
    payer_claim: str | None = None
    charge: Decimal | None = None
    paid: Decimal | None = None


class BookedAnswers(_Part):
    """A document that answers: a 999, a 277CA, a 277."""

    source: str = Field(min_length=1, max_length=200)
    partner: str = ""
    on: date
    files: tuple[BookedFileAnswer, ...] = ()
    claims: tuple[BookedAnswer, ...] = ()


class BookedAdjustment(_Part):
    """Money taken off a charge, by group and reason (CARC), with the remarks (RARC) that stand beside it."""

    group: str
    reason: str
    amount: Decimal = Field(max_digits=16, decimal_places=2)
    remarks: tuple[str, ...] = ()


class BookedDecision(_Part):
    """What a payer decided on one claim: ``charge = paid + adjustments``."""

    line: str
    claim: str
    status: str
    charge: Decimal = Field(max_digits=16, decimal_places=2)
    paid: Decimal = Field(max_digits=16, decimal_places=2)
    adjustments: tuple[BookedAdjustment, ...] = ()
    payer_claim: str | None = None
    service_from: date | None = None


class BookedRemittance(_Part):
    """The decisions of one 835."""

    source: str = Field(min_length=1, max_length=200)
    on: date
    payer: str
    payer_class: str
    facility: str
    decisions: tuple[BookedDecision, ...]


class Booked(_Part):
    """What a document came to: how many facts were new, and how many claims they concern."""

    source: str
    facts: int
    claims: int


class ClaimsDesk(System):
    """The claim books: authoritative for what became of each claim."""

    @command
    def submitted(self, batch: Annotated[BookedBatch, Phi], key: str | None = None) -> Booked:
        """Write down what was sent; a second time changes nothing."""
        raise AssertionError("answered by the run")

    @command
    def answered(self, answers: Annotated[BookedAnswers, Phi], key: str | None = None) -> Booked:
        """Write down what was answered; a second time changes nothing."""
        raise AssertionError("answered by the run")

    @command
    def adjudicated(self, remittance: Annotated[BookedRemittance, Phi], key: str | None = None) -> Booked:
        """Write down what a payer decided; a second time changes nothing."""
        raise AssertionError("answered by the run")

    @command
    def aged(self, on: date, key: str | None = None) -> int:
        """Look for answers that should be there by now: work items for those that are not. How many stand open."""
        raise AssertionError("answered by the run")

    @question
    def denial(self, number: int) -> DenialToDecide | None:
        """A denial as it stands now; None when there is none of this number."""
        raise AssertionError("answered by the run")

    @command
    def written_off(self, number: int, decision: str, posted: bool, key: str | None = None) -> Booked:
        """Write down that what was given up is posted, or that nobody agreed to it."""
        raise AssertionError("answered by the run")


class DenialToDecide(_Part):
    """A denial without whose it is: what a decision needs."""

    number: int
    state: str
    facility: str
    payer: str
    payer_class: str
    group: str
    reason: str
    amount: Decimal
    on: date
    limit_usd: Decimal = Field(description="Up to so many dollars it is given up without asking anybody.")
