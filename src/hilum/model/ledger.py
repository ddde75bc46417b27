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
