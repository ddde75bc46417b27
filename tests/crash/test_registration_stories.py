"""Registration on the whole platform: accounts at billing as the EHR tells them, coverage verified when the payer answers."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import digest
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.crash.worlds import IMPATIENT, LAKESHORE, until

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.hospital import ErpAddress, Hospital
from hilum.testing.hospital_messages import charge_message
from hilum.testing.neighbours.simulated_ehr import EhrSender

pytestmark = pytest.mark.slow

NO_ERP = ErpAddress("http://127.0.0.1:9", "erp", "nobody")
"""Registration posts nothing: no story here needs a ledger."""
CASEY = {
    "member": "W-1001", "family_name": "EXAMPLE", "given_name": "CASEY", "birth_date": "1980-02-14", "plan": "HARBOR GOLD",
}  # fmt: skip
_control = count(1)
_MORNING = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)


@pytest.fixture(scope="module")
def hospital(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hospital]:
    place: Path = tmp_path_factory.mktemp("registration")
    url = postgres.create_database("hospital_registration", template=migrated_template)
    try:
        with Hospital(place, estate=LAKESHORE, erp=NO_ERP, database_url=url, policy=IMPATIENT) as opened:
            yield opened
            assert opened.hilum("audit", "verify")["whole"]
    finally:
        postgres.drop_database("hospital_registration")


def adt(trigger: str, account: str, *segments: str, minute: int, mrn: str = "", number: str = "") -> str:
    moment = (_MORNING + timedelta(minutes=minute)).strftime("%Y%m%d%H%M%S+0000")
    control_id = number or f"T-{next(_control):04}"
    lines = [
        f"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|{moment}||ADT^{trigger}|{control_id}|P|2.5.1",
        f"EVN|{trigger}|{moment}",
        f"PID|1||{mrn or 'MRN-' + account}^^^ST-MARY^MR||EXAMPLE^CASEY||19800214|F||||||||||{account}^^^ST-MARY^AN",
        *segments,
    ]
    if not any(line.startswith(("PV1", "MRG")) for line in segments):
        lines.append("PV1|1|I|4W")
    return "\r".join([*lines, ""])


def insured(member: str, insurer: str = "HARBOR") -> str:
    return f"IN1|1|GOLD|{insurer}||||||||||||||SEL|||||||||||||||||||{member}"


def sends(hospital: Hospital, *messages: str) -> None:
    for message in messages:
        assert hospital.ehr.send(message)["code"] == "AA"


def at_billing(hospital: Hospital, account: str) -> dict[str, Any]:
    found = [each for each in hospital.billing.ask("GET", "/accounts") if each["number"] == account]
    assert len(found) <= 1
    return found[0] if found else {"status": "unknown", "history": []}


def by_rest(hospital: Hospital, account: str) -> dict[str, Any]:
    token = (hospital.data / "secrets" / "billing-api-token").read_text()
    answer: dict[str, Any] = hospital.billing.ask(
        "POST", "/api/accounts/lookup", {"number": account, "authority": "ST-MARY"}, token=token
    )
    return answer


def coverage_at_billing(hospital: Hospital, account: str) -> list[str]:
    return [c["status"] for c in hospital.billing.ask("GET", "/coverages") if c["account"] == account]


def answers(hospital: Hospital, insurer: str) -> list[str]:
    """The states of the coverages of one insurer, oldest first: each story has an insurer's number of its own."""
    rows = hospital.query("SELECT status FROM coverage_answer WHERE insurer = $1 ORDER BY at, attempt", insurer)
    return [row["status"] for row in rows]


def waiting(hospital: Hospital, cause: str) -> list[dict[str, Any]]:
    return hospital.query(
        """SELECT w.id, w.queue, w.title, w.at_risk_usd, c.detail FROM work_item w JOIN work_item_case c ON c.work_item = w.id
            WHERE w.state = 'open' AND w.cause LIKE $1""",
        f"{cause}%",
    )


def test_while_the_payer_is_away_a_coverage_is_not_verified_and_later_it_is(hospital: Hospital) -> None:
    hospital.maps("insurer_to_payer", "AWAY", "HHP01")
    sends(hospital, adt("A04", "ACC-1", insured("W-1001", "AWAY"), minute=0))
    until(lambda: "not-verified" in answers(hospital, "AWAY"))
    until(lambda: coverage_at_billing(hospital, "ACC-1") == ["not-verified"])
    assert at_billing(hospital, "ACC-1")["status"] == "open"
    hospital.insures(CASEY)
    until(lambda: answers(hospital, "AWAY")[-1] == "active")
    until(lambda: coverage_at_billing(hospital, "ACC-1") == ["active"])
    # The same coverage in an update of the same day is not asked for again.
    sends(hospital, adt("A08", "ACC-1", insured("W-1001", "AWAY"), minute=1))
    hospital.settles()
    assert answers(hospital, "AWAY").count("active") == 1
    assert waiting(hospital, "CoverageNotVerified") == []


