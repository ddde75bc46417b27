"""Rows to bytes: a table of our own in a declared layout, with its header, quotes and totals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal

from hilum.formats.tabular.cells import Value
from hilum.formats.tabular.findings import Code, TableError
from hilum.formats.tabular.layout import Column, Layout, Place

__all__ = ["write_rows"]

_NEEDS_QUOTES = re.compile(r"[\r\n]|\A\s|\s\Z")
_CODECS = {"utf-16": "utf-16-le", "utf-8-sig": "utf-8"}
_MARKS = {"utf-16": b"\xff\xfe", "utf-8-sig": b"\xef\xbb\xbf"}


def write_rows(rows: Iterable[Mapping[str, Value | None]], layout: Layout) -> Iterator[bytes]:
    """The table line by line; reading it with the same layout gives the same values.

    TableError, naming the column, for what the layout cannot carry: an unknown column, a value too wide for its place,
    a character that is not of the encoding, a line end where there are no quotes.
    """
    encoding = layout.encoding if layout.encoding is not None else "utf-8"
    start = _MARKS.get(encoding, b"")
    names = {column.name for column in layout.columns}
    count, sums = 0, {name: Decimal(0) for name in (layout.trailer.sums or ())} if layout.trailer is not None else {}
    if layout.header and not layout.fixed:
        yield start + _line([_quoted(column.name, column, layout) for column in layout.columns], layout, encoding)
        start = b""
    for values in rows:
        if unknown := sorted(set(values) - names):
            raise TableError(Code.HEADER_UNKNOWN, "a value is of a column that is not declared", unknown[0])
        count += 1
        for name in sums:
            amount = values.get(name)
            sums[name] += amount if isinstance(amount, (Decimal, int)) else 0
        texts = [_text(values.get(column.name), column) for column in layout.columns]
        if layout.fixed:
            yield start + _fixed(texts, layout, encoding)
        else:
            cells = [_quoted(text, column, layout) for text, column in zip(texts, layout.columns, strict=True)]
            yield start + _line(cells, layout, encoding)
        start = b""
    if layout.trailer is not None:
        yield start + _trailer(layout, count, sums, encoding)


def _text(value: Value | None, column: Column) -> str:
    if value is None:
        return ""
    if isinstance(value, (Decimal, int)) and column.implied_decimals:
        whole = Decimal(value).scaleb(column.implied_decimals)
        if whole != whole.to_integral_value():
            raise TableError(Code.TYPE, "the amount has more decimals than the column", column.name)
        return format(whole.to_integral_value(), "f")
    if isinstance(value, Decimal):
        return format(value, "f").replace(".", column.decimal_mark)
    if isinstance(value, (date, time, datetime)):
        form = column.formats[0] if column.formats else "iso"
        return value.isoformat() if form == "iso" else value.strftime(form)
    return str(value)


def _quoted(text: str, column: Column, layout: Layout) -> str:
    assert layout.delimiter is not None
    quote = layout.quote
    special = layout.delimiter in text or _NEEDS_QUOTES.search(text) is not None
    if quote is None:
        if layout.delimiter in text or "\r" in text or "\n" in text:
            raise TableError(Code.QUOTE_OPEN, "the value needs quotes and the layout has none", column.name)
        return text
    if special or quote in text:
        return quote + text.replace(quote, quote * 2) + quote
    return text


def _line(cells: list[str], layout: Layout, encoding: str) -> bytes:
    assert layout.delimiter is not None
    line = layout.delimiter.join(cells)
    if not line and layout.quote is not None:
        line = layout.quote * 2  # An empty line would be passed over when it is read.
    return _encoded(line + layout.line_end, encoding)


def _fixed(texts: list[str], layout: Layout, encoding: str) -> bytes:
    places = [column.place for column in layout.columns if column.place is not None]
    line = [" "] * max(place.end for place in places)
    for text, column, place in zip(texts, layout.columns, places, strict=True):
        if len(text) > place.width:
            raise TableError(Code.LENGTH, f"the value is wider than its {place.width} characters", column.name)
        if "\r" in text or "\n" in text:
            raise TableError(Code.QUOTE_OPEN, "a fixed line cannot carry a line end", column.name)
        if column.implied_decimals:
            text = text.rjust(place.width, "0") if not text.startswith("-") else text.rjust(place.width)
        line[place.start - 1 : place.end] = text.ljust(place.width)
    return _encoded("".join(line) + layout.line_end, encoding)


def _trailer(layout: Layout, count: int, sums: Mapping[str, Decimal], encoding: str) -> bytes:
    trailer = layout.trailer
    assert trailer is not None
    said: list[tuple[int | Place, str]] = [(trailer.count, str(count))] if trailer.count is not None else []
    for name, place in (trailer.sums or {}).items():
        column = layout.column(name)
        said.append((place, _text(sums[name], column)))
    if layout.fixed:
        ends = [place.end for place, _ in said if isinstance(place, Place)]
        line = list(trailer.marker.ljust(max(ends, default=0)))
        for place, text in said:
            if not isinstance(place, Place) or len(text) > place.width:
                raise TableError(Code.TOTAL, "the trailer has no room for a total", "trailer")
            line[place.start - 1 : place.end] = text.rjust(place.width)
        return _encoded("".join(line) + layout.line_end, encoding)
    cells = [trailer.marker]
    for place, text in said:
        number = place if isinstance(place, int) else 0
        if number < 2:
            raise TableError(Code.TOTAL, "the trailer has no room for a total", "trailer")
        cells.extend([""] * (number - len(cells)))
        cells[number - 1] = text
    first = layout.columns[0]
    return _line([_quoted(cell, first, layout) for cell in cells], layout, encoding)


def _encoded(line: str, encoding: str) -> bytes:
    try:
        return line.encode(_CODECS.get(encoding, encoding))
    except UnicodeEncodeError:
        raise TableError(Code.ENCODING, f"the line has a character that is not of {encoding}") from None
