"""Control over the revenue books: what was posted, to be compared with the ledger, and what the comparison found."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring.system import System, command, question
from hilum.model.book_control import BookedJournal, Disagreement
from hilum.model.patient_billing import BilledCharge


class BookedPage(BaseModel):
    """Some of the posted journals, oldest first; ``after`` asks for those that follow, None when there are none."""

    model_config = ConfigDict(frozen=True)

    journals: tuple[BookedJournal, ...]
    after: str | None = None


class Comparison(BaseModel):
    """What comparing two books found. ``since``: earlier days were not looked at, and what was open there stays open."""

    model_config = ConfigDict(frozen=True)

    run: str = Field(min_length=1, max_length=120)
    books: str = Field(
        min_length=1, max_length=60, description="Which two: staged-ledger, ledger-foreign, billing-staged ..."
    )
    since: date
    compared: int
    disagreements: tuple[Disagreement, ...]
    watched: tuple[Watched, ...] = Field(default=(), description="How far the ledger was read, to go on from there.")


class Compared(BaseModel):
    """How the books stand after a comparison, as a step's result: without the records themselves."""

    model_config = ConfigDict(frozen=True)

    books: str
    compared: int
    open: int


class Watched(BaseModel):
    """An account on which nobody but the platform posts from a day on, and how far the ledger's lines on it were read."""

    model_config = ConfigDict(frozen=True)

    account: str
    since: date
    cursor: str | None = None


class ChargedDay(BaseModel):
    """What was collected at a facility for services of one day, credits taken off; ``payer`` is empty where none was said."""

    model_config = ConfigDict(frozen=True)

    facility: str
    day: date
    payer: str = ""
    charges: int
    amount: Decimal


class RevenueControl(System):
    """The platform's own control books."""

    @question
    def posted_since(self, day: date, after: str | None) -> BookedPage:
        """Journals that stand in the ledger on that day or later."""
        raise AssertionError("answered by the run")

    @question
    def watched_accounts(self) -> tuple[Watched, ...]:
        """The accounts on which nobody but the platform posts, by the estate's table."""
        raise AssertionError("answered by the run")

    @question
    def unknown_entries(self, numbers: tuple[str, ...]) -> tuple[str, ...]:
        """Those of these journal numbers that no journal of ours has."""
        raise AssertionError("answered by the run")

    @question
    def charged_since(self, day: date) -> tuple[ChargedDay, ...]:
        """Totals of the charges that were collected for services of that day and later."""
        raise AssertionError("answered by the run")

    @question
    def charges_on(self, day: date, facility: str) -> tuple[BilledCharge, ...]:
        """Every charge and credit that was collected at a facility for services of one day."""
        raise AssertionError("answered by the run")

    @question
    def open_disagreements(self, books: str) -> tuple[Disagreement, ...]:
        """What earlier comparisons found and nobody has mended or explained yet."""
        raise AssertionError("answered by the run")

    @command
    def compared(self, comparison: Comparison, key: str | None = None) -> Compared:
        """Write down what a comparison found: a work item for each facility and day, closed when the books agree again."""
        raise AssertionError("answered by the run")
