"""From the bank's statement to the ERP's ledger, and deposits to their remittances: recorded, staged, posted, told when overdue.

One case for each account and day that a file reports, one for each remittance, one for each night. An estate supplies mappings that
yield ``BankStatementReported``, the crosswalk ``bank_account_to_facility``, posting rules for ``deposit`` and ``bank_other``, a
schedule that yields ``CashDue``, and systems that play the roles ``erp``, ``revenue`` and ``cash``.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hilum.authoring import Contract, Crosswalk, Rejected, flow, step
from hilum.authoring.cash import (
    CashDesk,
    DepositLine,
    ExpectedDeposit,
    Overdue,
    RecordedLines,
    StatementLines,
)
from hilum.authoring.revenue import RevenueBooks, StagedSource, Staging
from hilum.processes.patient_to_cash.deposits import DEPOSIT, BankStatementReported, movements
from hilum.processes.patient_to_cash.journals import PeriodNotOpen as PeriodNotOpen
from hilum.processes.patient_to_cash.journals import Posted, into_ledger, number_noted
from hilum.processes.patient_to_cash.remittance import RemittanceAdvised

revenue = RevenueBooks("revenue")
cash = CashDesk("cash")

facility_by_account = Crosswalk("bank_account_to_facility")


class UnknownBankAccount(Rejected, queue="finance-master", due_hours=8):
    """Map the bank account, whose last digits the title shows, to its facility (`hilum crosswalk set bank_account_to_facility`),
    then release."""


class CashDue(Contract, version=1, identities=["day"], owner="finance"):
    """It is time to tell what waits too long: deposits and remittances whose other half did not come within so many days."""

    day: date
    deposit_days: int  # After so many days a deposit without remittance is told of.
    remittance_days: int


@flow(
    on=BankStatementReported,
    key="number",
    criticality="high",
    owner="finance",
    recovery="Lines are recorded once, whichever report brings them first; nothing is posted before all of a report is staged. Journals "
    "that the ERP has are found by their keys and not posted again.",
)
def post_deposits(reported: BankStatementReported) -> None:
    facility = facility_of_account(reported)
    recorded = record_lines(reported, facility)
    if not recorded.fresh:
        return  # Every line stands in an earlier report of the day.
    staged = stage_deposits(reported, facility, recorded)
    for journal in staged.journals:
        posted = post_deposit_journal(reported, staged.source, journal.facility)
        record_deposit_posting(staged.source, journal.facility, posted)


@flow(
    on=RemittanceAdvised,
    key="number",
    criticality="normal",
    owner="finance",
    recovery="A remittance is written down once and meets whatever deposits are known; repeating it changes nothing.",
)
def expect_deposit(advised: RemittanceAdvised) -> None:
    expect(advised)


@flow(
    on=CashDue,
    key="day",
    criticality="normal",
    owner="finance",
    recovery="What people were told of is not told again; repeating it changes nothing.",
)
def tell_overdue_cash(due: CashDue) -> None:
    tell_overdue(due)


def deposits_source(reported: BankStatementReported) -> str:
    """How the books call a report of an account and day."""
    return f"deposits/{reported.number}"


@step
def facility_of_account(reported: BankStatementReported) -> str:
    facility = facility_by_account.lookup(reported.account, on=None)
    if facility is None:
        raise UnknownBankAccount(reported.account_handle, at_risk_usd=abs(reported.deposited))
    return facility


@step
def record_lines(reported: BankStatementReported, facility: str) -> RecordedLines:
    """Write the lines down; deposits meet their remittances at once, as far as they are known."""
    return cash.record(
        StatementLines(
            statement=reported.number,
            account=reported.account_handle,
            facility=facility,
            day=reported.day,
            lines=tuple(
                DepositLine(
                    number=line.number, type_code=line.type_code, kind=line.kind, amount=line.amount,
                    traces=tuple((each.number, _said(each.company)) for each in line.traces),
                    company=_said(line.company), reference=_said(line.reference),
                )
                for line in reported.lines
            ),
        )
    )  # fmt: skip


@step
def stage_deposits(reported: BankStatementReported, facility: str, recorded: RecordedLines) -> StagedSource:
    """All that is news, and nothing that an earlier report of the day brought."""
    fresh = frozenset(recorded.fresh)
    deposited = sum(
        (line.amount for line in reported.lines if line.kind == DEPOSIT and line.number in fresh), Decimal(0)
    )
    return revenue.stage(
        Staging(
            source=deposits_source(reported),
            kind="deposits",
            reference=f"{reported.account_handle} {reported.day}",
            on=reported.day,
            amount=deposited,
            movements=tuple(movements(reported, fresh, facility)),
        )
    )


@step
def post_deposit_journal(reported: BankStatementReported, source: str, facility: str) -> Posted:
    """On the day of the statement, or on the first day of the next open period, which its text then says."""
    text = f"Deposits on {reported.account_handle}"
    return into_ledger(source, facility, text=text, on=reported.day, at_risk_usd=abs(reported.deposited))


@step
def record_deposit_posting(source: str, facility: str, posted: Posted) -> StagedSource:
    return number_noted(source, facility, posted)


@step
def expect(advised: RemittanceAdvised) -> bool:
    """Write down what the bank should have; a remittance that pays nothing expects nothing."""
    return cash.expect(
        ExpectedDeposit(
            number=advised.number,
            payer=advised.payer,
            company=_said(advised.payer_company),
            trace=advised.trace_number,
            method=_said(advised.method),
            on=advised.paid_on,
            amount=advised.amount,
            facility=advised.facility.value if advised.facility is not None else "",
        )
    )


@step
def tell_overdue(due: CashDue) -> Overdue:
    return cash.tell_overdue(due.day, due.deposit_days, due.remittance_days)


def _said(text: str | None) -> str:
    """What re-association compares: an empty text is what nobody said."""
    return text if text is not None else ""
