"""What bytes are is told by their start, whatever stands before it and however it is encoded."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats.recognition import FORMATS, LOOKED_AT, recognise

MESSAGE = b"MSH|^~\\&|EHR|ST-MARY|||20260301||ADT^A01|C-1|P|2.5.1\rEVN||20260301\r"
X12 = b"ISA*00*          *00*          *ZZ*LAKESHORE      *ZZ*PAYER          *260301*1200*U*00401*000000001*0*P*>~GS*PO*A*B*2"
CXML = b'<?xml version="1.0"?><!DOCTYPE cXML SYSTEM "http://xml.cxml.org/schemas/cXML/1.2.063/cXML.dtd"><cXML payloadID="1"/>'
UBL = b'<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"/>'
FHIR = b'{"id": "p1", "resourceType": "Patient"}'


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (MESSAGE, "hl7v2"),
        (b"\x0b" + MESSAGE + b"\x1c\r", "hl7v2"),
        (b"\xef\xbb\xbf" + MESSAGE, "hl7v2"),
        (b"junk\njunk\n" + MESSAGE, "hl7v2"),
        (MESSAGE.decode().encode("utf-16"), "hl7v2"),
        (MESSAGE.decode().encode("utf-16-be"), "hl7v2"),
        (b"FHS|^~\\&|A\rBHS|^~\\&|A\r", "hl7v2"),
        (b"BHS|^~\\&|A\r", "hl7v2"),
        (b"MSH#*~\\&#A", "hl7v2"),
        (b"PID|1||123\r", "hl7v2"),
        (b'<ADT_A01 xmlns="urn:hl7-org:v2xml"/>', "hl7v2"),
        (b'<v:ORU_R01 xmlns:v="urn:hl7-org:v2xml"/>', "hl7v2"),
        (b"<ORU_R01><MSH/></ORU_R01>", "hl7v2"),
        (X12, "x12"),
        (b"From: payer\r\nSubject: your ISA\r\n\r\n" + X12, "x12"),
        (b"\xef\xbb\xbf\r\n" + X12, "x12"),
        (X12.replace(b"*", b"|").replace(b"~", b"\n"), "x12"),
        (X12.replace(b"*", b"\x1d"), "x12"),
        (X12.replace(b" ", b""), "x12"),
        (X12.decode().encode("utf-16"), "x12"),
        (b"GS*HC*A*B*20260301*0802*1*X*005010X222A1~", "x12"),
        (b"ST*835*1234~BPR*I*1~", "x12"),
        (X12 + b"\n" + MESSAGE, "x12"),
        (MESSAGE + b"NTE|1||" + X12, "hl7v2"),
        (FHIR, "fhir"),
        (b" \r\n" + FHIR + b"\n" + FHIR + b"\n", "fhir"),
        (b'<?xml version="1.0"?>\n<!-- a patient -->\n<Patient xmlns="http://hl7.org/fhir"/>', "fhir"),
        (b"<f:Patient xmlns:f='http://hl7.org/fhir'/>", "fhir"),
        (CXML, "cxml"),
        (b"<cXML/>", "cxml"),
        (CXML.decode().encode("utf-16"), "cxml"),
        (b'<!DOCTYPE Index SYSTEM "http://xml.cxml.org/schemas/cXML/1.2.063/cXML.dtd">\n<Index/>', "cxml"),
        (UBL, "ubl"),
        (b'<u:Order xmlns:u="urn:oasis:names:specification:ubl:schema:xsd:Order-2" xmlns="x">', "ubl"),
        (b"a,b\n1,2\n", "table"),
        (b"a;b\r\n1,5;2\r\n", "table"),
        (b"1\t2\n3\t4\n", "table"),
        ("n\u00e4me,b\n1,2\n".encode("utf-16"), "table"),
        (b"\r\n01,BANK,LAKESHORE,260302,0600,7,,,2/\n", "bai2"),
        (b"01,02,03\n1,2,3\n", "table"),
        (b"0100844588003288", "label"),
        (b"]d2\x1d0100844588003288\r\n", "label"),
        (b"(01)00844588003288(10)L-7", "label"),
        (b"00844588003288", "label"),
        (b"+A99912345/$$52001510X3/16D20111212/S77DEFG457", "label"),
        (b"=/A9999XYZ100T0944=,000025", "label"),
    ],
)
def test_a_format_is_known_by_its_start(data, name):
    assert recognise(data) == name
    assert name in FORMATS


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \r\n\t",
        b"\xef\xbb\xbf",
        b"\0" * 4000,
        b"hello",
        b"Please send the ISA*00 file.",
        b"An MSH| in the middle of prose",
        b"{}",
        b'{"resource": "Patient"}',
        b"[1, 2, 3]",
        b"<html><body>MSH|</body></html>",
        b"<",
        b"<!DOCTYPE html>",
        b"<?xml",
        b'<Invoice xmlns="urn:else"/>',
        b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n",
        b"PK\x03\x04" + bytes(range(256)),
        b"Dear all,\nit came, as ordered, yesterday.\nRegards\n",
    ],
)
def test_what_is_nothing_of_ours_is_none(data):
    assert recognise(data) is None


def test_every_format_offers_what_all_of_them_do():
    for form in FORMATS.values():
        for function in ("parse", "validate", "write", "outline", "convert", "recognise"):
            assert form.offers(function), f"{form.name} has no {function}"
    assert {form.name for form in FORMATS.values() if form.offers("acknowledge")} == {"hl7v2", "x12", "fhir", "cxml"}


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text("<!?>[]-\"'= \n\r:ISAMSH*|^~{}resourcTyp", max_size=300).map(str.encode),
        st.sampled_from([MESSAGE, X12, CXML, UBL, FHIR]).flatmap(
            lambda whole: st.integers(0, len(whole)).map(lambda cut: whole[:cut])
        ),
    )
)
def test_any_bytes_are_a_name_or_none(data):
    assert recognise(data) in {None, *FORMATS}


@pytest.mark.parametrize(
    "start",
    [
        b"<",
        b"<!",
        b"<!--",
        b"<!DOCTYPE [",
        b"<?",
        b"<a ",
        b'<a b="',
        b"<a xmlns:",
        b"ISA*",
        b"ISA",
        b"MSH",
        b"\r",
        b" ",
        b"{",
        b'"',
        b",",
        b"(01)",
        b"]d2",
        b"=",
        b"+",
        b"1",
    ],
)
def test_the_start_of_anything_is_looked_at_in_bounded_time(start):
    for data in (
        start * (200_000 // len(start)),
        start + b"x" * 200_000,
        start + b" " * 200_000,
        start + b"*" * 200_000,
    ):
        began = time.process_time()
        recognise(data)
        assert time.process_time() - began < 1


CORPUS = Path(__file__).parents[3].parent / "shared" / "data"
FOLDERS = {"hl7v2": "hl7v2", "x12-hipaa": "x12", "x12-supply": "x12", "fhir-r4": "fhir", "cxml": "cxml", "ubl": "ubl"}
# Events of a cloud that carry no message, files that say why they are bad, and containers of test cases.
OTHERS = {".md", ".csv", ".txt"}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora shared/data are not beside this checkout")
@pytest.mark.parametrize("folder", FOLDERS)
def test_real_files_are_what_their_folder_says(folder):
    wrong = []
    for path in sorted((CORPUS / folder).rglob("*")):
        if not path.is_file() or "en16931-unit" in path.parts or "expected-fhir" in path.parts:
            continue
        expected = "fhir" if path.suffix == ".fhir" else FOLDERS[folder]
        with path.open("rb") as file:
            found = recognise(file.read(LOOKED_AT))
        if (
            found != expected
            and not (found is None and path.suffix in OTHERS | {".json"})
            and path.suffix not in (".md", ".csv")
        ):
            wrong.append(f"{path.relative_to(CORPUS)}: {found}")
    assert wrong == []
