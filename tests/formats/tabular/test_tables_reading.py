"""A table is read row by row: good rows go through, bad ones are told with line and column."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import tabular
from hilum.formats.tabular import Column, Layout, LayoutError, TableError, read_layout

PAYMENTS = read_layout(b"""
[layout]
delimiter = ";"
min_rows = 1

[[layout.columns]]
name = "supplier"
required = true
max_length = 12
pattern = "[A-Z-]+"

[[layout.columns]]
name = "amount"
aliases = ["Betrag", "amt"]
type = "decimal"
required = true
grouping = ","

[[layout.columns]]
name = "pieces"
type = "integer"

[[layout.columns]]
name = "due"
type = "date"
formats = ["%m/%d/%Y", "%Y-%m-%d"]

[[layout.columns]]
name = "at"
type = "time"

[[layout.columns]]
name = "seen"
type = "datetime"

[[layout.columns]]
name = "unit"
type = "code"
allowed = ["EA", "BX"]
required_with = ["pieces"]
""")

HEADER = "supplier;amount;pieces;due;at;seen;unit\n"


def read(text: str | bytes, layout: Layout = PAYMENTS) -> list[tuple[dict | None, list[tuple]]]:
    data = text if isinstance(text, bytes) else text.encode()
    return [
        (
            None if row is None else dict(row.values),
            [(f.code, f.location, f.line, f.details().get("row"), f.details().get("column")) for f in found],
        )
        for row, found in tabular.rows(data, layout)
    ]


def cells(text: str | bytes, layout: Layout | None = None) -> list[list[str]]:
    data = text if isinstance(text, bytes) else text.encode()
    table = tabular.parse(data, layout) if layout is not None else tabular.parse(data, delimiter=",")
    return [list(row.cells) for row, _ in table if row is not None]


def test_a_good_row_has_typed_values_and_an_empty_cell_is_missing():
    (row, found), (empty, none) = read(
        HEADER + "ACME;1,234.50;3;11/20/2029;07:30;2026-11-21T08:00:00;EA\nORTHO-CO;.5;;;;;\n"
    )

    assert row == {
        "supplier": "ACME",
        "amount": Decimal("1234.50"),
        "pieces": 3,
        "due": date(2029, 11, 20),
        "at": datetime(2026, 1, 1, 7, 30).time(),
        "seen": datetime(2026, 11, 21, 8, 0),
        "unit": "EA",
    }
    assert empty == {
        "supplier": "ORTHO-CO", "amount": Decimal("0.5"), "pieces": None, "due": None, "at": None, "seen": None, "unit": None,
    }  # fmt: skip
    assert found == none == []


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [
        (";1;;;;;", "required", "supplier"),
        ("acme;1;;;;;", "pattern", "supplier"),
        ("ACME-AND-SONS-LTD;1;;;;;", "length", "supplier"),
        ("ACME-AND-SON;;;;;;", "required", "amount"),
        ("ACME-AND-SONS;1;;;;;", "length", "supplier"),
        ("ACME;1;" + "9" * 39 + ";;;;EA", "type", "pieces"),
        ("ACME;;;;;;", "required", "amount"),
        ("ACME;ten;;;;;", "type", "amount"),
        ("ACME;1e9;;;;;", "type", "amount"),
        ("ACME;NaN;;;;;", "type", "amount"),
        ("ACME;12,34.5;;;;;", "type", "amount"),
        ("ACME;1.234,50;;;;;", "type", "amount"),
        ("ACME;" + "9" * 39 + ";;;;;", "type", "amount"),
        ("ACME;٣;;;;;", "type", "amount"),
        ("ACME;1;2.5;;;;EA", "type", "pieces"),
        ("ACME;1;;20/11/2029;;;", "type", "due"),
        ("ACME;1;;02/30/2029;;;", "type", "due"),
        ("ACME;1;;;25:00;;", "type", "at"),
        ("ACME;1;;;;yesterday;", "type", "seen"),
        ("ACME;1;;;;;PIECE", "allowed", "unit"),
        ("ACME;1;3;;;;", "required", "unit"),
    ],
)
def test_a_bad_cell_is_told_with_its_line_and_column_and_its_neighbours_go_through(row, code, column):
    good = "ACME;1;;;;;\n"
    before, bad, after = tabular.rows((HEADER + good + row + "\n" + good).encode(), PAYMENTS)

    assert not before[1] and not after[1]
    [finding] = bad[1]
    place = [each.name for each in PAYMENTS.columns].index(column) + 1
    assert (finding.code, finding.location, finding.line, finding.severity) == (code, column, 3, "error")
    assert finding.details() == {"row": 2, "column": place}
    assert column not in bad[0].values or bad[0].values[column] is None
    assert not any(cell in str(finding) for cell in row.split(";") if len(cell) > 3 and cell != "EA")


def test_columns_are_found_by_alias_in_any_order_and_case():
    [(header, warned), (row, found)] = read("UNIT;Betrag; Supplier ;color\nEA;2;ACME;red\n")

    assert (row["supplier"], row["amount"], row["unit"], row["pieces"]) == ("ACME", Decimal(2), "EA", None)
    assert header is None and warned == [("header-unknown", "column 4", 1, None, 4)] and found == []


def test_an_undeclared_column_is_refused_or_ignored_when_the_layout_says_so():
    for extra, said in (("refuse", ["error"]), ("ignore", []), ("warn", ["warning"])):
        layout = Layout(columns=(Column(name="a"),), extra=extra)
        assert [f.severity for f in tabular.validate(tabular.parse(b"a,b\n1,2\n", layout))] == said


def test_duplicate_headers_and_a_missing_column_are_told_once():
    told = read("amount;amount;pieces\n1;2;3\n")
    found = [each for _, wrong in told for each in wrong]

    assert told[-1][0]["amount"] == 1
    assert [(code, place) for code, place, *_ in found] == [
        ("header-duplicate", "column 2"),
        ("header-missing", "supplier"),
        ("required", "unit"),
    ]


def test_short_and_long_rows_are_told_and_blank_lines_are_not():
    found = read(HEADER + "\nACME;1\n   \nACME;1;;;;;;;\nACME;1;;;;;;more\n")

    assert [wrong for _, wrong in found] == [
        [("short-row", None, 3, 1, None)],
        [],
        [("long-row", None, 6, 3, None)],
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a,b\n"x,y",2\n', [["x,y", "2"]]),
        ('a,b\n"say ""hi""",2\n', [['say "hi"', "2"]]),
        ('a,b\n"one\r\ntwo",2\r\n', [["one\r\ntwo", "2"]]),
        ('a,b\n"",2\n', [["", "2"]]),
        ('a,b\n"x" ,2\n', [["x", "2"]]),
        ('a,b\n5" screw,2\n', [['5" screw', "2"]]),
        ("a,b\r1,2\r3,4", [["1", "2"], ["3", "4"]]),
        ("a,b\r\n1,2\n3,4\r", [["1", "2"], ["3", "4"]]),
        ("a,b\n1,\u2028x\n", [["1", "\u2028x"]]),
        ("a,b\n=1+1,@x\n", [["=1+1", "@x"]]),
        (" a , b \n 1 , 2 \n", [[" 1 ", " 2 "]]),
    ],
)
def test_quotes_and_line_ends_are_read_as_rfc_4180_has_them(text, expected):
    assert cells(text) == expected
    for size in (1, 2, 3):
        data = text.encode()
        chunks = (data[start : start + size] for start in range(0, len(data), size))
        layout = tabular.parse(data, delimiter=",").layout
        assert [list(row.cells) for row, _ in tabular.rows(chunks, layout) if row is not None] == expected


