"""What is written can be read again, and an edit touches nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import NULL, Delimiters, HL7Error, Message, MissingField, Repeated, build

HEADER = [
    "MSH",
    "HILUM",
    "LAKESHORE",
    "BILLING",
    "LAKESHORE",
    "20260301083000",
    "",
    ["ADT", "A04"],
    "C-1",
    "P",
    "2.5.1",
]
ADT = (
    b"MSH|^~\\&|EHR|ST-MARY|HILUM|L|20260301||ADT^A08|C-4|P|2.5.1\r\n"
    b"PID|1||A-1^^^ST-MARY~B-1||DOE&VON^JANE^\n\r"
    b"PV1|1|I|OR^2\r"
)


def test_a_message_is_written_from_values():
    data = build(
        [
            HEADER,
            ["PID", "1", None, Repeated(["A-1", "", "", "ST-MARY"], "B-1"), "", [["DOE", "VON"], "JANE"], "", NULL],
            ["FT1", 1, "", "", "", "", "", "", "", "", 2, [Decimal("1E+3"), "USD"], ""],
        ]
    )

    assert data == (
        b"MSH|^~\\&|HILUM|LAKESHORE|BILLING|LAKESHORE|20260301083000||ADT^A04|C-1|P|2.5.1\r"
        b'PID|1||A-1^^^ST-MARY~B-1||DOE&VON^JANE||""\r'
        b"FT1|1|||||||||2|1000^USD\r"
    )
    assert Message.parse(data).is_null("PID-7")


def test_text_with_delimiters_comes_back_as_it_was():
    text = "5|6^7~8\\9&10\nnext\x0b\x1c\r"

    message = Message.parse(build([HEADER, ["NTE", "1", "", text]]))

    assert message["NTE-3"] == text
    assert message.to_bytes().count(b"\r") == 2
    assert b"\x0b" not in message.to_bytes() and b"\x1c" not in message.to_bytes()


def test_characters_beyond_ascii_are_declared():
    message = Message.parse(build([HEADER, ["PID", "1", "", "A-1", "", "MÜLLER"]]))

    assert message["MSH-18"] == "UNICODE UTF-8"
    assert message["PID-5"] == "MÜLLER"


def test_a_declared_character_set_is_written_or_refused():
    latin = [*HEADER, "", "", "", "", "", "8859/1"]

    assert "MÜLLER".encode("latin-1") in build([latin, ["PID", "1", "", "A-1", "", "MÜLLER"]])
    with pytest.raises(HL7Error) as refused:
        build([latin, ["PID", "1", "", "A-1", "", "ŁUKASZ"]])
    assert refused.value.code == "102"


def test_other_delimiters_are_written_and_declared():
    data = build([HEADER, ["PID", "1", "", ["A^1", "B!2"]]], delimiters=Delimiters("#", "!", "@", "%", "*"))

    assert data.startswith(b"MSH#!@%*#HILUM#")
    assert Message.parse(data)["PID-3.1"] == "A^1"
    assert Message.parse(data)["PID-3.2"] == "B!2"


@pytest.mark.parametrize(
    "wrong", [[], [["PID", "1"]], [HEADER, []], [HEADER, ["PIDX"]], [HEADER, ["pid"]], [HEADER, [None]]]
)
def test_what_is_no_message_is_not_written(wrong):
    with pytest.raises(ValueError, match="starts with"):
        build(wrong)


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        ("PID-3.1", "A-2", b"A-1^^^", b"A-2^^^"),
        ("PID-3[2].1", "B-2", b"~B-1|", b"~B-2|"),
        ("PID-3[3].2", "X", b"~B-1|", b"~B-1~^X|"),
        ("PID-5.1.2", "ZU", b"DOE&VON", b"DOE&ZU"),
        ("PID-5.2", "J|O", b"^JANE^", b"^J\\F\\O^"),
        ("PID-7", NULL, b"^JANE^\n", b'^JANE^||""\n'),
        ("PV1-3.2", None, b"OR^2", b"OR^"),
        ("MSH-10", "C-5", b"|C-4|", b"|C-5|"),
        ("MSH-18", "UNICODE UTF-8", b"|2.5.1\r\n", b"|2.5.1||||||UNICODE UTF-8\r\n"),
        ("PV1-3.1", "ÖR", b"OR^2", "ÖR^2".encode()),
    ],
)
def test_an_edit_touches_nothing_else(path, value, before, after):
    message = Message.parse(ADT)

    edited = message.with_field(path, value)

    assert edited.to_bytes() == ADT.replace(before, after)
    assert message.to_bytes() == ADT
    assert edited.get(path) == (None if value in (None, NULL) else value)


def test_an_edit_keeps_a_mark_and_the_character_set():
    data = b"\xef\xbb\xbf\r\n" + ADT.replace(b"2.5.1", b"2.5.1||||||8859/1").replace(b"JANE", b"J\xc4NE")

    edited = Message.parse(data).with_field("PID-3.1", "Ä-1")

    assert edited.to_bytes() == data.replace(b"A-1", b"\xc4-1")
    with pytest.raises(HL7Error):
        edited.with_field("PID-3.1", "Ł-1")


def test_what_cannot_be_edited_says_so():
    message = Message.parse(ADT)

    with pytest.raises(MissingField):
        message.with_field("ZZZ-1", "x")
    with pytest.raises(MissingField):
        message.with_field("PID(2)-1", "x")
    with pytest.raises(ValueError, match="delimiters"):
        message.with_field("MSH-2", "x")
    with pytest.raises(ValueError, match="MSH-18"):
        message.with_field("PID-5.2", "JÄNE").with_field("MSH-18", "8859/1")
    with pytest.raises(ValueError, match="no delimiter"):
        Message.parse(b"MSH|^|EHR\rPID|1\r").with_field("PID-3[2]", "x")


def test_without_an_escape_character_a_delimiter_cannot_be_written():
    with pytest.raises(ValueError, match="escape"):
        hl7v2.escape("a|b", Delimiters("|", "^", "~", "", ""))
