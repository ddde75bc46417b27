"""ADT as the EHR writes it: each trigger event as a fact of an account, and billing told of it as the EHR would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from hilum.authoring import Contract, InvalidData
from hilum.formats.findings import FormatError
from hilum.formats.hl7v2 import HL7Error, Message, split_messages
from hilum.processes.patient_access import adt
from hilum.processes.patient_access.billing_messages import account_message
from hilum.processes.patient_access.clerk import change_of
from hilum.processes.patient_account import (
    AccountEvent,
    CoverageReported,
    PatientRegistered,
    PatientsMerged,
    PatientUpdated,
)

CHICAGO = ZoneInfo("America/Chicago")
REAL = Path(__file__).parents[3] / "shared" / "data" / "hl7v2"

READERS: dict[str, Callable[[Message, ZoneInfo], Any]] = {
    "A01": adt.registered,
    "A02": adt.transferred,
    "A03": adt.discharged,
    "A04": adt.registered,
    "A05": lambda m, z: adt.registered(m, z, pre_admission=True),
    "A06": adt.class_changed,
    "A07": adt.class_changed,
    "A08": adt.updated,
    "A11": adt.admission_cancelled,
    "A12": adt.transfer_cancelled,
    "A13": adt.discharge_cancelled,
    "A18": lambda m, z: adt.merged(m, z, accounts=False),
    "A34": lambda m, z: adt.merged(m, z, accounts=False),
    "A35": lambda m, z: adt.merged(m, z, patients=False),
    "A36": adt.merged,
    "A37": adt.unlinked,
    "A38": lambda m, z: adt.admission_cancelled(m, z, pre_admission=True),
    "A40": adt.merged,
    "A41": lambda m, z: adt.merged(m, z, patients=False),
    "A44": adt.updated,
}

PID = "PID|1||CASEY^^^ST-MARY^MR||EXAMPLE^CASEY||19800214|F||||||||||ACC-1^^^ST-MARY^AN"
HARBOR = "IN1|1|GOLD|HARBOR||||||||||||||SEL|||||||||||||||||||W-1"


def message(trigger: str, *segments: str, pid: str = PID) -> Message:
    head = f"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20261121090000||ADT^{trigger}|M-{trigger}|P|2.5.1"
    return Message.parse("\r".join([head, f"EVN|{trigger}|20261121085959", pid, *segments, ""]).encode())


def read(trigger: str, *segments: str, pid: str = PID) -> list[Contract]:
    made = READERS[trigger](message(trigger, *segments, pid=pid), CHICAGO)
    return made if isinstance(made, list) else [made]


CHANGES = {
    "A01": "admitted", "A02": "transferred", "A03": "discharged", "A04": "admitted", "A05": "pre-admitted",
    "A06": "class-changed", "A07": "class-changed", "A08": "updated", "A11": "admission-cancelled",
    "A12": "transfer-cancelled", "A13": "discharge-cancelled", "A38": "pre-admission-cancelled", "A44": "updated",
}  # fmt: skip
AT_BILLING = {"A01": "A04", "A44": "A08"}


@pytest.mark.parametrize("trigger", CHANGES)
def test_a_trigger_event_is_a_change_of_its_account_and_billing_hears_of_it(trigger: str) -> None:
    patient_class = "O" if trigger == "A07" else "I"
    (told,) = read(trigger, f"PV1|1|{patient_class}|4W")
    assert isinstance(told, AccountEvent)
    assert (str(told.account), str(told.mrn), change_of(told)) == ("ACC-1@ST-MARY", "CASEY@ST-MARY", CHANGES[trigger])
    assert told.occurred_at.isoformat() == "2026-11-21T08:59:59-06:00"
    sent = Message.parse(account_message(told, CHICAGO))  # type: ignore[arg-type]
    assert sent["MSH-9.2"] == AT_BILLING.get(trigger, trigger)
    assert (sent["MSH-10"], sent["EVN-2"], sent["PID-18.1"], sent["PID-18.4"], sent["PV1-3.1"]) == (
        f"M-{trigger}", "20261121085959-0600", "ACC-1", "ST-MARY", "4W",
    )  # fmt: skip


def test_the_medical_record_number_is_the_one_that_says_so_and_others_are_kept_with_their_authority() -> None:
    pid = "PID|1||900^^^PLAN^PI~CASEY^^^ST-MARY^MR~111^^^USSSA^SS||EXAMPLE^CASEY|||||||||||||ACC-1"
    (told,) = read("A01", "PV1|1|I|4W", pid=pid)
    assert isinstance(told, PatientRegistered)
    assert str(told.mrn) == "CASEY@ST-MARY" and str(told.account) == "ACC-1@ST-MARY"
    assert [(each.value, each.authority, each.type) for each in told.identifiers] == [
        ("900", "PLAN", "PI"), ("CASEY", "ST-MARY", "MR"), ("ACC-1", "ST-MARY", "AN"),
    ]  # fmt: skip


def test_a_coverage_is_reported_once_for_a_day_however_often_it_is_told() -> None:
    _, first = read("A04", "PV1|1|I|4W", HARBOR)
    _, again = read("A08", "PV1|1|I|4W", HARBOR, HARBOR)
    assert isinstance(first, CoverageReported) and isinstance(again, CoverageReported)
    assert first.inquiry == again.inquiry == "ACC-1@ST-MARY/HARBOR/W-1/2026-11-21"
    assert (first.family_name, first.birth_date) == ("EXAMPLE", first.birth_date)


def test_without_insurance_segments_nothing_is_said_of_insurance_and_with_an_empty_one_there_is_none() -> None:
    (silent,) = read("A08", "PV1|1|I|4W")
    (cleared,) = read("A08", "PV1|1|I|4W", "IN1|1")
    assert isinstance(silent, PatientUpdated) and isinstance(cleared, PatientUpdated)
    assert silent.coverages is None and cleared.coverages == ()


def test_somebody_elses_insurance_is_asked_for_in_their_name() -> None:
    spouse = "IN1|1|GOLD|HARBOR|||||||||||||EXAMPLE^ROBIN|SPO|19790530"
    _, reported = read("A04", "PV1|1|I|4W", spouse)
    assert isinstance(reported, CoverageReported)
    assert (reported.member_number, reported.given_name, str(reported.birth_date)) == (None, "ROBIN", "1979-05-30")


@pytest.mark.parametrize(
    ("trigger", "mrg", "merged"),
    [
        ("A40", "MRG|JAMIE^^^ST-MARY^MR", ("JAMIE@ST-MARY", None)),
        ("A40", "MRG|JAMIE^^^ST-MARY^MR||ACC-2^^^ST-MARY^AN", ("JAMIE@ST-MARY", "ACC-2@ST-MARY")),
        ("A40", "MRG|CASEY^^^HARBOR-VIEW^MR", ("CASEY@HARBOR-VIEW", None)),
        ("A18", "MRG|JAMIE||ACC-2", ("JAMIE@ST-MARY", None)),
        ("A34", "MRG|JAMIE", ("JAMIE@ST-MARY", None)),
        ("A35", "MRG|CASEY||ACC-2", (None, "ACC-2@ST-MARY")),
        ("A36", "MRG|JAMIE||ACC-2", ("JAMIE@ST-MARY", "ACC-2@ST-MARY")),
        ("A41", "MRG|||ACC-2^^^ST-MARY^AN", (None, "ACC-2@ST-MARY")),
    ],
)
def test_a_merge_says_who_is_who_from_now_on(trigger: str, mrg: str, merged: tuple[str | None, str | None]) -> None:
    (told,) = read(trigger, mrg)
    assert isinstance(told, PatientsMerged)
    found = tuple(None if each is None else str(each) for each in (told.merged_mrn, told.merged_account))
    assert found == merged
    sent = Message.parse(account_message(told, CHICAGO))
    assert sent["MSH-9.2"] == ("A40" if merged[0] is not None else "A41")
    assert (sent["PID-3.1"], sent["MRG-1.1"]) == ("CASEY", merged[0].partition("@")[0] if merged[0] else "CASEY")


def test_one_message_may_merge_several_patients_and_billing_hears_of_each_by_itself() -> None:
    other = "PID|2||ALEX^^^ST-MARY^MR||EXAMPLE^ALEX"
    told = read("A40", "MRG|JAMIE", other, "MRG|ALEXA")
    assert [(str(m.mrn), m.line) for m in told if isinstance(m, PatientsMerged)] == [
        ("CASEY@ST-MARY", 1), ("ALEX@ST-MARY", 2),
    ]  # fmt: skip
    sent = [Message.parse(account_message(m, CHICAGO))["MSH-10"] for m in told if isinstance(m, PatientsMerged)]
    assert sent == ["M-A40.1", "M-A40.2"]


@pytest.mark.parametrize(
    ("trigger", "segments", "where"),
    [
        ("A40", (), "MRG-1"),
        ("A40", ("MRG|",), "1.1"),
        ("A40", ("MRG|CASEY^^^ST-MARY^MR",), "MRG names what PID names"),
        ("A40", ("MRG|CASEY^^^ST-MARY^MR||ACC-1^^^ST-MARY",), "MRG names what PID names"),
        ("A41", (), "MRG-3"),
        ("A41", ("MRG|JAMIE",), "3.1"),
        ("A41", ("MRG|JAMIE||ACC-1",), "MRG names what PID names"),
        ("A37", (), "PID"),
        ("A01", ("PV1|1",), "PV1-2.1"),
        ("A02", ("PV1|1|I",), "PV1-3.1"),
    ],
)
def test_what_says_too_little_is_refused_with_its_place(trigger: str, segments: tuple[str, ...], where: str) -> None:
    with pytest.raises((FormatError, InvalidData, ValidationError)) as refused:
        read(trigger, *segments)
    assert where in str(refused.value)


def test_an_account_without_a_number_is_refused() -> None:
    with pytest.raises(HL7Error, match=r"PID-18\.1"):
        read("A01", "PV1|1|I|4W", pid="PID|1||CASEY^^^ST-MARY^MR||EXAMPLE^CASEY")


@pytest.mark.skipif(not REAL.is_dir(), reason="the corpora of real messages are not on this machine")
def test_real_adt_messages_are_read_or_refused_with_a_reason() -> None:
    reads: dict[str, list[str]] = {"read": [], "refused": []}
    for file in sorted(REAL.rglob("*.hl7")):
        try:
            found = [Message.parse(raw) for raw in split_messages(file.read_bytes())]
        except HL7Error:
            continue
        for each in found:
            kind, _, trigger = (each.type or "").partition("^")
            if kind != "ADT" or trigger not in READERS:
                continue
            try:
                made = READERS[trigger](each, CHICAGO)
            except (FormatError, InvalidData, ValidationError, ValueError):
                reads["refused"].append(trigger)
                continue
            reads["read"].append(trigger)
            for event in made if isinstance(made, list) else [made]:
                if isinstance(event, AccountEvent | PatientsMerged):
                    sent = Message.parse(account_message(event, CHICAGO))  # type: ignore[arg-type]
                    assert sent.type is not None and sent.type.startswith("ADT^")
    assert len(reads["read"]) >= 10 and {"A01", "A40"} <= set(reads["read"])
