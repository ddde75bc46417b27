"""From collected charges to the ERP's ledger: gathered each night facility by facility, summarised by day and cost centre, posted.

One case for each facility and run. An estate supplies a collection of charges, the posting tables, a schedule that yields
``ChargesDue``, and systems that play the roles ``erp`` and ``revenue``.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from hilum.authoring import Contract, Key, flow, step
from hilum.authoring.revenue import RevenueBooks, StagedBatch, StagedCharges, StagedJournal, StagedSource
from hilum.model.identifiers import FacilityCode
from hilum.processes.patient_to_cash.journals import PeriodNotOpen as PeriodNotOpen
from hilum.processes.patient_to_cash.journals import Posted, into_ledger, number_noted

revenue = RevenueBooks("revenue")


class ChargesDue(Contract, version=1, identities=["number"], owner="revenue-cycle"):
    """It is time to post what a facility charged up to a day."""

    number: Annotated[str, Key("run")]  # ST-MARY/2026-03-03T02:30: each moment is a run of its own.
    facility: FacilityCode
    until: date  # The last service day that is complete.


@flow(
    on=ChargesDue,
    key="number",
    ordering="facility",
    criticality="high",
    owner="revenue-cycle",
    recovery="A run gathers once and finds again what it found. Rejected cases go on from the failed step when released; journals that the "
    "ERP has are found by their keys and not posted again.",
)
def post_charges(due: ChargesDue) -> None:
    staged = stage_charges(due)
    for batch in staged.batches:
        for journal in batch.journals:
            posted = post_charge_journal(batch, journal)
            record_charge_posting(batch.source, journal.facility, posted)


@step
def stage_charges(due: ChargesDue) -> StagedCharges:
    return revenue.stage_charges(due.facility.value, due.until, due.number)


@step
def post_charge_journal(batch: StagedBatch, journal: StagedJournal) -> Posted:
    """On the service day; charges that came after their day was posted, and those accrued before, say so."""
    late = f", late (batch {batch.batch})" if batch.batch > 1 else ""
    accrued = f", accrued before {batch.on}" if batch.on != batch.service_on else ""
    text = f"Charges of {journal.facility} on {batch.service_on}{late}{accrued}"
    return into_ledger(batch.source, journal.facility, text=text, on=batch.on, at_risk_usd=journal.total)


@step
def record_charge_posting(source: str, facility: str, posted: Posted) -> StagedSource:
    return number_noted(source, facility, posted)
