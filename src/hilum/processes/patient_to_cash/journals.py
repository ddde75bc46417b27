"""From the revenue books into the ERP's ledger: one journal of a source and facility posted, once, and its number brought back.

Whatever is staged, a remittance, a statement's deposits, a day's charges, an accrual, takes this way.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from hilum.authoring import Erp, Rejected
from hilum.authoring.revenue import RevenueBooks, StagedSource
from hilum.model.ledger import DocumentRef

erp = Erp("erp")
revenue = RevenueBooks("revenue")


class PeriodNotOpen(Rejected, queue="erp-refusals", due_hours=24):
    """Open the fiscal period in the ERP, or the next one, then release."""


class Posted(BaseModel):
    """A journal of the ledger and its day there: a later one than that of what it posts when the period was closed."""

    model_config = ConfigDict(frozen=True)

    document: DocumentRef
    on: date


def into_ledger(source: str, facility: str, *, text: str, on: date, at_risk_usd: Decimal) -> Posted:
    """Post what a source staged at a facility: on that day, or on the first day of the next open period, which its text then says."""
    day = erp.posting_day(on)
    if day is None:
        raise PeriodNotOpen(f"{on:%Y-%m} and after", at_risk_usd=at_risk_usd)
    late = "" if day == on else f", of {on} when its period was closed"
    journal = revenue.journal(source, facility, description=f"{text}{late}", on=day)
    if journal is None:
        raise LookupError(f"{source} has a journal at {facility} and no entries for it")
    document = erp.post_journal(journal, key=f"{source}/{facility}")
    # What a runner before this one posted may stand on another day than the one that is open now: the ledger says on which.
    entry = erp.journal_entry(document.number)
    return Posted(document=document, on=day if entry is None else entry.date)


def number_noted(source: str, facility: str, posted: Posted) -> StagedSource:
    """Write the ledger's number down beside the entries it stands for."""
    return revenue.posted(source, facility, posted.document, posted.on)
