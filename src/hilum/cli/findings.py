"""How findings look: a line for people and for editors (``FILE:LINE: error CODE: ...``), and JSON for programs."""

from __future__ import annotations

import json
import sys
from datetime import date, time
from decimal import Decimal
from typing import Any

import orjson
import typer
from rich.text import Text

from hilum.cli.documents import plain
from hilum.formats.findings import Finding

__all__ = ["JsonList", "finding_line", "finding_text", "told"]

_COLOURS = {"error": "red", "warning": "yellow", "information": "cyan"}
# Said before the sentence or behind it already.
_NOT_REPEATED = frozenset({"line", "location"})


def told(finding: Finding) -> dict[str, Any]:
    """A finding for JSON: what every format says, and the format's own places."""
    said: dict[str, Any] = {"severity": finding.severity, "code": str(finding.code), "text": finding.text}
    if finding.line is not None:
        said["line"] = finding.line
    if finding.location is not None:
        said["location"] = finding.location
    return said | {name: value for name, value in finding.details().items() if name not in said}


def finding_text(finding: Finding) -> Text:
    """``error 101: a required field is missing at PID-3 (row 2, column 4)``; findings hold no values of the document."""
    text = Text.assemble((f"{finding.severity} {finding.code}", _COLOURS[finding.severity]), f": {plain(finding.text)}")
    if finding.location is not None:
        text.append(f" at {plain(finding.location)}")
    more = [
        f"{name.replace('_', ' ')} {plain(str(value))}"
        for name, value in finding.details().items()
        if name not in _NOT_REPEATED
    ]
    if more:
        text.append(f" ({', '.join(more)})", style="dim")
    return text


def finding_line(file: str, finding: Finding) -> Text:
    """The same with the file and the line before it, as compilers write it and editors jump to."""
    where = f"{plain(file)}:{finding.line}: " if finding.line is not None else f"{plain(file)}: "
    return Text(where) + finding_text(finding)


class JsonList:
    """One JSON document on standard output, an array (in an object when it has a name), written item by item."""

    def __init__(self, name: str | None, wanted: bool) -> None:
        self._start = b"[" if name is None else orjson.dumps({name: []})[:-2]
        self._end = b"]" if name is None else b"]}"
        self._wanted = wanted
        self._first = True

    def __enter__(self) -> JsonList:
        if self._wanted:
            typer.echo(self._start, nl=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._wanted and sys.exc_info()[0] in (None, typer.Exit):
            typer.echo(b"\n" + self._end)

    def add(self, item: object) -> None:
        typer.echo((b"\n" if self._first else b",\n") + json_bytes(item), nl=False)
        self._first = False


def json_bytes(item: object) -> bytes:
    """Indented JSON, decimals as strings. What is no character is replaced and a number too large for most readers becomes a
    string, because a file may hold anything."""
    try:
        return orjson.dumps(item, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=_plain)
    except TypeError:
        return json.dumps(_clean(item), indent=2, ensure_ascii=False).encode("utf-8", "replace")


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (date, time)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON")


def _clean(item: Any) -> Any:
    if isinstance(item, str):
        return item.encode("utf-8", "replace").decode()
    if isinstance(item, dict):
        return {_clean(str(name)): _clean(value) for name, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_clean(value) for value in item]
    if item is None or isinstance(item, (bool, float)):
        return item
    if isinstance(item, int):
        return item if -(2**63) <= item < 2**63 else str(item)
    return _clean(_plain(item))
