"""What a period owes at its end: charges that no journal has, and goods that came without their invoice; taken back on the day after.

One case for each facility and period. An estate supplies the posting rules for ``unbilled_charges`` and ``received_not_invoiced``, a
schedule that yields ``PeriodEnding``, and systems that play the roles ``erp`` and ``revenue``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated

from hilum.authoring import Contract, Erp, Key, PageRequest, Rejected, flow, step
from hilum.authoring.paging import MAX_PAGE
from hilum.authoring.revenue import Accrual, RevenueBooks, StagedAccrual, StagedJournal, StagedSource
from hilum.model.identifiers import FacilityCode
from hilum.model.posting import FinancialMovement
from hilum.model.procurement import PurchaseOrder
from hilum.model.where import AllOf, Equals, OneOf
from hilum.processes.patient_to_cash.journals import PeriodNotOpen as PeriodNotOpen
from hilum.processes.patient_to_cash.journals import Posted, into_ledger, number_noted

erp = Erp("erp")
revenue = RevenueBooks("revenue")

NOT_INVOICED = "received_not_invoiced"
"""The kind of the movements that usage not yet invoiced makes."""
_OPEN = frozenset({"confirmed", "processing"})
_CURRENCY = "USD"


class PeriodEnding(Contract, version=1, identities=[("facility", "period")], owner="finance"):
    """A facility's fiscal period is over, as far as charges and usage go: what it owes is accrued."""

    number: Annotated[str, Key("period")]  # ST-MARY/2026-03
    facility: FacilityCode
    period: str
    last_day: date


class OrderInOtherCurrency(Rejected, queue="finance-master", due_hours=24):
    """Invoice or receive the order in the ERP in full, or have it made out in the currency of the books, then release."""


@flow(
    on=PeriodEnding,
    key="number",
    ordering="facility",
    criticality="high",
    owner="finance",
    recovery="Both halves are staged at once and posted each once; a released case goes on from the journal that failed.",
)
def accrue_period(ending: PeriodEnding) -> None:
    owed = not_invoiced(ending)
    staged = stage_accrual(ending, owed)
    for half, on in ((staged.accrual, ending.last_day), (staged.reversal, day_after(ending.last_day))):
        for journal in half.journals:
            posted = post_accrual_journal(ending, half, journal, on)
            record_accrual_posting(half.source, journal.facility, posted)


def day_after(day: date) -> date:
    return day + timedelta(days=1)


@step
def not_invoiced(ending: PeriodEnding) -> tuple[FinancialMovement, ...]:
    """What the facility's open orders received beyond what was invoiced, at their prices; implants' replenishment among them."""
    where = AllOf((Equals("facility", ending.facility.value), OneOf("state", _OPEN)))
    found: list[PurchaseOrder] = []
    cursor: str | None = None
    while True:
        page = erp.orders(where, PageRequest(limit=MAX_PAGE, cursor=cursor))
        found += page.items
        cursor = page.next
        if cursor is None:
            return tuple(received_not_invoiced(found, ending.facility.value, ending.last_day))


def received_not_invoiced(orders: Iterable[PurchaseOrder], facility: str, until: date) -> Iterator[FinancialMovement]:
    """One movement for each order line that was received and not invoiced; an order made after ``until`` is the next period's."""
    for order in orders:
        if order.ordered_on is not None and order.ordered_on > until:
            continue
        for line in order.lines:
            owed = (line.unit_price * max(line.received - line.invoiced, Decimal(0))).rounded()
            if not owed.amount:
                continue
            if owed.currency != _CURRENCY:
                raise OrderInOtherCurrency(
                    order.number, detail=f"{owed.amount} {owed.currency} received and not invoiced"
                )
            yield FinancialMovement(
                kind=NOT_INVOICED, facility=facility, line=f"{order.number}/{line.id}", amount=owed.amount
            )


@step
def stage_accrual(ending: PeriodEnding, owed: tuple[FinancialMovement, ...]) -> StagedAccrual:
    return revenue.accrue(
        Accrual(
            facility=ending.facility.value,
            period=ending.period,
            last_day=ending.last_day,
            first_day_after=day_after(ending.last_day),
            not_invoiced=owed,
        )
    )


@step
def post_accrual_journal(ending: PeriodEnding, half: StagedSource, journal: StagedJournal, on: date) -> Posted:
    """The accrual on the last day, its reversal on the first day after; a closed period's on the first open day, which the text says."""
    what = "Accrual" if half.source.startswith("accrual/") else "Reversal of the accrual"
    text = f"{what} of {journal.facility} for {ending.period}"
    return into_ledger(half.source, journal.facility, text=text, on=on, at_risk_usd=journal.total)


@step
def record_accrual_posting(source: str, facility: str, posted: Posted) -> StagedSource:
    return number_noted(source, facility, posted)
