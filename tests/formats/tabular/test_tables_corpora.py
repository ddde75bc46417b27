"""Real tables from public test suites, kept beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.formats import tabular
from hilum.formats.tabular import Column, Layout

CORPUS = Path(__file__).parents[3].parent / "shared" / "data" / "csv"
FILES = sorted(CORPUS.rglob("*.csv")) if CORPUS.is_dir() else []
needs_corpus = pytest.mark.skipif(not FILES, reason="the corpus shared/data/csv is not beside this checkout")

# What the CMS template asks for, as far as its four samples need it (45 CFR 180.50).
HOSPITAL = (
    Column(name="hospital_name", required=True),
    Column(name="last_updated_on", type="date", formats=("%Y-%m-%d", "%m/%d/%Y"), required=True),
    Column(name="version", required=True),
    Column(name="hospital_location", required=True),
    Column(name="hospital_address", required=True),
)
CHARGES = (
    Column(name="description", required=True),
    Column(name="code|1", required=True),
    Column(name="code|1|type", required=True),
    Column(name="setting", required=True, allowed=frozenset({"inpatient", "outpatient", "both"})),
    *(Column(name=f"standard_charge|{name}", type="decimal") for name in ("gross", "discounted_cash", "min", "max")),
)
TALL = Layout(
    preamble=HOSPITAL,
    columns=(
        *CHARGES,
        Column(name="payer_name"),
        Column(name="plan_name", required_with=("payer_name",)),
        Column(name="standard_charge|negotiated_dollar", type="decimal"),
        Column(name="standard_charge|negotiated_percentage", type="decimal"),
        Column(name="estimated_amount", type="decimal"),
        Column(
            name="standard_charge|methodology",
            required_with=("standard_charge|negotiated_dollar", "standard_charge|negotiated_percentage"),
        ),
    ),
    extra="ignore",
    min_rows=1,
)
WIDE = Layout(preamble=HOSPITAL, columns=CHARGES, extra="ignore", min_rows=1)
LAB = Layout(
    columns=(
        *(Column(name=name, required=True) for name in ("lab", "first_name", "last_name", "state")),
        Column(name="test_time", type="datetime", required=True),
        Column(name="specimen_id", type="integer", required=True),
        Column(name="observation", required=True, pattern=r"covid-19:\w+"),
    )
)


def told(name: str, layout: Layout) -> list[tuple[str, str | None, int | None]]:
    table = tabular.parse((CORPUS / name).read_bytes(), layout)
    return [(f.code, f.location, f.line) for f in tabular.validate(table) if f.severity == "error"]


@needs_corpus
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CORPUS).as_posix())
def test_every_table_is_read_and_comes_back_byte_for_byte(path):
    data = path.read_bytes()
    if not data:
        with pytest.raises(tabular.TableError):
            tabular.parse(data, delimiter=",")
        return
    table = tabular.parse(data, delimiter=",")

    assert tabular.write(table) == data
    # The two whose names say so have a row that does not fit; all others are clean.
    expected = {"missing-data": ["short-row"], "too-much-data": ["long-row"]}
    assert [f.code for f in tabular.validate(table)] == expected.get(path.stem, [])


@needs_corpus
@pytest.mark.parametrize("name", ["simple", "comma_in_quotes", "newlines", "quotes_and_newlines"])
def test_the_acid_cases_read_as_their_json_says(name):
    folder = CORPUS / "csv-spectrum"
    table = tabular.parse((folder / "csvs" / f"{name}.csv").read_bytes())

    assert [dict(row.values) for row, _ in table] == json.loads((folder / "json" / f"{name}.json").read_bytes())


@needs_corpus
@pytest.mark.parametrize(
    ("name", "layout", "expected"),
    [
        ("sample-tall-valid", TALL, []),
        ("sample-wide-valid", WIDE, []),
        # EXPECTED.md counts the rows from its own start; in the file it is the seventh row, on line 10.
        ("sample-bad-header", TALL, [("type", "last_updated_on", 2), ("required", "standard_charge|methodology", 10)]),
        ("sample-no-data", TALL, [("empty", None, None)]),
    ],
)
def test_the_hospital_price_files_have_the_errors_that_are_expected(name, layout, expected):
    assert told(f"cms-hpt/{name}.csv", layout) == expected


@needs_corpus
@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("happy-path", set()),
        ("change-column-ordering", set()),
        ("1001-lines", set()),
        ("column-headers-only", set()),
        ("missing-data", {"short-row", "required"}),
        ("too-much-data", {"long-row"}),
        ("completely-empty-file", {"empty"}),
    ],
)
def test_the_lab_reports_are_what_their_names_say(name, codes):
    layout = LAB
    if name == "missing-data":
        assert told(f"prime-reportstream/input/{name}.csv", layout)[0] == ("short-row", None, 2)
    assert {code for code, *_ in told(f"prime-reportstream/input/{name}.csv", layout)} == codes


@needs_corpus
def test_two_files_that_differ_in_the_order_of_columns_say_the_same():
    folder = CORPUS / "prime-reportstream" / "input"
    one, other = (
        [dict(row.values) for row, _ in tabular.rows((folder / name).read_bytes(), LAB)]
        for name in ("happy-path.csv", "change-column-ordering.csv")
    )

    assert one == other and len(one) == 7
