"""What a message must have is a table, and what is wrong with it a finding."""

from __future__ import annotations

import pytest

from hilum.formats.hl7v2 import VERSIONS, Message, Profile, validate
from hilum.formats.hl7v2.structures import Need

HEADER = "MSH|^~\\&|EHR|ST-MARY|HILUM|L|20260301||{kind}|C-1|P|2.5.1"
EVN, PID, PV1 = "EVN|A01|20260301", "PID|1||A-1||DOE^JANE||19500102", "PV1|1|I|OR"
FT1, MRG, MSA = "FT1|1|U-1||20260301||CG|KNEE-99|||2|10.00", "MRG|B-1", "MSA|AA|C-0"

GOOD = {
    **{f"ADT^{event}": [EVN, PID, PV1] for event in ("A01", "A02", "A03", "A04", "A08", "A11")},
    "ADT^A40": [EVN, PID, MRG, PID, MRG],
    "DFT^P03": [EVN, PID, FT1, FT1],
    "BAR^P01": [EVN, PID],
    "ACK^A01": [MSA],
    "ORU^R01": ["ZZZ|anything"],
}


def message(kind, segments, header=HEADER):
    return Message.parse("\r".join([header.format(kind=kind), *segments, ""]).encode())


def found(parsed, profile=None):
    return [(finding.code, finding.location) for finding in validate(parsed, profile)]


@pytest.mark.parametrize(("kind", "segments"), GOOD.items())
def test_a_good_message_has_no_findings(kind, segments):
    assert found(message(kind, segments)) == []


@pytest.mark.parametrize(
    ("kind", "segments", "findings"),
    [
        ("ADT^A01", [EVN, PID], [("100", "PV1")]),
        ("ADT^A01", [PID, EVN, PV1], [("100", "PID")]),
        ("ADT^A01", [EVN, PID, PID, PV1], [("100", "PID(2)")]),
        ("ADT^A40", [EVN, PID], [("100", "MRG")]),
        ("DFT^P03", [EVN, PID], [("100", "FT1")]),
        ("BAR^P01", [PID], [("100", "EVN")]),
        ("ACK", [], [("100", "MSA")]),
        ("ADT^A01", [EVN, "PID|1||||", PV1], [("101", "PID-3.1"), ("101", "PID-5")]),
        ("ADT^A01", [EVN, 'PID|1||""||DOE', PV1], [("101", "PID-3.1")]),
        ("DFT^P03", [EVN, PID, FT1, "FT1|2|U-2||2026-03-01||CG|HIP-10|||two"], [("102", "FT1(2)-4.1"), ("102", "FT1(2)-10.1")]),
        ("ADT^A01", [EVN, "PID|x||A-1||DOE", PV1], [("102", "PID-1.1")]),
        ("ADT^A01", [EVN, PID, PV1, "ZIM|1|KNEE-99"], []),
        ("ACK", ["MSA|OK|C-0"], [("103", "MSA-1")]),
        ("ORU^R01", ["NTE|1||" + "x" * 70_000], []),
        ("ORU^R01", ["NTE|1|" + "x" * 70_000], [("102", "NTE-2")]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_where_it_is(kind, segments, findings):
    assert found(message(kind, segments)) == findings


@pytest.mark.parametrize(
    ("header", "findings"),
    [
        ("MSH|^~\\&|EHR|F|H|L|20260301||ADT^A01|C-1|P|1.0", [("203", "MSH-12.1")]),
        ("MSH|^~\\&|EHR|F|H|L|20260301||ADT^A01|C-1|P|2.9", [("203", "MSH-12.1")]),
        ("MSH|^~\\&|EHR|F|H|L|20260301||ADT^A01|C-1|X|2.5", [("202", "MSH-11.1")]),
        ("MSH|^~\\&|EHR|F|H|L|||ADT^A01||P|2.5", [("101", "MSH-7.1"), ("101", "MSH-10")]),
        ("MSH|^~\\&|EHR|F|H|L|noon||ADT^A01|C-1|P|2.5", [("102", "MSH-7.1")]),
        ("MSH|^~\\&|EHR|F|H|L|20260301||ADT^A01|" + "C" * 300 + "|P|2.5", [("102", "MSH-10")]),
    ],
)
def test_a_header_is_checked_too(header, findings):
    assert found(message("", [EVN, PID, PV1], header)) == findings


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_every_version_of_the_standard_is_known(version):
    assert found(message("", [EVN, PID, PV1], f"MSH|^~\\&|EHR|F|H|L|20260301||ADT^A01|C-1|P|{version}")) == []


def test_an_estate_may_ask_for_more():
    profile = Profile("implants", (Need("FT1"), Need("ZIM")), {"FT1": ("13.1",), "PV1": ("3.1",)})

    assert found(message("DFT^P03", [EVN, PID, "PV1|1|I", FT1]), profile) == [
        ("100", "ZIM"),
        ("101", "PV1-3.1"),
        ("101", "FT1-13.1"),
    ]


def test_findings_are_bounded_and_tell_no_value():
    findings = validate(message("DFT^P03", [EVN, PID, *["FT1|x|SECRET||SECRET"] * 5000]))

    assert len(findings) == 200
    assert "SECRET" not in "".join(finding.text for finding in findings)
