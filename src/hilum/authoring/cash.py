"""The platform's own cash desk: which deposit of the bank is which remittance of a payer, as flows speak to it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from hilum.authoring.failures import Rejected
from hilum.authoring.system import System, command


class DepositDiffers(Rejected, queue="cash-posting", due_hours=24):
    """Compare the deposit with its remittances: ask the payer for what is missing, or the bank for what it credited. The item
    closes by itself when a further deposit or remittance makes them equal."""


class DepositReturned(Rejected, queue="cash-posting", due_hours=8):
    """The bank took the deposit back. Ask the payer to pay again; its claims stand as paid until it does."""


class DepositWithoutRemittance(Rejected, queue="cash-posting", due_hours=48):
    """Ask the payer or the clearinghouse for the remittance (835) of each deposit. The item closes by itself when it comes."""


class RemittanceWithoutDeposit(Rejected, queue="cash-posting", due_hours=48):
    """Ask the payer when and to which account it paid, and the bank for what is missing. The item closes by itself when it comes."""


class DepositSaidOtherwise(Rejected, queue="cash-posting", due_hours=8):
    """The bank reported the same line of an account and day before with another amount; that one stands as it was posted. Ask the
    bank which is right, and correct the books by hand where it is the later one."""


class DepositLine(BaseModel):
    """A deposit as re-association sees it; ``amount`` is below zero where it was taken back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: str
    type_code: str
    kind: str
    amount: Decimal
    traces: tuple[tuple[str, str], ...] = ()
    company: str = ""
    reference: str = ""


class StatementLines(BaseModel):
    """The lines of one statement, with the facility whose account it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    statement: str
    account: str
    facility: str
    day: date
    lines: tuple[DepositLine, ...]


class RecordedLines(BaseModel):
    """Which lines of a statement are news, in their order: ``repeated`` ones stand in earlier statements, and are posted there."""

    model_config = ConfigDict(frozen=True)

    statement: str
    fresh: tuple[str, ...]
    repeated: int


class ExpectedDeposit(BaseModel):
    """A remittance as re-association sees it: the payer's company (TRN03), its trace number (TRN02) and how it pays (BPR04)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: str
    payer: str
    company: str = ""
    trace: str
    method: str = ""
    on: date
    amount: Decimal
    facility: str = ""


class Overdue(BaseModel):
    """What has waited too long: how many facts, and how many of them nobody had been told of."""

    model_config = ConfigDict(frozen=True)

    deposits: int
    remittances: int
    told: int


class CashDesk(System):
    """Re-association: authoritative for how deposits and remittances stand to each other."""

    @command
    def record(self, lines: StatementLines, key: str | None = None) -> RecordedLines:
        """Write the lines of a statement down and let its deposits meet their remittances; a line that is known stays as it was."""
        raise AssertionError("answered by the run")

    @command
    def expect(self, advice: ExpectedDeposit, key: str | None = None) -> bool:
        """Write a remittance down and let it meet its deposit; whether it was news."""
        raise AssertionError("answered by the run")

    @command
    def tell_overdue(self, on: date, deposit_days: int, remittance_days: int, key: str | None = None) -> Overdue:
        """Open work for deposits without remittance and remittances without deposit that are so many days old."""
        raise AssertionError("answered by the run")
