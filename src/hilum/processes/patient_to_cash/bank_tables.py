"""A bank's statement as delimited text: every bank's export has columns of its own, which a mapping names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from hilum.authoring import InvalidData, Table
from hilum.formats.tabular import Layout, Row, rows
from hilum.processes.patient_to_cash.deposits import AccountDay, Moved


@dataclass(frozen=True, kw_only=True)
class BankColumns:
    """Which columns of the layout say what. Amounts stand in ``credit`` and ``debit``, or with a sign in ``amount``.

    ``texts`` are looked through for addenda. ``type_code`` names the column of the BAI type code.
    """

    account: str
    day: str
    type_code: str
    bank: str = ""
    credit: str = ""
    debit: str = ""
    amount: str = ""
    bank_reference: str = ""
    customer_reference: str = ""
    company: str = ""
    texts: tuple[str, ...] = ()


def table_days(table: Table, layout: Layout, columns: BankColumns, *, bank: str = "") -> Iterator[AccountDay]:
    """The accounts and days of a table, in its order; ``bank`` where no column names it.

    ``InvalidData`` names the line of the first row that cannot be read: a file is taken whole or not at all.
    """
    days: dict[tuple[str, str, date], list[Moved]] = defaultdict(list)
    for row, wrong in rows(table, layout):
        for finding in wrong:
            if finding.severity == "error":
                place = f"line {finding.line}" if finding.line is not None else "the table"
                raise InvalidData(f"{place}: {finding.text}", detail=finding.location if finding.location else "")
        if row is None:
            continue
        on = row.values.get(columns.day)
        account = _text(row, columns.account)
        if not isinstance(on, date) or account is None:
            raise InvalidData(f"line {row.line}: it has no day or no account")
        named = _text(row, columns.bank)
        days[named if named is not None else bank, account, on].append(_moved(row, columns))
    for (of_bank, account, on), moved in days.items():
        yield AccountDay(of_bank, account, on, "USD", tuple(moved))


def _moved(row: Row, columns: BankColumns) -> Moved:
    code = _text(row, columns.type_code)
    if code is None:
        raise InvalidData(f"line {row.line}: it has no type code")
    texts = (_text(row, name) for name in columns.texts)
    return Moved(
        type_code=code,
        amount=_amount(row, columns),
        bank_reference=_text(row, columns.bank_reference),
        customer_reference=_text(row, columns.customer_reference),
        company=_text(row, columns.company),
        text=tuple(text for text in texts if text is not None),
    )


def _amount(row: Row, columns: BankColumns) -> Decimal:
    credit, debit, signed = (
        row.values.get(name) if name else None for name in (columns.credit, columns.debit, columns.amount)
    )
    given = [each for each in (credit, debit, signed) if isinstance(each, Decimal) and each]
    if len(given) > 1:
        raise InvalidData(f"line {row.line}: it has a credit and a debit")
    (amount,) = given if given else (Decimal(0),)
    if amount != round(amount, 2):
        raise InvalidData(f"line {row.line}: an amount has fractions of a cent")
    return -abs(amount) if isinstance(debit, Decimal) and debit else amount


def _text(row: Row, name: str) -> str | None:
    value = row.values.get(name) if name else None
    return None if value is None else str(value)