def test_a_quote_that_is_never_closed_costs_its_own_line_only():
    text = 'a,b\n1,2\n"open,3\n' + "".join(f"{n},x\n" for n in range(2000)) + '"closed\nlater",y\n'
    found = list(tabular.rows(text.encode(), Layout(columns=(Column(name="a"), Column(name="b")))))

    bad = [(row.line, [f.code for f in wrong]) for row, wrong in found if wrong]
    assert bad == [(3, ["quote-open"])]
    assert len(found) == 2003 and found[-1][0].cells == ("closed\nlater", "y")
    assert found[-1][0].line == 2004
    assert [row.cells[0] for row, _ in found[2:2002]] == [str(number) for number in range(2000)]


def test_a_line_end_cut_in_two_by_a_chunk_is_one():
    for cut in (65_535, 65_536, 65_537):
        before = b"a\r\n" + b"x" * (cut - 5) + b"\r\n"
        layout = Layout(columns=(Column(name="a"),))
        assert [row.line for row, _ in tabular.rows(before + b"y\r\nz\r\n", layout)] == [2, 3, 4]


def test_text_behind_a_closing_quote_is_told():
    [(row, [finding])] = tabular.rows(b'a,b\n"x"y,2\n', Layout(columns=(Column(name="a"), Column(name="b"))))

    assert (finding.code, finding.line, row.cells) == ("quote-after", 2, ("xy", "2"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_declared_encoding_is_read(encoding):
    layout = Layout(columns=(Column(name="café"), Column(name="b")), encoding=encoding)

    assert [row.values["café"] for row, _ in tabular.rows("café,b\nZoë,2\n".encode(encoding), layout)] == ["Zoë"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_more_than_the_layout(encoding):
    for declared in (None, "utf-8", "cp1252"):
        layout = Layout(columns=(Column(name="a", required=True),), encoding=declared)
        assert [row.values["a"] for row, _ in tabular.rows("a\nZoë\n".encode(encoding), layout)] == ["Zoë"]


def test_what_is_not_of_the_encoding_is_told_in_its_row():
    found = read((HEADER + "ACME;1;;;;;\n").encode() + b"AC\xffE;1;;;;;\nACME;1;;;;;\0\n")

    assert [[code for code, *_ in wrong] for _, wrong in found] == [[], ["encoding", "pattern"], ["nul", "allowed"]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \r\n ",
        "a,b\n1,2\n".encode("utf-16-le"),
        b"\x00\xff\xfe" * 90,
        "a,b".encode("utf-32"),
        b"Dear all,\nthe goods, as ordered, came\nyesterday.\nWe, in turn, paid, as agreed,\nat once.\n",
        b"just words\n",
    ],
)
def test_what_is_no_table_is_refused_with_a_typed_error(data):
    with pytest.raises(TableError):
        tabular.parse(data)
    assert tabular.recognise(data) is False


# --- layouts --------------------------------------------------------------------------------------------------------


def test_a_preamble_is_checked_like_a_row():
    layout = Layout(
        preamble=(Column(name="hospital", required=True), Column(name="as of", type="date", required=True)),
        columns=(Column(name="item", required=True), Column(name="price", type="decimal")),
        min_rows=1,
    )
    good = "hospital,as of,,\nST-MARY,2026-07-01,,\nitem,price\nKNEE-99,5\n"
    bad = "hospital,as of\n,July 1 2026\nitem,price\n"

    assert [f for _, found in tabular.rows(good.encode(), layout) for f in found] == []
    told = [(f.code, f.location, f.line) for _, found in tabular.rows(bad.encode(), layout) for f in found]
    assert told == [("required", "hospital", 2), ("type", "as of", 2), ("empty", None, None)]
    assert next(f.code for _, found in tabular.rows(b"hospital,as of\n", layout) for f in found) == "empty"


TOTALLED = """
delimiter = "|"
header = false
columns = [{name = "kind"}, {name = "claim"}, {name = "paid", type = "decimal"}]
[trailer]
marker = "T"
count = 2
sums = {paid = 3}
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("D|C-1|1.10\nD|C-2|2.20\nT|2|3.30\n", []),
        ("D|C-1|1.10\nT|2|1.10\n", [("trailer", 2)]),
        ("D|C-1|1.10\nT|1|1.11\n", [("paid", 2)]),
        ("D|C-1|1.10\nT|x|\n", [("trailer", 2), ("paid", 2)]),
        ("D|C-1|1.10\nT\n", [("trailer", 2), ("paid", 2)]),
        ("D|C-1|1.10\n", [(None, None)]),
        ("T|0|0\nD|C-1|1.10\n", [(None, 2)]),
        ("T|0|0\nT|0|0\n", [(None, 2)]),
    ],
)
def test_a_trailer_counts_and_sums_the_rows(text, told):
    layout = read_layout(TOTALLED.encode())

    found = [f for _, wrong in tabular.rows(text.encode(), layout) for f in wrong]
    assert [(f.location, f.line) for f in found] == told
    assert {f.code for f in found} <= {"total"}


FIXED = read_layout(b"""
delimiter = "fixed"
header = false
columns = [
    {name = "kind", start = 1, width = 1, required = true},
    {name = "account", start = 2, width = 6, required = true, phi = true},
    {name = "amount", start = 8, width = 7, type = "decimal", implied_decimals = 2, required = true},
    {name = "note", start = 15, width = 5},
]
[trailer]
marker = "9"
count = {start = 2, width = 6}
sums = {amount = {start = 8, width = 7}}
""")


def test_a_fixed_line_is_cut_at_its_places():
    text = "1A-17  0001250rent \n1A-18  -000050\n900000200012.0\n"
    first, second, end = tabular.rows(text.encode(), FIXED)

    assert first[0].values == {"kind": "1", "account": "A-17", "amount": Decimal("12.50"), "note": "rent"}
    assert second[0].values["amount"] == Decimal("-0.50") and second[0].values["note"] is None
    assert not first[1] and not second[1] and end == (None, end[1]) and not end[1]


def test_a_fixed_line_that_is_too_short_or_too_long_is_told():
    layout = read_layout(
        b'delimiter = "fixed"\nheader = false\ncolumns = [{name = "a", start = 1, width = 2, required = true}, {name = "b", start = 3, width = 2, required = true}]'
    )
    found = [[f.code for f in wrong] for _, wrong in tabular.rows(b"abcd\nab\nabcde\nabcd   \n", layout)]

    assert found == [[], ["short-row", "required"], ["long-row"], []]


@pytest.mark.parametrize(
    ("toml", "where"),
    [
        ("", "layout"),
        ("columns = []", "columns"),
        ("columns = 3", "columns"),
        ("columns = [3]", "columns"),
        ("columns = [{}]", "columns"),
        ('columns = [{name = ""}]', "columns"),
        ("columns = [{name = 3}]", "3"),
        ('columns = [{name = "a"}, {name = "A "}]', "A "),
        ('columns = [{name = "a", type = "money"}]', "a"),
        ('columns = [{name = "a", colour = "red"}]', "a"),
        ('columns = [{name = "a", pattern = "("}]', "a"),
        ('columns = [{name = "a", required = "yes"}]', "a"),
        ('columns = [{name = "a", max_length = "x"}]', "a"),
        ('columns = [{name = "a", start = 0, width = 1}]', "a"),
        ('columns = [{name = "a", start = 1}]', "a"),
        ('columns = [{name = "a", required_with = ["b"]}]', "b"),
        ('columns = [{name = "a"}]\ndelimiter = ",,"', "delimiter"),
        ('columns = [{name = "a"}]\ndelimiter = "fixed"', "columns"),
        ('columns = [{name = "a"}]\nencoding = "ebcdic"', "encoding"),
        ('columns = [{name = "a"}]\nextra = "maybe"', "extra"),
        ('columns = [{name = "a"}]\ntrailer = 3', "trailer"),
        ('columns = [{name = "a"}]\ntrailer = {}', "trailer"),
        ('columns = [{name = "a"}]\ntrailer = {marker = "T", count = 0}', "trailer.count"),
        ('columns = [{name = "a"}]\ntrailer = {marker = "T", sums = {b = 1}}', "b"),
        ("columns = [", None),
        ("layout = 3", "layout"),
    ],
)
def test_a_layout_that_contradicts_itself_is_refused_with_its_key(toml, where):
    with pytest.raises(LayoutError) as refused:
        read_layout(toml.encode())
    assert refused.value.location == where


# --- guessing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "delimiter", "header", "names"),
    [
        ("a,b\n1,2\n", ",", True, ["a", "b"]),
        ("a;b\n1,5;2\n", ";", True, ["a", "b"]),
        ("a\tb\n1\t2\n", "\t", True, ["a", "b"]),
        ("a|b\n1|2\n", "|", True, ["a", "b"]),
        ("1,2\n3,4\n", ",", False, ["column 1", "column 2"]),
        ("a,a,\n1,2,3\n", ",", True, ["a", "a 2", "column 3"]),
        ('"last, first",b\n"x",2\n', ",", True, ["last, first", "b"]),
    ],
)
def test_a_table_without_a_layout_is_guessed(text, delimiter, header, names):
    layout = tabular.parse(text.encode()).layout

    assert (layout.delimiter, layout.header, [each.name for each in layout.columns]) == (delimiter, header, names)
    assert tabular.recognise(text.encode())


def test_a_guessed_table_in_an_old_encoding_is_read():
    table = tabular.parse("name,city\nZoë,Köln\n".encode("cp1252"))

    assert [row.values for row, _ in table] == [{"name": "Zoë", "city": "Köln"}]


def test_the_outline_masks_what_nobody_declared_and_what_is_declared_phi():
    guessed = tabular.outline(tabular.parse(b"name,city\nRIVERA,Lakeshore\n"))
    declared = tabular.outline(tabular.parse(b"1A-17  0001250rent \n", FIXED))

    assert all(cell.protected for row in guessed.children for cell in row.children)
    assert [cell.label for row in declared.children for cell in row.children if cell.protected] == ["account"]


def test_the_outline_of_a_long_table_says_that_there_is_more():
    table = tabular.parse(b"a,b\n" + b"1,2\n" * 500)

    assert len(tabular.outline(table).children) == 201
    assert len(tabular.outline(table, most_rows=5).children) == 6
    assert len(tabular.outline(tabular.parse(b"a,b\n" + b"1,2\n" * 200)).children) == 200


def test_only_good_rows_are_converted():
    table = tabular.parse((HEADER + "ACME;1.50;;11/20/2029;;;\nACME;ten;;;;;\n").encode(), PAYMENTS)

    [record] = tabular.convert(table)
    assert (record.type, record.content) == (
        "row",
        {"supplier": "ACME", "amount": Decimal("1.50"), "due": "2029-11-20"},
    )


def test_findings_are_counted_when_there_are_too_many():
    found = tabular.validate(tabular.parse((HEADER + "ACME;x;;;;;\n" * 300).encode(), PAYMENTS))

    assert len(found) == 201 and found[-1].text == "there are 100 more findings"


# --- bounds ---------------------------------------------------------------------------------------------------------


def stream(rows: int) -> Iterator[bytes]:
    yield b"a,b\n"
    for _ in range(rows // 1000):
        yield b'KNEE-99,"one, ""two"""\n' * 1000


def test_a_long_stream_is_read_in_flat_memory():
    layout = Layout(columns=(Column(name="a"), Column(name="b")))
    tracemalloc.start()
    count = sum(1 for _ in tabular.rows(stream(30_000), layout))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 30_000 and peak < 4_000_000


@pytest.mark.parametrize(
    "attack",
    [
        b"a,b\n" + b'"' * 3_000_000,
        b"a,b\n" + b'"x\n' * 100_000,
        b"a,b\n" + b'"x,\n' + b"y\n" * 200_000,
        b"a,b\n" + b"x" * 20_000_000,
        b"a,b\n" + b"," * 3_000_000,
        b"a,b\n" + b"\r" * 1_000_000,
        b"," * 3_000_000,
        b'"' * 100_000,
        b"a" * 3_000_000 + b"\n1",
    ],
    ids=range(9),
)
def test_an_attack_is_read_in_bounded_time(attack):
    started = time.process_time()
    try:
        table = tabular.parse(attack, delimiter=",")
        tabular.validate(table)
        tabular.outline(table)
    except TableError:
        pass
    assert time.process_time() - started < 6


def test_a_line_that_never_ends_is_cut_and_told():
    chunks = (b"x" * 65_536 for _ in range(300))
    [(row, found)] = tabular.rows(chunks, Layout(columns=(Column(name="a"),), header=False))

    assert [f.code for f in found] == ["too-long"] and len(row.cells[0]) == 1 << 20


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text('a1,;"\r\n\t|\0�é', max_size=200).map(str.encode)))
def test_any_bytes_are_a_table_or_a_typed_refusal_and_come_back_byte_for_byte(data):
    for layout in (None, PAYMENTS, FIXED):
        try:
            table = tabular.parse(data, layout)
        except TableError:
            continue
        assert tabular.write(table) == data
        assert all(f.code and f.text for f in tabular.validate(table))
        tabular.outline(table), tabular.convert(table)
