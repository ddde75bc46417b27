"""Mappings of a bank's files: what the check asks of them, and how intake and replay read them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from hilum.authoring.estate import Estate
from hilum.governance.loader import load_estate
from hilum.runtime.reception import Reader
from hilum.testing.bank import Credited, statement

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
SAMPLES = LAKESHORE / "samples"


@pytest.fixture(scope="module")
def lakeshore() -> Estate:
    return load_estate(LAKESHORE)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('message="BAI2"', 'message="835"', "such files are called 'BAI2'"),
        ('message="table"', 'message="CSV"', "such files are called 'table'"),
    ],
)
def test_a_bank_file_has_the_name_by_which_intake_knows_it(estate, old, new, what):
    estate.changes("integrations/cash.py", old, new)
    assert any(what in problem.what for problem in estate.check().problems)


def test_a_bank_file_needs_a_folder(estate):
    estate.changes("systems/bank.toml", '[listen.folder]\npath = "inbox/bank"\nmax_message_bytes = 16777216\n', "")
    found = [problem.what for problem in estate.check().problems]
    assert sum("Nothing brings" in what and "from bank" in what for what in found) == 2


def test_a_sample_that_no_longer_says_the_same_is_refused(estate):
    estate.changes("samples/bank_statement_reported.bai", "BR-7001", "BR-7000")
    assert any("bank_statement_reported" in problem.where for problem in estate.check().problems)


def test_one_file_is_a_fact_for_each_account_and_day_found_by_its_trace_numbers(lakeshore):
    read = Reader(lakeshore).table("bank", "folder", "p", (SAMPLES / "bank_table_reported.csv").read_bytes())
    assert read.problem is None and [event.facility for event in read.events] == ["HARBOR-VIEW", "NORTH-POINT"]
    assert ("EFT-260302-02", "eft") in read.events[0].keys
    assert {len(event.identities) for event in read.events} == {1}


def test_what_does_not_add_up_is_refused_with_every_place_and_its_dollars(lakeshore):
    good = statement([Credited("BR-1", Decimal("100.00"))], account="88112200", day=date(2026, 3, 2), number=1)
    read = Reader(lakeshore).bai2("bank", "folder", "p", good.replace(b"16,142,10000", b"16,142,20050"))
    assert read.events == [] and read.problem is not None
    assert read.problem.text == (
        "the control total is 200.00 USD, what it controls is 300.50: 100.50 too little at group 1, account 1, 49"
    )


def test_what_no_mapping_takes_is_told(lakeshore):
    reader = Reader(lakeshore)
    for read in (reader.bai2("archive", "folder", "p", (SAMPLES / "bank_statement_reported.bai").read_bytes()),
                 reader.table("archive", "folder", "p", b"a,b\r\n1,2\r\n")):  # fmt: skip
        assert read.problem is not None and "are not taken from archive" in read.problem.text


@pytest.mark.parametrize(
    ("file", "kind"), [("bank_statement_reported.bai", "BAI2"), ("bank_table_reported.csv", "table")]
)
def test_a_replay_reads_what_was_stored_as_intake_did(lakeshore, file, kind):
    raw = (SAMPLES / file).read_bytes()
    reader = Reader(lakeshore)
    first = reader.bai2("bank", "folder", "p", raw) if kind == "BAI2" else reader.table("bank", "folder", "p", raw)
    again = reader.again("bank", first.type, raw, "replay", "p", first="folder")
    assert first.type == kind and again.problem is None
    assert [orjson.loads(event.payload) for event in again.events] == [
        orjson.loads(event.payload) for event in first.events
    ]
