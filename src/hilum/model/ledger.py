"""Journals: double entry, balanced or not at all."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hilum.model.identifiers import CostCentre
from hilum.model.money import Money


class JournalLine(BaseModel):
    """One side of a journal: exactly one of debit and credit is above zero."""

    model_config = ConfigDict(frozen=True)

    account: str = Field(min_length=1, description="The ERP's account code.")
    debit: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)
    cost_centre: CostCentre | None = None

    @model_validator(mode="after")
    def _one_side(self) -> JournalLine:
        if (self.debit > 0) == (self.credit > 0) or self.debit < 0 or self.credit < 0:
            raise ValueError(f"account {self.account}: give either a debit or a credit above zero")
        return self


class Journal(BaseModel):
    """A journal entry; its debits equal its credits to the cent."""

    model_config = ConfigDict(frozen=True)

    date: date
    description: str
    currency: str = "USD"
    lines: tuple[JournalLine, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _balanced(self) -> Journal:
        difference = sum((line.debit - line.credit for line in self.lines), Decimal(0))
        if difference:
            raise ValueError(f"journal does not balance: debits exceed credits by {difference}")
        return self

    @property
    def total(self) -> Money:
        return Money(amount=sum((line.debit for line in self.lines), Decimal(0)), currency=self.currency)


class DocumentRef(BaseModel):
    """A document that a system made for us: what to search for there."""

    model_config = ConfigDict(frozen=True)

    system: str
    type: str
    number: str
    id: str = ""
    state: str = ""


class CostCentreRecord(BaseModel):
    """A cost centre in use, as the ERP names it."""

    model_config = ConfigDict(frozen=True)

    code: str
    name: str


class LedgerAccount(BaseModel):
    """An account of the chart, as the ERP names it; ``postable`` is false where it only sums up others, or is closed.

    ``valid_from`` and ``valid_to`` are the days between which it takes postings, both inclusive; None is without limit.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    name: str
    kind: str
    postable: bool
    valid_from: date | None = None
    valid_to: date | None = None


class LedgerPosting(BaseModel):
    """One posted line of the general ledger; one of ``debit`` and ``credit`` is zero.

    ``cost_centre`` is the one it is attributed to; None when there is none or it is shared by several.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="The ERP's own number of the line.")
    entry: str = Field(description="The journal entry's number.")
    date: date
    journal: str
    account: str | None = Field(description="The account's code; None for one that has only a name.")
    account_name: str
    debit: Money
    credit: Money
    cost_centre: str | None = None
    description: str = ""


class JournalEntry(BaseModel):
    """A posted journal entry with its lines, which balance."""

    model_config = ConfigDict(frozen=True)

    number: str
    date: date
    journal: str
    description: str = ""
    lines: tuple[LedgerPosting, ...]


class AccountBalance(BaseModel):
    """What stands on an account in one fiscal year, from posted entries; ``balance`` is debit less credit."""

    model_config = ConfigDict(frozen=True)

    account: str
    name: str
    fiscal_year: str
    debit: Money
    credit: Money
    balance: Money
