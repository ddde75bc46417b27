"""Rows of a table with what is wrong in each: good ones go through, bad ones are reported, neither waits for the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from hilum.formats.findings import Severity
from hilum.formats.tabular.cells import Read, Value, reader
from hilum.formats.tabular.findings import Code, TableFinding
from hilum.formats.tabular.layout import Column, Layout, Place, folded
from hilum.formats.tabular.records import MOST_CHARACTERS, MOST_LINES, Record, Source, decoded, records

__all__ = ["Row", "Told", "read_rows"]

_SAID: dict[Code, tuple[str, str]] = {
    Code.TOO_LONG: ("error", f"the row is longer than {MOST_CHARACTERS} characters and was cut"),
    Code.QUOTE_OPEN: ("error", f"a quote is opened on this line and not closed within {MOST_LINES} lines"),
    Code.QUOTE_AFTER: ("error", "there is text between a closing quote and the next delimiter"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row: ``number`` counts rows from 1, ``line`` lines of the file. ``values`` has None where a cell is empty or
    absent, and no entry at all where it could not be read; ``cells`` are the texts as they stand."""

    number: int
    line: int
    cells: tuple[str, ...]
    values: Mapping[str, Value | None]


Told = tuple[Row | None, list[TableFinding]]


def read_rows(source: Source, layout: Layout) -> Iterator[Told]:
    """Each row and what is wrong with it; the row is None for findings on the preamble, the header and the totals.

    ``source`` may be chunks of bytes from anywhere: memory stays flat. TableError only for an encoding that cannot be.
    """
    return _Reader(layout).run(source)


@dataclass(slots=True)
class _Slot:
    """A declared column as this file has it: where its cell is, and how to read it."""

    column: Column
    read: Read
    index: int | None
    number: int | None = None
    with_: tuple[int, ...] = ()


@dataclass(slots=True)
class _Totals:
    rows: int = 0
    sums: dict[str, Decimal] = field(default_factory=dict)
    seen_on_line: int | None = None


