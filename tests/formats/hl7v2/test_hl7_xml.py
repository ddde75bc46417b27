"""A message in XML is the same message, and a document that wants to fetch or to grow is refused."""

from __future__ import annotations

import time

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import HL7ParseError, Message

ORU = """<?xml version="1.0" encoding="UTF-8"?>
<ORU_R01 xmlns="urn:hl7-org:v2xml">
  <MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2><MSH.3><HD.1>EHR</HD.1></MSH.3><MSH.7><TS.1>20260301</TS.1></MSH.7>
    <MSH.9><MSG.1>ORU</MSG.1><MSG.2>R01</MSG.2><MSG.3>ORU_R01</MSG.3></MSH.9><MSH.10>C-1</MSH.10>
    <MSH.11><PT.1>P</PT.1></MSH.11><MSH.12><VID.1>2.5.1</VID.1></MSH.12></MSH>
  <ORU_R01.PATIENT_RESULT>
    <ORU_R01.PATIENT>
      <PID>
        <PID.3><CX.1>MRN-7</CX.1><CX.4><HD.1>ST-MARY</HD.1><HD.2>1.2.3</HD.2></CX.4></PID.3>
        <PID.3><CX.1>OLD-7</CX.1></PID.3>
        <PID.5><XPN.1><FN.1>M&#xDC;LLER</FN.1></XPN.1><XPN.2>ANN &amp; JO</XPN.2></PID.5>
        <PID.7>""</PID.7>
      </PID>
    </ORU_R01.PATIENT>
    <ORU_R01.ORDER_OBSERVATION>
      <OBR><OBR.4><CE.1>718-7</CE.1></OBR.4></OBR>
      <ORU_R01.OBSERVATION>
        <OBX><OBX.2>FT</OBX.2><OBX.3><CE.1>718-7</CE.1></OBX.3>
          <OBX.5>loud<escape V="H"/>|and^clear<escape V="N"/></OBX.5><OBX.11>F</OBX.11></OBX>
        <ZZZ><ZZZ.1>ours</ZZZ.1></ZZZ>
      </ORU_R01.OBSERVATION>
    </ORU_R01.ORDER_OBSERVATION>
  </ORU_R01.PATIENT_RESULT>
</ORU_R01>
"""


def test_xml_is_read_into_the_same_message():
    message = hl7v2.parse(ORU.encode())

    assert isinstance(message, Message)
    assert message.type == "ORU^R01"
    assert message["PID-3.4.2"] == "1.2.3"
    assert message["PID-3[2].1"] == "OLD-7"
    assert message["PID-5.1.1"] == "MÜLLER"
    assert message["PID-5.2"] == "ANN & JO"
    assert message.is_null("PID-7")
    assert message["OBX-5"] == "loud|and^clear"
    assert message.raw("OBX-5") == "loud\\H\\\\F\\and\\S\\clear\\N\\"
    assert [segment.name for segment in message.groups("OBSERVATION")[0]] == ["OBX", "ZZZ"]
    assert hl7v2.validate(message) == []


def test_xml_comes_back_as_it_was_and_as_bars_when_it_is_asked_for_or_edited():
    message = hl7v2.parse(ORU.encode())

    assert hl7v2.write(message) == ORU.encode()
    bars = message.to_er7()
    assert bars.startswith(
        b"MSH|^~\\&|EHR||||20260301||ORU^R01^ORU_R01|C-1|P|2.5.1\rPID|||MRN-7^^^ST-MARY&1.2.3~OLD-7||"
    )
    assert Message.parse(bars)["PID-5.1"] == "MÜLLER"
    edited = message.with_field("MSH-10", "C-2")
    assert hl7v2.write(edited) == bars.replace(b"|C-1|", b"|C-2|")


def test_the_declared_character_set_holds_for_the_bars():
    declared = ORU.replace("</VID.1></MSH.12>", "</VID.1></MSH.12><MSH.18>{}</MSH.18>")

    message = hl7v2.parse(declared.format("8859/1").encode())
    assert b"M\xdcLLER" in message.to_er7()
    assert message["PID-5.1"] == "MÜLLER"
    with pytest.raises(HL7ParseError, match="character set"):
        hl7v2.parse(declared.format("ASCII").encode())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso8859-1"])
def test_xml_may_be_in_any_encoding_it_declares(encoding):
    data = ORU.replace('encoding="UTF-8"', f'encoding="{encoding}"').replace("&#xDC;", "Ü").encode(encoding)

    assert hl7v2.recognise(data)
    assert hl7v2.parse(data)["PID-5.1"] == "MÜLLER"


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ('<!DOCTYPE x [<!ENTITY xxe SYSTEM "file:///etc/hostname">]>', "&xxe;"),
        ('<!DOCTYPE x [<!ENTITY xxe SYSTEM "http://127.0.0.1:9/x">]>', "&xxe;"),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">', "v"),
        ('<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>', "v"),
        (f'<!DOCTYPE x [<!ENTITY e0 "boom">{BOMB}]>', "&e11;"),
        ('<!DOCTYPE x [<!ENTITY a "inner">]>', "&a;"),
        ("<!DOCTYPE x>", "v"),
    ],
)
def test_a_document_type_is_refused_and_nothing_is_fetched_or_expanded(declaration, value):
    data = ORU.replace("<ORU_R01 x", declaration + "<ORU_R01 x").replace("OLD-7", value).encode()
    started = time.process_time()

    with pytest.raises(HL7ParseError, match=r"document type|DOCTYPE") as refused:
        hl7v2.parse(data)

    assert "127.0.0.1" not in str(refused.value)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "data",
    [
        ORU[:400],
        ORU.replace("<PID.3>", "<PID.first>").replace("</PID.3>", "</PID.first>"),
        ORU.replace("MSH>", "MSX>"),
        ORU.replace("CX.1>", "CX.100>"),
        '<ADT_A01 xmlns="urn:hl7-org:v2xml"/>',
        ORU.replace("<VID.1>", "<VID.1>&nbsp;"),
        ORU.replace("<ZZZ>", "<ZZZ " + " ".join(f'a{at}="1"' for at in range(50_000)) + ">"),
    ],
)
def test_what_is_no_message_in_xml_is_refused(data):
    with pytest.raises(HL7ParseError):
        hl7v2.parse(data.encode())


def test_a_deep_or_long_document_takes_no_longer_than_its_size():
    deep = '<ORU_R01 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>|</MSH.1>' + "<a>" * 100_000
    wide = ORU.replace("<ZZZ>", "<PID><PID.3><CX.99>x</CX.99></PID.3></PID>" * 3_000 + "<ZZZ>")
    started = time.process_time()

    with pytest.raises(HL7ParseError):
        hl7v2.parse(deep.encode())
    assert len(hl7v2.parse(wide.encode())) == 3_005
    assert time.process_time() - started < 4
