"""What a message must have is a table, and what is wrong with it a finding."""

from __future__ import annotations

import pytest

from hilum.formats.hl7v2 import VERSIONS, Message, Need, Profile, validate

HEADER = "MSH|^~\\&|EHR|ST-MARY|HILUM|L|20260301||{kind}|C-1|P|2.5.1"
EVN, PID, PV1 = "EVN|A01|20260301", "PID|1||A-1^^^^MR||DOE^JANE||19500102", "PV1|1|I|OR"
OBR, OBX = "OBR|1|||718-7^Hemoglobin", "OBX|1|NM|718-7^Hemoglobin||13.5|g/dL|||||F"
FT1, MRG, MSA = "FT1|1|U-1||20260301||CG|KNEE-99|||2|10.00", "MRG|B-1", "MSA|AA|C-0"

GOOD = {
    **{f"ADT^{event}": [EVN, PID, PV1] for event in ("A01", "A02", "A03", "A04", "A08", "A11")},
    "ADT^A40": [EVN, PID, MRG, PID, MRG],
    "DFT^P03": [EVN, PID, FT1, FT1],
    "BAR^P01": [EVN, PID, PV1],
    "ACK^A01": [MSA],
    "ORU^R01": [PID, OBR, OBX, "ZZZ|anything"],
    "RSP^K21": [MSA, "QAK|Q-1|OK", "QPD|Q21|Q-1", PID, "QRI|95"],
    "ORM^O01": [PID, PV1, "ORC|NW", OBR, OBX],
    "SIU^S12": ["SCH||S-1||||R-1||||||||||P-1^DOE||||P-2^DOE", "RGS|1", "AIL|1|A"],
    "MFN^M05": ["MFI|LOC||UPD|||NE", "MFE|MAD|||OR-1|PL", "LOC|OR-1||OR", "LDP|OR-1|SURG"],
    "MDM^T02": [EVN, PID, PV1, "TXA|1|OP||||||||||D-1|||||AU", OBX],
    "RDE^O11": [PID, "ORC|NW", "RXE|^^^20260301|CEFAZOLIN|1||g", "TQ1|1", "RXR|IV"],
    "RDS^O13": [PID, "ORC|NW", "RXD|1|CEFAZOLIN|20260301|1|||RX-1", "RXR|IV"],
    "VXU^V04": [PID, "ORC|RE", "RXA|0|1|20260301|20260301|MMR|1", "RXR|IM"],
    "RAS^O17": [PID, "ORC|RE", "RXA|0|1|20260301|20260301|CEFAZOLIN|1", "RXR|IV"],
    "QBP^Q22": ["QPD|Q22^Find Candidates|Q-1|@PID.5.1^DOE", "RCP|I"],
    "RSP^K22": [MSA, "QAK|Q-1|OK", "QPD|Q22^Find Candidates|Q-1|@PID.5.1^DOE", PID],
    "OMG^O19": [PID, "ORC|NW", OBR],
    "ZZZ^Z01": ["ZPX|whatever"],
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
        ("ADT^A01", [PID, EVN, PV1], [("100", "EVN")]),
        ("ADT^A01", [EVN, PV1, PID], [("100", "PID")]),
        ("ADT^A01", [EVN, PID, PID, PV1], [("100", "PID(2)")]),
        ("ADT^A40", [EVN, PID], [("100", "MRG")]),
        ("DFT^P03", [EVN, PID], [("100", "FT1")]),
        ("BAR^P01", [PID, PV1], [("100", "EVN")]),
        ("ACK", [], [("100", "MSA")]),
        ("ADT^A01", [EVN, "PID|1||||", PV1], [("101", "PID-3"), ("101", "PID-5")]),
        ("ADT^A01", [EVN, 'PID|1||""||DOE', PV1], [("101", "PID-3")]),
        ("ADT^A01", [EVN, "PID|1||A-1~^^^ST-MARY||DOE", PV1], [("101", "PID-3[2].1")]),
        ("ADT^A01", [EVN, "PID|1||A-1||DOE|||F~M", PV1], [("102", "PID-8[2]")]),
        ("ADT^A01", [EVN, "PID|1||A-1||DOE||19500230|FEMALE", PV1], [("102", "PID-7.1"), ("102", "PID-8")]),
        ("ADT^A01", [EVN, "PID|1||A-1^^^ST-MARY^FIVE5||DOE", PV1], []),
        ("ADT^A01", [EVN, "PID|1||A-1^^^ST-MARY^SIX666||DOE", PV1], [("102", "PID-3.5")]),
        ("ADT^A01", [EVN, "PID|1||A-1^^^ST-MARY^A-TYPE-TOO-LONG||DOE", PV1], [("102", "PID-3.5")]),
        ("ADT^A01", [EVN, PID, "NK1|1|" + "&x" * 98, PV1], [("102", "NK1-2.1"), ("101", "NK1-2.1.1")]),
        ("ADT^A01", [EVN, PID, "PR1|1", PV1], [("100", "PV1"), ("101", "PR1-3"), ("101", "PR1-5")]),
        ("ADT^A01", [EVN, PID, PV1, "FT1|1||||||"], [("100", "FT1"), ("101", "FT1-4"), ("101", "FT1-6"), ("101", "FT1-7")]),
        ("ADT^A99", [EVN, PID], [("201", "MSH-9.2")]),
        ("QQQ^A01", [EVN, PID], [("200", "MSH-9.1")]),
        ("ORU^R01", [OBR, OBX.replace("13.5", "high")], [("102", "OBX-5")]),
        ("ORU^R01", [OBR, OBX.replace("|NM|", "||")], [("101", "OBX-2")]),
        ("ORU^R01", [OBR, OBX.replace("|NM|", "|QQ|")], [("103", "OBX-2")]),
        ("ORU^R01", [OBR, "OBX|1|CX|718-7||^^^ST-MARY||||||F"], [("101", "OBX-5.1")]),
        ("ORU^R01", [OBX], [("100", "OBR")]),
        ("DFT^P03", [EVN, PID, FT1, "FT1|2|U-2||2026-03-01||CG|HIP-10|||two"], [("102", "FT1(2)-4.1.1"), ("102", "FT1(2)-10")]),
        ("ADT^A01", [EVN, "PID|x||A-1||DOE", PV1], [("102", "PID-1")]),
        ("ADT^A01", [EVN, PID, PV1, "ZIM|1|KNEE-99"], []),
        ("ACK", ["MSA|OK|C-0"], [("103", "MSA-1")]),
        ("ORU^R01", [OBR, "NTE|1||" + "x" * 70_000], []),
        ("ORU^R01", [OBR, "NTE|1|" + "x" * 70_000], [("102", "NTE-2")]),
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
        ("MSH|^~\\&|EHR|F|H|L|||ADT^A01||P|2.5", [("101", "MSH-7"), ("101", "MSH-10")]),
        ("MSH|^~\\&|EHR|F|H|L|||||P|", [("101", "MSH-9.1"), ("101", "MSH-10"), ("101", "MSH-12.1")]),
        ("MSH|^~\\&|EHR|F|H|L|noon||ADT^A01|C-1|P|2.5", [("102", "MSH-7.1")]),
        ("MSH|^~\\&|EHR|F|H|L|20260301||ADT^A01|" + "C" * 300 + "|P|2.5", [("102", "MSH-10")]),
    ],
)
def test_a_header_is_checked_too(header, findings):
    assert found(message("", [EVN, PID, PV1], header)) == findings


