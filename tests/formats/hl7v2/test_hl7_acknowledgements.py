"""The answer a sender gets: its own number, the standard's code, where and why."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import Finding, Message, acknowledge, code_for, header_of

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def sent(version="2.5.1", kind="DFT^P03^DFT_P03", accept="", number="C-1", mark="^~\\&"):
    return (
        f"MSH|{mark}|EHR^1.2.3^ISO|ST-MARY|HILUM|LAKESHORE|20260301||{kind}|{number}|T|{version}|||{accept}\r".encode()
    )


def answered(data, code="AA", findings=(), **how) -> Message:
    return Message.parse(acknowledge(header_of(data), code, findings, control_id="H-1", timestamp=NOON, **how))


def test_an_answer_goes_back_to_its_sender():
    assert acknowledge(Message.parse(sent()), "AA", control_id="H-1", timestamp=NOON) == (
        b"MSH|^~\\&|HILUM|LAKESHORE|EHR^1.2.3^ISO|ST-MARY|20260301120000+0000||ACK^P03^ACK|H-1|T|2.5.1\rMSA|AA|C-1\r"
    )


def test_findings_are_told_as_err_segments():
    findings = [
        Finding("101", "the charge has no code", "FT1(2)-7.1"),
        Finding("100", "there is no PV1", "PV1"),
        Finding("json", "a code of our own"),
        Finding("102", "a hint", "PID-3[2].4.2", "warning"),
    ]

    answer = answered(sent(), "AE", findings)

    assert answer["MSA-1"] == "AE"
    assert answer["MSA-3"] == "the charge has no code"
    assert [error.text for error in answer.segments("ERR")] == [
        "ERR||FT1^2^7^1^1|101^Required field missing^HL70357|E||||the charge has no code",
        "ERR||PV1^1|100^Segment sequence error^HL70357|E||||there is no PV1",
        "ERR|||207^Application internal error^HL70357|E||||a code of our own",
        "ERR||PID^1^3^2^4^2|102^Data type error^HL70357|W||||a hint",
    ]


@pytest.mark.parametrize(
    ("version", "kind", "error"),
    [
        ("2.1", "ACK", None),
        ("2.2", "ACK^P03", "ERR|FT1^1^7^101&Required field missing&HL70357"),
        ("2.3", "ACK^P03", "ERR|FT1^1^7^101&Required field missing&HL70357"),
        ("2.3.1", "ACK^P03^ACK", "ERR|FT1^1^7^101&Required field missing&HL70357"),
        ("2.5", "ACK^P03^ACK", "ERR||FT1^1^7^1|101^Required field missing^HL70357|E||||missing"),
        ("2.8", "ACK^P03^ACK", "ERR||FT1^1^7^1|101^Required field missing^HL70357|E||||missing"),
    ],
)
def test_an_answer_is_in_the_senders_version(version, kind, error):
    answer = answered(sent(version), "AE", [Finding("101", "missing", "FT1-7")])

    assert answer["MSH-9"] == kind
    assert answer.version == version
    assert [segment.text for segment in answer.segments("ERR")] == ([] if error is None else [error])
    assert answer.get("MSA-3") == (None if version == "2.8" else "missing")


@pytest.mark.parametrize("version", ["1.0", "9.9", "", "two"])
def test_a_version_nobody_knows_is_answered_in_one_that_is_known(version):
    answer = answered(sent(version), "AR", [Finding("203", "the version is unknown", "MSH-12")])

    assert answer.version == "2.5.1"
    assert answer["MSA-2"] == "C-1"
    assert answer["ERR-3.1"] == "203"


@pytest.mark.parametrize(
    ("accept", "codes"),
    [("", ["AA", "AE", "AR"]), ("NE", ["AA", "AE", "AR"]), ("AL", ["CA", "CE", "CR"]), ("ER", ["CA", "CE", "CR"])],
)
def test_enhanced_mode_is_answered_when_it_is_asked_for(accept, codes):
    data = sent(accept=accept)

    assert [answered(data, code)["MSA-1"] for code in ("AA", "AE", "AR")] == codes
    assert answered(data, "AA", mode="original")["MSA-1"] == "AA"
    assert answered(data, "AE", mode="enhanced")["MSA-1"] == "CE"
    assert code_for(header_of(data), "AA") == codes[0]


def test_what_had_no_header_is_still_answered():
    answer = Message.parse(
        acknowledge(None, "AR", [Finding("100", "there is no message")], control_id="H-1", timestamp=NOON)
    )

    assert answer["MSH-9"] == "ACK"
    assert answer["MSA-1"] == "AR"
    assert answer.get("MSA-2") is None
    assert answer["ERR-8"] == "there is no message"


def test_the_number_comes_back_byte_for_byte_whatever_it_is_made_of():
    data = sent(number="C-ü\\T\\1").replace(b"T|2.5.1|||", b"T|2.5.1||||||UNICODE UTF-8")

    answer = acknowledge(header_of(data), "AA", control_id="H-1", timestamp=NOON)

    assert "MSA|AA|C-ü\\T\\1\r".encode() in answer
    assert Message.parse(answer)["MSA-2"] == "C-ü&1"


def test_a_sender_with_its_own_delimiters_is_answered_in_them():
    data = sent(mark="*~\\&").replace(b"^", b"*")

    answer = answered(data, "AE", [Finding("101", "a*b", "PID-3")])

    assert answer["MSH-9.1"] == "ACK"
    assert answer["ERR-2.1"] == "PID"
    assert answer["ERR-8"] == "a*b"


@pytest.mark.parametrize("mark", ["^^\\&", "", "|", "ABCDEFG", "^", "^~\\&#"])
def test_unusable_delimiters_are_answered_in_a_form_that_can_be_read(mark):
    answer = answered(sent(mark=mark), "AR", [Finding("102", "two delimiters, the same", "MSH-2")])

    assert answer["MSA-1"] == "AR"
    assert (
        answer.get(
            "ERR-8",
        )
        is None
        or "delimiters" in answer["ERR-8"]
    )


@pytest.mark.parametrize("number", ["X" * 5000, "C\x1c", "\x0bC"])
def test_what_cannot_be_a_number_is_not_echoed(number):
    answer = acknowledge(header_of(sent(number=number)), "AR", control_id="H-1", timestamp=NOON)

    assert len(answer) < 300
    assert b"\x1c" not in answer and b"\x0b" not in answer


def test_a_sender_that_delimits_with_what_times_are_made_of_gets_them_escaped():
    data = b"MSH+-~\\&+EHR+F+H+L+20260301++ADT-A01+C-1+P+2.5\r"

    answer = answered(data)

    assert answer["MSH-7"] == "20260301120000+0000"
    assert answer["MSA-2"] == "C-1"


@pytest.mark.parametrize("version", sorted(hl7v2.VERSIONS))
def test_an_answer_to_many_errors_is_itself_right_in_its_version_and_is_read_back(version):
    sent = hl7v2.parse(
        f"MSH|^~\\&|EHR|ST-MARY|LAB|H|20260301||ADT^A01^ADT_A01|C-1|P|{version}\r"
        "EVN|A01|20260301\rPID|1||||DOE^JO||19999999\rPV1|\rOBX|1|NM|1||abc||||||F\r".encode()
    )
    wrong = hl7v2.validate(sent)
    answer = hl7v2.parse(acknowledge(sent, "AE", wrong, control_id="H-1", timestamp=NOON))

    assert len(wrong) > 3
    assert hl7v2.validate(answer) == []
    assert len(answer.segments("ERR")) == (0 if version == "2.1" else 1 if version < "2.5" else len(wrong))
    told = [] if version == "2.1" else [(finding.code, finding.location) for finding in wrong]
    if version < "2.5":
        # ERR-1 ends at the field.
        told = [(code, place and re.sub(r"(\[\d+\])?(\.\d+)*$", "", place)) for code, place in told]
    assert [(finding.code, finding.location) for finding in hl7v2.receipt_of(answer).findings] == told
    (shape,) = hl7v2.convert(answer)
    assert list(shape.items[0].reasons) == [code for code, _ in told]
