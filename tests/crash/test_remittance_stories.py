"""Payers' remittances dropped as files, on the whole platform and the real ERP: what stands in the ledger afterwards, and what waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from tests.crash.payments import DENIED, HARBOR, KNEE, TAKEN_BACK, TODAY, Payments, usd
from tests.crash.worlds import a_hospital, until

from hilum.audit.evidence.package import Package
from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.remittances import PaidClaim, PayerRemittance, interchange

pytestmark = [pytest.mark.erp, pytest.mark.slow]


@pytest.fixture(scope="module")
def payments(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Payments]:
    place = tmp_path_factory.mktemp("payments")
    with a_hospital(place, erp, postgres=postgres, template=migrated_template) as hospital, erp.desk() as desk:
        (hospital.data / "inbox" / "remittances").mkdir(parents=True, exist_ok=True)
        yield Payments(hospital, desk, count(1))
        assert hospital.hilum("audit", "verify")["whole"]


def test_a_remittance_stands_in_the_ledger_account_by_account(payments: Payments) -> None:
    payments.drops(
        PayerRemittance(
            "EFT-1", [KNEE, DENIED, TAKEN_BACK], paid_on=TODAY, moved=[("WO", usd("75.00")), ("L6", usd("-15.00"))]
        )
    )
    assert payments.state("HHP01/EFT-1") == "done"
    assert payments.books("remittance/HHP01/EFT-1") == {
        ("ST-MARY", "1050"): usd("1200.00") - usd("180.00") - usd("75.00") + usd("15.00"),
        ("ST-MARY", "1200"): -usd("1500.00") + usd("300.00") - usd("450.00"),
        ("ST-MARY", "1210"): usd("80.00"),
        ("ST-MARY", "1220"): usd("450.00"),
        ("ST-MARY", "2150"): usd("75.00"),
        ("ST-MARY", "4900"): usd("100.00"),
        ("ST-MARY", "4950"): -usd("15.00"),
    }
    [journal] = payments.hospital.query(
        "SELECT number, posted_on, total FROM posting_journal WHERE source = 'remittance/HHP01/EFT-1'"
    )
    assert journal["number"].startswith(f"JE-{TODAY.year}-") and journal["posted_on"] == TODAY


def test_a_file_sent_again_under_another_name_changes_nothing(payments: Payments) -> None:
    remittance = PayerRemittance("EFT-2", [KNEE], paid_on=TODAY)
    first = payments.drops(remittance)
    once = payments.books("remittance/HHP01/EFT-2")
    payments.drops(raw=interchange([remittance], control_number=first))
    payments.drops(remittance)  # And in an interchange of another number.
    assert once == payments.books("remittance/HHP01/EFT-2") and once["ST-MARY", "1050"] == usd("1200.00")
    assert [m["status"] for m in payments.hospital.messages() if b"EFT-2*" in m["raw"]] == [
        "accepted", "duplicate", "duplicate",
    ]  # fmt: skip


def test_the_same_trace_number_with_other_content_is_a_conflict_and_never_posts(payments: Payments) -> None:
    payments.drops(PayerRemittance("EFT-3", [KNEE], paid_on=TODAY))
    once = payments.books("remittance/HHP01/EFT-3")
    payments.drops(PayerRemittance("EFT-3", [KNEE, DENIED], paid_on=TODAY))
    assert payments.books("remittance/HHP01/EFT-3") == once
    conflicts = payments.hospital.query("SELECT title FROM work_item WHERE queue = 'conflicts' AND state = 'open'")
    assert len(conflicts) == 1


def test_one_that_does_not_balance_never_posts_and_says_where_and_how_much(payments: Payments) -> None:
    short = PaidClaim("CLM-MESH", usd("500.00"), usd("460.00"), [("CO", "45", usd("30.00"))])
    payments.drops(PayerRemittance("EFT-4", [KNEE, short], paid_on=TODAY, amount=usd("1700.00")))
    item = payments.waiting("UnbalancedRemittance:HHP01/EFT-4")
    assert (item["queue"], item["at_risk_usd"]) == ("cash-posting", usd("1700.00"))
    [case] = payments.hospital.query("SELECT detail FROM work_item_case WHERE work_item = $1", item["id"])
    assert case["detail"] == "the payment and its claims: 40.00 USD; claim 2: 10.00 USD"
    assert payments.books("remittance/HHP01/EFT-4") == {}
    assert not payments.hospital.query("SELECT 1 FROM posting_source WHERE source = 'remittance/HHP01/EFT-4'")


def test_two_payers_may_give_one_number(payments: Payments) -> None:
    payments.drops(
        PayerRemittance("EFT-5", [KNEE], paid_on=TODAY),
        PayerRemittance("EFT-5", [DENIED], payer="MCARE", payee=HARBOR, paid_on=TODAY),
    )
    assert payments.books("remittance/HHP01/EFT-5")["ST-MARY", "1050"] == usd("1200.00")
    assert payments.books("remittance/MCARE/EFT-5") == {
        ("HARBOR-VIEW", "1220"): usd("450.00"), ("HARBOR-VIEW", "1200"): -usd("450.00"),
    }  # fmt: skip


def test_what_a_second_payer_pays_was_owed_by_the_patient_since_the_first_one_decided(payments: Payments) -> None:
    first = PaidClaim("CLM-LENS", usd("100.00"), usd("70.00"), [("CO", "45", usd("10.00")), ("PR", "1", usd("20.00"))])
    second = PaidClaim(
        "CLM-LENS", usd("100.00"), usd("15.00"), [("OA", "23", usd("80.00")), ("PR", "1", usd("5.00"))], status="2"
    )
    back = PaidClaim(
        "CLM-LENS", -usd("100.00"), -usd("15.00"), [("OA", "23", -usd("80.00")), ("PR", "1", -usd("5.00"))], status="22"
    )
    payments.drops(PayerRemittance("EFT-25", [first], paid_on=TODAY))
    payments.drops(PayerRemittance("EFT-26", [second], payer="MCARE", paid_on=TODAY))
    assert payments.books("remittance/HHP01/EFT-25")["ST-MARY", "1210"] == usd("20.00")
    assert payments.books("remittance/MCARE/EFT-26") == {
        ("ST-MARY", "1050"): usd("15.00"),
        ("ST-MARY", "1210"): -usd("15.00"),
    }
    payments.drops(PayerRemittance("EFT-27", [back, KNEE], payer="MCARE", paid_on=TODAY))
    assert payments.books("remittance/MCARE/EFT-27")["ST-MARY", "1210"] == usd("15.00") + usd("100.00")


def test_an_unknown_payee_waits_for_finance_and_goes_on_when_it_is_mapped(payments: Payments) -> None:
    for trace in ("EFT-6", "EFT-7"):
        payments.drops(PayerRemittance(trace, [KNEE], payee="1999999984", paid_on=TODAY))
    item = payments.waiting("UnknownPayee:1999999984")
    assert (item["queue"], item["at_risk_usd"]) == ("finance-master", usd("2400.00"))
    payments.hospital.maps("payee_to_facility", "1999999984", "NORTH-POINT")
    payments.hospital.releases(item["id"])
    payments.hospital.settles()
    for trace in ("EFT-6", "EFT-7"):
        assert payments.books(f"remittance/HHP01/{trace}")["NORTH-POINT", "1050"] == usd("1200.00")


def test_a_closed_period_is_respected_and_the_posting_is_marked(payments: Payments) -> None:
    last_month = TODAY.replace(day=1) - timedelta(days=1)
    payments.desk.close_period(f"{last_month:%Y-%m}")
    try:
        payments.drops(PayerRemittance("EFT-8", [KNEE], paid_on=last_month))
    finally:
        payments.desk.reopen_period(f"{last_month:%Y-%m}")
    first_open = TODAY.replace(day=1)
    assert payments.days("remittance/HHP01/EFT-8") == [first_open]
    [journal] = payments.hospital.query(
        """SELECT j.posted_on, s.on_day FROM posting_journal j JOIN posting_source s USING (source)
            WHERE source = 'remittance/HHP01/EFT-8'"""
    )
    assert (journal["posted_on"], journal["on_day"]) == (first_open, last_month)


def test_what_is_no_interchange_is_refused_whole_and_kept(payments: Payments) -> None:
    whole = interchange([PayerRemittance("EFT-9", [KNEE], paid_on=TODAY)], control_number=900)
    payments.drops(raw=whole[: len(whole) // 2])
    payments.drops(raw=whole.replace(b"SE*", b"SE*9"))
    assert payments.books("remittance/HHP01/EFT-9") == {}
    refused = [m for m in payments.hospital.messages() if b"EFT-9*" in m["raw"]]
    assert [m["status"] for m in refused] == ["refused", "refused"]


def _compares(payments: Payments, minute: int) -> dict[str, int]:
    """The clock's hourly comparison, for a moment of this test's own; what is open afterwards, by pair of books."""
    payments.hospital.hilum("schedule", "run", "comparison_due", "--at", f"2026-01-05T00:{minute:02}")
    case = f"compare_books/2026-01-05T00:{minute:02}"
    until(lambda: payments.hospital.query("SELECT 1 FROM flow_case WHERE id = $1 AND state = 'done'", case))
    rows = payments.hospital.query("SELECT books, open FROM book_comparison WHERE run = $1", case.partition("/")[2])
    return {row["books"]: row["open"] for row in rows}


def test_what_was_posted_agrees_with_the_ledger_and_a_stranger_on_a_revenue_account_is_found(
    payments: Payments,
) -> None:
    payments.drops(PayerRemittance("EFT-20", [KNEE, TAKEN_BACK], paid_on=TODAY))
    _compares(payments, 1)
    agreed = _compares(payments, 2)
    others = agreed["ledger-foreign"]  # What other platforms of these tests posted into the ERP they share.
    assert (agreed["staged-ledger"], agreed["billing-staged"]) == (0, 0)
    entry = payments.desk.posts_by_hand("1200", "1210", usd("77.00"), on=TODAY)
    assert _compares(payments, 3)["ledger-foreign"] == others  # It might be ours and not noted yet.
    assert _compares(payments, 4) == {"staged-ledger": 0, "ledger-foreign": others + 1, "billing-staged": 0}
    [found] = payments.hospital.query(
        """SELECT w.queue, w.state, c.at_risk_usd FROM work_item w JOIN work_item_case c ON c.work_item = w.id
            WHERE c.detail LIKE $1""",
        f"entry {entry} %",
    )
    assert found == {"queue": "revenue-control", "state": "open", "at_risk_usd": usd("77.00")}


def test_a_journal_that_the_erp_lost_is_found_by_its_number(payments: Payments) -> None:
    payments.drops(PayerRemittance("EFT-21", [KNEE], paid_on=TODAY))
    # As if somebody at the ERP had restored an older copy of its books.
    payments.hospital.on_database(
        lambda pool: pool.execute(
            "UPDATE posting_journal SET number = 'JE-LOST' WHERE source = 'remittance/HHP01/EFT-21'"
        )
    )
    assert _compares(payments, 5)["staged-ledger"] == 1
    [found] = payments.hospital.query("SELECT what, expected FROM book_difference WHERE record LIKE '%EFT-21%'")
    assert found == {"what": "journal JE-LOST is not in the ledger", "expected": usd("1500.00")}


def test_billing_hears_in_which_journal_a_remittance_stands_and_why_another_does_not(payments: Payments) -> None:
    payments.drops(PayerRemittance("EFT-22", [KNEE], paid_on=TODAY))
    far = TODAY.replace(year=TODAY.year + 6)  # No fiscal year of the ERP goes so far.
    payments.drops(PayerRemittance("EFT-23", [KNEE], paid_on=far))
    notes = payments.hospital.billing_settlements
    until(lambda: {"remittance/HHP01/EFT-22", "remittance/HHP01/EFT-23"} <= {note["source"] for note in notes()})
    [journal] = payments.hospital.query("SELECT number FROM posting_journal WHERE source = 'remittance/HHP01/EFT-22'")
    said = {note["source"]: (note["state"], note["said"], note["amount"]) for note in notes()}
    assert said["remittance/HHP01/EFT-22"] == ("posted", journal["number"], "1500.00")
    assert said["remittance/HHP01/EFT-23"] == ("refused", f"Period not open: {far:%Y-%m} and after", "1500.00")
    assert len({note["key"] for note in notes()}) == len(notes())


def test_the_evidence_of_a_journal_has_each_amount_with_its_rule_and_the_tables_as_they_were(
    payments: Payments, tmp_path: Path
) -> None:
    payments.drops(PayerRemittance("EFT-24", [KNEE, DENIED], paid_on=TODAY))
    [journal] = payments.hospital.query("SELECT number FROM posting_journal WHERE source = 'remittance/HHP01/EFT-24'")
    made: list[Package] = []

    def whole() -> bool:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        told = payments.hospital.hilum("evidence", "make", journal["number"], "--reason", "audit", "--to", str(folder))
        made.append(Package.open(Path(told["file"])))
        return not told["pending"]

    until(whole)
    package = made[-1]
    [source] = [json.loads(line) for line in package.members["postings.jsonl"].splitlines()]
    assert (source["source"], source["reference"], source["journals"][0]["number"]) == (
        "remittance/HHP01/EFT-24", "EFT-24", journal["number"],
    )  # fmt: skip
    assert [(line["line"], line["rule"], line["moved"], line["debit"]) for line in source["lines"]] == [
        ("c1", "PAY", "1200.00", "1050"), ("c1a1", "CON", "200.00", "4900"), ("c1a2", "PAT", "100.00", "1210"),
        ("c2a1", "DEN", "450.00", "1220"),
    ]  # fmt: skip
    rules = package.members[f"tables/{source['tables']}/posting_rules.csv"].decode()
    assert "PAY,payment,,,,,,1050,1200" in rules
    entries = [json.loads(line) for line in package.members["entries.jsonl"].splitlines()]
    assert b"revenue.staged" in package.members["entries.jsonl"] and len(entries) == package.manifest["entries"]
    assert KNEE.claim.encode() not in b"".join(package.members.values())
