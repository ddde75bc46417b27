"""A whole file: known at a glance, shown with what must be masked, and converted to what the business says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hilum.formats import hl7v2
from hilum.formats.canonical import Acknowledgement, Record, as_json
from hilum.formats.hl7v2 import Finding, HL7Error, Message

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DFT = (
    b"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260301083000||DFT^P03^DFT_P03|C-1|P|2.5.1\r"
    b"EVN||20260301083000\r"
    b"PID|1||MRN-7^^^ST-MARY&1.2.3^MR~OLD-7||HIP^HILDE||19500102|F\r"
    b"PV1|1|I|OR^2||||P-12^KNEE^KARL\r"
    b"FT1|1|U-1||20260301|20260301|CG|KNEE-99^Knee\\T\\ left\r"
    b"ZIM|1|SN-4711\r"
)


def leaves(node):
    if node.value is not None:
        yield node.label, node.value, node.protected
    for child in node.children:
        yield from leaves(child)


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (DFT, True), (b"\xef\xbb\xbf\r\n" + DFT, True), (b"\x0b" + DFT + b"\x1c\r", True), (b"FHS|^~\\&|EHR\r" + DFT, True),
        (b"Dear all,\r\n" + DFT, True), (DFT.decode().encode("utf-16"), True), (DFT.decode().encode("utf-32-be"), True),
        (b"MSH#!@%*#EHR", True), (b'<ADT_A01 xmlns="urn:hl7-org:v2xml"><MSH/></ADT_A01>', True), (b"MSH|", True),
        (b"", False), (b"ISA*00*", False), (b"{}", False), (b"<cXML/>", False), (b"MSHA,1\r\nx", False), (b"item,qty\r\nMSH1,2", False),
        (b"\xff\xfe", False), (b"PID|1", False), ("ÜMSH|".encode(), False),
    ],
)  # fmt: skip
def test_a_file_is_recognised_by_its_start(data, known):
    assert hl7v2.recognise(data) is known


def test_an_outline_shows_every_value_by_its_path_and_marks_what_tells_who_it_is():
    root = hl7v2.outline(hl7v2.parse(DFT))
    shown = {label: (value, protected) for label, value, protected in leaves(root)}

    assert root.label == "DFT^P03"
    assert shown["MSH-2"] == ("^~\\&", False)
    assert shown["PID-1"] == ("1", False)
    assert shown["PID-3[1].4.2"] == ("1.2.3", True)
    assert shown["PID-3[2]"] == ("OLD-7", True)
    assert shown["PID-5.2"] == ("HILDE", True)
    assert shown["PV1-7.2"] == ("KNEE", False)
    assert shown["FT1-7.2"] == ("Knee& left", False)
    assert shown["ZIM-2"] == ("SN-4711", True)
    assert [child.label for child in root.children] == ["MSH", "EVN", "PID", "PV1", "FINANCIAL"]
    names = {child.label: child.note for child in root.children[2].children}
    assert names["PID-5"] == "patient name"
    masked = str(root.as_json(mask=lambda value: "***"))
    assert "HILDE" not in masked and "SN-4711" not in masked and "KNEE-99" in masked


def test_an_outline_of_a_batch_has_its_messages():
    root = hl7v2.outline(hl7v2.parse(DFT + DFT.replace(b"C-1", b"C-2")))

    assert (root.label, root.note) == ("batch", "2 messages")
    assert [child.label for child in root.children] == ["DFT^P03", "DFT^P03"]


def ack(code, findings=(), version="2.5.1", sent=DFT):
    data = sent.replace(b"2.5.1", version.encode())
    return Message.parse(hl7v2.acknowledge(Message.parse(data), code, findings, control_id="H-1", timestamp=NOON))


@pytest.mark.parametrize("version", ["2.3", "2.5.1", "2.8"])
def test_a_received_acknowledgement_becomes_a_canonical_one(version):
    wrong = [Finding("101", "missing", "FT1(2)-7.1"), Finding("103", "unknown", "PV1-2", "warning")]
    (told,) = hl7v2.convert(ack("AE", wrong, version))

    assert isinstance(told, Acknowledgement)
    assert as_json(told) == {
        "kind": "acknowledgement",
        "type": "ACK",
        "control_number": "H-1",
        "accepted": False,
        "items": [{"level": "message", "reference": "C-1", "accepted": False, "code": "AE", "reasons": ["101", "103"]}],
    }


def test_other_messages_become_records_of_their_content():
    first, second = hl7v2.convert(hl7v2.parse(DFT + DFT.replace(b"C-1", b"C-2")))

    assert isinstance(first, Record)
    assert (first.type, first.control_number) == ("DFT^P03", "C-1")
    assert first.content["segments"][4]["fields"]["7"] == [{"1": "KNEE-99", "2": "Knee& left"}]
    assert second.control_number == "C-2"


@pytest.mark.parametrize("version", ["2.3", "2.5.1"])
def test_a_receipt_says_what_became_of_which_message(version):
    sent = Message.parse(DFT)
    answer = ack("AE", [Finding("101", "missing HILDE", "FT1(2)-7.1"), Finding("json", "ours")], version)
    receipt = hl7v2.receipt_of(answer)

    assert hl7v2.answers(answer, sent) and hl7v2.answers(answer, sent.header)
    assert not hl7v2.answers(answer, sent.with_field("MSH-10", "C-2"))
    assert (receipt.code, receipt.control_id, receipt.accepted, receipt.final) == ("AE", "C-1", False, True)
    place = "FT1(2)-7" if version == "2.3" else "FT1(2)-7.1"  # ERR-1 stops at the field.
    assert [(finding.code, finding.location) for finding in receipt.findings] == [("101", place), ("207", None)]
    assert "HILDE" not in str(receipt.findings)


def test_a_number_with_parts_is_matched_by_its_first():
    sent = Message.parse(DFT.replace(b"|C-1|", b"|C-1^X|"))
    answer = Message.parse(hl7v2.acknowledge(sent, "AA", control_id="H-1", timestamp=NOON))

    assert answer["MSA-2"] == "C-1^X"
    assert hl7v2.answers(answer, sent)


def test_an_accept_says_only_that_the_message_is_safe():
    receipt = hl7v2.receipt_of(ack("AA", sent=DFT.replace(b"|2.5.1", b"|2.5.1|||AL|NE")))

    assert (receipt.code, receipt.accepted, receipt.final) == ("CA", True, False)
    with pytest.raises(HL7Error):
        hl7v2.receipt_of(Message.parse(DFT))
    with pytest.raises(HL7Error):
        hl7v2.receipt_of(ack("AA").with_field("MSA-1", "OK"))


@pytest.mark.parametrize(
    ("conditions", "mode", "accept", "application"),
    [
        ("||", "original", (False, False), (True, True)),
        ("AL|NE", "enhanced", (True, True), (False, False)),
        ("NE|AL", "enhanced", (False, False), (True, True)),
        ("ER|SU", "enhanced", (False, True), (True, False)),
        ("SU|ER", "enhanced", (True, False), (False, True)),
        ("AL|", "enhanced", (True, True), (False, False)),
    ],
)
def test_msh_15_and_16_say_which_answers_are_due(conditions, mode, accept, application):
    header = hl7v2.header_of(DFT.replace(b"|2.5.1", b"|2.5.1|||" + conditions.encode()))

    assert header.mode == mode
    assert (header.accept_due(True), header.accept_due(False)) == accept
    assert (header.application_due(True), header.application_due(False)) == application