class _Reader:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.totals = _Totals(sums={name: Decimal(0) for name in _sums(layout)})
        self.slots: list[_Slot] = []
        self.width = 0

    def run(self, source: Source) -> Iterator[Told]:
        layout = self.layout
        found = records(decoded(source, layout.encoding), layout.delimiter, layout.quote)
        if layout.skip_lines:
            found = (record for record in found if record.line > layout.skip_lines)
        filled = (record for record in found if not record.blank)
        if layout.preamble:
            yield from self._preamble(filled)
        if layout.header and not layout.fixed:
            record = next(filled, None)
            if record is None:
                yield None, [TableFinding(Code.EMPTY, "the table is empty: not even a header is there")]
                return
            wrong = self._take_header(record)
            if wrong:
                yield None, wrong
        else:
            if layout.header:
                next(filled, None)
            self.slots = [_slot(column, index) for index, column in enumerate(layout.columns)]
            self.width = len(layout.columns)
            self._join()
        for record in filled:
            yield self._row(record)
        wrong = self._after()
        if wrong:
            yield None, wrong

    # --- before the rows --------------------------------------------------------------------------------------------

    def _preamble(self, found: Iterator[Record]) -> Iterator[Told]:
        """One header and one row of values; what is wrong with them has no row."""
        header, values = next(found, None), next(found, None)
        if header is None or values is None:
            yield None, [TableFinding(Code.EMPTY, "the two lines before the table are not there")]
            return
        inner = _Reader(Layout(columns=self.layout.preamble, delimiter=self.layout.delimiter, extra="ignore"))
        wrong = inner._take_header(header)
        wrong += inner._row(values)[1]
        if wrong:
            yield None, [TableFinding(f.code, f.text, f.location, f.severity, f.line, None, f.column) for f in wrong]

    def _take_header(self, record: Record) -> list[TableFinding]:
        """Find the declared columns in the header."""
        wrong = list(_problems(record, None))
        places: dict[str, int] = {}
        names = [folded(cell) for cell in record.cells]
        while names and not names[-1]:
            names.pop()
        for index, name in enumerate(names):
            if name and name in places:
                wrong.append(
                    _about(Code.HEADER_DUPLICATE, "a column's name is there twice; the first is taken", record, index)
                )
            places.setdefault(name, index)
        taken: set[int] = set()
        for place, column in enumerate(self.layout.columns):
            if self.layout.by_position:
                self.slots.append(_slot(column, place))
                continue
            found = next(
                (places[key] for name in (column.name, *column.aliases) if (key := folded(name)) in places), None
            )
            if found is not None:
                taken.add(found)
            elif column.required:
                wrong.append(
                    TableFinding(Code.HEADER_MISSING, "a required column is missing", column.name, line=record.line)
                )
            self.slots.append(_slot(column, found))
        if self.layout.extra != "ignore":
            severity: Severity = "error" if self.layout.extra == "refuse" else "warning"
            wrong.extend(
                TableFinding(
                    Code.HEADER_UNKNOWN,
                    "a column is not declared",
                    f"column {index + 1}",
                    severity,
                    record.line,
                    None,
                    index + 1,
                )
                for index, name in enumerate(names)
                if index not in taken and places[name] == index
            )
        self.width = len(record.cells)
        self._join()
        return wrong

    def _join(self) -> None:
        """Find each column's companions once."""
        at = {slot.column.name: place for place, slot in enumerate(self.slots)}
        for slot in self.slots:
            slot.with_ = tuple(at[name] for name in slot.column.required_with)

    # --- the rows ---------------------------------------------------------------------------------------------------

    def _row(self, record: Record) -> Told:
        layout, trailer = self.layout, self.layout.trailer
        if trailer is not None and _is_trailer(record, trailer.marker, layout.fixed):
            return None, self._take_trailer(record)
        self.totals.rows += 1
        number = self.totals.rows
        wrong = list(_problems(record, number)) if record.problems else []
        if "\0" in record.text or "�" in record.text or any("\0" in cell or "�" in cell for cell in record.cells):
            wrong.extend(_unreadable(record, number))
        if self.totals.seen_on_line is not None:
            wrong.append(TableFinding(Code.TOTAL, "a row comes after the trailer", None, "error", record.line, number))
        cells = self._cells(record, number, wrong)
        values: dict[str, Value | None] = {}
        missing: list[_Slot] = []
        for slot, text in zip(self.slots, cells, strict=True):
            column = slot.column
            if text is None or not text.strip():
                values[column.name] = None
                if column.required and slot.index is not None:
                    wrong.append(_cell(Code.REQUIRED, "a required value is missing", slot, record, number))
                elif slot.with_:
                    missing.append(slot)
                continue
            value, problem = slot.read(text if column.type == "text" and not layout.fixed else text.strip())
            if problem is not None:
                wrong.append(_cell(problem[0], problem[1], slot, record, number))
            else:
                values[column.name] = value
        for slot in missing:
            if any((cells[place] or " ").strip() for place in slot.with_):
                text = f"a value is required because {' or '.join(slot.column.required_with)} has one"
                wrong.append(_cell(Code.REQUIRED, text, slot, record, number))
        for name in self.totals.sums:
            amount = values.get(name)
            if isinstance(amount, (Decimal, int)):
                self.totals.sums[name] += amount
        return Row(number, record.line, tuple(text for text in cells if text is not None), values), wrong

    def _cells(self, record: Record, number: int, wrong: list[TableFinding]) -> list[str | None]:
        """The text of each declared column, None where the row has no such cell."""
        if self.layout.fixed:
            return self._fixed(record, number, wrong)
        cells = record.cells
        if len(cells) != self.width and Code.QUOTE_OPEN not in record.problems:
            if len(cells) < self.width:
                text = f"the row has {len(cells)} cells, the table {self.width} columns"
                wrong.append(TableFinding(Code.SHORT_ROW, text, None, "error", record.line, number))
            elif any(cell.strip() for cell in cells[self.width :]):
                text = f"the row has {len(cells)} cells, the table {self.width} columns"
                wrong.append(TableFinding(Code.LONG_ROW, text, None, "error", record.line, number))
        return [
            cells[slot.index] if slot.index is not None and slot.index < len(cells) else None for slot in self.slots
        ]

    def _fixed(self, record: Record, number: int, wrong: list[TableFinding]) -> list[str | None]:
        line = record.text
        ends = [slot.column.place.end for slot in self.slots if slot.column.place is not None]
        longest = max(ends, default=0)
        if len(line) > longest and line[longest:].strip():
            text = f"the line is longer than the layout's {longest} characters"
            wrong.append(TableFinding(Code.LONG_ROW, text, None, "error", record.line, number))
        needed = [
            slot.column.place.start for slot in self.slots if slot.column.place is not None and slot.column.required
        ]
        if needed and len(line) < max(needed):
            text = f"the line has {len(line)} characters, the layout {longest}"
            wrong.append(TableFinding(Code.SHORT_ROW, text, None, "error", record.line, number))
        return [slot.column.place.of(line) if slot.column.place is not None else None for slot in self.slots]

    # --- the totals -------------------------------------------------------------------------------------------------

    def _take_trailer(self, record: Record) -> list[TableFinding]:
        wrong: list[TableFinding] = []
        trailer, totals = self.layout.trailer, self.totals
        assert trailer is not None
        if totals.seen_on_line is not None:
            return [TableFinding(Code.TOTAL, "there is a second trailer", None, "error", record.line)]
        totals.seen_on_line = record.line
        if trailer.count is not None:
            read = reader(Column(name="count", type="integer"))
            said = read(_at(record, trailer.count).strip())[0]
            if said != totals.rows:
                text = f"the trailer's count is not that of the rows, which are {totals.rows}"
                wrong.append(TableFinding(Code.TOTAL, text, "trailer", "error", record.line))
        for name, place in (trailer.sums or {}).items():
            column = self.layout.column(name)
            said = reader(Column(
                name=name, type="decimal", implied_decimals=column.implied_decimals,
                decimal_mark=column.decimal_mark, grouping=column.grouping,
            ))(_at(record, place).strip())[0]  # fmt: skip
            if said != totals.sums[name]:
                text = "the trailer's sum is not that of the rows"
                wrong.append(TableFinding(Code.TOTAL, text, name, "error", record.line))
        return wrong

    def _after(self) -> list[TableFinding]:
        wrong: list[TableFinding] = []
        if self.totals.rows < self.layout.min_rows:
            text = f"the table has {self.totals.rows} rows where at least {self.layout.min_rows} are expected"
            wrong.append(TableFinding(Code.EMPTY, text))
        trailer = self.layout.trailer
        if trailer is not None and trailer.required and self.totals.seen_on_line is None:
            text = "the trailer is missing, so the file may have been cut off"
            wrong.append(TableFinding(Code.TOTAL, text))
        return wrong


