"""Crosswalk tables: what is read, what is refused, and that what is written is read back."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from hilum.masterdata.tables import CrosswalkRow, TableUnreadable, read_table, read_targets, write_table

HEADER = "code,target,facility,valid_from,valid_to\n"


def table(root: Path, text: str):
    (root / "items.csv").write_text(HEADER + text)
    return read_table(root, "items.csv")


def test_a_table_is_read_with_its_days_and_facilities(tmp_path):
    read = table(tmp_path, "IMP-1,KNEE-98,,,2024-12-31\nIMP-1,KNEE-99,,2025-01-01,\nIMP-1,KNEE-9M,ST-MARY,,\n")
    assert read.faults == ()
    assert read.rows == (
        CrosswalkRow("IMP-1", "KNEE-98", "", date.min, date(2024, 12, 31), 2),
        CrosswalkRow("IMP-1", "KNEE-99", "", date(2025, 1, 1), date.max, 3),
        CrosswalkRow("IMP-1", "KNEE-9M", "ST-MARY", date.min, date.max, 4),
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("IMP-1,KNEE-99,,,\nIMP-1,HIP-40,,,\n", 3, "two targets"),
        ("IMP-1,KNEE-99,,,\nIMP-1,KNEE-99,,,\n", 3, "two targets"),
        ("IMP-1,KNEE-99,,2024-01-01,2024-06-30\nIMP-1,HIP-40,,2024-06-30,\n", 3, "on 2024-06-30"),
        ("IMP-1,HIP-40,,2024-06-01,\nIMP-1,KNEE-99,,2024-01-01,2024-12-31\n", 2, "on 2024-06-01"),
        ("IMP-1,A,,2024-01-01,2024-12-31\nIMP-1,B,,2024-02-01,2024-02-28\nIMP-1,C,,2024-06-01,\n", 4, "line 2"),
        ("IMP-1,KNEE-99,,01.02.2024,\n", 2, "no date"),
        ("IMP-1,KNEE-99,,2024-02-30,\n", 2, "no date"),
        ("IMP-1,KNEE-99,,2025-01-01,2024-01-01\n", 2, "before it begins"),
        ("IMP-1,,,,\n", 2, "no target"),
        (",KNEE-99,,,\n", 2, "no code"),
        ("IMP-1 ,KNEE-99,,,\n", 2, "spaces"),
        ("IMP-1,KNEE-99\n", 2, "one value for each column"),
        ("IMP-1,KNEE-99,,,,extra\n", 2, "one value for each column"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(tmp_path, text, line, what):
    faults = [fault for fault in table(tmp_path, text).faults if fault.line == line]
    assert len(faults) == 1
    assert what in faults[0].what
    assert faults[0].do


def test_rows_that_follow_each_other_do_not_overlap(tmp_path):
    assert table(tmp_path, "IMP-1,A,,,2024-12-31\nIMP-1,B,,2025-01-01,2025-01-01\nIMP-1,C,,2025-01-02,\n").faults == ()


@pytest.mark.parametrize(
    ("file", "text", "what"),
    [
        ("gone.csv", None, "does not exist"),
        ("../outside.csv", HEADER, "outside the estate"),
        ("short.csv", "code,target\nIMP-1,KNEE-99\n", "no column facility, valid_from, valid_to"),
        ("broken.csv", HEADER + 'IMP-1,"KNEE-99,,,\n', "not CSV"),
        ("empty.csv", "", "no column code"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, file, text, what):
    root = tmp_path / "estate"
    root.mkdir()
    if text is not None:
        (root / file).write_text(text)
    with pytest.raises(TableUnreadable, match=what):
        read_table(root, file)


def test_the_targets_are_a_column_of_a_table(tmp_path):
    (tmp_path / "items.csv").write_text("item,name\nKNEE-99,Knee\nHIP-40,Hip\n")
    assert read_targets(tmp_path, "items.csv:item") == {"KNEE-99", "HIP-40"}
    with pytest.raises(TableUnreadable, match="no column sku"):
        read_targets(tmp_path, "items.csv:sku")
    with pytest.raises(TableUnreadable, match="FILE:COLUMN"):
        read_targets(tmp_path, "items.csv")


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    (tmp_path / "items.csv").write_text("\ufeff" + HEADER + "IMP-1,KNEE-99,,,\n", encoding="utf-8")
    assert [row.code for row in read_table(tmp_path, "items.csv").rows] == ["IMP-1"]


def test_what_is_written_is_read_back(tmp_path):
    rows = [
        CrosswalkRow("IMP-2", 'Nail, 12" long', "", date(2025, 1, 1), date.max),
        CrosswalkRow("IMP-1", "KNEE-99", "ST-MARY", date.min, date(2024, 12, 31)),
    ]
    (tmp_path / "back.csv").write_text(write_table(rows))
    back = read_table(tmp_path, "back.csv").rows
    assert {(r.code, r.target, r.facility, r.valid_from, r.valid_to) for r in back} == {
        (r.code, r.target, r.facility, r.valid_from, r.valid_to) for r in rows
    }
