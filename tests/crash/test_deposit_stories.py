"""Remittances and the bank's statements dropped as files, on the whole platform and the real ERP: cash in transit comes to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest
from tests.crash.payments import DENIED, KNEE, TAKEN_BACK, TODAY, Payments, usd
from tests.crash.worlds import a_hospital, until

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.bank import ROUTING, Credited, statement
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.remittances import PayerRemittance, interchange

pytestmark = [pytest.mark.erp, pytest.mark.slow]
MARY = "88112200"
PAID = usd("1020.00")  # KNEE, DENIED and TAKEN_BACK together.


@pytest.fixture(scope="module")
def payments(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Payments]:
    place = tmp_path_factory.mktemp("deposits")
    with a_hospital(place, erp, postgres=postgres, template=migrated_template) as hospital, erp.desk() as desk:
        for inbox in ("remittances", "bank"):
            (hospital.data / "inbox" / inbox).mkdir(parents=True, exist_ok=True)
        yield Payments(hospital, desk, count(1))
        assert hospital.hilum("audit", "verify")["whole"]


def reports(payments: Payments, data: bytes, *, suffix: str = "bai") -> None:
    """The bank drops a file, which is waited for until it was taken in or refused."""
    inbox = payments.inbox

    def ended() -> int:
        return sum(1 for end in ("done", "refused") for _ in (inbox / f"bank.{end}").glob(f"*.{suffix}"))

    before = ended()
    (inbox / "bank" / f"statement-{next(payments.numbers)}.{suffix}").write_bytes(data)
    until(lambda: ended() > before)
    payments.hospital.settles()


def standing(payments: Payments) -> dict[str, str]:
    rows = payments.hospital.query("SELECT number, state, met_by FROM cash_standing")
    return {row["number"].rpartition("/")[2]: f"{row['state']} {'+'.join(row['met_by'])}".strip() for row in rows}


def open_work(payments: Payments) -> dict[str, Decimal]:
    rows = payments.hospital.query("SELECT cause, at_risk_usd FROM work_item WHERE state = 'open'")
    return {row["cause"]: row["at_risk_usd"] for row in rows}


def test_what_was_remitted_and_what_was_deposited_stand_in_the_ledger_to_the_cent(payments: Payments) -> None:
    remittance = PayerRemittance("EFT-B1", [KNEE, DENIED, TAKEN_BACK], paid_on=TODAY)
    check = PayerRemittance("4711", [KNEE], paid_on=TODAY)
    first = payments.drops(remittance)
    moved = [
        Credited("BR-1", PAID, trace="EFT-B1"), Credited("BR-2", usd("1200.00"), "301", text="LOCKBOX 68751"),
        Credited("BR-3", usd("15.00"), "475", text="CHECK PAID"), Credited("BR-4", usd("25.00"), "555", customer_reference="9"),
    ]  # fmt: skip
    file = statement(moved, account=MARY, day=TODAY, number=1)
    reports(payments, file)
    payments.drops(check)

    once = payments.deposited()
    assert once == {("ST-MARY", "1010"): PAID + usd("1175.00"), ("ST-MARY", "1050"): -PAID - usd("1175.00")}
    transit = (
        payments.books("remittance/HHP01/EFT-B1")["ST-MARY", "1050"]
        + payments.books("remittance/HHP01/4711")["ST-MARY", "1050"]
    )
    assert transit + once["ST-MARY", "1050"] == usd("25.00")  # What came back is to be paid again.
    assert payments.books("remittance/HHP01/EFT-B1")["ST-MARY", "1200"] == -usd("1500") + usd("300") - usd("450")
    assert standing(payments) == {
        "EFT-B1": "matched trace", "BR-1": "matched trace", "4711": "matched amount", "BR-2": "matched amount", "BR-4": "open",
    }  # fmt: skip
    assert open_work(payments) == {}

    # Both files again, the remittance in an interchange of another number, and the final report after the interim one.
    payments.drops(raw=interchange([remittance], control_number=first))
    reports(payments, file)
    reports(payments, statement(moved, account=MARY, day=TODAY, number=2))
    assert payments.deposited() == once
    reports(payments, statement([*moved, Credited("BR-5", usd("7.00"), "195")], account=MARY, day=TODAY, number=3))
    assert payments.deposited() == {key: amount + (7 if amount > 0 else -7) for key, amount in once.items()}
    [memo] = payments.hospital.query(
        "SELECT count(*) AS kept FROM staged_entry WHERE kind = 'bank_other' AND debit = ''"
    )
    assert memo["kept"] == 1

    found = payments.hospital.query(
        "SELECT count(*) AS n FROM posting_journal j JOIN posting_source s USING (source) WHERE s.kind = 'deposits' AND j.number IS NULL"
    )
    assert found[0]["n"] == 0


def test_an_amount_that_differs_and_a_missing_half_are_work_with_dollars_and_end_by_themselves(
    payments: Payments,
) -> None:
    payments.drops(
        PayerRemittance("EFT-B20", [KNEE], paid_on=TODAY),
        PayerRemittance("EFT-B21", [KNEE], paid_on=TODAY - timedelta(days=9)),
    )
    reports(
        payments, statement([Credited("BR-20", usd("1150.00"), trace="EFT-B20")], account=MARY, day=TODAY, number=20)
    )
    assert open_work(payments) == {"DepositDiffers:remittance/HHP01/EFT-B20": usd("50.00")}
    payments.hospital.hilum("schedule", "run", "cash_due")
    until(lambda: "RemittanceWithoutDeposit:HHP01" in open_work(payments))
    assert open_work(payments)["RemittanceWithoutDeposit:HHP01"] == usd("1200.00")
    reports(
        payments,
        statement([Credited("BR-21", usd("50.00"), trace="EFT-B20"), Credited("BR-22", usd("1200.00"), trace="EFT-B21")], account=MARY, day=TODAY, number=21),
    )  # fmt: skip
    assert open_work(payments) == {}


def test_the_banks_table_posts_as_its_file_does(payments: Payments) -> None:
    header = "Bank ID,Account Number,Posted Date,BAI Code,Credit Amount,Debit Amount,Bank Reference,Addenda\r\n"
    row = f'{ROUTING},88112218,{TODAY:%m/%d/%Y},165,"1,840.25",,BR-30,TRN*1*EFT-B30*1360000001~\r\n'
    reports(payments, (header + row).encode(), suffix="csv")
    reports(
        payments,
        statement(
            [Credited("BR-30", usd("1840.25"), "165", trace="EFT-B30")], account="88112218", day=TODAY, number=30
        ),
    )
    assert payments.deposited()["HARBOR-VIEW", "1010"] == usd("1840.25")


def test_files_that_do_not_add_up_or_are_none_are_refused_and_post_nothing(payments: Payments) -> None:
    before = payments.deposited()
    good = statement([Credited("BR-40", usd("100.00"))], account=MARY, day=TODAY, number=40)
    reports(payments, good.replace(b"16,142,10000", b"16,142,20000"))
    reports(payments, good[: len(good) // 2])
    reports(payments, b"Dear all, the statement is attached.\n")
    reports(payments, b"Bank ID,Account Number\r\n1,2\r\n", suffix="csv")
    assert payments.deposited() == before
    refused = payments.hospital.query(
        "SELECT error FROM message WHERE system = 'bank' AND status = 'refused' ORDER BY received_at"
    )
    assert "what it controls is 300.00: 100.00 too little at group 1, account 1, 49" in refused[0]["error"]
    assert "99" in refused[1]["error"] and len(refused) == 3


def test_an_unknown_account_waits_for_finance_and_goes_on_when_it_is_mapped(payments: Payments) -> None:
    reports(payments, statement([Credited("BR-50", usd("64.00"))], account="99990000", day=TODAY, number=50))
    [item] = payments.hospital.query("SELECT id, queue, title, at_risk_usd FROM work_item WHERE state = 'open'")
    assert (item["queue"], item["at_risk_usd"]) == ("finance-master", usd("64.00")) and "99990000" not in item["title"]
    payments.hospital.maps("bank_account_to_facility", "99990000", "NORTH-POINT")
    payments.hospital.releases(item["id"])
    payments.hospital.settles()
    assert payments.deposited()["NORTH-POINT", "1010"] == usd("64.00")


def test_whatever_the_order_of_files_the_books_and_the_states_are_the_same(payments: Payments) -> None:
    outcomes = []
    for at, order in enumerate([(0, 1, 2), (2, 1, 0)]):  # All others: tests/runtime/test_cash_desk.py.
        day = TODAY - timedelta(days=at)
        trace, other = f"P{at}-1", f"P{at}-2"
        files = [
            lambda t=trace, o=other, d=day: payments.drops(PayerRemittance(t, [KNEE], paid_on=d), PayerRemittance(o, [DENIED, KNEE], paid_on=d)),
            lambda t=trace, d=day, n=at: reports(payments, statement([Credited(f"BR-{n}60", usd("1200.00"), trace=t)], account="88112226", day=d, number=60)),
            lambda t=trace, o=other, d=day, n=at: reports(
                payments,
                statement([Credited(f"BR-{n}60", usd("1200.00"), trace=t), Credited(f"BR-{n}61", usd("1100.00"), trace=o)], account="88112226", day=d, number=61),
            ),
        ]  # fmt: skip
        before = payments.deposited()["NORTH-POINT", "1010"]
        for each in order:
            files[each]()
        states = {
            number: state
            for number, state in standing(payments).items()
            if number in (trace, other, f"BR-{at}60", f"BR-{at}61")
        }
        outcomes.append((payments.deposited()["NORTH-POINT", "1010"] - before, sorted(states.values())))
    assert outcomes == [(usd("2300.00"), ["differs trace"] * 2 + ["matched trace"] * 2)] * 2