@pytest.mark.parametrize("version", sorted(VERSIONS))
def test_every_version_of_the_standard_is_known(version):
    pid = PID.replace("A-1", "1") if version == "2.1" else PID  # Of a CK, 2.1's identifier, the number is a number.
    header = f"MSH|^~\\&|EHR|F|H|L|20260301||ADT^A01^ADT_A01|C-1|P|{version}"

    assert found(message("", [EVN, pid, PV1], header)) == []


@pytest.mark.parametrize(
    ("version", "segment", "findings"),
    [
        ("2.1", "PID|1||1~2||DOE", [("102", "PID-3[2]")]),  # It repeats from 2.2 on.
        ("2.3", "PID|1||A~B||DOE", []),
        ("2.3", "PID|1||A||DOE~ROE", [("102", "PID-5[2]")]),  # From 2.3.1 on.
        ("2.3.1", "PID|1||A||DOE~ROE", []),
        ("2.3", "PID|1||^^^ST-MARY||DOE", []),  # Components are required by the tables of 2.5 and later.
        ("2.5", "PID|1||^^^ST-MARY||DOE", [("101", "PID-3.1")]),
        ("2.6", "PID|1||A||DOE", []),
        ("2.7", "PID|1||A||DOE", [("101", "PID-3.5")]),
        ("2.3", "PID|1||A||DOE|||MALE", [("102", "PID-8")]),
        ("2.7", "PID|1||A^^^^MR||DOE|||MALE", []),  # A CWE there.
    ],
)
def test_each_version_has_its_own_rules(version, segment, findings):
    header = f"MSH|^~\\&|EHR|F|H|L|20260301||ADT^A01^ADT_A01|C-1|P|{version}"

    assert found(message("", [EVN, segment, PV1], header)) == findings


