"""Crosswalk tables as stewards and Git keep them: CSV with ``code,target,facility,valid_from,valid_to``.

Dates are calendar days of the estate's time zone, both inclusive; an empty one means without limit. An empty
facility means the whole network.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

COLUMNS = ("code", "target", "facility", "valid_from", "valid_to")


class TableUnreadable(ValueError):
    """A table that is missing, not CSV or without its columns; the text says which and why."""


@dataclass(frozen=True)
class CrosswalkRow:
    """One row: ``code`` is ``target`` at ``facility`` from ``valid_from`` to ``valid_to``, both days inclusive."""

    code: str
    target: str
    facility: str = ""
    valid_from: date = date.min
    valid_to: date = date.max
    line: int = 0


@dataclass(frozen=True)
class RowFault:
    """A row that cannot be used."""

    line: int
    what: str
    do: str


@dataclass(frozen=True)
class Table:
    """The usable rows of a table, and what is wrong with others."""

    rows: tuple[CrosswalkRow, ...]
    faults: tuple[RowFault, ...]


def read_table(root: Path, file: str) -> Table:
    """Read ``file`` of the estate at ``root``; ``TableUnreadable`` when it has no rows to speak of."""
    rows: list[CrosswalkRow] = []
    faults: list[RowFault] = []
    for line, cells in read_records(root, file, COLUMNS):
        row = _row(line, cells, faults)
        if row is not None:
            rows.append(row)
    return Table(tuple(rows), (*faults, *_overlaps(rows)))


def read_targets(root: Path, reference: str) -> frozenset[str]:
    """The values of a target list, ``tables/items.csv:item``; ``TableUnreadable`` when file or column is missing."""
    file, colon, column = reference.rpartition(":")
    if not colon or not file or not column:
        raise TableUnreadable(f"{reference!r} is not FILE:COLUMN")
    return frozenset(cells[column] for _, cells in read_records(root, file, (column,)) if cells[column])


def write_table(rows: Iterable[CrosswalkRow]) -> str:
    """The text of a table with these rows, sorted as people compare them; ``read_table`` reads it back."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda r: (r.code, r.facility, r.valid_from)):
        writer.writerow(
            [
                row.code,
                row.target,
                row.facility,
                "" if row.valid_from == date.min else row.valid_from.isoformat(),
                "" if row.valid_to == date.max else row.valid_to.isoformat(),
            ]
        )
    return text.getvalue()


def read_records(root: Path, file: str, columns: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Each row of a CSV file of the estate with its line; ``TableUnreadable`` when one of ``columns`` is missing."""
    path = (root / file).resolve()
    if not path.is_relative_to(root.resolve()):
        raise TableUnreadable(f"{file} lies outside the estate")
    try:
        # A spreadsheet may have written a byte order mark.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise TableUnreadable(f"{file} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TableUnreadable(f"{file} is not a UTF-8 file ({type(error).__name__})") from error
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise TableUnreadable(f"{file} has no column {', '.join(missing)}")
        # A short row has None in its last columns, a long one a list under None: both are refused as rows.
        return [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise TableUnreadable(f"{file}:{reader.line_num} is not CSV: {error}") from error


def _row(line: int, cells: dict[str, str], faults: list[RowFault]) -> CrosswalkRow | None:
    if not is_whole(line, cells, ("code", "target", "facility"), faults):
        return None
    for column in ("code", "target"):
        if not cells[column]:
            faults.append(RowFault(line, f"The row has no {column}.", "Fill it in or remove the row."))
            return None
    days = period(line, cells, faults)
    return None if days is None else CrosswalkRow(cells["code"], cells["target"], cells["facility"], *days, line)


def is_whole(line: int, cells: dict[str, str], columns: Iterable[str], faults: list[RowFault]) -> bool:
    """Whether a row has one value for each column and no spaces around those of ``columns``; a fault says what else."""
    if None in cells or None in cells.values():
        faults.append(RowFault(line, "The row does not have one value for each column.", "Add or remove commas."))
        return False
    for column in columns:
        if cells[column] != cells[column].strip():
            faults.append(RowFault(line, f"The {column} {cells[column]!r} has spaces around it.", "Remove them."))
            return False
    return True


def period(line: int, cells: dict[str, str], faults: list[RowFault]) -> tuple[date, date] | None:
    """The days from ``valid_from`` to ``valid_to``, both inclusive; None with a fault when they are none."""
    days: list[date] = []
    for column, unlimited in (("valid_from", date.min), ("valid_to", date.max)):
        try:
            days.append(date.fromisoformat(cells[column]) if cells[column] else unlimited)
        except ValueError:
            faults.append(RowFault(line, f"{column} is {cells[column]!r}, which is no date.", "Write YYYY-MM-DD."))
            return None
    if days[1] < days[0]:
        faults.append(RowFault(line, f"The row ends ({days[1]}) before it begins ({days[0]}).", "Correct a date."))
        return None
    return days[0], days[1]


def _overlaps(rows: Iterable[CrosswalkRow]) -> list[RowFault]:
    """Two rows of one code and facility may follow each other, but no day may have two answers."""
    faults = []
    last: dict[tuple[str, str], CrosswalkRow] = {}
    for row in sorted(rows, key=lambda r: (r.code, r.facility, r.valid_from, r.line)):
        place = (row.code, row.facility)
        earlier = last.get(place)
        if earlier is not None and row.valid_from <= earlier.valid_to:
            at = f" at {row.facility}" if row.facility else ""
            faults.append(
                RowFault(
                    row.line,
                    f"{row.code}{at} has two targets on {row.valid_from if row.valid_from != date.min else 'the same day'}"
                    f": line {earlier.line} says {earlier.target}.",
                    "Remove one row, or end the earlier one with valid_to the day before.",
                )
            )
        if earlier is None or row.valid_to > earlier.valid_to:
            last[place] = row
    return faults