def _sums(layout: Layout) -> Sequence[str]:
    return tuple(layout.trailer.sums or ()) if layout.trailer is not None else ()


def _slot(column: Column, index: int | None) -> _Slot:
    return _Slot(column, reader(column), index, None if index is None else index + 1)


def _is_trailer(record: Record, marker: str, fixed: bool) -> bool:
    return record.text.startswith(marker) if fixed else record.cells[0].strip() == marker


def _at(record: Record, place: int | Place) -> str:
    if isinstance(place, Place):
        return place.of(record.text)
    return record.cells[place - 1] if place <= len(record.cells) else ""


def _problems(record: Record, row: int | None) -> Iterator[TableFinding]:
    for code in record.problems:
        severity, text = _SAID[code]
        yield TableFinding(code, text, None, "error" if severity == "error" else "warning", record.line, row)


def _unreadable(record: Record, row: int) -> Iterator[TableFinding]:
    cells = [record.text, *record.cells]
    if any("\0" in cell for cell in cells):
        yield TableFinding(Code.NUL, "the row has a NUL character", None, "error", record.line, row)
    if any("�" in cell for cell in cells):
        text = "the row has bytes that are not of the table's encoding"
        yield TableFinding(Code.ENCODING, text, None, "error", record.line, row)


def _about(code: Code, text: str, record: Record, index: int) -> TableFinding:
    return TableFinding(code, text, f"column {index + 1}", "warning", record.line, None, index + 1)


def _cell(code: Code, text: str, slot: _Slot, record: Record, row: int) -> TableFinding:
    return TableFinding(code, text, slot.column.name, "error", record.line, row, slot.number)
