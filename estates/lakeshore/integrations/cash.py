"""Patient to cash: what the bank says it has, in the books and beside the remittances that explain it."""

from __future__ import annotations

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from hilum.authoring import Bai2, InvalidData, Moment, System, Table, mapping, schedule
from hilum.formats.tabular import Column, Layout, rows
from hilum.processes.patient_to_cash.cash import CashDue, expect_deposit, post_deposits, tell_overdue_cash
from hilum.processes.patient_to_cash.deposits import AccountDay, BankStatementReported, Moved, account_days, statements

bank = System("bank")

# Who may look at a statement is decided from its first moment on, by the table as it was loaded; to whose books it is posted, by
# the crosswalk as stewards keep it.
with (Path(__file__).parents[1] / "tables" / "bank_account_to_facility.csv").open(
    newline="", encoding="utf-8"
) as table:
    ACCOUNTS = {row["code"]: row["target"] for row in csv.DictReader(table) if not row["valid_to"]}

# What the bank's portal exports. Amounts are without a sign: the type code says which side.
PORTAL = Layout(
    columns=(
        Column(name="Bank ID", required=True, pattern=r"[0-9]{9}"),
        Column(name="Account Number", required=True, pattern=r"[0-9]{4,17}"),
        Column(name="Posted Date", type="date", required=True, formats=("%m/%d/%Y", "%Y-%m-%d")),
        Column(name="BAI Code", required=True, pattern=r"[0-9]{3}"),
        Column(name="Credit Amount", type="decimal", grouping=","),
        Column(name="Debit Amount", type="decimal", grouping=","),
        Column(name="Bank Reference"),
        Column(name="Customer Reference"),
        Column(name="Company ID"),
        Column(name="Description", phi=True),
        Column(name="Addenda", phi=True),
    ),
    min_rows=1,
    extra="ignore",
)

WAIT_FOR_REMITTANCE_DAYS, WAIT_FOR_DEPOSIT_DAYS = 3, 5

__all__ = ["expect_deposit", "post_deposits", "tell_overdue_cash"]


@mapping(source=bank, message="BAI2")
def bank_statement_reported(message: Bai2) -> list[BankStatementReported]:
    """One fact for each account and day of the file."""
    return statements(account_days(message), ACCOUNTS)


@mapping(source=bank, message="table")
def bank_table_reported(message: Table) -> list[BankStatementReported]:
    """The same, out of the portal's export; the whole file or nothing of it."""
    days: dict[tuple[str, str, object], list[Moved]] = defaultdict(list)
    for row, wrong in rows(message, PORTAL):
        for finding in wrong:
            if finding.severity == "error":
                raise InvalidData(f"line {finding.line}: {finding.text}", detail=finding.location or "")
        if row is None:
            continue
        value = row.values
        credit, debit = value["Credit Amount"], value["Debit Amount"]
        if (credit is None) == (debit is None):
            raise InvalidData(f"line {row.line}: it has neither a credit nor a debit, or both")
        days[value["Bank ID"], value["Account Number"], value["Posted Date"]].append(
            Moved(
                type_code=value["BAI Code"],
                amount=_cents(credit if credit is not None else -debit, row.line),
                bank_reference=value["Bank Reference"],
                customer_reference=value["Customer Reference"],
                company=value["Company ID"],
                text=tuple(text for text in (value["Description"], value["Addenda"]) if text is not None),
            )
        )
    return statements(
        (AccountDay(bank_id, account, day, "USD", tuple(moved)) for (bank_id, account, day), moved in days.items()),
        ACCOUNTS,
    )


@schedule(cron="15 6 * * 1-5", owner="finance", catch_up="latest")
def cash_due(moment: Moment) -> list[CashDue]:
    """Every working day, before people come in."""
    return [CashDue(day=moment.day, deposit_days=WAIT_FOR_REMITTANCE_DAYS, remittance_days=WAIT_FOR_DEPOSIT_DAYS)]


def _cents(amount: Decimal, line: int) -> Decimal:
    if amount != amount.quantize(Decimal("0.01")):
        raise InvalidData(f"line {line}: an amount has fractions of a cent")
    return amount
