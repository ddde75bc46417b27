"""Each rule of the check, attacked: a copy of Lakeshore with one thing wrong is refused, at its place, with a remedy."""

from __future__ import annotations

import re

import pytest

ESTATE = "estate.toml"
THEATRE = "integrations/theatre.py"
ACCESS = "integrations/access.py"
BEDS = "integrations/beds.py"

BED_ASSIGNED = '''
from hilum.authoring import Contract, Crosswalk, Erp, Hl7, Rejected, System, feed, flow, mapping
from pydantic import BaseModel

class BedAssigned(Contract, version=1, identities=["bed"], owner="patient-access"):
    """A patient was given a bed."""

    bed: str
    ward: str


class BedReport(BaseModel):
    type: str
    bed: str
    ward: str


beds = System("stock")


@mapping(source=beds, message="bed")
def bed_assigned(report: BedReport) -> BedAssigned:
    return BedAssigned(bed=report.bed, ward=report.ward)


@flow(on=BedAssigned, key="bed", criticality="low", owner="patient-access", recovery="Somebody looks.")
def prepare_bed(assigned: BedAssigned) -> None:
    pass
'''
SAMPLE = '{"type": "bed", "bed": "412-A", "ward": "4W"}\n'
EXPECTED = '[{"type": "BedAssigned", "version": 1, "event": {"bed": "412-A", "ward": "4W"}}]\n'


def change(file, old, new):
    return lambda estate: estate.changes(file, old, new)


def add(file, text):
    return lambda estate: estate.adds(file, text)


def remove(file):
    return lambda estate: estate.removes(file)


def beds(old="", new="", more=""):
    """A second integration, right but for one change."""

    def edit(estate):
        estate.adds(BEDS, BED_ASSIGNED)
        estate.adds("samples/bed_assigned.json", SAMPLE)
        estate.adds("samples/bed_assigned.expected.json", EXPECTED)
        if old:
            estate.changes(BEDS, old, new)
        estate.adds(BEDS, more)

    return edit


