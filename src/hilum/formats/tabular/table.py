"""A table as a document: its bytes, the layout it is read with, and what every format offers for its documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice

from hilum.formats.canonical import Canonical
from hilum.formats.canonical import Record as CanonicalRecord
from hilum.formats.findings import Finding
from hilum.formats.outline import Outline
from hilum.formats.tabular.cells import Value
from hilum.formats.tabular.dialect import SAMPLE_BYTES, sniff
from hilum.formats.tabular.findings import Code, TableError
from hilum.formats.tabular.layout import Layout
from hilum.formats.tabular.reading import Told, read_rows
from hilum.formats.tabular.records import Source, marked_encoding

__all__ = ["Table", "convert", "outline", "parse", "recognise", "rows", "validate", "write"]

_FINDINGS_MAX = 200
_OUTLINE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Table:
    """Bytes and the layout they are read with; ``declared`` is false when the layout was guessed. Rows are read lazily."""

    data: bytes
    layout: Layout
    declared: bool

    def __iter__(self) -> Iterator[Told]:
        return read_rows(self.data, self.layout)


def parse(data: bytes, layout: Layout | None = None, *, delimiter: str | None = None) -> Table:
    """A table, with the ``layout`` expected or the one it seems to have; TableError when it is none.

    With a ``delimiter`` and no layout, whatever is text is taken for a table of that delimiter.
    """
    if layout is not None:
        if layout.encoding is None or layout.encoding == "utf-16":
            marked = marked_encoding(data[:4])
            if layout.encoding == "utf-16" and marked is None:
                raise TableError(
                    Code.ENCODING, "a UTF-16 table needs a byte order mark, or declare utf-16-le or utf-16-be"
                )
        return Table(data, layout, True)
    if not data.strip():
        raise TableError(Code.EMPTY, "there is not a single row")
    guessed = sniff(data, delimiter)
    if guessed is None:
        raise TableError(Code.LAYOUT, "this does not look like a table; declare its layout")
    return Table(data, guessed, False)


def rows(source: Table | Source, layout: Layout | None = None) -> Iterator[Told]:
    """``(row, findings)`` for every row of a table, of bytes, or of chunks of bytes as they arrive (memory stays flat).

    The row is None for findings that belong to none: on the preamble, the header, the trailer. A row without a finding
    of severity error is good. ``layout`` may be left out for a Table.
    """
    if isinstance(source, Table):
        return read_rows(source.data, layout if layout is not None else source.layout)
    if layout is None:
        raise TableError(Code.LAYOUT, "rows of bytes need a layout")
    return read_rows(source, layout)


def validate(document: Table, layout: Layout | None = None) -> list[Finding]:
    """What is wrong with the table, at most 200 findings and one that counts the rest."""
    found: list[Finding] = []
    more = 0
    for _, wrong in rows(document, layout):
        for finding in wrong:
            if len(found) < _FINDINGS_MAX:
                found.append(finding)
            else:
                more += 1
    if more:
        found.append(Finding(Code.TOO_LONG, f"there are {more} more findings", severity="information"))
    return found


def write(document: Table) -> bytes:
    """The bytes as they came."""
    return document.data


def outline(document: Table, *, most_rows: int = _OUTLINE_ROWS) -> Outline:
    """The columns and the first rows. Without a declared layout every cell is protected: nobody has said what it is."""
    layout = document.layout
    kind = "fixed width" if layout.fixed else f"delimiter {layout.delimiter!r}"
    encoding = layout.encoding if layout.encoding is not None else "utf-8"
    root = Outline("table", f"{kind}, {encoding}", "declared" if document.declared else "layout guessed")
    columns = {column.name: column for column in layout.columns}
    count = 0
    for row, _ in islice(document, most_rows + 1):
        if row is None:
            continue
        count += 1
        if count > most_rows:
            root.children.append(Outline("rows", None, f"only the first {most_rows} are shown"))
            break
        node = Outline(f"row {row.number}", None, f"line {row.line}")
        for name, value in row.values.items():
            if value is not None:
                protected = columns[name].phi or not document.declared
                node.children.append(Outline(name, text_of(value), None, protected))
        root.children.append(node)
    return root


def convert(document: Table) -> list[Canonical]:
    """One record for every good row: its values by column, amounts as decimals, dates in ISO 8601."""
    return list(records_of(document))


def records_of(document: Table) -> Iterator[Canonical]:
    """What ``convert`` gives, one after the other, for tables that do not fit into memory twice."""
    for row, wrong in document:
        if row is not None and not any(finding.severity == "error" for finding in wrong):
            content = {name: _plain(value) for name, value in row.values.items() if value is not None}
            yield CanonicalRecord(type="row", control_number=str(row.number), content=content)


def recognise(data: bytes) -> bool:
    """Whether the start looks like delimited text of two columns or more."""
    try:
        return bool(data[:SAMPLE_BYTES].strip()) and sniff(data[: SAMPLE_BYTES + 1]) is not None
    except TableError:
        return False


def text_of(value: Value) -> str:
    """A value as people and files read it."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, (date, time, datetime)) else str(value)


def _plain(value: Value) -> str | int | Decimal:
    return value.isoformat() if isinstance(value, (date, time, datetime)) else value
