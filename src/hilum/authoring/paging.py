"""Cursors: where a list goes on, opaque to whoever pages through it.

A position is a value that only grows with the list (a record's number), so that what is inserted meanwhile neither shifts
nor repeats what a page shows. A cursor says nothing about what may be seen: every page is asked for with the caller's own
conditions, so a cursor that was made up or borrowed shows nothing more.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from hilum.authoring.api import PageRequest, Problem

MAX_PAGE = 500
_MAX_CURSOR = 1024


def cursor_after(listed: str, position: str) -> str:
    """The cursor behind the record at ``position`` of the list called ``listed``."""
    return urlsafe_b64encode(f"{listed}\n{position}".encode()).decode().rstrip("=")


def position_in(listed: str, page: PageRequest) -> str | None:
    """The position after which the page begins; None at the beginning. ``Problem`` for a cursor of no or another list."""
    if page.cursor is None:
        return None
    try:
        if len(page.cursor) > _MAX_CURSOR:
            raise ValueError("longer than any cursor")
        text = urlsafe_b64decode(page.cursor.encode("ascii") + b"=" * (-len(page.cursor) % 4)).decode()
    except ValueError:
        raise foreign_cursor() from None
    name, separator, position = text.partition("\n")
    if name != listed or not separator or not position:
        raise foreign_cursor()
    return position


def number_in(listed: str, page: PageRequest) -> int:
    """``position_in`` for lists that go by a record's number, 0 at the beginning."""
    position = position_in(listed, page)
    if position is None:
        return 0
    if not (position.isascii() and position.isdecimal()) or len(position) > 15:
        raise foreign_cursor()
    return int(position)


def size_of(page: PageRequest) -> int:
    """How many records the page has at most: what was asked for, within 1 to ``MAX_PAGE``."""
    return min(max(page.limit, 1), MAX_PAGE)


def foreign_cursor() -> Problem:
    return Problem(400, "cursor", "This cursor does not belong to this list; begin without one.")