def test_what_the_payer_says_no_to_is_work_for_patient_access(hospital: Hospital) -> None:
    hospital.insures({**CASEY, "member": "W-2002", "active": False})
    sends(
        hospital,
        adt("A04", "ACC-2", insured("W-2002"), minute=0),
        adt("A04", "ACC-3", insured("W-NOBODY"), minute=0),
        adt("A04", "ACC-4", insured("W-1", "NEWPLAN"), insured("W-2", "SELFPAY"), minute=0),
    )
    hospital.settles()
    for cause, detail in (
        ("InactiveCoverage", "not active"),
        ("MemberUnknown", ": 75"),
        ("UnknownInsurer:NEWPLAN", ""),
    ):
        [item] = waiting(hospital, cause)
        assert item["queue"] == "patient-access" and detail in item["detail"]
        assert not any(name in item["title"] + item["detail"] for name in ("ACC-", "W-", "CASEY"))
    assert coverage_at_billing(hospital, "ACC-2") == ["inactive"]
    until(lambda: answers(hospital, "SELFPAY") == ["to-verify", "not-asked"])
    hospital.maps("insurer_to_payer", "NEWPLAN", "-")
    hospital.releases(waiting(hospital, "UnknownInsurer:NEWPLAN")[0]["id"])
    hospital.settles()
    assert answers(hospital, "NEWPLAN")[-1] == "not-asked"


def test_a_cancelled_admission_is_cancelled_at_billing_and_nobody_is_asked_any_more(hospital: Hospital) -> None:
    hospital.insures(CASEY)
    hospital.maps("insurer_to_payer", "SLOW", "HHP01")
    hospital.payer.fault("down")
    try:
        sends(hospital, adt("A01", "ACC-5", insured("W-1001", "SLOW"), minute=0))
        until(lambda: "not-verified" in answers(hospital, "SLOW"))
        until(lambda: coverage_at_billing(hospital, "ACC-5") == ["not-verified"])
        sends(hospital, adt("A11", "ACC-5", minute=1))
        until(lambda: answers(hospital, "SLOW")[-1] == "stopped")
    finally:
        hospital.payer.fault("ok")
    hospital.settles()
    until(lambda: at_billing(hospital, "ACC-5")["status"] == "cancelled")
    assert coverage_at_billing(hospital, "ACC-5") == ["not-verified"]
    assert waiting(hospital, "CancelledWithCharges") == []


def test_a_cancellation_that_comes_first_counts_when_the_admission_comes(hospital: Hospital) -> None:
    sends(hospital, adt("A11", "ACC-6", minute=5), adt("A01", "ACC-6", minute=0))
    until(lambda: at_billing(hospital, "ACC-6")["history"] == ["A11", "A04"])
    assert at_billing(hospital, "ACC-6")["status"] == "cancelled"
    sends(hospital, adt("A13", "ACC-7", minute=6), adt("A01", "ACC-7", minute=0), adt("A03", "ACC-7", minute=3))
    until(lambda: at_billing(hospital, "ACC-7")["history"] == ["A13", "A04", "A03"])
    assert at_billing(hospital, "ACC-7")["status"] == "open"
    # The register says what billing says.
    known = "SELECT DISTINCT status FROM patient_account WHERE facts > 1"
    until(lambda: {row["status"] for row in hospital.query(known)} >= {"cancelled", "open"})


def test_an_account_cancelled_with_charges_waits_for_a_person_with_its_dollars(hospital: Hospital) -> None:
    host, port = "127.0.0.1", hospital.billing.ports["mllp-port"]
    charge = charge_message(
        "U-8", "IMP-1", quantity=1, facility="ST-MARY", department="OR", charge_usd="250.00", control_id="CU-8"
    )
    charge = charge.replace("ACC-U-8", "ACC-8")

    async def charged() -> str:
        sender = EhrSender(host, port)
        outcome = await sender.send(charge.encode())
        await sender.close()
        return outcome.code

    assert asyncio.run(charged()) == "AA"
    sends(hospital, adt("A01", "ACC-8", minute=0), adt("A11", "ACC-8", minute=1))
    hospital.settles()
    [item] = waiting(hospital, "CancelledWithCharges")
    assert (item["queue"], f"{item['at_risk_usd']:.2f}") == ("patient-access", "250.00")
    assert item["detail"] == "at ST-MARY: 250.00 USD at billing, 0.00 USD in the platform's books"


