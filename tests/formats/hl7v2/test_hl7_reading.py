"""A message is read by path, and what it does not say is not there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import HL7Error, HL7ParseError, Message, MissingField

DFT = (
    b"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260301083000-0600||DFT^P03^DFT_P03|C-1|P|2.5.1\r"
    b"EVN|P03|20260301083000\r"
    b"PID|1||MRN-7^^^ST-MARY^MR~OLD-7^^^LAKESHORE^PI||HIP&VON^HILDE^^^DR||19500102|F||||||||||A-7^^^ST-MARY^AN\r"
    b'PV1|1|I|OR^2^A|""\r'
    b"FT1|1|U-1|||20260301|CG|KNEE-99^Knee, left|||2|1250.00^USD||THEATRE\r"
    b"FT1|2|U-2||20260301|20260301|CG|HIP-10|||1\r"
)

LAKESHORE = ZoneInfo("America/Chicago")


def replaced(old: str, new: str) -> bytes:
    assert old.encode() in DFT
    return DFT.replace(old.encode(), new.encode())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("PID-3.1", "MRN-7"),
        ("PID-3[1].1", "MRN-7"),
        ("PID-3[2].1", "OLD-7"),
        ("PID-3[2].5", "PI"),
        ("PID-5.1.1", "HIP"),
        ("PID-5.1.2", "VON"),
        ("PID-5.2", "HILDE"),
        ("PID-5.2.1", "HILDE"),
        ("PID-8.1.1", "F"),
        ("FT1-7.1", "KNEE-99"),
        ("FT1(1)-7.2", "Knee, left"),
        ("FT1(2)-7.1", "HIP-10"),
        ("MSH-1", "|"),
        ("MSH-2", "^~\\&"),
        ("MSH-2.1", "^~\\&"),
        ("MSH-3", "EHR"),
        ("MSH-9.2", "P03"),
        ("MSH-9", "DFT^P03^DFT_P03"),
        ("PID-5.1", "HIP&VON"),
    ],
)
def test_a_path_leads_to_its_value(path, value):
    message = Message.parse(DFT)

    assert message[path] == value
    assert message.get(path) == value


@pytest.mark.parametrize(
    "path",
    ["PID-2", "PID-3.2", "PID-3[3].1", "PID-3.9", "PID-5.1.3", "PID-8.2", "PID-8[2]", "PID-8.1.2", "PID-99", "FT1(3)-7", "ZZZ-1", "MSH-1[2]", "MSH-2.2"],
)  # fmt: skip
def test_what_is_not_there_is_missing_and_names_its_path(path):
    message = Message.parse(DFT)

    assert message.get(path) is None
    with pytest.raises(MissingField) as missing:
        message[path]
    assert missing.value.location == path
    assert missing.value.code == "101"


def test_the_null_is_missing_to_a_reader_and_still_told_apart():
    message = Message.parse(DFT)

    assert message.get("PV1-4") is None
    assert message.is_null("PV1-4")
    assert message.is_null("PV1-4.1")
    assert not message.is_null("PV1-5")
    assert not message.is_null("PV1-2")
    with pytest.raises(MissingField):
        message["PV1-4"]


def test_text_as_sent_tells_empty_from_absent():
    message = Message.parse(DFT)

    assert message.raw("PID-2") == ""
    assert message.raw("PID-99") is None
    assert message.raw("PV1-4") == '""'
    assert message.raw("ZZZ-1") is None


def test_each_charge_is_read_by_paths_inside_it():
    charges = Message.parse(DFT).segments("FT1")

    assert [charge["7.1"] for charge in charges] == ["KNEE-99", "HIP-10"]
    assert [charge.get("11.1") for charge in charges] == ["1250.00", None]
    with pytest.raises(MissingField) as missing:
        charges[1]["11.1"]
    assert missing.value.location == "FT1(2)-11.1"


def test_a_message_says_what_msh_says():
    message = Message.parse(DFT)

    assert message.type == "DFT^P03"
    assert message.structure == "DFT_P03"
    assert message.control_id == "C-1"
    assert message.version == "2.5.1"
    assert message.processing_id == "P"
    assert (message.sending_application, message.sending_facility) == ("EHR", "ST-MARY")
    assert (message.receiving_application, message.receiving_facility) == ("HILUM", "LAKESHORE")
    assert message.timestamp == "20260301083000-0600"
    assert [segment.name for segment in message] == ["MSH", "EVN", "PID", "PV1", "FT1", "FT1"]
    assert "PV1" in message
    assert "NK1" not in message
    assert message.repetitions("PID-3") == 2
    assert message.repetitions("PID-2") == 0


@pytest.mark.parametrize(
    "wrong", ["", "PID", "PID-", "PID-0", "pid-3", "PID-3[0]", "PID-3.1.1.1", "PID.3", "PID-3.1 ", "PID-³"]
)
def test_a_path_that_is_none_is_its_authors_mistake(wrong):
    with pytest.raises(hl7v2.InvalidPath, match=r"path|names a segment only"):
        Message.parse(DFT).get(wrong)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\r", "\r\r", "\r\n\r\n"])
def test_any_line_end_ends_a_segment(end):
    data = DFT.replace(b"\r", end.encode())
    message = Message.parse(data)

    assert [segment.name for segment in message] == ["MSH", "EVN", "PID", "PV1", "FT1", "FT1"]
    assert message["FT1(2)-7.1"] == "HIP-10"
    assert message.to_bytes() == data


def test_mixed_line_ends_a_mark_and_blank_lines_are_passed_over():
    lines = DFT.decode().split("\r")
    data = b"\xef\xbb\xbf\r\n" + "\n".join(lines[:2]).encode() + b"\r\n" + "\r".join(lines[2:]).encode()

    message = Message.parse(data)

    assert message["PID-18.1"] == "A-7"
    assert message.to_bytes() == data
    assert hl7v2.header_of(data).control_id == "C-1"


def test_delimiters_are_those_of_the_sender():
    message = Message.parse(
        b"MSH#!@%*#EHR#F#R#F#20260301##ADT!A01!ADT_A01#C-2#P#2.5\rPID#1##A-1!!!ST-MARY@B-1##DOE*VON!J%S%X\r"
    )

    assert message.type == "ADT^A01"
    assert message.structure == "ADT_A01"
    assert message["PID-3.4"] == "ST-MARY"
    assert message["PID-3[2].1"] == "B-1"
    assert message["PID-5.1.2"] == "VON"
    assert message["PID-5.2"] == "J!X"


def test_a_sender_with_fewer_delimiters_has_no_parts_below():
    message = Message.parse(b"MSH|^|EHR|F|R|F|20260301||ADT^A01|C-2|P|2.5\rPID|1||A~B&C\\F\\\r")

    assert message["PID-3.1.1"] == "A~B&C\\F\\"
    assert message.get("PID-3[2]") is None


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (r"a\F\b", "a|b"),
        (r"a\S\b", "a^b"),
        (r"a\T\b", "a&b"),
        (r"a\R\b", "a~b"),
        (r"a\E\b", "a\\b"),
        (r"\E\F\E\ ", "\\F\\ "),
        (r"a\P\b", "a#b"),
        (r"\X4B4E4545\ ", "KNEE "),
        (r"\XC3BC\ ", "ü "),
        (r"\XC3\ ", "\\XC3\\ "),
        (r"one\.br\two", "one\ntwo"),
        (r"one\.sp2\two", "one\n\ntwo"),
        (r"one\.sk3\two", "one   two"),
        (r"\.in+4\\.ti-2\text", "text"),
        (r"\H\loud\N\ ", "loud "),
        (r"\Zlocal\ ", "\\Zlocal\\ "),
        (r"\C2842\ ", "\\C2842\\ "),
        ("50\\", "50\\"),
        (r"\X\ ", "\\X\\ "),
    ],
)
def test_escapes_are_decoded_and_unknown_ones_kept(sent, text):
    message = Message.parse(replaced("Knee, left", sent))

    assert message["FT1-7.2"] == text


def test_an_escaped_delimiter_does_not_turn_into_one_above_the_leaf():
    message = Message.parse(replaced("Knee, left", r"Knee\S\left"))

    assert message["FT1-7"] == r"KNEE-99^Knee\S\left"
    assert message["FT1-7.2"] == "Knee^left"


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("", "utf-8"), ("UNICODE UTF-8", "utf-8"), ("utf-8", "utf-8"), ("8859/1", "latin-1"), ("8859/15", "iso8859-15"), ("8859/1~UNICODE", "latin-1")],
)  # fmt: skip
def test_characters_are_those_of_msh_18(declared, encoding):
    header = "MSH|^~\\&|EHR|ST-MARY|HILUM|L|20260301||ADT^A01|C-3|P|2.5.1||||||" + declared
    message = Message.parse(f"{header}\rPID|1||A-1||MÜLLER\r".encode(encoding))

    assert message["PID-5.1"] == "MÜLLER"


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        ("", "102"),
        ("UNICODE UTF-8", "102"),
        ("ASCII", "102"),
        ("ISO IR159", "102"),
        ("UNICODE UTF-16", "102"),
        ("CNS 11643-1992", "103"),
    ],
)
def test_bytes_of_another_character_set_are_refused(declared, code):
    header = "MSH|^~\\&|EHR|ST-MARY|HILUM|L|20260301||ADT^A01|C-3|P|2.5.1||||||" + declared
    data = f"{header}\rPID|1||A-1||MÜLLER\r".encode("latin-1")

    with pytest.raises(HL7ParseError) as refused:
        Message.parse(data)

    assert refused.value.code == code
    assert refused.value.location == "MSH-18"
    assert hl7v2.header_of(data).control_id == "C-3"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "100"),
        (b"\r\n", "100"),
        (b"hello", "100"),
        (b"PID|1||A-1\r", "100"),
        (b"MSH", "102"),
        (b"MSH\rPID|1", "102"),
        (b"MSHX^~\\&|", "102"),
        (b"MSH|", "101"),
        (b"MSH||EHR", "101"),
        (b"MSH|^~\\&#!|EHR", "102"),
        (b"MSH|^^\\&|EHR", "102"),
        (b"MSH|^~A&|EHR", "102"),
        (b"MSH|^~\\&|EHR\rPIDX|1\r", "100"),
        (b"MSH|^~\\&|EHR\rPV|1\r", "100"),
        (b"MSH|^~\\&|EHR\rpid|1\r", "100"),
        (b"MSH|^~\\&|EHR\rMSH|^~\\&|EHR\r", "100"),
        (b"FHS|^~\\&|EHR\rMSH|^~\\&|EHR\r", "100"),
        ("hello".encode("utf-16"), "100"),
        (b"\xff\xfeM", "102"),
    ],
)
def test_what_is_no_message_is_refused_with_a_code(data, code):
    with pytest.raises(HL7ParseError) as refused:
        Message.parse(data)

    assert refused.value.code == code


def test_no_value_of_a_message_is_told_in_an_error_or_a_repr():
    message = Message.parse(DFT)

    with pytest.raises(HL7ParseError) as refused:
        Message.parse(DFT + b"MRN-7-SECRET\r")

    assert "SECRET" not in str(refused.value)
    assert "HILDE" not in repr(message) + repr(list(message))


@pytest.mark.parametrize(
    "broken",
    [
        b"MSH|^^\\&|EHR|F|R|F|20260301||ADT^A01|C-9|P|2.5\r",
        b"MSH|^~\\&|EHR|F|R|F|2026||ADT^A01|C-9|P|2.5\r\xff\xfe garbage",
    ],
)
def test_the_header_of_a_broken_message_can_still_be_read(broken):
    header = hl7v2.header_of(broken)

    assert header.control_id == "C-9"
    assert header.version == "2.5"
    assert header.sending_application == "EHR"
    with pytest.raises(HL7ParseError):
        Message.parse(broken)


def test_a_header_that_says_nothing_says_none():
    header = hl7v2.header_of(b"MSH|^~\\&\r")

    assert (header.type, header.event, header.structure) == (None, None, None)
    assert (header.control_id, header.version, header.sending_application, header.processing_id) == (None,) * 4
    assert header.charset == ""


@pytest.mark.parametrize(
    ("sent", "kind"),
    [("ACK", "ACK"), ("ACK^A01", "ACK^A01"), ("ADT^A01^ADT_A01", "ADT^A01"), ("ADT^", "ADT"), ("", None)],
)
def test_a_type_is_its_code_and_its_event(sent, kind):
    assert hl7v2.header_of(f"MSH|^~\\&|||||||{sent}|C-1".encode()).type == kind


@pytest.mark.parametrize(
    ("text", "moment", "precision"),
    [
        ("2026", datetime(2026, 1, 1, tzinfo=LAKESHORE), "year"),
        ("202603", datetime(2026, 3, 1, tzinfo=LAKESHORE), "month"),
        ("20260301", datetime(2026, 3, 1, tzinfo=LAKESHORE), "day"),
        ("2026030108", datetime(2026, 3, 1, 8, tzinfo=LAKESHORE), "hour"),
        ("202603010830", datetime(2026, 3, 1, 8, 30, tzinfo=LAKESHORE), "minute"),
        ("20260301083015", datetime(2026, 3, 1, 8, 30, 15, tzinfo=LAKESHORE), "second"),
        ("20260301083015.1234", datetime(2026, 3, 1, 8, 30, 15, 123400, tzinfo=LAKESHORE), "fraction"),
        ("20260301083015+0000", datetime(2026, 3, 1, 8, 30, 15, tzinfo=UTC), "second"),
        ("202603010830-0530", datetime(2026, 3, 1, 8, 30, tzinfo=timezone(-timedelta(hours=5, minutes=30))), "minute"),
    ],
)
def test_a_timestamp_is_a_moment_with_its_precision(text, moment, precision):
    assert hl7v2.parse_timestamp(text, LAKESHORE) == moment
    assert hl7v2.precision_of(text) == precision


@pytest.mark.parametrize(
    "text",
    [
        "",
        "26",
        "2026-03-01",
        "20260230",
        "20260301250000",
        "20260301083015.",
        "202603010830+9900",
        "20260301 ",
        "２０２６",
        "20260301+0160",
    ],
)
def test_a_timestamp_that_is_none_is_a_data_type_error(text):
    with pytest.raises(HL7Error) as wrong:
        hl7v2.parse_timestamp(text, UTC)

    assert wrong.value.code == "102"
    assert not text or text not in str(wrong.value)


def test_a_tree_holds_what_is_there_and_none_for_the_null():
    shown = hl7v2.tree(Message.parse(DFT))

    assert shown["type"] == "DFT^P03"
    segments = shown["segments"]
    assert [segment["segment"] for segment in segments] == ["MSH", "EVN", "PID", "PV1", "FT1", "FT1"]
    assert segments[0]["fields"]["2"] == ["^~\\&"]
    assert segments[2]["fields"]["3"] == [
        {"1": "MRN-7", "4": "ST-MARY", "5": "MR"},
        {"1": "OLD-7", "4": "LAKESHORE", "5": "PI"},
    ]
    assert segments[2]["fields"]["5"] == [{"1": {"1": "HIP", "2": "VON"}, "2": "HILDE", "5": "DR"}]
    assert segments[3]["fields"] == {"1": ["1"], "2": ["I"], "3": [{"1": "OR", "2": "2", "3": "A"}], "4": [None]}


BATCH = b"FHS|^~\\&|EHR\rBHS|^~\\&|EHR\r" + DFT + DFT.replace(b"C-1", b"C-2") + b"BTS|2\rFTS|1\r"


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        (DFT, ["C-1"]),
        (BATCH, ["C-1", "C-2"]),
        (DFT + DFT.replace(b"C-1", b"C-2"), ["C-1", "C-2"]),
        (b"\xef\xbb\xbf" + BATCH.replace(b"\r", b"\r\n"), ["C-1", "C-2"]),
        (b"\x0b" + DFT + b"\x1c\r\x0b" + DFT.replace(b"C-1", b"C-2") + b"\x1c\r", ["C-1", "C-2"]),
        (DFT + b"\xef\xbb\xbf" + DFT.replace(b"C-1", b"C-2"), ["C-1", "C-2"]),
        (b"", []),
        (b"\r\n", []),
        (b"FHS|^~\\&|EHR\rFTS|0\r", []),
    ],
)
def test_a_file_is_split_into_its_messages(data, numbers):
    messages = [Message.parse(part) for part in hl7v2.split_messages(data)]

    assert [message.control_id for message in messages] == numbers
    assert all(message["FT1(2)-7.1"] == "HIP-10" for message in messages)
    assert all(len(message) == 6 for message in messages)


def test_a_message_of_a_file_is_what_it_was():
    assert list(hl7v2.split_messages(BATCH)) == [DFT, DFT.replace(b"C-1", b"C-2")]


@pytest.mark.parametrize("data", [b"hello", b"PID|1\rMSH|^~\\&|EHR\r", "hello".encode("utf-16")])
def test_a_file_that_starts_with_something_else_is_refused(data):
    with pytest.raises(HL7ParseError):
        list(hl7v2.split_messages(data))
