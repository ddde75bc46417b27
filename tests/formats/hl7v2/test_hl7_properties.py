"""Whatever the bytes are: only HL7Error comes out, soon, and what was written comes back."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import Delimiters, HL7Error, Message

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PUNCTUATION = "!#$%&'()*+,-/:;<=>?@[\\]^_`{|}~"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
DELIMITERS = st.permutations(PUNCTUATION).map(lambda marks: Delimiters(*marks[:5]))
HEADERS = st.sampled_from([b"", b"MSH|^~\\&|", b"MSH|^~\\&|A|B|C|D|20260301||ADT^A01|C-1|P|2.5\r", b"MSH#!@%*#A#B#C#D#2026##ADT!A01#C-1#P#2.5\n", b"\xef\xbb\xbfMSH|"])  # fmt: skip
PIECES = st.sampled_from([b"PID|", b"\rPID|1||A^B&C~D\\E\\", b"\rOBX|1|ST||", b"\\X4", b"\\", b"^", b"~", b"&", b"\n", b"\r", b"\x0bMSH|", b'""', b"\xff", b"\xc3\xbc", b"FT1|", b"8859/1", b"2.5"])  # fmt: skip
MESSAGES = st.builds(
    lambda head, parts: head + b"".join(parts),
    HEADERS,
    st.lists(st.one_of(PIECES, st.binary(max_size=12)), max_size=25),
)
PATHS = ["MSH-9", "MSH-10", "MSH-18", "PID-3.1", "PID-3[2].1.2", "PID-5", "OBX(2)-5", "FT1-7.1", "MSH-2", "MSH-1.1"]


@given(TEXT, DELIMITERS)
def test_escaped_text_comes_back(text, delimiters):
    escaped = hl7v2.escape(text, delimiters)

    assert hl7v2.unescape(escaped, delimiters) == text
    assert not any(
        mark in escaped.replace(delimiters.escape, "")
        for mark in (*delimiters[:3], delimiters.subcomponent, "\r", "\n")
    )


@given(TEXT)
def test_any_text_can_be_unescaped(text):
    assert isinstance(hl7v2.unescape("\\" + text + "\\"), str)


@given(st.lists(st.lists(TEXT, min_size=1, max_size=4), min_size=1, max_size=5), DELIMITERS)
def test_built_values_are_read_back(fields, delimiters):
    data = hl7v2.build(
        [["MSH", "HILUM", "", "", "", "", "", "ACK", "C-1", "P", "2.5"], ["ZZZ", *fields]], delimiters=delimiters
    )

    segment = Message.parse(data).segments("ZZZ")[0]

    for number, components in enumerate(fields, 1):
        for place, text in enumerate(components, 1):
            assert segment.get(f"{number}.{place}") == (None if text in ("", hl7v2.NULL) else text)


@given(st.one_of(MESSAGES, st.binary(max_size=300)))
@settings(max_examples=400)
def test_whatever_arrives_only_hl7_errors_come_out(data):
    header = None
    try:
        header = hl7v2.header_of(data)
    except HL7Error as error:
        assert error.code in set(hl7v2.Code)
    for part in _split(data):
        assert part in data
    try:
        message = Message.parse(data)
    except HL7Error as error:
        assert error.code in set(hl7v2.Code)
        findings = [error.finding]
    else:
        findings = hl7v2.validate(message)
        assert message.to_bytes() == data
        for path in PATHS:
            raw = message.raw(path)
            assert raw is not None or message.get(path) is None
        assert len(hl7v2.tree(message)["segments"]) == len(message)
    answer = hl7v2.acknowledge(header, "AE", findings, control_id="H-1", timestamp=NOON)
    assert answer.startswith(b"MSH")
    assert b"\x1c" not in answer
    assert hl7v2.header_of(answer).control_id == "H-1"


def _split(data):
    try:
        return list(hl7v2.split_messages(data))
    except HL7Error:
        return []


@given(st.sampled_from(["PID-3.1", "PID-3[2].1", "PID-5.2.2", "PID-30", "PV1-3.1", "MSH-10"]), TEXT)
def test_an_edit_is_read_back_and_all_else_is_as_it_was(path, text):
    before = Message.parse(
        b"MSH|^~\\&|EHR|F|H|L|20260301||ADT^A08|C-4|P|2.5\r\nPID|1||A^B~C||DOE&X^JANE\nPV1|1|I|OR^2\r"
    )

    after = before.with_field(path, text)

    assert after.get(path) == (None if text in ("", hl7v2.NULL) else text)
    others = [other for other in ("MSH-9", "PID-3.2", "PID-3[1].2", "PID-5.1.2", "PV1-2", "PV1-3.2") if other != path]
    assert [after.get(other) for other in others] == [before.get(other) for other in others]
    assert after.with_field(path, "x").to_bytes() == before.with_field(path, "x").to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"MSH|^~\\&|" + b"\\" * 1_000_000,
        b"MSH|^~\\&|A\rPID|" + b"~" * 1_000_000,
        b"MSH|^~\\&|A\rPID|" + b"\\X41" * 250_000,
        b"MSH|^~\\&|A\r" + b"PID|1\r" * 160_000,
        b"MSH|" * 250_000,
        b"\rMSH|" * 200_000,
        b"\r" * 1_000_000,
        b"MSH|^~\\&|A\r" + b"\n\r" * 500_000,
    ],
)
def test_a_megabyte_of_spite_takes_no_longer_than_a_megabyte(data):
    started = time.process_time()
    try:
        message = Message.parse(data)
        hl7v2.validate(message)
        hl7v2.tree(message)
        message.get("PID-1")
    except HL7Error as error:
        assert error.code in set(hl7v2.Code)
    assert all(_split(data))
    assert time.process_time() - started < 5