def test_merged_patients_and_accounts_are_one_at_billing_and_in_the_register(hospital: Hospital) -> None:
    sends(
        hospital,
        adt("A01", "ACC-20", minute=0, mrn="MRN-OLD"),
        adt("A01", "ACC-21", minute=0, mrn="MRN-NEW"),
        adt("A40", "ACC-21", "MRG|MRN-OLD^^^ST-MARY^MR||ACC-20^^^ST-MARY^AN", minute=2, mrn="MRN-NEW"),
        adt("A03", "ACC-20", minute=3, mrn="MRN-OLD"),
    )
    until(lambda: at_billing(hospital, "ACC-20")["history"] == ["A04", "A03"])
    assert (at_billing(hospital, "ACC-20")["status"], at_billing(hospital, "ACC-20")["mrn"]) == ("merged", "MRN-NEW")
    assert by_rest(hospital, "ACC-20") == by_rest(hospital, "ACC-21")
    assert by_rest(hospital, "ACC-20")["number"] == "ACC-21"
    merged = """SELECT p.status FROM patient_account p WHERE survivor_of('account', p.account) <> p.account
                   AND survivor_of('mrn', p.mrn) <> p.mrn"""
    until(lambda: hospital.query(merged) == [{"status": "discharged"}])
    told = hospital.hilum("patient-account", "show", "ACC-20", "--authority", "ST-MARY")
    assert [fact["change"] for fact in told["facts"]] == ["admitted", "admitted", "discharged"]
    assert (told["status"], told["asked"] != told["account"], len({fact["account"] for fact in told["facts"]})) == (
        "open", True, 2,
    )  # fmt: skip
    assert [(merge["kind"], merge["stands"]) for merge in told["merges"]] == [("account", True), ("mrn", True)]
    assert not any(name in str(told) for name in ("ACC-2", "MRN-", "CASEY"))
    assert hospital.hilum("patient-account", "show", "ACC-21")["account"] == told["account"]
    # What was told of either number is found by both.
    assert hospital.hilum("trace", "ACC-20")["total"] == hospital.hilum("trace", "ACC-21")["total"] == 4


def test_an_encounter_that_fhir_tells_of_is_an_account_like_any_other(hospital: Hospital) -> None:
    hospital.insures({**CASEY, "member": "W-1032"})
    sample = (LAKESHORE / "samples" / "encounter_notified_with_what_it_names.json").read_bytes()
    assert [notifies(hospital, sample), notifies(hospital, sample)] == [202, 200]
    until(lambda: coverage_at_billing(hospital, "ACC-9032") == ["active"])
    until(lambda: at_billing(hospital, "ACC-9032")["history"].count("A08") >= 1)
    assert at_billing(hospital, "ACC-9032")["history"].count("A04") == 1
    assert notifies(hospital, sample.replace(b'"in-progress"', b'"cancelled"')) == 202
    until(lambda: at_billing(hospital, "ACC-9032")["status"] == "cancelled")
    assert notifies(hospital, sample.replace(b'"in-progress"', b'"nonsense"')) in (400, 422)


def notifies(hospital: Hospital, body: bytes) -> int:
    """The EHR's clinics notify, signing as Standard Webhooks say; the status of the answer."""
    address = urlsplit(hospital.ready["intake-1"]["addresses"]["ehr/webhook"])
    secret = b64decode((hospital.data / "secrets" / "ehr-webhook").read_text().removeprefix("whsec_"))
    number, stamp = f"msg_{next(_control)}", str(int(datetime.now(UTC).timestamp()))
    mac = digest(secret, f"{number}.{stamp}.".encode() + body, sha256)
    headers = {
        "webhook-id": number, "webhook-timestamp": stamp, "webhook-signature": "v1," + b64encode(mac).decode(),
        "content-type": "application/json",
    }  # fmt: skip
    connection = HTTPConnection(str(address.hostname), address.port, timeout=30)
    try:
        connection.request("POST", address.path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_message_that_is_sent_again_changes_nothing(hospital: Hospital) -> None:
    once = adt("A01", "ACC-30", insured("W-1001", "TWICE"), minute=0, number="SAME-1")
    hospital.maps("insurer_to_payer", "TWICE", "-")
    sends(hospital, once, once)
    hospital.settles()
    assert at_billing(hospital, "ACC-30")["history"] == ["A04"]
    until(lambda: answers(hospital, "TWICE") == ["to-verify", "not-asked"])
