"""Master data on the whole platform and the real ERP: what would stop a posting is found before it does, and a steward mends it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from tests.crash.payments import KNEE, TODAY, Payments, usd
from tests.crash.worlds import a_hospital, until

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.hospital import Hospital
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.remittances import PayerRemittance

pytestmark = [pytest.mark.erp, pytest.mark.slow]


@pytest.fixture(scope="module")
def payments(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Payments]:
    place = tmp_path_factory.mktemp("stewards")
    with a_hospital(place, erp, postgres=postgres, template=migrated_template) as hospital, erp.desk() as desk:
        (hospital.data / "inbox" / "remittances").mkdir(parents=True, exist_ok=True)
        yield Payments(hospital, desk, count(1))
        assert hospital.hilum("audit", "verify")["whole"]


def mismatches(hospital: Hospital) -> dict[tuple[str, str], dict[str, Any]]:
    found: Any = hospital.hilum("master", "mismatches")
    return {(line["subject"], line["code"]): line for line in found}


def synced(hospital: Hospital) -> None:
    """The ERP's master data is read, as every night, and what came of it is looked over."""
    before = hospital.query("SELECT count(*) AS n FROM master_snapshot WHERE system = 'erp'")[0]["n"]
    hospital.hilum("master", "sync")
    until(
        lambda: hospital.query("SELECT count(*) AS n FROM master_snapshot WHERE system = 'erp'")[0]["n"] >= before + 2
    )


def test_an_account_that_the_erp_closes_is_found_before_a_posting_breaks(payments: Payments) -> None:
    hospital, desk = payments.hospital, payments.desk
    synced(hospital)
    centres: Any = hospital.hilum("master", "list", "cost_centre")
    assert {"CC-ORTHO", "CC-CATH", "CC-EYE", "CC-GEN"} <= {centre["code"] for centre in centres}
    [account] = desk.search("account.account", [("code", "=", "4950")])
    last_day = TODAY + timedelta(days=12)
    desk.write("account.account", account, end_date=last_day)
    try:
        synced(hospital)
        until(lambda: ("posting_rules", "4950") in mismatches(hospital))
        found = mismatches(hospital)["posting_rules", "4950"]
        assert found["from_day"] == (last_day + timedelta(days=1)).isoformat()
        assert "needed by the posting rules PLB-L6" in found["why"]
        assert f"would stop postings of all facilities from {found['from_day']} on" in found["why"]
        [item] = hospital.query("SELECT queue, state FROM work_item WHERE id = $1", found["item"])
        assert (item["queue"], item["state"]) == ("finance-master", "open")
    finally:
        desk.write("account.account", account, end_date=None)
    synced(hospital)
    until(lambda: ("posting_rules", "4950") not in mismatches(hospital))
    [item] = hospital.query("SELECT state, closed_by FROM work_item WHERE id = $1", found["item"])
    assert (item["state"], item["closed_by"]) == ("resolved", "system:master-data")
    said: Any = hospital.hilum("master", "show", "ledger_account", "4950")
    assert len(said) == 3, "open, ending, open again: every other night said the same"


def test_a_cost_centre_that_the_erp_takes_out_of_use_is_missed_and_never_deleted(payments: Payments) -> None:
    hospital, desk = payments.hospital, payments.desk
    [centre] = desk.search("analytic_account.account", [("code", "=", "CC-EYE")])
    desk.write("analytic_account.account", centre, active=False)
    try:
        hospital.hilum("master", "sync")
        until(lambda: bool(short(hospital)))
        assert ("department_to_cost_centre", "EYE") not in mismatches(hospital), "nothing of it was taken yet"
        # One of four is more than a fifth: a person says that it is no half list.
        hospital.hilum("master", "accept", str(short(hospital)[0]["id"]))
        until(lambda: ("department_to_cost_centre", "EYE") in mismatches(hospital))
        gone: Any = hospital.hilum("master", "list", "cost_centre", "--all")
        assert {c["code"]: c["ended_at"] is None for c in gone}["CC-EYE"] is False
    finally:
        desk.write("analytic_account.account", centre, active=True)
    synced(hospital)
    until(lambda: ("department_to_cost_centre", "EYE") not in mismatches(hospital))


