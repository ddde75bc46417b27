"""A label is a document like any other: read, checked, shown, written; of every agency."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import barcodes
from hilum.formats.barcodes import Udi, UdiError, WrongCheck, element_string, parse_udi
from hilum.formats.barcodes.gs1 import GS
from hilum.formats.barcodes.hibc import check_character, joined, read_label
from hilum.formats.barcodes.isbt128 import check_character as donation_check
from hilum.formats.findings import FormatError

KNEE = "00844588003288"
GRAFT = "=/A9999XYZ100T0944=,000025=A99971312345600=>014032=}013032&,1000000000000XYZ123"

# --- ISBT 128 -------------------------------------------------------------------------------------------------------


def test_a_tissue_label_names_the_graft_its_donation_and_its_days():
    assert parse_udi(GRAFT) == Udi(
        "A9999XYZ100T0944",
        lot="000000000000XYZ123",
        serial="000025",
        expires_on=date(2014, 2, 1),
        issuing_agency="ICCBBA",
        manufactured_on=date(2013, 2, 1),
        donation_number="A999713123456",
    )


def test_a_blood_container_names_its_maker_and_lot():
    assert parse_udi("=)1TE123456A&)RZ12345678") == Udi("1TE123456A", "RZ12345678", issuing_agency="ICCBBA")


def test_a_blood_bag_names_no_device_but_is_a_label():
    label = barcodes.parse(b"=+03000=W00000712345600=%5100=<E0791V00")

    assert label.udi is None
    assert [identifier for identifier, _ in label.elements] == ["=+", "=", "=%", "=<"]
    assert [(f.code, f.severity) for f in barcodes.validate(label)] == [("device-missing", "warning")]
    assert [node.label for node in barcodes.outline(label).children if node.protected] == ["="]


def test_the_check_of_a_donation_number_agrees_with_the_standards_example():
    assert donation_check("G123498654321") == "H"
    value = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*".index("H")

    assert barcodes.parse(f"=G123498654321{60 + value}".encode()).elements[0][0] == "="
    with pytest.raises(WrongCheck):
        barcodes.parse(f"=G123498654321{61 + value}".encode())


@pytest.mark.parametrize(
    ("text", "expires"),
    [
        ("=>026366", None),
        ("=>026365", date(2026, 12, 31)),
        ("=>028366", date(2028, 12, 31)),
        ("=>998001", date(1998, 1, 1)),
        ("=>026000", None),
        ("&>0263252359", date(2026, 11, 21)),
        ("&>0263252360", None),
        ("&>0263252400", None),
    ],
)
def test_days_of_an_isbt_label_are_counted_in_their_year(text, expires):
    label = f"=/A9999XYZ100T0944{text}"
    if expires is None:
        with pytest.raises(UdiError):
            parse_udi(label)
    else:
        assert parse_udi(label).expires_on == expires


@pytest.mark.parametrize(
    "text", ["=/A9999", "=?x", "&", "=", "=/a9999xyz100t0944", "=O999713123456", GRAFT + "=", "=+02000=%5100"]
)
def test_what_is_no_isbt_label_is_refused(text):
    with pytest.raises(UdiError):
        barcodes.parse(text.encode())


# --- HIBC in two symbols --------------------------------------------------------------------------------------------


def hibc(text: str) -> str:
    return text + check_character(text)


def test_two_hibc_symbols_are_one_label_when_the_link_agrees():
    first = hibc("+H123KNEE991")
    second = hibc("+$$3280229L-7" + first[-1])
    label = joined(read_label(first, 2025), read_label(second, 2025))

    assert (label.device_identifier, label.lot, label.expires_on) == ("H123KNEE991", "L-7", date(2028, 2, 29))
    assert (label.labeler, label.product, label.unit_of_measure) == ("H123", "KNEE99", "1")
    with pytest.raises(WrongCheck):
        joined(read_label(hibc("+H123KNEE992"), 2025), read_label(second, 2025))
    with pytest.raises(UdiError):
        joined(read_label(second, 2025), read_label(first, 2025))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("$L-7", {"lot": "L-7"}),
        ("$+S-9", {"serial": "S-9"}),
        ("$$0228L7", {"lot": "L7", "expires": "2028-02-29"}),
        ("$$+7S-9", {"serial": "S-9"}),
        ("28060L7", {"lot": "L7", "expires": "2028-02-29"}),
        ("$L-7/16D20260101/Q12", {"lot": "L-7", "made": "2026-01-01", "count": "12"}),
    ],
)
def test_a_secondary_hibc_symbol_alone_is_a_label_without_a_device(data, said):
    label = barcodes.parse(hibc(f"+{data}A").encode())

    assert label.udi is None and label.agency == "HIBCC"
    told = dict(label.elements)
    assert told.pop("link") == "A" and len(told.pop("check")) == 1 and told == said
    with pytest.raises(UdiError, match="names no device"):
        parse_udi(hibc(f"+{data}A"))


def test_any_character_of_the_set_may_be_the_link():
    for character in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%":
        assert read_label(hibc(f"+$L-7{character}"), 2025).link == character


# --- GS1 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "]d2", "]C1", "]Q3", "]e0", "]J1", "]d2" + GS])
def test_the_symbology_is_told_and_taken_off(prefix):
    label = barcodes.parse(f"{prefix}01{KNEE}10L-7{GS}21S-9\r\n".encode())

    assert label.reading.symbology == (prefix.strip(GS) or None)
    assert label.udi == Udi(KNEE, "L-7", "S-9")


@pytest.mark.parametrize("gtin", ["96385074", "614141999996", "9501101530003", KNEE])
def test_a_gtin_of_any_length_is_a_label(gtin):
    assert parse_udi(gtin).device_identifier == gtin.zfill(14)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (f"01{KNEE}10L-7", []),
        ("10L-7", ["device-missing", "pair"]),
        (f"01{KNEE}250X-1", ["pair"]),
        ("00106141411234567897", []),
        (f"02{KNEE}3712", ["device-missing"]),
        (f"02{KNEE[:-1]}93712", ["check", "device-missing"]),
        ("00106141411234567890", ["check"]),
    ],
)
def test_elements_without_their_companions_are_told(text, codes):
    found = barcodes.validate(barcodes.parse(text.encode()))

    assert [f.code for f in found] == codes
    assert all((f.severity == "error") == (f.code == "check") and "L-7" not in str(f) for f in found)


def test_an_element_string_is_written_with_separators_where_they_are_needed():
    elements = {"10": "L-7", "01": KNEE, "21": "S-9", "17": "291120"}

    assert element_string(elements) == f"01{KNEE}1729112010L-7{GS}21S-9"
    assert element_string(elements, printed=True) == f"(10)L-7(01){KNEE}(21)S-9(17)291120"
    for wrong in ({"05": "X"}, {"01": "123"}, {"10": "L 7"}, {"10": f"L{GS}21X"}, {"01": KNEE[:-1] + "9"}):
        with pytest.raises(UdiError):
            element_string(wrong)


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries(
        {"01": st.just(KNEE)},
        optional={
            identifier: st.text("ABCXYZ0123456789-./", min_size=1, max_size=20)
            for identifier in ("10", "21", "240", "92")
        }
        | {"17": st.just("291120"), "30": st.text("0123456789", min_size=1, max_size=8)},
    )
)
def test_an_element_string_is_read_back(elements):
    assert dict(barcodes.parse(element_string(elements).encode()).elements) == elements


# --- as a document --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [f"01{KNEE}10L-7", f"({'01'}){KNEE}", KNEE, GRAFT, hibc("+H123KNEE991/$L-7"), f"]d201{KNEE}\r\n"]
)
def test_a_label_is_recognised_and_comes_back_byte_for_byte(text):
    assert barcodes.recognise(text.encode())
    label = barcodes.parse(text.encode())
    assert barcodes.write(label) == text.encode()
    assert len(barcodes.outline(label).children) == len(label.elements)
    [record] = barcodes.convert(label)
    assert record.type == "udi" and record.content["issuing_agency"] == label.agency


def test_a_label_whose_check_character_is_misread_is_a_label_all_the_same():
    assert barcodes.recognise(b"+A99912345/$$52001510X3/S77DEFG45")
    assert not barcodes.recognise(b"+1 555 0100, ask for billing")


@pytest.mark.parametrize("data", [b"", b"\xff", b"a,b\n1,2\n", b"MSH|^~\\&|", b"ISA*00*", b"{}", b"0" * 3000, b"12345"])
def test_what_is_no_label_is_not_recognised(data):
    assert not barcodes.recognise(data)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.text("=&,/>*%<})-+0123456789ABCXYZ", max_size=60).map(str.encode),
        st.text("+/$0123456789ABSQD()\x1d]d2", max_size=60).map(str.encode),
    )
)
def test_any_bytes_are_a_label_or_a_typed_refusal(data):
    for start in (b"", b"=/A9999XYZ100T0944", b"01" + KNEE.encode()):
        try:
            label = barcodes.parse(start + data)
        except FormatError as refused:
            assert isinstance(refused, UdiError) and refused.text and refused.finding.code
            continue
        assert barcodes.write(label) == start + data
        barcodes.validate(label), barcodes.outline(label), barcodes.convert(label)


# --- what the FDA's catalogue says ----------------------------------------------------------------------------------

CATALOGUE = Path(__file__).parents[3].parent / "shared" / "data" / "udi"


@pytest.mark.skipif(not CATALOGUE.is_dir(), reason="the corpus shared/data/udi is not beside this checkout")
def test_every_device_identifier_of_the_catalogue_is_read():
    texts = [path.read_text() for path in sorted(CATALOGUE.rglob("*.json"))]
    found = {each for text in texts for each in re.findall(r'"(?:deviceId|primary_di)":"([^"]+)"', text)}
    found |= {each for text in texts for each in re.findall(r"deviceId\\u003e([^\\]+)\\u003c", text)}

    assert len(found) >= 2
    for identifier in found:
        assert parse_udi(identifier).device_identifier == identifier.zfill(14)


@pytest.mark.skipif(not CATALOGUE.is_dir(), reason="the corpus shared/data/udi is not beside this checkout")
def test_the_catalogues_own_reading_of_a_label_is_ours_but_for_its_check_digit():
    theirs = json.loads((CATALOGUE / "access-gudid" / "json_parse_udi_by_device_identifier_code.json").read_bytes())
    label = barcodes.parse(theirs["udi"].encode())

    ours = label.udi
    assert (ours.issuing_agency, ours.device_identifier) == (theirs["issuingAgency"], theirs["di"])
    assert ours.expires_on.isoformat() == theirs["expirationDate"]
    assert (ours.lot, ours.serial, ours.manufactured_on) == (None, None, None)
    # The service reads without looking at check digits. The GTIN of its example ends with 5 where 7.9 of the General
    # Specifications asks for another digit, so we say so, and refuse it where a label is to name an implant.
    assert [(f.code, f.location, f.severity) for f in barcodes.validate(label)] == [("check", "(01)", "error")]
    with pytest.raises(WrongCheck):
        parse_udi(theirs["udi"])
