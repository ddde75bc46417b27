"""What a table's layout probably is, when nobody declared one: encoding, delimiter, and whether it has a header."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from itertools import islice

from hilum.formats.tabular.findings import Code, TableError
from hilum.formats.tabular.layout import Column, Layout
from hilum.formats.tabular.records import Record, decoded, marked_encoding, records

__all__ = ["SAMPLE_BYTES", "sniff", "sniffed_encoding"]

SAMPLE_BYTES = 1 << 15
"""So much of the start is looked at. Given more, the sample ends with a whole line."""
_SAMPLE_ROWS = 60
_DELIMITERS = ",\t;|"
_LEAST_CONSISTENT = 0.7
_NUMBER = re.compile(r"[+-]?[$]?[0-9][0-9.,:/%+\-TZ ]*|[0-9]{4}-[0-9]{2}-[0-9]{2}.*", re.ASCII)
# Control characters that no table has; NUL is tolerated in small numbers because broken exports have it.
_CONTROLS = bytes([*range(1, 9), *range(14, 32), 127])
_MOST_COLUMNS = 5000


def sniffed_encoding(data: bytes) -> str:
    """The encoding by byte order mark, or UTF-8 when the start is, or else cp1252. TableError for what is no text."""
    sample = data[:SAMPLE_BYTES]
    marked = marked_encoding(sample)
    if marked == "utf-16":
        return marked
    nuls = sample.count(b"\0")
    if nuls * 5 > len(sample):
        raise TableError(Code.ENCODING, "this looks like UTF-16 without a byte order mark, or like no text at all")
    if (nuls + len(sample) - len(sample.translate(None, _CONTROLS))) * 20 > len(sample):
        raise TableError(Code.BINARY, "this is no text")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=len(data) <= SAMPLE_BYTES)
    except UnicodeDecodeError:
        return "cp1252"
    return marked if marked is not None else "utf-8"


def sniff(data: bytes, delimiter: str | None = None) -> Layout | None:
    """The layout these bytes seem to have, all columns texts; None when they do not look like a table.

    With a ``delimiter`` given, even one column is a table. TableError for what is no text at all.
    """
    encoding = sniffed_encoding(data)
    sample = "".join(decoded(data[:SAMPLE_BYTES], encoding))
    if len(data) > SAMPLE_BYTES:
        # The last line is cut; a row that is only half there says nothing about the table.
        sample = sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
    best: tuple[float, int, str, list[Record]] | None = None
    for candidate in delimiter or _DELIMITERS:
        rows = [row for row in islice(records([sample], candidate, '"'), _SAMPLE_ROWS) if not row.blank]
        if not rows:
            return None
        width, alike = Counter(len(row.cells) for row in rows).most_common(1)[0]
        consistent = alike / len(rows)
        if delimiter is None and (width < 2 or consistent < _LEAST_CONSISTENT):
            continue
        if delimiter is None and len(rows) == 1 and (width < 3 or " " in rows[0].text.strip()):
            continue  # One line with a comma in it is a sentence until something says otherwise.
        if best is None or (consistent, width) > best[:2]:
            best = consistent, width, candidate, rows
    if best is None:
        return None
    _, width, chosen, rows = best
    header = _has_header(rows, width)
    names = _names(rows[0].cells if header else [""] * width)
    return Layout(
        columns=tuple(Column(name=name) for name in names[:_MOST_COLUMNS]),
        delimiter=chosen,
        encoding=encoding,
        header=header,
        by_position=True,
        extra="ignore",
    )


def _has_header(rows: list[Record], width: int) -> bool:
    """Whether the first row names columns: no numbers in it, little twice, mostly filled."""
    first = [cell.strip() for cell in rows[0].cells]
    filled = [cell for cell in first if cell]
    if len(filled) * 2 < width or len({cell.casefold() for cell in filled}) * 2 < len(filled):
        return False
    return not any(_NUMBER.fullmatch(cell) for cell in filled)


def _names(cells: list[str]) -> list[str]:
    """A name for every column, none twice: a repeated one gets its number, an empty one is called by its place."""
    names: list[str] = []
    seen: set[str] = set()
    for place, cell in enumerate(cells, start=1):
        name = cell.strip()
        if not name or name.casefold() in seen:
            name = f"{name} {place}" if name else f"column {place}"
            while name.casefold() in seen:
                name += "*"
        seen.add(name.casefold())
        names.append(name)
    return names
