"""Tables: CSV, TSV and fixed width, read with a declared layout or the one they seem to have (RFC 4180).

layout = read_layout(Path("payments.toml").read_bytes())
for row, findings in rows(chunks, layout):          # chunks of bytes as they arrive, or a Table, or bytes
    if row is not None and not findings:
        post(row.values["amount"])                  # Decimal
table = parse(data)                                 # TableError when it is no table
validate(table)                                     # findings with line, row and column
"""

from hilum.formats.tabular.dialect import sniff
from hilum.formats.tabular.findings import Code, LayoutError, TableError, TableFinding
from hilum.formats.tabular.layout import Column, Layout, Place, Trailer, layout_from, read_layout
from hilum.formats.tabular.reading import Row
from hilum.formats.tabular.table import Table, convert, outline, parse, recognise, records_of, rows, validate, write
from hilum.formats.tabular.writing import write_rows

__all__ = [
    "Code",
    "Column",
    "Layout",
    "LayoutError",
    "Place",
    "Row",
    "Table",
    "TableError",
    "TableFinding",
    "Trailer",
    "convert",
    "layout_from",
    "outline",
    "parse",
    "read_layout",
    "recognise",
    "records_of",
    "rows",
    "sniff",
    "validate",
    "write",
    "write_rows",
]
