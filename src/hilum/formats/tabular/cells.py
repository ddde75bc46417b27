"""The value of one cell, by its column's type; what does not fit is said without repeating it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal

from hilum.formats.tabular.findings import Code
from hilum.formats.tabular.layout import Column

__all__ = ["Value", "reader"]

Value = str | int | Decimal | date | time | datetime

# No count and no amount of a hospital has more digits; what has is somebody's idea of an attack.
_MOST_DIGITS = 38
_MOST_PATTERN_CHARACTERS = 10_000
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.ASCII)

Read = Callable[[str], "tuple[Value | None, tuple[Code, str] | None]"]


def reader(column: Column) -> Read:
    """A function of a cell's text: its value, or None and what is wrong. An empty cell is the caller's business."""
    convert = _converter(column)
    pattern = re.compile(column.pattern) if column.pattern is not None else None
    allowed, most = column.allowed, column.max_length
    if convert is None and pattern is None and allowed is None and most is None:
        return lambda text: (text, None)

    def read(text: str) -> tuple[Value | None, tuple[Code, str] | None]:
        if most is not None and len(text) > most:
            return None, (Code.LENGTH, f"the value is longer than {most} characters")
        if allowed is not None and text not in allowed:
            return None, (Code.ALLOWED, "the value is none of those allowed")
        if pattern is not None and (len(text) > _MOST_PATTERN_CHARACTERS or pattern.fullmatch(text) is None):
            return None, (Code.PATTERN, "the value does not match the column's pattern")
        if convert is None:
            return text, None
        value = convert(text)
        if value is None:
            return None, (Code.TYPE, f"the value is no {column.type}{_form(column)}")
        return value, None

    return read


def _form(column: Column) -> str:
    if column.type in ("date", "time", "datetime"):
        return f" in the form {' or '.join(column.formats)}"
    return ""


def _converter(column: Column) -> Callable[[str], Value | None] | None:
    if column.type == "integer":
        return lambda text: _integer(text, column)
    if column.type == "decimal":
        return lambda text: _decimal(text, column)
    if column.type in ("date", "time", "datetime"):
        return lambda text: _moment(text, column)
    return None  # Texts and codes are what they say.


def _integer(text: str, column: Column) -> int | None:
    plain = _ungrouped(text, column)
    if plain is None or len(plain) > _MOST_DIGITS or _INTEGER.fullmatch(plain) is None:
        return None
    return int(plain)


def _decimal(text: str, column: Column) -> Decimal | None:
    plain = _ungrouped(text, column)
    if plain is None or len(plain) > _MOST_DIGITS:
        return None
    if column.decimal_mark != ".":
        if "." in plain:
            return None
        plain = plain.replace(column.decimal_mark, ".")
    if _DECIMAL.fullmatch(plain) is None:
        return None
    value = Decimal(plain)
    if column.implied_decimals and "." not in plain:
        return value.scaleb(-column.implied_decimals)
    return value


def _ungrouped(text: str, column: Column) -> str | None:
    """The number without thousands separators; None when they do not stand every three digits."""
    mark = column.grouping
    if mark is None or mark not in text:
        return text
    whole, point, rest = text.partition(column.decimal_mark)
    first, *groups = whole.split(mark)
    if mark in rest or not 1 <= len(first.lstrip("+-")) <= 3 or any(len(group) != 3 for group in groups):
        return None
    return "".join([first, *groups]) + point + rest


def _moment(text: str, column: Column) -> Value | None:
    if len(text) > 64 or not text.isascii():
        return None
    for form in column.formats:
        try:
            at = _at(text, form)
        except ValueError:
            continue
        if column.type == "date":
            return at.date()
        return at.time() if column.type == "time" else at
    return None


def _at(text: str, form: str) -> datetime:
    """A time on the sender's wall: a table says when, not where. The usual form has a shorter way than strptime."""
    if form == "iso" or (form == "%Y-%m-%d" and len(text) == 10 and text[4] == text[7] == "-"):
        return datetime.fromisoformat(text)
    return datetime.strptime(text, form)  # noqa: DTZ007
