"""Patient to cash: what the bank says it has, in the books and beside the remittances that explain it."""

from __future__ import annotations

import csv
from pathlib import Path

from hilum.authoring import Bai2, Moment, System, Table, mapping, schedule
from hilum.formats.tabular import Column, Layout
from hilum.processes.patient_to_cash.bank_tables import BankColumns, table_days
from hilum.processes.patient_to_cash.cash import CashDue, expect_deposit, post_deposits, tell_overdue_cash
from hilum.processes.patient_to_cash.deposits import BankStatementReported, account_days, statements

bank = System("bank")

# Who may look at a statement is decided from its first moment on, by the table as it was loaded; to whose books it is posted, by
# the crosswalk as stewards keep it.
with (Path(__file__).parents[1] / "tables" / "bank_account_to_facility.csv").open(
    newline="", encoding="utf-8"
) as table:
    ACCOUNTS = {row["code"]: row["target"] for row in csv.DictReader(table) if not row["valid_to"]}

# What the bank's portal exports.
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
COLUMNS = BankColumns(
    bank="Bank ID",
    account="Account Number",
    day="Posted Date",
    type_code="BAI Code",
    credit="Credit Amount",
    debit="Debit Amount",
    bank_reference="Bank Reference",
    customer_reference="Customer Reference",
    company="Company ID",
    texts=("Description", "Addenda"),
)

WAIT_FOR_REMITTANCE_DAYS, WAIT_FOR_DEPOSIT_DAYS = 3, 5

__all__ = ["expect_deposit", "post_deposits", "tell_overdue_cash"]


@mapping(source=bank, message="BAI2")
def bank_statement_reported(message: Bai2) -> list[BankStatementReported]:
    """One fact for each account and day of the file."""
    return statements(account_days(message), ACCOUNTS)


@mapping(source=bank, message="table")
def bank_table_reported(message: Table) -> list[BankStatementReported]:
    """The same, out of the portal's export."""
    return statements(table_days(message, PORTAL, COLUMNS), ACCOUNTS)


@schedule(cron="15 6 * * 1-5", owner="finance", catch_up="latest")
def cash_due(moment: Moment) -> list[CashDue]:
    """Every working day, before people come in."""
    return [CashDue(day=moment.day, deposit_days=WAIT_FOR_REMITTANCE_DAYS, remittance_days=WAIT_FOR_DEPOSIT_DAYS)]
