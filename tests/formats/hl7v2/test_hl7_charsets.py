"""Characters are those of MSH-18 or of the byte order mark, and an edit leaves every other byte alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import HL7ParseError, Message

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def text(declared: str, name: str, application: str = "EHR") -> str:
    return (
        f"MSH|^~\\&|{application}|F|H|L|20260301||ADT^A01^ADT_A01|C-1|P|2.5.1||||||{declared}\r"
        f"EVN||20260301\rPID|1||A-1||{name}^ANN\rPV1|1|I\r"
    )


@pytest.mark.parametrize(
    ("declared", "codec", "name"),
    [
        ("8859/2", "iso8859-2", "Łukasz"), ("8859/5", "iso8859-5", "Иванов"), ("8859/6", "iso8859-6", "سلام"),
        ("8859/7", "iso8859-7", "Ελένη"), ("8859/8", "iso8859-8", "שלום"), ("8859/9", "iso8859-9", "Şükrü"),
        ("8859/15", "iso8859-15", "Œuvre€"), ("UNICODE UTF-8", "utf-8", "Ελένη Иванов"), ("UNICODE", "utf-8", "山田"),
        ("GB 18030-2000", "gb18030", "張曄"), ("BIG-5", "big5", "許功蓋"), ("KS X 1001", "euc_kr", "김철수"),
        ("~ISO IR87", "iso2022_jp", "山田太郎"), ("ISO IR6~ISO IR87", "iso2022_jp", "山田太郎"),
        ("ISO IR87", "iso2022_jp", "山田"), ("ISO IR159", "iso2022_jp_1", "丂丄"),
    ],
)  # fmt: skip
def test_characters_are_those_that_msh_18_declares(declared, codec, name):
    data = text(declared, name, application=name).encode(codec)
    message = Message.parse(data)

    assert message["PID-5.1"] == name
    assert message["PID-5.2"] == "ANN"
    assert message.sending_application == name
    assert message.control_id == "C-1"
    assert message.to_bytes() == data
    assert hl7v2.validate(message) == []
    edited = message.with_field("PID-5.2", name)
    assert edited.to_bytes() == text(declared, name, application=name).replace("ANN", name).encode(codec)
    answer = Message.parse(hl7v2.acknowledge(message, "AA", control_id="H-1", timestamp=NOON))
    assert answer.receiving_application == name
    assert answer["MSA-2"] == "C-1"


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("declared", ["", "UNICODE UTF-16", "UNICODE UTF-32", "8859/1"])
def test_wide_characters_are_known_by_their_mark_or_their_zeros(codec, mark, declared):
    data = (mark + text(declared, "山田")).encode(codec)
    message = hl7v2.parse(data)

    assert hl7v2.recognise(data)
    assert isinstance(message, Message)
    assert message["PID-5.1"] == "山田"
    assert message.to_bytes() == message.to_er7() == data
    assert hl7v2.header_of(data).control_id == "C-1"
    edited = message.with_field("PID-5.2", "ÜTE")
    assert edited.to_bytes() == data.replace("ANN".encode(codec), "ÜTE".encode(codec))
    answer = hl7v2.acknowledge(message, "AA", control_id="H-1", timestamp=NOON)
    assert Message.parse(answer)["MSA-2"] == "C-1"
    assert hl7v2.header_of(answer).wide == codec


def test_an_edit_touches_nothing_else_even_where_one_text_has_several_encodings():
    # ISO 2022 lets a sender switch to ASCII and back for nothing; the other lines keep that.
    data = text("~ISO IR87", "山田").encode("iso2022_jp").replace(b"\rPV1", b"\rNTE|1||\x1b(B\x1b(Bx\x1b(B\rPV1")
    message = Message.parse(data)

    assert message.with_field("PV1-3.1", "OR").to_bytes() == data.replace(b"PV1|1|I", b"PV1|1|I|OR")


def test_half_a_wide_character_is_refused():
    data = text("", "A").encode("utf-16-le") + b"\x00"

    with pytest.raises(HL7ParseError) as refused:
        Message.parse(data)

    assert refused.value.code == "102"


@pytest.mark.parametrize(
    ("sent", "codec", "declared", "decoded"),
    [
        (r"\XA4A4\ ".strip(), "big5", "BIG-5", "中"),
        (r"\XDC\ ".strip(), "iso8859-1", "8859/1", "Ü"),
        (r"\C2842\ ".strip(), "utf-8", "", r"\C2842\ ".strip()),
        (r"\M2442\ ".strip(), "utf-8", "", r"\M2442\ ".strip()),
        (r"\Zab\ ".strip(), "utf-8", "", r"\Zab\ ".strip()),
        (r"a\.br\b", "utf-8", "", "a\nb"),
    ],
)
def test_escapes_mean_the_declared_characters_and_unknown_ones_stay(sent, codec, declared, decoded):
    assert Message.parse(text(declared, sent).encode(codec))["PID-5.1"] == decoded
