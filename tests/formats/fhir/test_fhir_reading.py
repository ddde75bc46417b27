"""What bytes become: exact numbers, doubled properties, bombs, byte order marks, lines, XML; and how they are written."""

from __future__ import annotations

import doctest
import time
from decimal import Decimal
from pathlib import Path

import pytest

from hilum.formats import fhir
from hilum.formats.fhir import FHIRError
from hilum.formats.fhir.json_reading import MAX_DEPTH

SAMPLE = Path(__file__).parent / "samples" / "knee_bundle.json"
MONEY = b'{"resourceType":"Invoice","status":"issued","totalNet":{"value":%s,"currency":"USD"}}'
PATIENT = '<Patient xmlns="http://hl7.org/fhir">%s</Patient>'


def told(data: bytes) -> list[tuple[str, str | None, str, int | None]]:
    return [(f.code, f.location, f.severity, f.line) for f in fhir.validate(fhir.parse(data))]


# --- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "digits", [b"1.00", b"0.10", b"100.0", b"1E+2", b"-0.0", b"1234567890123456.78", b"1.0e-245", b"7"]
)
def test_a_decimal_keeps_every_digit_it_was_written_with(digits):
    document = fhir.parse(MONEY % digits)
    value = document.get("Invoice.totalNet.value")

    assert value == Decimal(digits.decode())
    assert type(value) is (int if digits == b"7" else Decimal)
    again = fhir.parse(fhir.json_bytes(document.resource))
    assert repr(again.get("Invoice.totalNet.value")) == repr(value)
    assert [f for f in fhir.validate(document) if f.severity == "error"] == []


@pytest.mark.parametrize(
    "digits", [b"NaN", b"Infinity", b"-Infinity", b"1e9999999", b"1" * 5000, b"1" * 2000, b"0." + b"1" * 5000]
)
def test_what_is_no_amount_is_refused(digits):
    with pytest.raises(FHIRError) as refused:
        fhir.parse(MONEY % digits)
    assert refused.value.code == "value"


@pytest.mark.parametrize("digits", [b"1e401", b"1e-401", b'"1.00"', b"true"])
def test_what_reads_but_is_no_decimal_is_told(digits):
    assert ("value", "Invoice.totalNet.value", "error", 1) in told(MONEY % digits)


# --- JSON's own errors ---------------------------------------------------------------------------------------------------


def test_a_property_that_stands_twice_is_told_where_it_stands():
    data = b'{"resourceType":"Patient",\n"contact":[{"name":{"family":"A",\n"family":"B"}}]}'

    assert told(data)[0] == ("structure", "Patient.contact[0].name.family", "error", 2)


def test_a_byte_order_mark_is_a_warning_and_stays_in_the_bytes():
    data = b'\xef\xbb\xbf{"resourceType":"Patient"}'

    assert told(data) == [("structure", None, "warning", 1)]
    assert fhir.write(fhir.parse(data)) == data
    assert fhir.recognise(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "structure"),
        (b"   ", "structure"),
        (b"MSH|^~\\&|", "structure"),
        (b"[]", "structure"),
        (b"null", "structure"),
        (b'{"resourceType":"Patient"', "structure"),
        (b'{"resourceType":"Patient",}', "structure"),
        (b'{"resourceType":"Patient"} x', "structure"),
        (b'{"resourceType":"Pat\xff"}', "structure"),
        ('{"resourceType":"Patient"}'.encode("utf-16"), "structure"),
        ('{"resourceType":"Patient"}'.encode("utf-16-be"), "structure"),
        (b'{"resourceType":"Patient","id":"\\ud800"}', "value"),
        (b'{"a":' * 100_000, "too-costly"),
        (b'{"a":[' * 60 + b'{"a":1}' + b"]}" * 60, "too-costly"),
    ],
)
def test_what_is_no_fhir_json_is_refused_with_a_type_and_no_content(data, code):
    with pytest.raises(FHIRError) as refused:
        fhir.parse(data)
    assert refused.value.code == code
    assert refused.value.finding.severity == "error"


def test_the_refusal_names_the_line():
    with pytest.raises(FHIRError) as refused:
        fhir.parse(b'{"resourceType":\n"Patient",\n"id":}')
    assert refused.value.line == 3


def test_a_pair_of_surrogates_is_one_character():
    assert fhir.parse(b'{"resourceType":"Patient","id":"\\ud83d\\ude00"}').get("id") == "\U0001f600"