def short(hospital: Hospital) -> list[dict[str, Any]]:
    return hospital.query("SELECT id FROM work_item WHERE cause LIKE 'ListTooShort:%' AND state = 'open'")


def test_an_unknown_payer_gets_a_proposal_and_accepting_it_lets_its_remittance_go_on(payments: Payments) -> None:
    hospital = payments.hospital
    payers = "as_of,object,facility,code,name,valid_from,valid_to,tax_id\n" + "".join(
        f"{datetime.now(UTC).isoformat(timespec='seconds')},payer,,{code},{name},,,\n"
        for code, name in (("HHP01", "Harbor Health Plan"), ("MCARE", "Medicare"), ("HHP77", "HARBOR HEALTH PLAN INC"))
    )
    (payments.inbox / "remittances" / "payers.csv").write_text(payers)
    payments.drops(PayerRemittance("EFT-M1", [KNEE], payer="HHP77", paid_on=TODAY))
    assert payments.waiting("UnknownPayer:HHP77")["at_risk_usd"] == usd("1200.00")
    until(lambda: mismatches(hospital).get(("payer_to_class", "HHP77"), {}).get("at_risk_usd") == "1200.00")
    found = mismatches(hospital)["payer_to_class", "HHP77"]
    assert found["proposed"] == "commercial" and "HHP01 (Harbor Health Plan) means commercial" in found["reason"]
    done = hospital.hilum("master", "accept", str(found["item"]))
    assert done["target"] == "commercial" and done["released"] == ["c/post_remittance/HHP77/EFT-M1"]
    hospital.settles()
    assert payments.state("HHP77/EFT-M1") == "done"
    assert payments.books("remittance/HHP77/EFT-M1")["ST-MARY", "1050"] == usd("1200.00")


def test_a_master_file_of_the_ehr_is_acknowledged_and_a_department_without_cost_centre_is_work(
    payments: Payments,
) -> None:
    hospital = payments.hospital
    synced(hospital)
    text = [
        "MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20261101120000-0600||MFN^M05^MFN_M05|MFN-700|P|2.5.1",
        "MFI|LOC||UPD|||AL", "MFE|MAD|1||CARD|PL", "LOC|CARD^^^ST-MARY|Catheter laboratory|D",
    ]  # fmt: skip
    answer = hospital.ehr.send("\r".join(text) + "\r")
    assert "AA" in str(answer)
    until(lambda: ("department_to_cost_centre", "CARD") in mismatches(hospital))
    found = mismatches(hospital)["department_to_cost_centre", "CARD"]
    assert (found["facility"], found["proposed"]) == ("ST-MARY", "CC-CATH")
    hospital.ehr.send("\r".join(text).replace("MFN-700", "MFN-701") + "\r")
    hospital.settles()
    assert len(hospital.query("SELECT 1 FROM master_version WHERE code = 'CARD'")) == 1


def test_who_does_not_own_a_record_is_not_mixed_in(payments: Payments) -> None:
    hospital = payments.hospital
    hospital.scans_raw(
        '{"resourceType": "Bundle", "id": "b1", "type": "collection", "timestamp": "2026-11-01T06:00:00-06:00", "entry": ['
        '{"resource": {"resourceType": "Location", "id": "NPT-OR", "name": "Theatre store", "managingOrganization": {"reference": "Organization/NORTH-POINT"}}},'
        '{"resource": {"resourceType": "Location", "id": "STM-OR1", "name": "Not theirs", "managingOrganization": {"reference": "Organization/ST-MARY"}}}]}'
    )
    until(lambda: bool(hospital.query("SELECT 1 FROM work_item WHERE cause LIKE 'NoAuthority:%' AND state = 'open'")))
    [item] = hospital.query("SELECT cause, queue FROM work_item WHERE cause LIKE 'NoAuthority:%'")
    assert item["cause"] == "NoAuthority:location of ST-MARY by stock: ehr owns it" and item["queue"] == "master-data"
    told = hospital.query("SELECT code, facility FROM master_version WHERE system = 'stock'")
    assert [(row["code"], row["facility"]) for row in told] == [("NPT-OR", "NORTH-POINT")]