# name: (edit, where it is, what is said)
BROKEN = {
    # owners
    "a system without owner": (
        change("systems/erp.toml", 'owner = "finance"\n', ""),
        "systems/erp.toml",
        "The system erp has no owner",
    ),
    "a system with an unknown owner": (
        change("systems/erp.toml", 'owner = "finance"', 'owner = "fiance"'),
        "systems/erp.toml:2",
        "owned by 'fiance', whom the estate does not know",
    ),
    "a queue without owner": (
        change(ESTATE, '[queues.purchasing]\nowner = "supply-chain"', "[queues.purchasing]"),
        r"estate.toml:\d+",
        "The queue purchasing has no owner",
    ),
    "a crosswalk without owner": (
        change(ESTATE, 'to = "erp"\nowner = "finance"', 'to = "erp"'),
        r"estate.toml:\d+",
        "The crosswalk department_to_cost_centre has no owner",
    ),
    "a feed without owner": (
        change(ACCESS, '    owner="patient-access",\n', ""),
        r"integrations/access.py:\d+",
        "The feed accounts_to_billing has no owner",
    ),
    "a shipped contract whose owner the estate does not have": (
        change(ESTATE, 'patient-access = "Patient access services"\n', ""),
        r"hilum.processes.patient_account:\d+",
        "The contract PatientRegistered is owned by 'patient-access'",
    ),
    "a contract without owner": (
        beds(', owner="patient-access"):', "):"),
        r"integrations/beds.py:5",
        "The contract BedAssigned has no owner",
    ),
    "a flow without owner": (
        beds('owner="patient-access", recovery', "recovery"),
        r"integrations/beds.py:26",
        "The flow prepare_bed has no owner",
    ),
    # contracts
    "a contract without version": (
        beds("version=1, ", ""),
        "integrations/beds.py:5",
        "The contract BedAssigned has no version",
    ),
    "a contract without docstring": (
        beds('    """A patient was given a bed."""\n', ""),
        "integrations/beds.py:5",
        "BedAssigned has no docstring",
    ),
    "names that no mask reaches": (
        beds(
            more="from typing import Annotated\n\nfrom hilum.authoring import Phi\n\n\n"
            'class BedNoted(Contract, version=1, identities=["bed"], owner="patient-access"):\n    """Said of a bed."""\n\n'
            "    bed: str\n    notes: dict[str, Annotated[str, Phi]] = {}\n"
        ),
        r"integrations/beds.py:\d+",
        "keeps classified values in a mapping at BedNoted.notes",
    ),
    "a contract without identities": (
        beds(' identities=["bed"],', ""),
        "integrations/beds.py:5",
        "BedAssigned has no identities",
    ),
    "an identity that is no field": (
        beds('identities=["bed"]', 'identities=[("ward", "bad")]'),
        "integrations/beds.py:5",
        "names 'bad', which is no field",
    ),
    "two contracts of one name": (
        beds(
            more='\n\nclass PatientRegistered(BedAssigned, version=1, identities=["bed"], owner="integration"):\n    """X."""\n'
        ),
        r"(integrations/beds.py|hilum.processes.patient_account):\d+",
        "There are two contracts called PatientRegistered",
    ),
    # flows and feeds
    "a flow without key": (beds('key="bed", ', ""), "integrations/beds.py:26", "The flow prepare_bed has no key"),
    "a flow whose key is no field": (
        beds('key="bed"', 'key="bad"'),
        "integrations/beds.py:26",
        "The key of the flow prepare_bed is 'bad', which is no field of BedAssigned",
    ),
    "a flow whose ordering is no field": (
        beds('key="bed"', 'key="bed", ordering="ward.floor"'),
        "integrations/beds.py:26",
        "The ordering of the flow prepare_bed is 'ward.floor'",
    ),
    "a flow without criticality": (
        beds('criticality="low", ', ""),
        "integrations/beds.py:26",
        "The flow prepare_bed has no criticality",
    ),
    "a flow of an unknown criticality": (
        beds('criticality="low"', 'criticality="urgent"'),
        "integrations/beds.py:26",
        "criticality 'urgent', which is none",
    ),
    "a flow without recovery": (
        beds(', recovery="Somebody looks."', ""),
        "integrations/beds.py:26",
        "The flow prepare_bed has no recovery",
    ),
    "two flows of one name": (
        beds("def prepare_bed(", "def implant_usage("),
        r"integrations/theatre.py:\d+|hilum.processes.implant_usage:\d+",
        "There are two flows called implant_usage",
    ),
    "a feed without key": (
        change(ACCESS, '    key="account",\n', ""),
        r"integrations/access.py:\d+",
        "The feed accounts_to_billing has no key",
    ),
    "a feed whose key is no field of one of its events": (
        change(ACCESS, 'key="account"', 'key="line"'),
        r"integrations/access.py:\d+",
        "'line', which is no field of PatientRegistered",
    ),
    "a feed to a system without connector": (
        change(ACCESS, "    to=billing,", "    to=ehr,"),
        r"integrations/access.py:\d+",
        "The feed accounts_to_billing goes to ehr, which has no connector",
    ),
    # mappings
    "a mapping without sample": (
        remove("samples/patient_admitted.hl7"),
        r"integrations/access.py:\d+",
        "The mapping patient_admitted has no golden sample",
    ),
    "a sample without expectation": (
        remove("samples/implant_scanned.expected.json"),
        "samples/implant_scanned.json",
        "has no samples/implant_scanned.expected.json beside it",
    ),
    "a mapping that makes something else of its sample": (
        change(THEATRE, "quantity=int(quantity),", "quantity=int(quantity) + 1,"),
        "samples/implants_charged.hl7",
        r'-      "quantity": 1,\n\+      "quantity": 2,',
    ),
    "a mapping that drops an event": (
        change(THEATRE, "in charge_lines(message)\n    ]", "in charge_lines(message)\n    ][:1]"),
        "samples/implants_charged.hl7",
        r'-      "usage_id": "U-3002"',
    ),
    "an expectation that is no JSON": (
        change("samples/implant_scanned.expected.json", "[", "{"),
        "samples/implant_scanned.json",
        "implant_scanned.expected.json is not JSON",
    ),
    "a sample that the mapping cannot read": (
        change("samples/implant_scanned.json", '"quantity": 1', '"quantity": 0'),
        "samples/implant_scanned.json",
        "fails on its sample: quantity: Input should be greater than 0",
    ),
    "a sample of another message": (
        change("samples/patient_admitted.hl7", "ADT^A01", "ADT^A08"),
        "samples/patient_admitted.hl7",
        r"The sample is of type 'ADT\^A08', but the mapping patient_admitted takes ADT\^A01",
    ),
    "a JSON sample of another message": (
        change("samples/implant_scanned.json", '"consumption"', '"return"'),
        "samples/implant_scanned.json",
        "The sample is of type 'return', but the mapping implant_scanned takes consumption",
    ),
    "a sample of a version that is not taken": (
        change("samples/patient_admitted.hl7", "|2.5.1", "|2.9"),
        "samples/patient_admitted.hl7",
        "The sample is of HL7 version 2.9, which is not taken from ehr",
    ),
    "a mapping that raises": (
        change(
            ACCESS,
            "    return adt.registered(message, LAKESHORE_TIME)",
            "    return adt.registered(message, LAKESHORE_TIME, 1)",
        ),
        "samples/patient_admitted.hl7",
        "fails on its sample: TypeError",
    ),
    "a mapping of an unknown system": (
        change(THEATRE, 'ehr = System("ehr")', 'ehr = System("hr")'),
        r"integrations/theatre.py:\d+",
        "reads messages of 'hr', which is no system of the estate",
    ),
    "an HL7 mapping of a system that nothing listens to": (
        change("systems/ehr.toml", "[listen.mllp]", "[listen.nothing]"),
        r"systems/ehr.toml:\d+",
        "`listen.nothing` is not a setting",
    ),
    "an HL7 mapping of a system without MLLP": (
        change(THEATRE, '@mapping(source=ehr, message="DFT^P03")', '@mapping(source=stock, message="DFT^P03")'),
        r"systems/stock.toml:\d+",
        r"Nothing brings DFT\^P03 from stock to the mapping implants_charged",
    ),
    "a JSON mapping of a system without webhook": (
        change(
            THEATRE,
            '@mapping(source=stock, message="consumption")',
            '@mapping(source=System("payer"), message="consumption")',
        ),
        r"systems/payer.toml(:\d+)?",
        "Nothing brings 'consumption' from payer to the mapping implant_scanned",
    ),
    "an HL7 mapping of something that is no message type": (
        change(THEATRE, 'message="DFT^P03"', 'message="DFT-P03"'),
        r"integrations/theatre.py:\d+",
        "'DFT-P03', which is no HL7 v2 message type",
    ),
    "two mappings of one message": (
        change(ACCESS, 'message="ADT^A04"', 'message="ADT^A01"'),
        r"integrations/access.py:\d+",
        r"The mapping patient_registered takes ADT\^A01 from ehr, and so does patient_admitted \(integrations/access.py:\d+\)",
    ),
    "a mapping that does not say what it makes": (
        beds("(report: BedReport) -> BedAssigned", "(report: BedReport)"),
        r"integrations/beds.py:\d+",
        "bed_assigned does not say which event it makes",
    ),
    "a mapping that does not say what it reads": (
        beds("(report: BedReport)", "(report)"),
        r"integrations/beds.py:\d+",
        "bed_assigned does not say which message it reads",
    ),
    # crosswalks
    "a crosswalk whose table is missing": (
        remove("tables/device_to_item.csv"),
        r"estate.toml:\d+",
        "tables/device_to_item.csv does not exist",
    ),
    "a crosswalk with two answers for one day": (
        add("tables/charge_code_to_item.csv", "IMP-1001,HIP-40,,2025-01-01,\n"),
        "tables/charge_code_to_item.csv:9",
        "IMP-1001 has two targets on 2025-01-01: line 2 says KNEE-99",
    ),
    "a crosswalk with a date that is none": (
        add("tables/charge_code_to_item.csv", "IMP-1008,HIP-40,,1/1/2025,\n"),
        "tables/charge_code_to_item.csv:9",
        "valid_from is '1/1/2025', which is no date",
    ),
    "a crosswalk that points nowhere": (
        change("tables/charge_code_to_item.csv", "IMP-1001,KNEE-99", "IMP-1001,KNEE-9"),
        "tables/charge_code_to_item.csv:2",
        "points IMP-1001 to KNEE-9, which is not in tables/items.csv:item",
    ),
    "a crosswalk for a facility that is none": (
        change("tables/department_to_location.csv", "ST-MARY", "ST-MARRY"),
        "tables/department_to_location.csv:2",
        "ST-MARRY, which is no facility",
    ),
    "a crosswalk from a system that is none": (
        change(ESTATE, 'from = "stock"', 'from = "warehouse"'),
        r"estate.toml:\d+",
        "leads from 'warehouse', which is no system of the estate",
    ),
    "a crosswalk to a system that is none": (
        change(ESTATE, 'to = "erp"', 'to = "sap"'),
        r"estate.toml:\d+",
        "leads to 'sap', which is no system of the estate",
    ),
    "a crosswalk whose targets are nowhere": (
        change(ESTATE, 'targets = "tables/items.csv:item"', 'targets = "tables/items.csv:sku"'),
        r"estate.toml:\d+",
        "tables/items.csv has no column sku",
    ),
    "a crosswalk that is used and not declared": (
        change(ESTATE, "[crosswalks.device_to_item]", "[crosswalks.devices_to_items]"),
        r"hilum.processes.implant_usage:\d+",
        "The crosswalk device_to_item is looked up here, but the estate does not declare it",
    ),
    "a crosswalk outside the estate": (
        change(ESTATE, 'file = "tables/device_to_item.csv"', 'file = "../../device_to_item.csv"'),
        r"estate.toml:\d+",
        "lies outside the estate",
    ),
    # rejections and queues
    "a rejection whose queue the estate does not have": (
        change(ESTATE, '[queues.purchasing]\nowner = "supply-chain"\n', ""),
        r"hilum.processes.implant_usage:\d+",
        "The rejection NoContractPrice goes to the queue 'purchasing', which the estate does not have",
    ),
    "a rejection without queue": (
        beds(more='\n\nclass BedBroken(Rejected):\n    """Repair it."""\n'),
        r"integrations/beds.py:\d+",
        "The rejection BedBroken has no queue",
    ),
    "a rejection without remedy": (
        beds(more='\n\nclass BedBroken(Rejected, queue="integration"):\n    pass\n'),
        r"integrations/beds.py:\d+",
        "The rejection BedBroken has no remedy",
    ),
    "no queue for what systems refuse": (
        change(ESTATE, "[queues.refusals]", "[queues.refused]"),
        r"estate.toml:\d+|hilum.authoring.failures:\d+",
        "queue '?refusals'?",
    ),
    "no queue for what the ERP refuses": (
        change(ESTATE, "[queues.erp-refusals]", "[queues.erp-refused]"),
        r"estate.toml:\d+|hilum.authoring.failures:\d+",
        "queue '?erp-refusals'?",
    ),
    "no queue for reports that do not agree": (
        change(ESTATE, "[queues.conflicts]", "[queues.quarrels]"),
        r"hilum.processes.implant_usage:\d+",
        "ImplantUsed.quantity must agree between reports, and there is no queue",
    ),
    # systems
    "a role that no system plays": (
        remove("systems/erp.toml"),
        r"hilum.processes[.a-z_]+:\d+",
        r"Erp\('erp'\) is spoken to, but the estate has no system of that name",
    ),
    "a role without connector": (
        change("systems/erp.toml", 'connector = "tryton"', 'kind = "tryton"'),
        r"systems/erp.toml:\d+",
        r"erp plays the role Erp \(at hilum.processes[.a-z_]+:\d+\) but has no connector",
    ),
    "a connector that Hilum does not have": (
        change("systems/erp.toml", '"tryton"', '"triton"'),
        r"systems/erp.toml:\d+",
        "connected by 'triton', which Hilum does not have",
    ),
    "a system of an unknown criticality": (
        change("systems/ehr.toml", '"critical"', '"vital"'),
        "systems/ehr.toml:3",
        "criticality 'vital', which is none",
    ),
    "a system of an unknown disposition": (
        change("systems/ehr.toml", '"retain"', '"cherish"'),
        r"systems/ehr.toml:\d+",
        "disposition 'cherish'",
    ),
    "a system at a facility that is none": (
        change("systems/ehr.toml", '"NORTH-POINT"', '"SOUTH-POINT"'),
        r"systems/ehr.toml:\d+",
        "SOUTH-POINT, which is no facility",
    ),
    "two systems on one port": (
        add("systems/billing.toml", "\n[listen.mllp]\nport = 6661\n"),
        r"systems/ehr.toml:\d+",
        "ehr listens on port 6661, and so does billing",
    ),
    "two systems on one path": (
        add("systems/billing.toml", '\n[listen.webhook]\npath = "/hooks/stock"\nsecret = "env:BILLING_HOOK"\n'),
        r"systems/stock.toml:\d+",
        "webhooks at /hooks/stock, and so does billing",
    ),
    "an MLLP listener that other machines reach": (
        change("systems/ehr.toml", 'host = "127.0.0.1"', 'host = "0.0.0.0"'),
        r"systems/ehr.toml:\d+",
        "listens on 0.0.0.0, where other machines reach it",
    ),
    # secrets
    "a secret in plain text": (
        change("systems/stock.toml", '"file:secrets/stock-api-token"', '"hunter2hunter2"'),
        r"systems/stock.toml:\d+",
        "`connect.token` is a secret in plain text",
    ),
    "a webhook secret in plain text": (
        change("systems/stock.toml", '"file:secrets/stock-webhook"', '"whsec_hunter2"'),
        r"systems/stock.toml:\d+",
        "`listen.webhook.secret` is a secret in plain text",
    ),
    "an address with a password in it": (
        change("systems/erp.toml", "http://127", "http://hilum:hunter2@127"),
        r"systems/erp.toml:\d+",
        "`connect.url` is an address with a password in it",
    ),
    # files
    "no estate file": (remove(ESTATE), "estate.toml", "The file is missing"),
    "an estate file that is no TOML": (change(ESTATE, "[owners]", "[owners"), r"estate.toml:\d+", "not TOML"),
    "a system file that is no TOML": (add("systems/erp.toml", "port ="), r"systems/erp.toml(:\d+)?", "not TOML"),
    "a setting that is none": (
        change("systems/erp.toml", "timeout_seconds", "timeout_second"),
        r"systems/erp.toml:\d+",
        "`policy.timeout_second` is not a setting",
    ),
    "a setting of the estate that is none": (
        change(ESTATE, "time_zone", "timezone"),
        "estate.toml:5",
        "`estate.timezone` is not a setting",
    ),
    "a setting of a crosswalk that is none": (
        change(ESTATE, 'file = "tables/device_to_item.csv"', 'table = "tables/device_to_item.csv"'),
        r"estate.toml:\d+",
        "`crosswalks.device_to_item.file` is missing",
    ),
    "a setting out of range": (
        change("systems/ehr.toml", "6661", "66610"),
        r"systems/ehr.toml:\d+",
        "`listen.mllp.port` cannot be used: Input should be less than or equal to 65535",
    ),
    "a name in a system's file": (
        change("systems/erp.toml", 'title = "ERP', 'name = "erp"\ntitle = "ERP'),
        "systems/erp.toml:1",
        "A system's name is its file's name",
    ),
    "a time zone that is none": (
        change(ESTATE, "America/Chicago", "America/Shikago"),
        "estate.toml:5",
        "'America/Shikago' is no time zone",
    ),
    "an integration that is no Python": (
        add(THEATRE, "def broken(:\n"),
        r"integrations/theatre.py:\d+",
        "This is not Python",
    ),
    "an integration that cannot be imported": (
        add(THEATRE, "\n\nundefined_name\n"),
        r"integrations/theatre.py:\d+",
        "cannot be imported: NameError",
    ),
    "an integration that imports what is not there": (
        add(BEDS, "from .wards import Ward\n"),
        r"integrations/beds.py:1",
        "cannot be imported: ModuleNotFoundError",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_estate_is_refused_for(name, estate):
    edit, where, what = BROKEN[name]
    edit(estate)
    report = estate.check()
    found = [p for p in report.problems if re.fullmatch(where, p.where) and re.search(what, p.what)]
    assert found, "\n".join(map(str, report.problems)) or "the estate was accepted"
    assert all(problem.do for problem in report.problems)
    assert "hunter2" not in "".join(map(str, report.problems))


def test_lakeshore_is_accepted_without_a_warning(estate):
    report = estate.check()
    assert report.problems == ()
    assert report.warnings == ()
    assert report.facts["mappings"] >= 24


def test_the_copy_that_the_rows_break_is_accepted_unbroken(estate):
    beds()(estate)
    assert estate.check().problems == ()


def test_every_problem_is_told_at_once(estate):
    estate.changes("systems/erp.toml", 'owner = "finance"\n', "")
    estate.removes("samples/patient_admitted.hl7")
    estate.changes("tables/charge_code_to_item.csv", "IMP-1001,KNEE-99", "IMP-1001,KNEE-9")
    report = estate.check()
    assert [problem.where.partition(":")[0] for problem in report.problems] == [
        "integrations/access.py",
        "systems/erp.toml",
        "tables/charge_code_to_item.csv",
    ]


@pytest.mark.parametrize("name", ["no estate file", "an estate file that is no TOML", "a system file that is no TOML"])
def test_a_broken_file_is_one_problem_and_not_fifty(name, estate):
    BROKEN[name][0](estate)
    assert len(estate.check().problems) == 1


def test_what_nothing_starts_is_a_warning(estate):
    beds('@mapping(source=beds, message="bed")\n', "")(estate)
    report = estate.check()
    assert [warning.what for warning in report.warnings] == [
        "No mapping makes BedAssigned, so nothing starts the flow prepare_bed."
    ]
