"""Code lists that the user supplies: claim adjustment reasons (``carc``), remarks (``rarc``), claim statuses ...

The lists belong to those who publish them; what ships here is a small sample of the shape. A file has the columns ``list`` and
``code`` and may have ``from`` and ``to`` (CCYYMMDD or CCYY-MM-DD) between which a code is valid::

    list,code,from,to
    carc,45,19950101,
    rarc,N130,20020228,
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files

from hilum.formats.x12.document import X12Error


class CodeLists(Mapping[str, frozenset[str]]):
    """Lists of codes by name; a list that is not here is not checked."""

    def __init__(self, lists: Mapping[str, frozenset[str]]) -> None:
        self._lists = dict(lists)

    def __getitem__(self, name: str) -> frozenset[str]:
        return self._lists[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)


@cache
def list_names() -> frozenset[str]:
    """The names of the lists that set tables ask for."""
    sets = files("hilum.formats.x12") / "tables" / "sets"
    return frozenset(name for table in sets.iterdir() for name in re.findall(r"=@(\w+)", table.read_text("utf-8")))


def read_codes(data: bytes, on: date | None = None) -> CodeLists:
    """The lists of a file, with the codes valid on a day (all of them without one); X12Error names the row that is wrong."""
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as wrong:
        raise X12Error("codes", "the code lists are no CSV in UTF-8") from wrong
    lists: dict[str, set[str]] = {}
    for line, row in enumerate(rows, 2):
        name, code = row.get("list"), row.get("code")
        if not name or not code:
            raise X12Error("codes", "a row of code lists needs a list and a code", line=line)
        first, last = _day(row.get("from"), line), _day(row.get("to"), line)
        codes = lists.setdefault(name.strip().removeprefix("@"), set())
        if on is None or ((first is None or first <= on) and (last is None or on <= last)):
            codes.add(code.strip())
    return CodeLists({name: frozenset(codes) for name, codes in lists.items()})


def sample_codes() -> CodeLists:
    """The small sample that ships with the package: it shows the shape and is far from complete."""
    return read_codes((files("hilum.formats.x12") / "tables" / "sample_codes.csv").read_bytes())


def _day(text: str | None, line: int) -> date | None:
    if text is None or not text.strip():
        return None
    digits = text.strip().replace("-", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError as wrong:
        raise X12Error("codes", "a day of validity must be CCYYMMDD or CCYY-MM-DD", line=line) from wrong
