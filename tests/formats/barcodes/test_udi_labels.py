"""A label names one device, or is refused with a reason that does not repeat it."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.barcodes import Udi, UdiError, WrongCheck, check_digit, parse_udi
from hilum.formats.barcodes.hibc import check_character

KNEE = "00844588003288"
GS = "\x1d"


@pytest.mark.parametrize(
    ("label", "udi"),
    [
        (f"(01){KNEE}(17)291120(10)L-7(21)S-9", Udi(KNEE, "L-7", "S-9", date(2029, 11, 20))),
        (f"(01) {KNEE} (17) 291120 (10) L-7", Udi(KNEE, "L-7", None, date(2029, 11, 20))),
        (f"01{KNEE}1729112010L-7{GS}21S-9", Udi(KNEE, "L-7", "S-9", date(2029, 11, 20))),
        (f"]d2{GS}01{KNEE}21S-9{GS}10L-7{GS}", Udi(KNEE, "L-7", "S-9")),
        (f"]C101{KNEE}10L(1)", Udi(KNEE, "L(1)")),
        (
            f"01{KNEE}11250301{'30'}12{GS}17300200",
            Udi(KNEE, expires_on=date(2030, 2, 28), manufactured_on=date(2025, 3, 1), count_each=12),
        ),
        (f"01{KNEE}24012-A{GS}3103001250" + "10L-7", Udi(KNEE, "L-7")),
        (KNEE, Udi(KNEE)),
        ("844588003288", Udi(KNEE)),
        (f"  {KNEE}\r\n", Udi(KNEE)),
    ],
)
def test_a_gs1_label_is_read_as_scanned_and_as_printed(label, udi):
    assert parse_udi(label) == udi


@pytest.mark.parametrize(
    ("label", "udi"),
    [
        # The example of the HIBC standard itself, check character 7.
        (
            "+A99912345/$$52001510X3/16D20111212/S77DEFG457",
            Udi("A99912345", "10X3", "77DEFG45", date(2020, 1, 15), "HIBCC", date(2011, 12, 12)),
        ),
        ("+H123KNEE991", Udi("H123KNEE991", issuing_agency="HIBCC")),
        ("+H123KNEE991/$L-7", Udi("H123KNEE991", "L-7", issuing_agency="HIBCC")),
        ("+H123KNEE991/$+S-9", Udi("H123KNEE991", None, "S-9", issuing_agency="HIBCC")),
        ("+H123KNEE991/$$0228L-7", Udi("H123KNEE991", "L-7", None, date(2028, 2, 29), "HIBCC")),
        ("+H123KNEE991/$$2022928L-7", Udi("H123KNEE991", "L-7", None, date(2028, 2, 29), "HIBCC")),
        ("+H123KNEE991/$$3280229L-7", Udi("H123KNEE991", "L-7", None, date(2028, 2, 29), "HIBCC")),
        ("+H123KNEE991/$$428022912L-7", Udi("H123KNEE991", "L-7", None, date(2028, 2, 29), "HIBCC")),
        ("+H123KNEE991/$$6280602312L-7", Udi("H123KNEE991", "12L-7", None, date(2028, 2, 29), "HIBCC")),
        ("+H123KNEE991/$$7L-7", Udi("H123KNEE991", "L-7", issuing_agency="HIBCC")),
        ("+H123KNEE991/$$8053280229L-7", Udi("H123KNEE991", "L-7", None, date(2028, 2, 29), "HIBCC", None, 5)),
        ("+H123KNEE991/$$900123", Udi("H123KNEE991", issuing_agency="HIBCC", count_each=123)),
        ("+H123KNEE991/$$+3280229S-9", Udi("H123KNEE991", None, "S-9", date(2028, 2, 29), "HIBCC")),
        ("+H123KNEE991/28060L7", Udi("H123KNEE991", "L7", None, date(2028, 2, 29), "HIBCC")),
        ("+H123KNEE991/$L-7/14D20280229/Q3", Udi("H123KNEE991", "L-7", None, date(2028, 2, 29), "HIBCC", None, 3)),
    ],
)
def test_a_hibc_label_is_read(label, udi):
    checked = label if label.endswith("457") else label + check_character(label)

    assert parse_udi(checked) == udi
    assert parse_udi(f"*{checked}*") == udi


@pytest.mark.parametrize(
    ("label", "error"),
    [
        ("", UdiError),
        ("   ", UdiError),
        ("hello", UdiError),
        ("10L-7", UdiError),
        (f"01{KNEE[:-1]}9", WrongCheck),
        (f"(01){KNEE[:-1]}9", WrongCheck),
        (f"01{KNEE}05X", UdiError),
        (f"01{KNEE}17291320", UdiError),
        (f"01{KNEE}17290231", UdiError),
        (f"01{KNEE}1729", UdiError),
        (f"01{KNEE}10", UdiError),
        (f"01{KNEE}10" + "L" * 21, UdiError),
        (f"01{KNEE}10L 7", UdiError),
        (f"01{KNEE}30TWO", UdiError),
        (f"01{KNEE}10L-7{GS}10L-8", UdiError),
        (f"(01){KNEE}(05)X", UdiError),
        (f"01{'٠' * 14}", UdiError),
        (KNEE[:-1] + "9", UdiError),
        ("+H123KNEE991X", WrongCheck),
        ("+", UdiError),
        ("+h123", UdiError),
        ("+1123KNEE99" + check_character("+1123KNEE99"), UdiError),
        ("+H123KNEE991/$$1328L" + check_character("+H123KNEE991/$$1328L"), UdiError),
        ("+H123KNEE991/27366L7" + check_character("+H123KNEE991/27366L7"), UdiError),
        ("+H123KNEE991/?", WrongCheck),
        ("+H123KNEE991/XYZ" + check_character("+H123KNEE991/XYZ"), UdiError),
    ],
)
def test_what_names_no_device_is_refused_without_repeating_it(label, error):
    with pytest.raises(error) as refused:
        parse_udi(label)

    assert type(refused.value) is error
    assert not label.strip() or label not in str(refused.value)


def test_a_check_character_that_is_a_blank_survives_and_is_printed_as_an_underline():
    label = next(f"+H123KNEE991/$L-{lot}" for lot in range(99) if check_character(f"+H123KNEE991/$L-{lot}") == " ")

    assert parse_udi(label + " \r\n") == parse_udi(label + "_")


def test_two_digit_years_lie_around_the_year_of_reference():
    def year(text, reference):
        return parse_udi(f"01{KNEE}17{text}0101", reference_year=reference).expires_on.year

    assert (year("75", 2025), year("76", 2025)) == (2075, 1976)
    assert (year("05", 2060), year("99", 2060)) == (2105, 2099)


@given(st.text(st.sampled_from("0123456789"), min_size=13, max_size=13), st.integers(0, 12), st.integers(1, 9))
def test_a_misread_digit_never_passes(digits, place, change):
    gtin = digits + check_digit(digits)
    misread = gtin[:place] + str((int(gtin[place]) + change) % 10) + gtin[place + 1 :]

    assert parse_udi("01" + gtin).device_identifier == gtin
    with pytest.raises(WrongCheck):
        parse_udi("01" + misread)


@given(st.one_of(st.text(max_size=60), st.text(st.sampled_from("+/$0123456789ABSQD()" + GS), max_size=40)))
def test_any_text_is_a_label_or_a_typed_refusal(text):
    for label in (text, "01" + KNEE + text, "+H123KNEE991/" + text):
        try:
            assert parse_udi(label).device_identifier
        except UdiError as refused:
            assert str(refused)
