"""A segment belongs to a group, and what stands at the wrong place is told and kept."""

from __future__ import annotations

import time

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import Group, Message
from hilum.formats.hl7v2.groups import groups_of


def message(kind: str, segments: str, version: str = "2.5.1") -> Message:
    """``segments`` are names; each gets its number as its first field."""
    lines = [f"{name}|{number}" for number, name in enumerate(segments.split(), 1)]
    return Message.parse("\r".join([f"MSH|^~\\&|EHR|F|H|L|20260301||{kind}|C-1|P|{version}", *lines, ""]).encode())


def shape(group: Group) -> str:
    return " ".join(f"{item.name}({shape(item)})" if isinstance(item, Group) else item.name for item in group.items)


def located(parsed: Message) -> list[tuple[str | None, str]]:
    return [(f.location, f.severity) for f in hl7v2.validate(parsed) if f.code == "100"]


@pytest.mark.parametrize(
    ("kind", "version", "segments", "expected"),
    [
        ("ADT^A01", "2.5.1", "EVN PID PV1 PR1 ROL PR1 IN1 IN2 IN1", "MSH EVN PID PV1 PROCEDURE(PR1 ROL) PROCEDURE(PR1) INSURANCE(IN1 IN2) INSURANCE(IN1)"),
        ("ADT^A40", "2.5.1", "EVN PID MRG PID MRG PV1", "MSH EVN PATIENT(PID MRG) PATIENT(PID MRG PV1)"),
        ("BAR^P01", "2.5.1", "EVN PID PV1 DG1 GT1 PV1 IN1", "MSH EVN PID VISIT(PV1 DG1 GT1) VISIT(PV1 INSURANCE(IN1))"),
        ("DFT^P03", "2.5.1", "EVN PID PV1 FT1 NTE PR1 FT1 DG1 IN1", "MSH EVN PID PV1 FINANCIAL(FT1 NTE FINANCIAL_PROCEDURE(PR1)) FINANCIAL(FT1) DG1 INSURANCE(IN1)"),
        ("DFT^P03", "2.3", "EVN PID PV1 FT1 PR1 FT1 IN1", "MSH EVN PID PV1 FINANCIAL(FT1 FINANCIAL_PROCEDURE(PR1)) FINANCIAL(FT1) INSURANCE(IN1)"),
        ("ORM^O01", "2.3", "PID PV1 ORC OBR NTE OBX ORC RXO NTE", "MSH PATIENT(PID PATIENT_VISIT(PV1)) ORDER(ORC ORDER_DETAIL(OBR NTE OBSERVATION(OBX))) ORDER(ORC ORDER_DETAIL(RXO NTE))"),
        ("OMG^O19", "2.5.1", "PID ORC OBR OBX ORC OBR", "MSH PATIENT(PID) ORDER(ORC OBR OBSERVATION(OBX)) ORDER(ORC OBR)"),
        ("ORU^R01", "2.5.1", "PID PV1 ORC OBR NTE OBX NTE OBX OBR OBX SPM PID OBR OBX", "MSH PATIENT_RESULT(PATIENT(PID VISIT(PV1)) ORDER_OBSERVATION(ORC OBR NTE OBSERVATION(OBX NTE) OBSERVATION(OBX)) ORDER_OBSERVATION(OBR OBSERVATION(OBX) SPECIMEN(SPM))) PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX)))"),
        ("SIU^S14", "2.5.1", "SCH PID PV1 RGS AIS AIG AIP RGS AIL", "MSH SCH PATIENT(PID PV1) RESOURCES(RGS SERVICE(AIS) GENERAL_RESOURCE(AIG) PERSONNEL_RESOURCE(AIP)) RESOURCES(RGS LOCATION_RESOURCE(AIL))"),
        ("MFN^M02", "2.5.1", "MFI MFE STF PRA MFE STF", "MSH MFI MF_STAFF(MFE STF PRA) MF_STAFF(MFE STF)"),
        ("MDM^T02", "2.5.1", "EVN PID PV1 ORC OBR TXA OBX NTE OBX", "MSH EVN PID PV1 COMMON_ORDER(ORC OBR) TXA OBSERVATION(OBX NTE) OBSERVATION(OBX)"),
        ("RDE^O11", "2.5.1", "PID ORC RXO RXR RXE TQ1 RXR ORC RXE TQ1 RXR", "MSH PATIENT(PID) ORDER(ORC ORDER_DETAIL(RXO RXR) RXE TIMING_ENCODED(TQ1) RXR) ORDER(ORC RXE TIMING_ENCODED(TQ1) RXR)"),
        ("RDS^O13", "2.5.1", "PID ORC RXD RXR", "MSH PATIENT(PID) ORDER(ORC RXD RXR)"),
        ("RAS^O17", "2.5.1", "PID ORC RXA RXR", "MSH PATIENT(PID) ORDER(ORC ADMINISTRATION(RXA RXR))"),
        ("VXU^V04", "2.5.1", "PID NK1 ORC RXA RXR OBX OBX ORC RXA", "MSH PID NK1 ORDER(ORC RXA RXR OBSERVATION(OBX) OBSERVATION(OBX)) ORDER(ORC RXA)"),
        ("QBP^Q22", "2.5.1", "QPD RCP", "MSH QPD RCP"),
        ("RSP^K22", "2.5.1", "MSA QAK QPD PID PID QRI", "MSH MSA QAK QPD QUERY_RESPONSE(PID) QUERY_RESPONSE(PID QRI)"),
        ("ACK^A01", "2.5.1", "MSA ERR ERR", "MSH MSA ERR ERR"),
        ("OML^O21", "2.5.1", "PID ORC OBR OBX ORC OBR PID ORC OBR OBX ORC OBR OBX", "MSH PATIENT(PID) ORDER(ORC OBSERVATION_REQUEST(OBR OBSERVATION(OBX))) ORDER(ORC OBSERVATION_REQUEST(OBR PRIOR_RESULT(PATIENT_PRIOR(PID) ORDER_PRIOR(ORC OBR OBSERVATION_PRIOR(OBX)) ORDER_PRIOR(ORC OBR OBSERVATION_PRIOR(OBX)))))"),
        ("OUL^R22", "2.5.1", "SPM OBX SAC OBR OBX SPM OBR", "MSH SPECIMEN(SPM OBX CONTAINER(SAC) ORDER(OBR RESULT(OBX))) SPECIMEN(SPM ORDER(OBR))"),
    ],
    ids=lambda value: value if isinstance(value, str) and "^" in value else "",
)  # fmt: skip
def test_segments_come_in_the_groups_of_their_type(kind, version, segments, expected):
    parsed = message(kind, segments, version)

    assert shape(groups_of(parsed)) == expected
    assert located(parsed) == []