def test_nesting_is_read_to_its_limit_and_validated_without_a_fall():
    levels = MAX_DEPTH // 2 - 2
    inner = '{"url":"urn:a","valueString":"x"}'
    for _ in range(levels // 2):
        inner = '{"url":"urn:a","extension":[' + inner + "]}"
    assert told(b'{"resourceType":"Patient","extension":[%s]}' % inner.encode()) == []


# --- NDJSON --------------------------------------------------------------------------------------------------------------


def test_lines_are_resources_and_a_bad_line_is_told_alone():
    data = b'{"resourceType":"Patient","id":"P-1"}\n{"resourceType":"Patient","id":}\n\n{"resourceType":"Patient","gender":"x"}\n'
    document = fhir.parse(data)

    assert [r.get("id") for r in document.resources] == ["P-1", None]
    assert told(data) == [("structure", None, "error", 2), ("code-invalid", "Patient.gender", "error", 4)]
    assert fhir.write(document) == data
    document.resources[0]["id"] = "P-2"
    assert fhir.write(document).startswith(b'{"resourceType":"Patient","id":"P-2"}\n')


# --- reading values ------------------------------------------------------------------------------------------------------


def test_paths_read_values_and_missing_is_none():
    document = fhir.parse(SAMPLE.read_bytes())
    claim = next(r for r in document.entries() if r["resourceType"] == "Claim")
    claims = fhir.build(claim)

    assert claims.get("Claim.insurance[0].coverage.reference") == "urn:uuid:00000000-0000-4000-8000-000000000004"
    assert claims.get("insurance.coverage.reference") == claims.get("Claim.insurance[0].coverage.reference")
    assert claims.get("Claim.item[1].unitPrice.value") == Decimal("250.10")
    assert str(claims.get("Claim.total.value")) == "1500.20"
    assert claims.get("Claim.item[9].net") is None
    assert claims.get("Claim.payee.party.reference") is None
    with pytest.raises(fhir.InvalidPath):
        claims.get("Claim.item[")


# --- writing -------------------------------------------------------------------------------------------------------------


def test_an_untouched_document_is_written_byte_for_byte():
    data = SAMPLE.read_bytes()
    assert fhir.write(fhir.parse(data)) == data


def test_an_edit_is_written_even_when_only_a_trailing_zero_changed():
    document = fhir.parse(MONEY % b"1.0")
    document.resource["totalNet"]["value"] = Decimal("1.00")

    assert fhir.write(document) == MONEY % b"1.00"


def test_a_copy_is_edited_alone():
    document = fhir.parse(MONEY % b"1.0")
    other = document.copy()
    other.resource["status"] = "balanced"

    assert fhir.write(document) == MONEY % b"1.0"
    assert b"balanced" in fhir.write(other)


def test_what_json_cannot_say_is_refused():
    with pytest.raises(FHIRError):
        fhir.write(fhir.build({"resourceType": "Invoice", "date": object()}))


def test_integers_longer_than_a_machine_word_are_written():
    data = MONEY % b"123456789012345678901234567890"
    assert fhir.json_bytes(fhir.parse(data).resource) == data


# --- XML -----------------------------------------------------------------------------------------------------------------

XML = PATIENT % (
    '<id value="P-1"/><extension url="urn:x"><valueDecimal value="1.00"/></extension><active value="true"/>'
    '<name><family value="Doe"/><given value="Ada"/><given><extension url="urn:y"><valueCode value="unknown"/></extension></given></name>'
    '<birthDate id="b" value="1950-02-28"/><multipleBirthInteger value="2"/>'
)


def test_xml_reads_to_the_model_of_json():
    document = fhir.parse(XML.encode())

    assert document.resource == {
        "resourceType": "Patient",
        "id": "P-1",
        "extension": [{"url": "urn:x", "valueDecimal": Decimal("1.00")}],
        "active": True,
        "name": [
            {
                "family": "Doe",
                "given": ["Ada", None],
                "_given": [None, {"extension": [{"url": "urn:y", "valueCode": "unknown"}]}],
            }
        ],
        "birthDate": "1950-02-28",
        "_birthDate": {"id": "b"},
        "multipleBirthInteger": 2,
    }
    assert str(document.get("extension.valueDecimal")) == "1.00"
    assert fhir.validate(document) == []
    assert fhir.write(document) == XML.encode()


def test_edited_xml_is_written_as_xml_in_the_order_of_r4():
    document = fhir.parse(XML.encode())
    document.resource["gender"] = "female"
    written = fhir.write(document)

    assert written.index(b"<name>") < written.index(b'<gender value="female"/>') < written.index(b"<birthDate")
    assert fhir.validate(fhir.parse(written)) == []


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('<gender value="female"/><active value="true"/>', "Patient.active"),
        ("<name>Doe</name>", "Patient.name[0]"),
        ('<gender value="female" colour="red"/>', "Patient.gender"),
        ('<gender xmlns="urn:x" value="female"/>', "Patient.gender"),
        ('<gender value="female"/><gender value="male"/>', "Patient.gender"),
        ('<colour value="red"/>', "Patient.colour"),
        ('<active value="yes"/>', "Patient.active"),
        ("<contained/>", "Patient.contained[0]"),
        ("<gender/>", "Patient.gender"),
    ],
)
def test_xml_that_is_not_as_r4_writes_it_is_told(body, place):
    found = fhir.validate(fhir.parse((PATIENT % body).encode()))

    assert place in {f.location for f in found if f.severity == "error"} or body == "<gender/>"


