"""Tables are messages only where a system sends them: elsewhere text that looks like one is nothing of ours."""

from __future__ import annotations

import pytest

from hilum.transports.folder.messages import Bounds, cut
from hilum.transports.folder.places import FileRefused

ROWS = b"Bank Reference,Amount\r\nBR-1,10.00\r\nBR-2,20.00\r\n"
MSH = b"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260301||ADT^A01|C-1|P|2.5.1\rPID|1\r"


def bounds(*, tables: bool) -> Bounds:
    return Bounds(1 << 20, 1 << 16, 100, False, tables=tables)


@pytest.mark.parametrize("rows", [ROWS, b"Member;Amount\r\n1;2\r\n", b"\xef\xbb\xbf" + ROWS, b"F,G\r\n1,2\r\n"])
def test_a_table_is_one_message_where_tables_are_taken(rows):
    [part] = cut(rows, bounds(tables=True))
    assert (part.kind, part.data) == ("table", rows)


def test_it_is_refused_where_they_are_not():
    with pytest.raises(FileRefused):
        cut(ROWS, bounds(tables=False))


@pytest.mark.parametrize(
    ("content", "kind"),
    [(MSH, "hl7v2"), (b'{"type": "scan"}', "json"), (b"01,B,L,260302,,1,,,2/\n99,0,0,2/\n", "bai2")],
)
def test_where_tables_are_taken_everything_else_still_is_what_it_is(content, kind):
    assert [part.kind for part in cut(content, bounds(tables=True))] == [kind]


@pytest.mark.parametrize("content", [b"Dear all, the statement is attached.\n", b"%PDF-1.4\n", b"\x00\x01\x02"])
def test_what_is_neither_is_refused(content):
    with pytest.raises(FileRefused, match=r"nor JSON, no BAI2 file and no table|packed"):
        cut(content, bounds(tables=True))
