"""What can be wrong with a table. No standard has a list for it, so the codes are words of our own, listed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hilum.formats.findings import Finding, FormatError

__all__ = ["Code", "LayoutError", "TableError", "TableFinding"]


class Code(StrEnum):
    """The codes of tables' findings."""

    EMPTY = "empty"
    """Fewer rows than the layout asks for, or none at all."""
    BINARY = "binary"
    ENCODING = "encoding"
    NUL = "nul"
    QUOTE_OPEN = "quote-open"
    """A quote is opened and not closed within the bounds of a row (RFC 4180, 2.5)."""
    QUOTE_AFTER = "quote-after"
    """Text stands between a closing quote and the next delimiter (RFC 4180, 2.5)."""
    TOO_LONG = "too-long"
    SHORT_ROW = "short-row"
    LONG_ROW = "long-row"
    HEADER_MISSING = "header-missing"
    HEADER_DUPLICATE = "header-duplicate"
    HEADER_UNKNOWN = "header-unknown"
    REQUIRED = "required"
    TYPE = "type"
    LENGTH = "length"
    ALLOWED = "allowed"
    PATTERN = "pattern"
    TOTAL = "total"
    """The trailer is missing, not the last row, or its count or a sum is not that of the rows."""
    LAYOUT = "layout"


class TableError(FormatError):
    """Bytes that cannot be read as a table, or values that cannot be written as one."""


class LayoutError(TableError):
    """A layout contradicts itself; ``location`` names the key."""


@dataclass(frozen=True, slots=True)
class TableFinding(Finding):
    """A finding with its row (counted from 1 behind the header) and column (from 1); None where it belongs to none."""

    row: int | None = None
    column: int | None = None

    def details(self) -> Mapping[str, str | int]:
        return {name: value for name, value in (("row", self.row), ("column", self.column)) if value is not None}
