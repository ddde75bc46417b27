"""What owners send of their master data - MFN, FHIR, complete lists - and what it says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from hilum.authoring import InvalidData
from hilum.authoring.master import Scope, ToldRecord
from hilum.formats import tabular
from hilum.formats.hl7v2 import Message
from hilum.processes.master_data.fhir import MasterBundle, bundle_told
from hilum.processes.master_data.hl7 import master_file_told
from hilum.processes.master_data.snapshot_files import list_told
from hilum.processes.master_data.telling import MasterRecordsTold

CHICAGO = ZoneInfo("America/Chicago")
FACILITIES = ("ST-MARY", "HARBOR-VIEW")
FHIR_SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "fhir-r4"


def mfn(
    *records: str, kind: str = "M05", mfi: str = "UPD", effective: str = "", number: str = "MFN-1"
) -> MasterRecordsTold:
    lines = [
        f"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260301120000||MFN^{kind}|{number}|P|2.5.1",
        f"MFI|LOC||{mfi}||{effective}|AL", *records,
    ]  # fmt: skip
    message = Message.parse("\r".join(lines).encode())
    return master_file_told(message, system="ehr", zone=CHICAGO, facilities=FACILITIES)


def only(told: MasterRecordsTold) -> ToldRecord:
    [record] = told.records
    return record


EYE = "LOC|EYE^^^HARBOR-VIEW|Eye theatres|D"


@pytest.mark.parametrize(
    ("code", "action"),
    [("MAD", "stated"), ("MUP", "updated"), ("MDL", "ended"), ("MDC", "ended"), ("MAC", "resumed")],
)
def test_the_record_level_event_says_what_happens_to_a_record(code: str, action: str) -> None:
    record = only(mfn(f"MFE|{code}|1|20261201|EYE|PL", EYE))
    assert (record.action, record.object, record.code, record.facility) == (action, "department", "EYE", "HARBOR-VIEW")
    assert record.effective_at == datetime(2026, 12, 1, tzinfo=CHICAGO)


def test_an_event_code_of_nobodys_is_refused() -> None:
    with pytest.raises(InvalidData, match="MXX is none"):
        mfn("MFE|MXX|1||EYE|PL", EYE)
    with pytest.raises(InvalidData, match="no record"):
        mfn()


def test_the_files_date_counts_where_a_record_has_none_and_else_the_messages() -> None:
    assert only(mfn("MFE|MAD|1||EYE|PL", EYE, effective="20260401")).effective_at == datetime(
        2026, 4, 1, tzinfo=CHICAGO
    )
    told = mfn("MFE|MAD|1||EYE|PL", EYE)
    assert only(told).effective_at is None and told.said_at == datetime(2026, 3, 1, 12, tzinfo=CHICAGO)


def test_a_place_is_named_down_to_its_bed_and_belongs_to_its_facility() -> None:
    bed = only(mfn("MFE|MAD|1||X|PL", "LOC|ICU^4^B^ST-MARY|Bed|B"))
    assert (bed.object, bed.code, bed.facility) == ("location", "ICU-4-B", "ST-MARY")
    elsewhere = only(mfn("MFE|MAD|1||X|PL", "LOC|ICU^^^NOWHERE|Unit|N"))
    assert elsewhere.facility == ""


def test_activation_and_inactivation_days_are_the_records_own() -> None:
    record = only(mfn("MFE|MAD|1||EYE|PL", EYE, "LDP|EYE|SURG|||||20260315080000|20301231"))
    assert (record.valid_from, record.valid_to) == (date(2026, 3, 15), date(2030, 12, 31))
    assert record.attributes == {"kind": "D", "department": "SURG"}


def test_absent_is_unchanged_and_null_takes_a_value_away() -> None:
    record = only(mfn("MFE|MUP|1||EYE|PL", 'LOC|EYE^^^HARBOR-VIEW||D||""'))
    assert record.name is None and record.attributes == {"kind": "D", "address": None}


def test_a_practitioner_has_the_npi_that_says_it_is_one() -> None:
    record = only(
        mfn("MFE|MAD|1||10021|CWE", "STF|10021||Okafor^Amara|||A", "PRA|10021||||207X|9^MCD~1730195003^NPI", kind="M02")
    )
    assert (record.object, record.name, record.attributes["npi"]) == ("provider", "Okafor Amara", "1730195003")
    gone = only(mfn("MFE|MUP|1||10022|CWE", "STF|10022||Lindqvist^Sven||||I", kind="M02"))
    assert gone.action == "ended" and "active" not in gone.attributes


def test_a_charge_description_is_a_charge_code() -> None:
    record = only(mfn("MFE|MAD|1||IMP-1|CWE", "CDM|IMP-1||KNEE|Knee implant|||27447^^C4|A", kind="M04"))
    assert (record.object, record.code, record.name) == ("charge_code", "IMP-1", "Knee implant")
    assert record.attributes == {"procedure": "27447"}


def test_a_file_that_replaces_is_complete_for_what_it_lists() -> None:
    told = mfn("MFE|MAD|1|20200101|EYE|PL", EYE, "MFE|MDL|2||OLD|PL", "LOC|OLD^^^ST-MARY|Old|D", mfi="REP")
    assert told.complete == (
        Scope(object="department", facility="HARBOR-VIEW"), Scope(object="department", facility="ST-MARY"),
    )  # fmt: skip
    assert [(r.action, r.effective_at) for r in told.records] == [("stated", None), ("ended", None)]
    assert mfn("MFE|MAD|1||EYE|PL", EYE).complete == ()


def test_the_same_message_is_the_same_fact_and_a_number_used_again_is_another() -> None:
    first, again = (mfn("MFE|MAD|1||EYE|PL", EYE) for _ in range(2))
    other = mfn("MFE|MAD|1||EYE|PL", EYE.replace("Eye", "Ear"))
    assert first.number == again.number != other.number


def test_several_records_each_have_their_own_segments() -> None:
    told = mfn(
        "MFE|MAD|1||A|PL", "LOC|A^^^ST-MARY|One|D", "MFE|MAD|2||B|PL", "MFE|MAD|3||C|PL", "LOC|C^^^ST-MARY|Three|D"
    )
    assert [(r.code, r.name) for r in told.records] == [("A", "One"), ("B", None), ("C", "Three")]


# --- complete lists

HEADER = "as_of,object,facility,code,name,valid_from,valid_to,tax_id\n"
AT = "2026-03-01T05:00:00-06:00"


def listed(*rows: str, header: str = HEADER) -> MasterRecordsTold:
    table = tabular.parse((header + "".join(f"{row}\n" for row in rows)).encode())
    return list_told(table, system="clearinghouse", attributes=("tax_id",))


def test_a_list_says_all_there_is_of_its_object() -> None:
    told = listed(
        f"{AT},payer,,HHP01,Harbor Health Plan,2026-01-01,,36-1", f"{AT},payer,,MCARE,Medicare,,,", "TRAILER,2"
    )
    assert told.complete == (Scope(object="payer"),)
    assert told.said_at == datetime(2026, 3, 1, 5, tzinfo=timezone(timedelta(hours=-6)))
    first, second = told.records
    assert (first.code, first.valid_from, first.attributes) == ("HHP01", date(2026, 1, 1), {"tax_id": "36-1"})
    assert (second.name, second.attributes) == ("Medicare", {"tax_id": None})


ROW = f"{AT},payer,,HHP01,Harbor,,,"
REFUSED: dict[str, Callable[[], MasterRecordsTold]] = {
    "a row without a code": lambda: listed(ROW, f"{AT},payer,,,Nameless,,,"),
    "a day that is none": lambda: listed(f"{AT},payer,,HHP01,Harbor,2026-02-30,,"),
    "a moment without an offset": lambda: listed("2026-03-01T05:00:00,payer,,HHP01,Harbor,,,", ROW),
    "two moments": lambda: listed(ROW, ROW.replace("05:00:00", "06:00:00").replace("HHP01", "HHP02")),
    "two objects": lambda: listed(ROW, ROW.replace("payer", "provider").replace("HHP01", "HHP02")),
    "a code that stands twice": lambda: listed(ROW, ROW),
    "a count that is another": lambda: listed(ROW, f"{AT},payer,,MCARE,Medicare,,,", "TRAILER,3"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_list_that_cannot_be_read_whole_is_refused_whole(name: str) -> None:
    with pytest.raises(InvalidData):
        REFUSED[name]()


# --- FHIR


def bundle(*resources: dict[str, Any], complete: bool = False) -> MasterRecordsTold:
    tags = [{"system": "urn:hilum:master", "code": "complete"}] if complete else []
    document = {
        "resourceType": "Bundle", "type": "collection", "id": "b1", "timestamp": "2026-03-01T12:00:00Z", "meta": {"tag": tags},
        "entry": [{"resource": each} for each in resources],
    }  # fmt: skip
    return bundle_told(MasterBundle.model_validate(document), system="stock", facilities=FACILITIES)


def test_a_location_is_of_the_facility_that_manages_it() -> None:
    record = only(
        bundle({
            "resourceType": "Location", "id": "l1", "identifier": [{"value": "X"}, {"use": "official", "value": "HBV-OR"}],
            "name": "Theatre store", "status": "suspended", "address": {"line": ["1 Pier"], "postalCode": "60000"},
            "managingOrganization": {"reference": "Organization/HARBOR-VIEW"},
        })
    )  # fmt: skip
    assert (record.object, record.code, record.facility, record.action) == (
        "location",
        "HBV-OR",
        "HARBOR-VIEW",
        "stated",
    )
    assert record.attributes == {"address": "1 Pier", "postal_code": "60000"}
    assert record.effective_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("code", "object"), [("dept", "department"), ("ins", "payer"), ("prov", "provider")])
def test_what_an_organization_is_says_its_type(code: str, object: str) -> None:
    found = only(
        bundle({"resourceType": "Organization", "id": "o1", "name": "O", "type": [{"coding": [{"code": code}]}]})
    )
    assert (found.object, found.code) == (object, "o1")


def test_a_practitioner_has_the_specialty_of_their_role() -> None:
    npi = {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1730195003"}
    record = only(
        bundle(
            {"resourceType": "Practitioner", "id": "p1", "active": False, "identifier": [npi], "name": [{"family": "Okafor", "given": ["Amara"]}]},
            {
                "resourceType": "PractitionerRole", "practitioner": {"reference": "https://ehr/fhir/Practitioner/p1"},
                "specialty": [{"coding": [{"code": "207X"}]}], "organization": {"reference": "Organization/o9"},
            },
        )
    )  # fmt: skip
    assert (record.code, record.name, record.action) == ("p1", "Okafor Amara", "ended")
    assert record.attributes == {"kind": "practitioner", "npi": "1730195003", "specialty": "207X", "organization": "o9"}


def test_only_a_bundle_that_says_so_is_complete() -> None:
    location = {"resourceType": "Location", "id": "l1", "name": "Store"}
    assert bundle(location).complete == ()
    assert bundle(location, complete=True).complete == (Scope(object="location"),)
    with pytest.raises(InvalidData, match="holds no"):
        bundle({"resourceType": "Patient", "id": "p"})


@pytest.mark.parametrize("kind", ["Organization", "Location", "Practitioner"])
def test_published_examples_are_read(kind: str) -> None:
    files = sorted(FHIR_SAMPLES.rglob(f"{kind.lower()}-example*.json"))
    if not files:
        pytest.skip("the public FHIR examples are not here (shared/data/SOURCES.md says where they come from)")
    for file in files:
        record = only(bundle(orjson.loads(file.read_bytes())))
        assert record.code and record.object in ("provider", "location", "payer", "department")
