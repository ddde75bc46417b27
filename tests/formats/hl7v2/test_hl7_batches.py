"""A file holds one message or many, and nothing of it is swallowed."""

from __future__ import annotations

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import Batch, HL7ParseError, Message


def admission(number: int, bad: str = "") -> str:
    return f"MSH|^~\\&|EHR|F|H|L|20260301||ADT^A01^ADT_A01|C-{number}|P|2.5.1\rEVN||20260301\rPID|1||A-{number}||DOE{bad}\rPV1|1|I\r"


FHS, BHS = "FHS|^~\\&|EHR\r", "BHS|^~\\&|EHR\r"


def found(data: str) -> list[tuple[str, str | None, int | None]]:
    document = hl7v2.parse(data.encode())
    assert hl7v2.write(document) == data.encode()
    return [(finding.code, finding.location, finding.line) for finding in hl7v2.validate(document)]


def numbers(document) -> list[str | None]:
    return [message.control_id for message in document.messages]


def test_one_message_is_a_message():
    assert isinstance(hl7v2.parse(admission(1).encode()), Message)


@pytest.mark.parametrize(
    "data",
    [
        admission(1) + admission(2),
        admission(1) + "\r\n" + admission(2),
        FHS + BHS + admission(1) + admission(2) + "BTS|2\rFTS|1\r",
        FHS + BHS + admission(1) + "BTS|1\r" + BHS + admission(2) + "BTS|1\rFTS|2\r",
        BHS + admission(1) + admission(2) + "BTS|2\r",
        FHS + BHS + admission(1) + admission(2) + "BTS\rFTS\r",
        "\x0b" + admission(1) + "\x1c\r\x0b" + admission(2) + "\x1c\r",
    ],
)
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_batch_that_is_well_has_its_messages_and_no_findings(data, end, mark):
    text = mark + data.replace("\r\n", "\r").replace("\r", end)
    batch = hl7v2.parse(text.encode())

    assert isinstance(batch, Batch)
    assert numbers(batch) == ["C-1", "C-2"]
    assert found(text) == []


@pytest.mark.parametrize(
    ("data", "findings"),
    [
        (FHS + BHS + admission(1) + "BTS|2\rFTS|1\r", [("100", "BTS-1", 7)]),
        (FHS + BHS + admission(1) + "BTS|1\rFTS|3\r", [("100", "FTS-1", 8)]),
        (FHS + BHS + admission(1) + "BTS|one\rFTS|1\r", [("102", "BTS-1", 7)]),
        (FHS + BHS + admission(1) + "FTS|1\r", [("100", "BTS", 7)]),
        (FHS + BHS + admission(1) + "BTS|1\r", [("100", "FTS", 7)]),
        (BHS + admission(1), [("100", "BTS", 2)]),
        (admission(1) + BHS + admission(2) + "BTS|1\r", []),  # Only those of the batch are counted.
        (admission(1) + "BTS|1\r", [("100", "BTS", 5)]),
        (admission(1) + "FTS|0\r", [("100", "FTS", 5)]),
        (FHS + FHS + BHS + admission(1) + "BTS|1\rFTS|1\r", [("100", "FHS", 2)]),
        (BHS + BHS + admission(1) + "BTS|1\r", [("100", "BTS", 2)]),
        ("To whom it may concern\r" + admission(1), [("100", None, 1)]),
        (admission(1) + "Regards\rST-MARY\r", [("100", None, 5)]),
        (admission(1) + "\rSecond one:\r" + admission(2), [("100", None, 6)]),
        (admission(1, bad="\rjunk line") + admission(2), [("100", None, 1)]),
        (admission(1) + "MSH|^^\\&|EHR\r" + admission(2), [("102", "MSH-2", 5)]),
        (admission(1) + admission(2).replace("|I\r", "|\r"), [("101", "PV1-2", 8)]),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(data, findings):
    assert found(data) == findings


def test_one_bad_message_does_not_hide_its_neighbours():
    batch = hl7v2.parse((admission(1) + "MSH|^^\\&|EHR\r" + admission(3).replace("A-3", "")).encode())
    findings = hl7v2.validate(batch)

    assert numbers(batch) == ["C-1", "C-3"]
    assert [finding.details() for finding in findings] == [
        {"message": 2, "segment": "MSH", "field": 2},
        {"message": 3, "segment": "PID", "field": 3},
    ]


def test_a_batch_in_utf_16_is_one_too():
    data = ("\ufeff" + FHS + BHS + admission(1) + admission(2) + "BTS|2\rFTS|1\r").encode("utf-16-le")
    batch = hl7v2.parse(data)

    assert isinstance(batch, Batch)
    assert numbers(batch) == ["C-1", "C-2"]
    assert hl7v2.write(batch) == data
    assert hl7v2.validate(batch) == []
    assert [Message.parse(part).control_id for part in hl7v2.split_messages(data)] == ["C-1", "C-2"]


@pytest.mark.parametrize("data", [b"", b"\r\n", b"hello", b"PID|1\r", b"{}", b"<a/>", b"\xff\xfe", b"MSHX"])
def test_a_file_without_a_message_is_refused(data):
    with pytest.raises(HL7ParseError):
        hl7v2.parse(data)


def test_a_file_of_prose_makes_a_bounded_list():
    assert len(found(admission(1) + ("prose\r" + admission(2)) * 500)) == 200
