"""What a table has to look like: declared by the one who expects it, in Python or as a table of TOML.

[layout]
delimiter = ";"
[[layout.columns]]
name = "amount"
type = "decimal"
required = true
"""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, TypeVar, get_args

from hilum.formats.tabular.findings import Code, LayoutError

__all__ = ["ENCODINGS", "Column", "Layout", "Place", "Trailer", "layout_from", "read_layout"]

ColumnType = Literal["text", "integer", "decimal", "date", "time", "datetime", "code"]
Extra = Literal["warn", "refuse", "ignore"]

ENCODINGS = ("utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "ascii")

_DEFAULT_FORMATS = {"date": ("%Y-%m-%d",), "time": ("%H:%M:%S", "%H:%M"), "datetime": ("iso",)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in a fixed line: ``start`` counts characters from 1, ``width`` is in characters."""

    start: int
    width: int

    def of(self, line: str) -> str:
        return line[self.start - 1 : self.start - 1 + self.width]

    @property
    def end(self) -> int:
        return self.start - 1 + self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. An empty cell is a missing value: None, and a finding when the column is ``required``.

    ``required_with`` names columns: when one of them has a value, this one needs one too. ``formats`` are strptime
    formats, or ``iso``, of which one has to fit. ``implied_decimals`` reads ``0001250`` as 12.50, as fixed files write
    amounts. ``grouping`` is the thousands separator that is taken (not demanded). ``phi`` masks the column for readers.
    ``max_length`` is in characters.
    """

    name: str
    type: ColumnType = "text"
    required: bool = False
    required_with: tuple[str, ...] = ()
    max_length: int | None = None
    allowed: frozenset[str] | None = None
    pattern: str | None = None
    aliases: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    implied_decimals: int = 0
    decimal_mark: str = "."
    grouping: str | None = None
    place: Place | None = None
    phi: bool = False

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise LayoutError(Code.LAYOUT, "a column needs a name", "columns")
        if self.type not in get_args(ColumnType):
            raise LayoutError(Code.LAYOUT, f"the type is none of {', '.join(get_args(ColumnType))}", self.name)
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as wrong:
                raise LayoutError(Code.LAYOUT, f"the pattern is no regular expression: {wrong}", self.name) from None
        if not self.formats:
            object.__setattr__(self, "formats", _DEFAULT_FORMATS.get(self.type, ()))
        if self.place is not None and (self.place.start < 1 or self.place.width < 1):
            raise LayoutError(Code.LAYOUT, "start and width count from 1", self.name)
        if len(self.decimal_mark) != 1 or self.grouping == self.decimal_mark:
            raise LayoutError(Code.LAYOUT, "decimal_mark is one character, and another than grouping", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailer:
    """The line of totals behind the rows, known by its first cell (or, in a fixed line, its first characters).

    ``count`` and the places of ``sums`` (by the name of the column added up) are a cell's number from 1, or a Place.
    """

    marker: str
    count: int | Place | None = None
    sums: Mapping[str, int | Place] | None = None
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A whole table: ``delimiter`` None means fixed width, ``encoding`` None that of the byte order mark or else UTF-8.

    ``skip_lines`` are passed over unread. ``preamble`` are columns of one row of values under a header of its own that
    come before the table. Columns are found by name or alias whatever their case and order; without a ``header`` they
    stand in the order declared. ``extra`` says what becomes of columns that are not declared.
    """

    columns: tuple[Column, ...]
    delimiter: str | None = ","
    quote: str | None = '"'
    encoding: str | None = None
    header: bool = True
    by_position: bool = False
    """Take the columns in the order declared although there is a header."""
    skip_lines: int = 0
    preamble: tuple[Column, ...] = ()
    extra: Extra = "warn"
    min_rows: int = 0
    trailer: Trailer | None = None
    line_end: str = "\r\n"
    """What is written; every line end is read."""

    def __post_init__(self) -> None:
        if not self.columns:
            raise LayoutError(Code.LAYOUT, "a layout needs columns", "columns")
        for group in (self.columns, self.preamble):
            seen: set[str] = set()
            for column in group:
                for name in (column.name, *column.aliases):
                    if (key := folded(name)) in seen:
                        raise LayoutError(Code.LAYOUT, "two columns have one name", column.name)
                    seen.add(key)
        if self.delimiter is None:
            if any(column.place is None for column in self.columns):
                raise LayoutError(Code.LAYOUT, "every column of a fixed layout needs start and width", "columns")
        elif len(self.delimiter) != 1 or self.delimiter in "\r\n\0" or self.delimiter == self.quote:
            raise LayoutError(
                Code.LAYOUT, "the delimiter is one character, neither a line end nor the quote", "delimiter"
            )
        if self.quote is not None and (len(self.quote) != 1 or self.quote in "\r\n\0"):
            raise LayoutError(Code.LAYOUT, "the quote is one character", "quote")
        if self.encoding is not None:
            object.__setattr__(self, "encoding", _encoding(self.encoding))
        if self.line_end not in ("\r\n", "\n", "\r"):
            raise LayoutError(Code.LAYOUT, "the line end is CRLF, LF or CR", "line_end")
        if self.extra not in get_args(Extra):
            raise LayoutError(Code.LAYOUT, f"extra is none of {', '.join(get_args(Extra))}", "extra")
        names = {column.name for column in self.columns}
        wanted = [name for column in self.columns for name in column.required_with]
        wanted += list(self.trailer.sums or ()) if self.trailer is not None else []
        if missing := [name for name in wanted if name not in names]:
            raise LayoutError(Code.LAYOUT, "a column is named that is not declared", missing[0])

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def fixed(self) -> bool:
        return self.delimiter is None


def folded(name: str) -> str:
    """A column's name as it is compared: without case and blanks around it."""
    return name.strip().casefold()


def _encoding(name: str) -> str:
    """Our spelling of an encoding's name; LayoutError when it is none that tables may have."""
    try:
        known = codecs.lookup(name).name
    except (LookupError, ValueError):
        known = ""
    for ours in ENCODINGS:
        if known == codecs.lookup(ours).name:
            return ours
    raise LayoutError(Code.LAYOUT, f"the encoding is none of {', '.join(ENCODINGS)}", "encoding")


# --- from TOML ------------------------------------------------------------------------------------------------------


def read_layout(data: bytes) -> Layout:
    """A layout from a TOML document, in its table ``layout`` or at its top; LayoutError says what is wrong with it."""
    try:
        document = tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise LayoutError(Code.LAYOUT, f"the layout is no TOML: {type(wrong).__name__}") from None
    except RecursionError:
        raise LayoutError(Code.LAYOUT, "the layout is nested too deeply") from None
    table = document.get("layout", document)
    if not isinstance(table, dict):
        raise LayoutError(Code.LAYOUT, "layout is a table of TOML", "layout")
    return layout_from(table)


def layout_from(table: Mapping[str, Any]) -> Layout:
    """A layout from a mapping as TOML gives it; ``delimiter = "fixed"`` for fixed width, ``start``/``width`` per column."""
    given = dict(table)
    for group in ("columns", "preamble"):
        if group in given:
            given[group] = tuple(_column(each) for each in _list(given[group], group))
    if given.get("delimiter") == "fixed":
        given["delimiter"] = None
    if given.get("quote") == "":
        given["quote"] = None
    if (trailer := given.get("trailer")) is not None:
        given["trailer"] = _trailer(trailer)
    return _made(Layout, given, "layout")


def _column(given: Any) -> Column:
    if not isinstance(given, dict):
        raise LayoutError(Code.LAYOUT, "a column is a table of TOML", "columns")
    told = dict(given)
    where = str(told.get("name", "columns"))
    if "start" in told or "width" in told:
        told["place"] = _place({"start": told.pop("start", None), "width": told.pop("width", None)}, where)
    for name in ("aliases", "formats", "required_with"):
        if name in told:
            told[name] = tuple(_list(told[name], where))
    if "allowed" in told:
        told["allowed"] = frozenset(str(each) for each in _list(told["allowed"], where))
    return _made(Column, told, where)


def _trailer(given: Any) -> Trailer:
    if not isinstance(given, dict):
        raise LayoutError(Code.LAYOUT, "the trailer is a table of TOML", "trailer")
    told = dict(given)
    if "count" in told:
        told["count"] = _place(told["count"], "trailer.count")
    if "sums" in told:
        if not isinstance(told["sums"], dict):
            raise LayoutError(Code.LAYOUT, "sums is a table of TOML", "trailer.sums")
        told["sums"] = {name: _place(place, "trailer.sums") for name, place in told["sums"].items()}
    return _made(Trailer, told, "trailer")


def _place(given: Any, where: str) -> int | Place:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return given
    if isinstance(given, dict) and all(isinstance(given.get(key), int) for key in ("start", "width")):
        return Place(given["start"], given["width"])
    raise LayoutError(Code.LAYOUT, "a place is a cell's number from 1, or start and width", where)


def _list(given: Any, where: str) -> list[Any]:
    if not isinstance(given, (list, tuple)):
        raise LayoutError(Code.LAYOUT, "a list is wanted", where)
    return list(given)


Made = TypeVar("Made", Layout, Column, Trailer)


def _made(kind: type[Made], told: dict[str, Any], where: str) -> Made:
    """An instance of the dataclass ``kind``; LayoutError names keys that it does not know and types that do not fit."""
    known = {each.name: each for each in fields(kind)}
    for name, value in told.items():
        if name not in known:
            raise LayoutError(Code.LAYOUT, f"the key {name} is unknown", where)
        default = known[name].default
        if default is not MISSING and default is not None and not isinstance(value, type(default)):
            if not (name in ("delimiter", "quote") and value is None):
                raise LayoutError(Code.LAYOUT, f"{name} has to be of type {type(default).__name__}", where)
        elif (default is MISSING or default is None) and name in ("name", "marker", "pattern", "encoding", "grouping"):
            if not isinstance(value, str):
                raise LayoutError(Code.LAYOUT, f"{name} has to be of type str", where)
        elif name == "max_length" and not isinstance(value, int):
            raise LayoutError(Code.LAYOUT, f"{name} has to be of type int", where)
    if missing := [name for name, each in known.items() if each.default is MISSING and name not in told]:
        raise LayoutError(Code.LAYOUT, f"the key {missing[0]} is missing", where)
    return kind(**told)
