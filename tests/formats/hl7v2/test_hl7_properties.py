"""Whatever the bytes are: only HL7Error comes out, soon, and what was written comes back."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import Delimiters, HL7Error, Message
from hilum.formats.hl7v2.groups import groups_of

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


XML = b"""<ADT_A01 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.9><MSG.1>ADT</MSG.1>
<MSG.2>A01</MSG.2></MSH.9><MSH.12><VID.1>2.5.1</VID.1></MSH.12></MSH><PID><PID.3><CX.1>A</CX.1></PID.3></PID></ADT_A01>"""
WRAPPERS = st.sampled_from([b"FHS|^~\\&|A\r", b"BHS|^~\\&|A\r", b"BTS|1\r", b"FTS|1\r", b"BTS|x\r", b"prose\r", b"\r\n", b"\x1c\r\x0b", b"\xef\xbb\xbf"])  # fmt: skip
FILES = st.lists(st.one_of(WRAPPERS, MESSAGES, st.binary(max_size=30)), max_size=8).map(b"".join)
WIDE = st.tuples(MESSAGES, st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-32-be"]), st.binary(max_size=3)).map(
    lambda made: made[0].decode("utf-8", "replace").encode(made[1]) + made[2]
)
BROKEN_XML = st.tuples(st.integers(0, len(XML)), st.integers(0, 30), st.binary(max_size=12)).map(
    lambda cut: XML[: cut[0]] + cut[2] + XML[cut[0] + cut[1] :]
)
TYPES = st.sampled_from(["ADT^A01", "ORU^R01", "DFT^P03", "OML^O21", "ORM^O01", "SIU^S12", "MFN^M02", "RDE^O11", "VXU^V04", "BAR^P01"])  # fmt: skip
SEGMENTS = st.lists(
    st.sampled_from(
        [
            "EVN",
            "PID",
            "PV1",
            "OBR",
            "OBX",
            "NTE",
            "ORC",
            "SPM",
            "FT1",
            "DG1",
            "IN1",
            "IN2",
            "GT1",
            "PR1",
            "ROL",
            "AL1",
            "RXE",
            "RXR",
            "TQ1",
            "MFI",
            "MFE",
            "STF",
            "RGS",
            "AIS",
            "ZZZ",
            "QQQ",
        ]
    ),
    max_size=30,
)
FIELDS = st.lists(st.text(st.sampled_from('A1.-+^~&\\"20260301'), max_size=12), max_size=12)


@given(st.one_of(FILES, WIDE, BROKEN_XML))
@settings(max_examples=400)
def test_whatever_a_file_holds_it_is_a_document_or_a_typed_error(data):
    assert isinstance(hl7v2.recognise(data), bool)
    try:
        document = hl7v2.parse(data)
    except HL7Error as error:
        assert error.code in set(hl7v2.Code)
        return
    assert hl7v2.write(document) == data
    findings = hl7v2.validate(document)
    assert len(findings) <= 200
    assert all(finding.code in set(hl7v2.Code) for finding in findings)
    messages = document.messages if isinstance(document, hl7v2.Batch) else [document]
    assert len(hl7v2.convert(document)) == len(messages)
    assert hl7v2.outline(document).label
    for message in messages:
        assert Message.parse(message.to_er7()).names() == message.names()


@given(TYPES, st.sampled_from(sorted(hl7v2.VERSIONS)), SEGMENTS, FIELDS)
@settings(max_examples=300)
def test_groups_keep_every_segment_in_its_order(kind, version, names, fields):
    lines = [f"MSH|^~\\&|EHR|F|H|L|20260301||{kind}|C-1|P|{version}", *("|".join([name, *fields]) for name in names)]
    message = Message.parse("\r".join(lines).encode())

    assert [segment.position for segment in groups_of(message)] == list(range(1, len(names) + 2))
    findings = hl7v2.validate(message)
    assert all(message.raw(finding.location) is not None for finding in findings if finding.code == "102")
    assert all(1 <= finding.line <= len(names) + 1 for finding in findings if finding.line is not None)


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
        b"MSH|^~\\&|A|||||ORU^R01|1|P|2.5.1\r" + b"OBX|1\rQQQ|\r" * 80_000,
        b"MSH|^~\\&|A|||||ADT^A01|1|P|2.5.1\rPID|||" + b"^&^~" * 250_000,
        b"MSH|^~\\&|A|||||ADT^A01|1|P|2.5.1\rPID|||||" + b"x&" * 400_000,
        b"prose\rMSH|^~\\&|A\r" * 40_000,
        b"BHS|\rBTS|9\r" * 80_000,
    ],
)
def test_spite_takes_no_longer_than_its_size(data):
    data = data[:300_000]
    started = time.process_time()
    try:
        message = Message.parse(data)
        hl7v2.validate(message)
        hl7v2.tree(message)
        message.get("PID-1")
    except HL7Error as error:
        assert error.code in set(hl7v2.Code)
    assert all(_split(data))
    try:
        document = hl7v2.parse(data)
        hl7v2.validate(document)
        hl7v2.outline(document)
    except HL7Error as error:
        assert error.code in set(hl7v2.Code)
    assert time.process_time() - started < 4
