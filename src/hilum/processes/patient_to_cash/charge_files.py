"""Charges as delimited text: a department's own system writes its day into a file, a line for each charge."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from hilum.authoring import InvalidData, Table
from hilum.formats.tabular import Column, Layout, Row, rows
from hilum.model.identifiers import AccountNumber, ChargeCode, DepartmentCode, FacilityCode
from hilum.processes.patient_to_cash.charges import ChargeRecorded
from hilum.processes.patient_to_cash.remittance import fits_books

LAYOUT = Layout(
    columns=(
        Column(name="charge_id", required=True, max_length=60),
        Column(name="kind", type="code", allowed=frozenset({"CG", "CR"})),
        Column(name="takes_back", max_length=60),
        Column(name="facility", required=True, max_length=64),
        Column(name="account", required=True, max_length=64, phi=True),
        Column(name="department", required=True, max_length=64),
        Column(name="charge_code", required=True, max_length=64),
        Column(name="description", max_length=200),
        Column(name="quantity", type="decimal"),
        Column(name="amount", type="decimal", required=True),
        Column(name="service_date", type="date", required=True, formats=("%Y-%m-%d", "%m/%d/%Y")),
        Column(name="payer", max_length=64),
    ),
    min_rows=1,
    extra="ignore",
)
"""The columns of a charge file. Without ``kind`` the amount's sign says whether it is a charge; an account is the facility's."""


def charges_of_table(table: Table, *, recorded_by: str, layout: Layout = LAYOUT) -> Iterator[ChargeRecorded]:
    """The charges of a file, in its order. ``InvalidData`` names the line of the first that cannot be read: it is taken whole or not."""
    for row, wrong in rows(table, layout):
        for finding in wrong:
            if finding.severity == "error":
                place = f"line {finding.line}" if finding.line is not None else "the table"
                raise InvalidData(f"{place}: {finding.text}", detail=finding.location if finding.location else "")
        if row is not None:
            yield _charge(row, recorded_by)


def _charge(row: Row, recorded_by: str) -> ChargeRecorded:
    amount, quantity, on = row.values["amount"], row.values.get("quantity"), row.values["service_date"]
    if not isinstance(amount, Decimal) or not fits_books(amount):
        raise InvalidData(f"line {row.line}: the amount has fractions of a cent, or is larger than books hold")
    if not isinstance(on, date):
        raise InvalidData(f"line {row.line}: it has no service date")
    credit = amount < 0 or row.values.get("kind") == "CR"
    number, facility = str(row.values["charge_id"]), str(row.values["facility"])
    takes_back, description, payer = (row.values.get(name) for name in ("takes_back", "description", "payer"))
    return ChargeRecorded(
        charge_id=number,
        recorded_by=recorded_by,
        kind="credit" if credit else "charge",
        takes_back=(str(takes_back) if takes_back is not None else number) if credit else None,
        account=AccountNumber(value=str(row.values["account"]), authority=facility),
        charge_code=ChargeCode(value=str(row.values["charge_code"])),
        description=str(description) if description is not None else "",
        quantity=abs(quantity) if isinstance(quantity, Decimal) else Decimal(1),
        amount_usd=-abs(amount) if credit else amount,
        facility=FacilityCode(value=facility),
        department=DepartmentCode(value=str(row.values["department"])),
        service_on=on,
        payer=str(payer) if payer is not None else None,
    )
