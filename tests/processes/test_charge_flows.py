"""The nights of charges and the ends of periods, rehearsed: what is asked, staged and posted, in which order, and under which text."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from hilum.authoring import Page, PageRequest
from hilum.authoring.revenue import Accrual, StagedAccrual, StagedBatch, StagedCharges, StagedJournal, StagedSource
from hilum.model.identifiers import FacilityCode
from hilum.model.ledger import DocumentRef, Journal, JournalLine
from hilum.model.money import Money
from hilum.model.procurement import PurchaseOrder, PurchaseOrderLine
from hilum.processes.patient_to_cash.accruals import (
    OrderInOtherCurrency,
    PeriodEnding,
    accrue_period,
    received_not_invoiced,
)
from hilum.processes.patient_to_cash.charge_posting import ChargesDue, post_charges
from hilum.processes.patient_to_cash.journals import PeriodNotOpen
from hilum.testing.rehearsal import rehearse

MARCH_END, APRIL = date(2026, 3, 31), date(2026, 4, 1)
MARY = FacilityCode(value="ST-MARY")


def usd(text: str) -> Decimal:
    return Decimal(text)


@dataclass
class Books:
    """The revenue books and the ledger in one, as both answer."""

    batches: tuple[StagedBatch, ...] = ()
    orders_there: tuple[PurchaseOrder, ...] = ()
    closed_until: date = date.min
    last_open: date = date.max
    accrued: list[Accrual] = field(default_factory=list)
    texts: list[tuple[date, str]] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)

    def stage_charges(self, facility: str, until: date, run: str) -> StagedCharges:
        return StagedCharges(run=run, batches=self.batches)

    def accrue(self, accrual: Accrual) -> StagedAccrual:
        self.accrued.append(accrual)
        halves = [
            StagedSource(
                source=f"{name}/{accrual.facility}/{accrual.period}", entries=1,
                journals=(StagedJournal(facility=accrual.facility, total=usd("9.00")),),
            )
            for name in ("accrual", "accrual-reversal")
        ]  # fmt: skip
        return StagedAccrual(accrual=halves[0], reversal=halves[1])

    def orders(self, where: Any, page: PageRequest) -> Page[PurchaseOrder]:
        return Page(self.orders_there)

    def journal(self, source: str, facility: str, description: str, on: date) -> Journal:
        self.texts.append((on, description))
        lines = (JournalLine(account="1200", debit=usd("9.00")), JournalLine(account="4100", credit=usd("9.00")))
        return Journal(date=on, description=description, lines=lines)

    def posting_day(self, on: date) -> date | None:
        day = on if on > self.closed_until else APRIL
        return day if day <= self.last_open else None

    def post_journal(self, journal: Journal) -> DocumentRef:
        return DocumentRef(system="erp", type="journal", number=f"JE-{len(self.texts)}")

    def journal_entry(self, number: str) -> None:
        return None

    def posted(self, source: str, facility: str, document: DocumentRef, on: date) -> StagedSource:
        self.noted.append((source, document.number))
        return StagedSource(source=source, entries=1, journals=())


def batch(number: int, *, service_on: date, on: date | None = None) -> StagedBatch:
    return StagedBatch(
        source=f"charges/ST-MARY/{service_on}/{number}", service_on=service_on, batch=number, on=on if on is not None else service_on,
        charges=1, amount=usd("9.00"), journals=(StagedJournal(facility="ST-MARY", total=usd("9.00")),),
    )  # fmt: skip


def night(books: Books) -> None:
    due = ChargesDue(number="ST-MARY/N", facility=MARY, until=MARCH_END)
    rehearse(post_charges, due, systems={"revenue": books, "erp": books})


def test_each_service_day_is_posted_on_its_day_and_says_when_it_is_late_or_was_accrued() -> None:
    books = Books(
        (
            batch(1, service_on=date(2026, 3, 30)),
            batch(2, service_on=date(2026, 3, 30)),
            batch(3, service_on=date(2026, 3, 29), on=APRIL),
        )
    )
    night(books)
    assert books.texts == [
        (date(2026, 3, 30), "Charges of ST-MARY on 2026-03-30"),
        (date(2026, 3, 30), "Charges of ST-MARY on 2026-03-30, late (batch 2)"),
        (APRIL, "Charges of ST-MARY on 2026-03-29, late (batch 3), accrued before 2026-04-01"),
    ]
    assert [source for source, _ in books.noted] == [each.source for each in books.batches]


def test_a_closed_period_posts_on_the_next_open_day_and_says_for_which() -> None:
    books = Books((batch(1, service_on=MARCH_END),), closed_until=MARCH_END)
    night(books)
    assert books.texts == [(APRIL, "Charges of ST-MARY on 2026-03-31, of 2026-03-31 when its period was closed")]


def test_without_an_open_period_the_run_waits_for_finance_with_its_dollars() -> None:
    with pytest.raises(PeriodNotOpen) as waits:
        night(Books((batch(1, service_on=MARCH_END),), closed_until=MARCH_END, last_open=date(2026, 3, 1)))
    assert (waits.value.cause, waits.value.at_risk_usd) == ("2026-03 and after", usd("9.00"))


def ordered(
    number: str, *lines: tuple[str, str, str], on: date = date(2026, 3, 9), currency: str = "USD"
) -> PurchaseOrder:
    return PurchaseOrder(
        number=number, supplier="ORTHO", supplier_name="Ortho", facility=MARY, state="processing", ordered_on=on, currency=currency,
        lines=tuple(
            PurchaseOrderLine(
                id=f"{number}-{at}", item=None, ordered=Decimal(9), received=Decimal(received), invoiced=Decimal(invoiced),
                unit_price=Money(amount=Decimal(price), currency=currency),
            )
            for at, (received, invoiced, price) in enumerate(lines, start=1)
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("order", "owed"),
    [
        (ordered("PO-1", ("4", "1", "100.00"), ("2", "2", "5.00")), ["300.00"]),
        (ordered("PO-2", ("1", "3", "100.00")), []),  # Invoiced before it came: nothing is owed for goods.
        (ordered("PO-3", ("0", "0", "100.00")), []),
        (ordered("PO-4", ("3", "0", "0.345")), ["1.04"]),
        (ordered("PO-5", ("3", "0", "10.00"), on=APRIL), []),
    ],
    ids=lambda given: given.number if isinstance(given, PurchaseOrder) else "",
)
def test_what_was_received_beyond_what_was_invoiced_is_owed(order: PurchaseOrder, owed: list[str]) -> None:
    assert [str(each.amount) for each in received_not_invoiced([order], "ST-MARY", MARCH_END)] == owed


def test_an_order_in_another_currency_is_finances_to_decide() -> None:
    with pytest.raises(OrderInOtherCurrency, match="PO-9"):
        list(received_not_invoiced([ordered("PO-9", ("1", "0", "5.00"), currency="EUR")], "ST-MARY", MARCH_END))


def test_a_period_is_accrued_on_its_last_day_and_taken_back_on_the_next_also_when_it_was_closed_meanwhile() -> None:
    ending = PeriodEnding(number="ST-MARY/2026-03", facility=MARY, period="2026-03", last_day=MARCH_END)
    for closed_until, first in ((date.min, (MARCH_END, "Accrual of ST-MARY for 2026-03")),
                                (MARCH_END, (APRIL, "Accrual of ST-MARY for 2026-03, of 2026-03-31 when its period was closed"))):  # fmt: skip
        books = Books(orders_there=(ordered("PO-1", ("1", "0", "5.00")),), closed_until=closed_until)
        rehearse(accrue_period, ending, systems={"revenue": books, "erp": books})
        assert books.texts == [first, (APRIL, "Reversal of the accrual of ST-MARY for 2026-03")]
        [accrual] = books.accrued
        assert (accrual.last_day, accrual.first_day_after) == (MARCH_END, APRIL)
        assert [(each.line, each.amount) for each in accrual.not_invoiced] == [("PO-1/PO-1-1", usd("5.00"))]