@pytest.mark.parametrize(
    "data",
    [
        '<!DOCTYPE Patient [<!ENTITY a "aaaa">]>' + PATIENT % '<id value="&a;"/>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">' + PATIENT % "",
        "<Patient/>",
        '<Colour xmlns="http://hl7.org/fhir"/>',
        PATIENT % "<id",
        PATIENT % "&undefined;",
        '<?xml version="1.0" encoding="UTF-7"?>' + PATIENT % "",
        PATIENT % ("<extension>" * 300 + "</extension>" * 300),
        PATIENT % ("<extension>" * 100 + "</extension>" * 100),
        PATIENT % ("<name " + " ".join(f'a{at}="1"' for at in range(50_000)) + "/>"),
        "<!-- x -->" + "<!DOCTYPE Patient>" + PATIENT % "",
    ],
)
def test_xml_with_entities_other_roots_or_no_end_is_refused(data):
    with pytest.raises(FHIRError):
        fhir.parse(data.encode())


# --- bounds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b'{"resourceType":"Patient","name":[' + b",".join([b'{"given":["A"]}'] * 20_000) + b"]}",
        b'{"resourceType":"Patient","given":["' + b"A" * 500_000 + b'"]}',
        b'{"resourceType":"Patient",' + b",".join(b'"x%d":1' % i for i in range(20_000)) + b"}",
        b'{"resourceType":"Patient","id":"1","id":"2",'
        + b",".join(b'"x%d":[{"a":1,"a":1}]' % i for i in range(10_000))
        + b"}",
        b'{"resourceType":"Binary","contentType":"a/b","data":"' + b"AAAA " * 200_000 + b'!"}',
        b'{"resourceType":"Patient","contained":['
        + b",".join(b'{"resourceType":"Basic","id":"c%d"}' % i for i in range(10_000))
        + b"]}",
        (PATIENT % ("<name><given value='A'/></name>" + "<active value='true'/>" * 20_000)).encode(),
        (PATIENT % ("<name>" + "<given/>" * 20_000 + "<given value='A'/></name>")).encode(),
    ],
    ids=["names", "string", "strangers", "doubles", "base64", "contained", "repeated", "empty"],
)
def test_large_and_hostile_documents_take_linear_time(data):
    start = time.process_time()
    document = fhir.parse(data)
    findings = fhir.validate(document)
    fhir.outline(document)
    fhir.convert(document)

    assert len(findings) <= 301
    assert time.process_time() - start < 5


# --- recognising ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "is_fhir"),
    [
        (b'{"resourceType":"Claim"}', True),
        (b'\n\t { "id": "1",\n "resourceType" : "Claim"', True),
        (b'{"contained":[' + b" " * 10_000 + b'],"resourceType":"Claim"}', True),
        (XML.encode(), True),
        (b"<?xml version='1.0'?><Claim xmlns='http://hl7.org/fhir'>", True),
        (b'{"order":"KNEE-99"}', False),
        (b"<Invoice xmlns='urn:oasis:names:specification:ubl:schema:xsd:Invoice-2'/>", False),
        (b"MSH|^~\\&|EHR|ST-MARY", False),
        (b"ISA*00*", False),
        (b"", False),
        (b"\xff\xfe{", False),
    ],
)
def test_fhir_is_recognised_by_its_start(data, is_fhir):
    assert fhir.recognise(data) is is_fhir


def test_the_example_of_the_package_holds():
    assert doctest.testmod(fhir).failed == 0
    assert doctest.testmod(fhir).attempted == 5
