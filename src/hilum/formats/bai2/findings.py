"""What can be wrong with a BAI2 file. The standard has no list of errors, so the codes are words of our own, listed here."""

from __future__ import annotations

from enum import StrEnum

from hilum.formats.findings import FormatError

__all__ = ["Bai2Error", "Code"]


class Code(StrEnum):
    """The codes of BAI2 findings."""

    EMPTY = "empty"
    BINARY = "binary"
    RECORD_CODE = "record-code"
    """A line begins with none of 01, 02, 03, 16, 49, 88, 98 and 99."""
    SEQUENCE = "sequence"
    """A record stands where none of its kind may: a transaction outside an account, a header before the trailer of the last."""
    FIELD = "field"
    """A field is missing, or is not what it should be."""
    FUNDS_TYPE = "funds-type"
    VERSION = "version"
    TOTAL = "total"
    """A control total is not the sum of what it controls."""
    COUNT = "count"
    """A count of records, accounts or groups is not that of the file."""


class Bai2Error(FormatError):
    """Bytes that cannot be read as a BAI2 file; ``location`` is the path of the record (``group 1, account 2, 49``)."""
