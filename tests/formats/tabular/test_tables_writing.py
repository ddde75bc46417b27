"""What we write in a layout is read back the same, and what the layout cannot carry is refused."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.formats import tabular
from hilum.formats.tabular import Column, Layout, Place, TableError, Trailer, write_rows

NAMES = ("item", "note, long")
TEXTS = Layout(columns=tuple(Column(name=name) for name in NAMES))
ROWS = st.lists(
    st.fixed_dictionaries(
        {name: st.one_of(st.none(), st.text(max_size=12), st.text('ab",\n ', min_size=1, max_size=9)) for name in NAMES}
    ),
    max_size=5,
)


def readable(text: str | None) -> bool:
    """Blanks alone are a missing value when they come back; NUL and U+FFFD are told as damage; surrogates are no text."""
    return text is None or (bool(text.strip()) and not set(text) & {"\0", "�"} and text.isprintable() | ("\n" in text))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROWS)
def test_texts_come_back_and_another_reader_sees_the_same(rows):
    rows = [row for row in rows if all(readable(text) for text in row.values())]
    data = b"".join(write_rows(rows, TEXTS))

    read = [(dict(row.values), found) for row, found in tabular.rows(data, TEXTS)]
    assert read == [(row, []) for row in rows]
    theirs = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert theirs == [list(NAMES), *[[row[name] if row[name] is not None else "" for name in NAMES] for row in rows]]


TYPED = Layout(
    columns=(
        Column(name="account", place=Place(1, 6)),
        Column(name="paid", type="decimal", implied_decimals=2, place=Place(7, 8)),
        Column(name="on", type="date", formats=("%Y%m%d",), place=Place(15, 8)),
    ),
    delimiter=None,
    header=False,
    trailer=Trailer(marker="T", count=Place(2, 5), sums={"paid": Place(7, 8)}),
)


def test_a_fixed_table_comes_back_with_its_totals():
    rows = [
        {"account": "A-17", "paid": Decimal("12.50"), "on": date(2026, 11, 21)},
        {"account": "A-18", "paid": Decimal("-0.75"), "on": None},
    ]
    data = b"".join(write_rows(rows, TYPED))

    assert data == b"A-17  0000125020261121\r\nA-18       -75        \r\nT    2    1175\r\n"
    assert [(dict(row.values), found) for row, found in tabular.rows(data, TYPED) if row] == [(row, []) for row in rows]
    assert tabular.validate(tabular.parse(data, TYPED)) == []


def test_a_delimited_table_comes_back_with_its_totals_and_mark():
    layout = Layout(
        columns=(Column(name="claim"), Column(name="paid", type="decimal", decimal_mark=",")),
        delimiter=";", encoding="utf-16", trailer=Trailer(marker="T", count=2, sums={"paid": 3}),
    )  # fmt: skip
    data = b"".join(write_rows([{"claim": "C;1", "paid": Decimal("1.5")}], layout))

    assert data.decode("utf-16") == 'claim;paid\r\n"C;1";1,5\r\nT;1;1,5\r\n'
    assert tabular.validate(tabular.parse(data, layout)) == []


@pytest.mark.parametrize(
    ("values", "layout", "where"),
    [
        ({"colour": "red"}, TEXTS, "colour"),
        ({"account": "A-123456"}, TYPED, "account"),
        ({"account": "A\n1"}, TYPED, "account"),
        ({"paid": Decimal("1.255")}, TYPED, "paid"),
        ({"item": "a,b"}, Layout(columns=(Column(name="item"),), quote=None), "item"),
        ({"item": "Ω"}, Layout(columns=(Column(name="item"),), encoding="cp1252"), None),
    ],
)
def test_what_the_layout_cannot_carry_is_refused(values, layout, where):
    with pytest.raises(TableError) as refused:
        list(write_rows([values], layout))
    assert refused.value.location == where


def test_a_row_of_nothing_is_no_blank_line():
    layout = Layout(columns=(Column(name="a"),))
    data = b"".join(write_rows([{"a": None}, {"a": "x"}], layout))

    assert [row.values["a"] for row, _ in tabular.rows(data, layout)] == [None, "x"]