@pytest.mark.parametrize(("version", "severity"), [("2.3", "warning"), ("2.6", "warning"), ("2.7", "error")])
def test_lengths_bind_where_the_version_says_so(version, severity):
    header = f"MSH|^~\\&|EHR|F|H|L|20260301||ADT^A01^ADT_A01|C-1|P|{version}"
    findings = validate(message("", [EVN, "PID|12345||A^^^^MR||DOE", PV1], header))

    assert [(finding.location, finding.severity) for finding in findings] == [("PID-1", severity)]


def test_an_escape_sequence_is_as_long_as_what_it_stands_for():
    obr = "OBR|1|||" + "A" * 18 + "\\T\\" + "A"  # CE.1 has twenty characters.

    assert found(message("ORU^R01", [obr, OBX])) == []
    assert found(message("ORU^R01", [obr + "A", OBX])) == [("102", "OBR-4.1")]


def test_what_is_local_is_fine():
    ours = PV1 + "|" * 70 + "ours"

    assert found(message("ADT^A01", [EVN, PID, ours, "ZIM|1|KNEE-99"])) == []


def test_a_segment_of_another_type_is_a_warning_and_a_missing_one_an_error():
    findings = validate(message("ADT^A01", [EVN, PID, "SCH|1|||||R-1||||||||||P-1^DOE||||P-2^DOE"]))

    assert [(finding.location, finding.severity) for finding in findings] == [("SCH", "warning"), ("PV1", "error")]


def test_a_finding_tells_its_line_and_the_parts_of_its_place():
    text = "\r\n".join([HEADER.format(kind="ADT^A01"), "", EVN, "PID|1||A-1~^^^ST-MARY||DOE", PV1, ""])
    (finding,) = validate(Message.parse(text.encode()))

    assert finding.line == 4
    assert finding.details() == {"segment": "PID", "field": 3, "repetition": 2, "component": 1}


def test_an_estate_may_ask_for_more():
    profile = Profile("implants", (Need("FT1"), Need("ZIM")), {"FT1": ("13.1",), "PV1": ("3.1",)})

    assert found(message("DFT^P03", [EVN, PID, "PV1|1|I", FT1]), profile) == [
        ("100", "ZIM"),
        ("101", "FT1-13.1"),
        ("101", "PV1-3.1"),
    ]
    assert found(message("DFT^P03", [EVN, PID, FT1, FT1, "ZIM|1", PV1]), profile) == [
        ("100", "FT1(2)"),
        ("100", "PV1"),
        ("101", "FT1-13.1"),
        ("101", "FT1(2)-13.1"),
    ]


def test_errors_are_not_crowded_out_by_warnings():
    segments = [OBR, *[OBX.replace("718-7", "X" * 30)] * 300, "OBX|301|NM|||high||||||F"]
    findings = validate(message("ORU^R01", segments))

    assert [f.location for f in findings if f.severity == "error"] == ["OBX(301)-3", "OBX(301)-5"]
    assert sum(f.severity == "warning" for f in findings) == 100


def test_findings_are_bounded_and_tell_no_value():
    findings = validate(message("DFT^P03", [EVN, PID, *["FT1|x|SECRET||SECRET"] * 5000, "SEC|RET"]))

    assert len(findings) == 200
    assert "SECRET" not in "".join(finding.text for finding in findings)
