"""Tables of what may stand in an element."""

from __future__ import annotations

import pytest

from hilum.formats import xml
from hilum.formats.xml_content import check, decimal_in, is_date, is_datetime, table

LINE = table("""
line = item! (price|rebate)* note? ; @number!:count @kind=stock|bill ; 
note = ; ; :text
price = ; @currency!:text ; :decimal
""")


def codes(text: str) -> list[tuple[str, str | None]]:
    return [(finding.code, finding.location) for finding in check(xml.read(text.encode()).root, LINE, xml.name_of)]


ROWS = {
    "right": ('<line number="1"><item/><price currency="USD">1</price><rebate/><note>x</note></line>', []),
    "an item missing": ('<line number="1"/>', [("missing", "/line")]),
    "two items": ('<line number="1"><item/><item/></line>', [("repeated", "/line/item[2]")]),
    "a note first": ('<line number="1"><note>x</note><item/></line>', [("order", "/line/item")]),
    "a stranger": ('<line number="1"><item/><knee/></line>', [("unexpected", "/line/knee")]),
    "no number": ("<line><item/></line>", [("missing", "/line/@number")]),
    "a number of letters": ('<line number="x"><item/></line>', [("type", "/line/@number")]),
    "a kind of its own": ('<line number="1" kind="x"><item/></line>', [("code", "/line/@kind")]),
    "a price of letters": ('<line number="1"><item/><price currency="USD">x</price></line>', [("type", "/line/price")]),
    "an empty note": ('<line number="1"><item/><note/></line>', [("missing", "/line/note")]),
}


@pytest.mark.parametrize(("text", "found"), ROWS.values(), ids=ROWS)
def test_an_element_is_held_against_its_line(text, found):
    assert codes(text) == found


def test_findings_are_bounded():
    assert len(codes('<line number="1"><item/>' + "<knee/>" * 5000 + "</line>")) == xml.MAX_FINDINGS


@pytest.mark.parametrize("text", ["1e5", "NaN", "INF", "1,5", "", " 1", "١", "1" * 29])
def test_what_is_no_decimal(text):
    assert decimal_in(text) is None


def test_days_and_times_are_of_the_calendar():
    assert is_date("2026-02-28") and is_date("2026-02-28+01:00") and is_date("2026-02-28Z")
    assert not is_date("2026-02-29") and not is_date("20260228") and not is_date("2026-02-28T00:00:00")
    assert is_datetime("2026-02-28T23:59:59-08:00") and is_datetime("2026-02-28")
    assert not is_datetime("2026-02-28T25:00:00Z") and not is_datetime("2026-02-28 10:00")
