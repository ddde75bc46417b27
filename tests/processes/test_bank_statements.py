"""What a bank's file becomes: facts of account and day, payers' money apart from the rest, the same lines in every report."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from hilum.authoring import InvalidData
from hilum.formats import bai2, tabular
from hilum.formats.tabular import Column, Layout
from hilum.processes.patient_to_cash.bank_tables import BankColumns, table_days
from hilum.processes.patient_to_cash.deposits import (
    AccountDay,
    BankStatementReported,
    Moved,
    account_days,
    movements,
    statements,
)

DAY = date(2026, 3, 2)
ACCOUNTS = {"88112200": "ST-MARY"}
LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
TRN = ("HARBOR HEALTH PLAN CCD", "TRN*1*EFT-1*1360000001~")


def reported(*moved: Moved, account: str = "88112200") -> BankStatementReported:
    [fact] = statements([AccountDay("031001234", account, DAY, "USD", moved)], ACCOUNTS)
    return fact


def usd(text: str) -> Decimal:
    return Decimal(text)


@pytest.mark.parametrize(
    ("code", "amount", "text", "kind"),
    [
        ("142", "1200.00", TRN, "deposit"),
        ("165", "1200.00", (), "deposit"),
        ("195", "9100.00", ("WIRE IN",), "deposit"),
        ("301", "259.00", ("LOCKBOX",), "deposit"),
        ("399", "12.00", (), "bank_other"),
        ("399", "12.00", TRN, "deposit"),
        ("354", "3.10", ("INTEREST",), "bank_other"),
        ("206", "5000.00", ("TRANSFER",), "bank_other"),
        ("475", "-15.00", (), "bank_other"),
        ("451", "-75.00", ("LAKEPORT POWER",), "bank_other"),
        ("451", "-1200.00", TRN, "deposit"),
        ("555", "-25.00", ("RETURNED",), "deposit"),
        ("890", "0.00", ("A NOTE",), "bank_other"),
    ],
)
def test_the_type_code_and_the_trace_say_whether_it_is_payers_money(code, amount, text, kind):
    [line] = reported(Moved(code, usd(amount), text=text)).lines
    assert line.kind == kind


def test_movements_are_of_the_lines_that_are_news_alone_and_keep_their_side():
    fact = reported(
        Moved("142", usd("1200.00"), "BR-1", text=TRN), Moved("555", usd("-25.00"), "BR-2"), Moved("475", usd("-15.00"), "BR-3"),
        Moved("301", usd("0.00"), "BR-4"), Moved("301", usd("9.00"), "BR-5"),
    )  # fmt: skip
    moved = list(movements(fact, frozenset({"BR-1", "BR-2", "BR-3", "BR-4"}), "ST-MARY"))
    assert [(m.kind, m.reason, m.amount, m.line, m.payer) for m in moved] == [
        ("deposit", "142", usd("1200.00"), "t1", "1360000001"), ("deposit", "555", usd("-25.00"), "t2", ""),
        ("bank_other", "475", usd("-15.00"), "t3", ""),
    ]  # fmt: skip
    assert fact.deposited == usd("1184.00") and fact.efts == ("EFT-1",)


def test_lines_without_a_reference_of_the_bank_are_told_apart_and_known_again():
    one, other = Moved("301", usd("10.00"), text=("LOCKBOX",)), Moved("301", usd("10.00"), text=("COUNTER",))
    interim, final = reported(one, other, one), reported(one, other, one, one)
    numbers = [line.number for line in final.lines]
    assert len(set(numbers)) == 4 and [line.number for line in interim.lines] == numbers[:3]
    assert interim.number != final.number and reported(one, other, one).number == interim.number


def test_two_lines_of_one_reference_are_two():
    fact = reported(Moved("142", usd("1.00"), "BR-1"), Moved("142", usd("2.00"), "BR-1"))
    assert [line.number for line in fact.lines] == ["BR-1", "BR-1#2"]


def test_the_accounts_number_stands_in_the_confidential_field_alone():
    fact = reported(Moved("142", usd("1.00"), "BR-1"), account="123456789")
    told = fact.model_dump(exclude={"account"})
    assert "123456789" not in str(told) and fact.account_handle.startswith("x6789-") and fact.facility is None


def bai(status: str = "1", currency: str = "USD", amount: str = "120000") -> bytes:
    return (
        f"01,BANK,LAKE,260303,,1,,,2/\n02,,BANK,{status},260302,,{currency},/\n03,88112200,,/\n16,142,{amount},,BR-1,,X\n"
        f"49,{amount},3/\n03,EMPTY,,/\n49,0,2/\n98,{amount},2,7/\n99,{amount},1,9/\n"
    ).encode()


def test_accounts_without_movements_and_test_groups_say_nothing():
    [fact] = statements(account_days(bai2.parse(bai())), ACCOUNTS)
    assert (fact.day, fact.facility.value if fact.facility else "", fact.deposited) == (DAY, "ST-MARY", usd("1200.00"))
    assert statements(account_days(bai2.parse(bai("4"))), ACCOUNTS) == []


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (bai("2"), "deletes or corrects"),
        (bai("3"), "deletes or corrects"),
        (bai(currency="CAD"), "a currency"),
        (bai(amount="10000000000000"), "larger than books hold"),
    ],
)
def test_what_the_books_cannot_take_is_refused_with_a_reason(file, why):
    assert not [f for f in bai2.validate(bai2.parse(file)) if f.severity == "error"]
    with pytest.raises(InvalidData, match=why):
        statements(account_days(bai2.parse(file)), ACCOUNTS)


LAYOUT = Layout(
    columns=(
        Column(name="account", required=True), Column(name="day", type="date", required=True), Column(name="code", required=True),
        Column(name="usd", type="decimal", required=True), Column(name="ref"), Column(name="words"),
    )
)  # fmt: skip
COLUMNS = BankColumns(
    account="account", day="day", type_code="code", amount="usd", bank_reference="ref", texts=("words",)
)


def rows_of(*rows: str) -> list[AccountDay]:
    table = tabular.parse("\r\n".join(["account,day,code,usd,ref,words", *rows]).encode())
    return list(table_days(table, LAYOUT, COLUMNS, bank="031001234"))


def test_a_table_says_the_same_as_the_banks_file():
    [day] = rows_of('88112200,2026-03-02,142,1200.00,BR-1,"TRN*1*EFT-1*1360000001~"')
    assert day == AccountDay(
        "031001234", "88112200", DAY, "USD", (Moved("142", usd("1200.00"), "BR-1", text=("TRN*1*EFT-1*1360000001~",)),)
    )
    assert [d.account for d in rows_of("1111,2026-03-02,142,1,,", "2222,2026-03-02,142,1,,", "1111,2026-03-02,142,2,,")] == [
        "1111", "2222",
    ]  # fmt: skip


SIDES = Layout(
    columns=(
        Column(name="account", required=True), Column(name="day", type="date", required=True), Column(name="code", required=True),
        Column(name="credit", type="decimal", grouping=","), Column(name="debit", type="decimal", grouping=","),
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("credit", "debit", "amount"),
    [("10.00", "", "10.00"), ("", "10.00", "-10.00"), ("", "-10.00", "-10.00"), ("0.00", '"1,010.00"', "-1010.00"), ("10.00", "0", "10.00")],
)  # fmt: skip
def test_the_column_says_the_side(credit, debit, amount):
    columns = BankColumns(account="account", day="day", type_code="code", credit="credit", debit="debit")
    table = tabular.parse(f"account,day,code,credit,debit\r\n1111,2026-03-02,142,{credit},{debit}\r\n".encode())
    [day] = table_days(table, SIDES, columns, bank="031001234")
    assert [each.amount for each in day.moved] == [usd(amount)]


def test_a_row_with_both_sides_is_refused():
    columns = BankColumns(account="account", day="day", type_code="code", credit="credit", debit="debit")
    table = tabular.parse(b"account,day,code,credit,debit\r\n1111,2026-03-02,142,1.00,2.00\r\n")
    with pytest.raises(InvalidData, match="line 2: it has a credit and a debit"):
        list(table_days(table, SIDES, columns))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("88112200,2026-03-02,142,12.005,,", "line 2: .*fractions of a cent"),
        ("88112200,2026-03-02,142,twelve,,", "line 2"),
        ("88112200,yesterday,142,12.00,,", "line 2"),
        (",2026-03-02,142,12.00,,", "line 2"),
        ("88112200,2026-03-02,,12.00,,", "line 2"),
    ],
)
def test_a_row_that_cannot_be_read_refuses_the_whole_table_and_says_which(row, why):
    with pytest.raises(InvalidData, match=why):
        rows_of(row, "88112200,2026-03-02,142,1.00,,")


def test_lakeshores_samples_have_every_amount_of_their_files():
    file = bai2.parse((LAKESHORE / "samples" / "bank_statement_reported.bai").read_bytes())
    written = Counter(each.signed for _, _, account in file.accounts() for each in account.transactions)
    told = Counter(line.amount for fact in statements(account_days(file), ACCOUNTS) for line in fact.lines)
    assert told == written and bai2.validate(file) == []