def test_groups_are_asked_for_by_name_at_any_depth():
    parsed = message("ORU^R01", "PID OBR OBX OBX OBR OBX")
    (patient,) = parsed.groups("PATIENT_RESULT")
    first, second = patient.groups("ORDER_OBSERVATION")

    assert [group.segments("OBX")[0]["1"] for group in first.groups("OBSERVATION")] == ["3", "4"]
    assert [segment.name for segment in second] == ["OBR", "OBX"]
    assert second.segments("OBR")[0].path("4.1") == "OBR(2)-4.1"
    assert len(parsed.groups("OBSERVATION")) == 3
    assert [group.name for group in patient.groups()] == ["PATIENT", "ORDER_OBSERVATION", "ORDER_OBSERVATION"]
    assert parsed.groups("INSURANCE") == []


@pytest.mark.parametrize(
    ("kind", "segments", "expected", "findings"),
    [
        # Z segments stay where they stand.
        ("ORU^R01", "PID ZPI OBR OBX ZOB OBX", "MSH PATIENT_RESULT(PATIENT(PID ZPI) ORDER_OBSERVATION(OBR OBSERVATION(OBX ZOB) OBSERVATION(OBX)))", []),
        # A segment the structure does not know, in the group that is open.
        ("ORU^R01", "PID OBR OBX SCH OBX", "MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBR OBSERVATION(OBX SCH) OBSERVATION(OBX)))", [("SCH", "warning")]),
        # Known, but not here.
        ("ADT^A01", "PID EVN PV1", "MSH PID EVN PV1", [("EVN", "error")]),
        ("ADT^A01", "EVN PID PV1 PID", "MSH EVN PID PV1 PID", [("PID(2)", "error")]),
        # A group without the segment that begins it.
        ("ORU^R01", "PID OBX OBX", "MSH PATIENT_RESULT(PATIENT(PID) ORDER_OBSERVATION(OBSERVATION(OBX) OBSERVATION(OBX)))", [("OBR", "error")]),
        ("ADT^A01", "EVN PID PV1 IN2", "MSH EVN PID PV1 INSURANCE(IN2)", [("IN1", "error")]),
        # A group that is not there at all, told by the segment it would begin with.
        ("ORU^R01", "PID", "MSH PATIENT_RESULT(PATIENT(PID))", [("OBR", "error")]),
        ("SIU^S12", "SCH PID", "MSH SCH PATIENT(PID)", [("RGS", "error")]),
        ("ADT^A01", "", "MSH", [("EVN", "error"), ("PID", "error"), ("PV1", "error")]),
        ("ZZZ^Z99", "PID OBX", "MSH PID OBX", []),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_and_kept(kind, segments, expected, findings):
    parsed = message(kind, segments)

    assert shape(groups_of(parsed)) == expected
    assert located(parsed) == findings
    assert [segment.name for segment in groups_of(parsed)] == [segment.name for segment in parsed]


@pytest.mark.parametrize(
    ("kind", "version", "name"),
    [
        ("ADT^A04", "2.5.1", "ADT_A01"), ("ADT^A04^ADT_A04", "2.5.1", "ADT_A01"), ("ADT^A04", "2.2", "ADT_A04"),
        ("ADT^A05^ADT_A01", "2.5.1", "ADT_A01"), ("ADT^A28", "2.3.1", "ADT_A01"), ("ADT^A28", "2.5.1", "ADT_A05"), ("ADT^A08^ORU_R01", "2.5.1", "ADT_A01"),
        ("SIU^S15", "2.3", "SIU_S12"), ("MDM^T04", "2.4", "MDM_T02"), ("ACK^A01^ACK", "2.5.1", "ACK"), ("ACK", "2.1", "ACK"),
        ("RDE^O01", "2.3", "RDE_O01"), ("QBP^Q22^QBP_Q21", "2.5.1", "QBP_Q21"), ("XYZ^X01", "2.5.1", "XYZ^X01"),
        ("ADT^A01", "9.9", "ADT^A01"),
    ],
)  # fmt: skip
def test_an_event_has_the_structure_its_version_gives_it(kind, version, name):
    assert groups_of(message(kind, "PID", version)).name == name


@pytest.mark.parametrize("names", ["PID", "OBX NTE", "PID OBR OBX", "DSC", "NTE PID", "QQQ", "OBX OBR"])
def test_a_long_message_is_grouped_in_no_time(names):
    parsed = message("ORU^R01", " ".join([names] * (20_000 // len(names.split()))))
    started = time.process_time()

    assert sum(1 for _ in groups_of(parsed)) == len(parsed)
    assert time.process_time() - started < 2
    assert len(hl7v2.validate(parsed)) <= 200
