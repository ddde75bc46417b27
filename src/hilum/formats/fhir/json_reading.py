"""FHIR JSON as bytes to a tree of dicts, lists, strings, booleans, ints and Decimals: nothing rounded, nothing merged silently.

RFC 8259 leaves to the reader what becomes of two properties of one name, a byte order mark or half a surrogate pair; here
they are findings. What is no JSON at all (also NaN and Infinity, which many writers produce) is an FHIRError.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

from hilum.formats.fhir.errors import FHIRError, FHIRFinding
from hilum.formats.fhir.paths import PLAIN_NAME, step

MAX_DEPTH = 120
"""Objects and arrays inside one another; content of R4 stays far below, a nesting bomb does not."""
MAX_DIGITS = 1000
"""Of one number: more is an attack on whoever multiplies with it."""

_DECIMAL_EXPONENT = 100_000
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_NAMES_TOLD = 20


def decode(data: bytes) -> tuple[str, list[FHIRFinding]]:
    """The text of bytes that must be UTF-8; a byte order mark is told and taken off."""
    findings: list[FHIRFinding] = []
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in data[:4]:
        raise FHIRError("structure", "The bytes are UTF-16 or UTF-32; FHIR content is UTF-8. Have it sent as UTF-8.")
    if data.startswith(b"\xef\xbb\xbf"):
        findings.append(
            FHIRFinding(
                "structure",
                "A byte order mark stands before the content; senders must not add one.",
                None,
                "warning",
                1,
            )
        )
        data = data[3:]
    try:
        return data.decode("utf-8"), findings
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FHIRError("structure", f"Byte {error.start} is not UTF-8.", None, line) from None


def read_value(text: str, line: int = 1) -> tuple[Any, list[FHIRFinding]]:
    """The one JSON value of a text and what is wrong with its writing; ``line`` is that of its first character."""
    reader = _Reader(line)
    try:
        value = reader.decoder.decode(text)
    except json.JSONDecodeError as error:
        raise FHIRError("structure", f"No JSON: {_reason(error)}", None, line + error.lineno - 1) from None
    except RecursionError:
        raise too_deep(line) from None
    except ValueError:
        raise FHIRError("value", "A number has more digits than any amount.", None, line) from None
    refuse_depth(value, line)
    if _ESCAPED_SURROGATE.search(text):
        _refuse_surrogates(value, line)
    return value, reader.findings(value)


def _reason(error: json.JSONDecodeError) -> str:
    # The decoder's own messages name the syntax that was met, never content: but for the constants, which are ours.
    return f"{error.msg} (column {error.colno})."


class _Reader:
    """One reading: what the decoder's hooks noticed."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.doubled: list[tuple[dict[str, Any], str]] = []
        self.decoder = json.JSONDecoder(
            object_pairs_hook=self.object, parse_float=_exact, parse_constant=self.constant, parse_int=_whole
        )

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs) and len(self.doubled) < _NAMES_TOLD:
            seen: set[str] = set()
            for name, _ in pairs:
                if name in seen:
                    self.doubled.append((made, name))
                    break
                seen.add(name)
        return made

    def constant(self, name: str) -> NoReturn:
        raise FHIRError(
            "value", f"{name} is no JSON number; leave the element out or give a data-absent-reason.", None, self.line
        )

    def findings(self, value: Any) -> list[FHIRFinding]:
        if not self.doubled:
            return []
        wanted = {id(found): name for found, name in self.doubled}
        told: list[FHIRFinding] = []
        for place, part in _objects(value):
            name = wanted.get(id(part))
            if name is not None:
                text = "The property stands twice in one object; readers would keep one of them and none says which."
                shown = name if PLAIN_NAME(name) else "?"
                told.append(FHIRFinding("structure", text, step(place, shown), "error", None))
        return told


def _exact(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise ValueError("too many digits")
    exponent = text.lower().partition("e")[2]
    if len(exponent) > 7 or (exponent and abs(int(exponent)) > _DECIMAL_EXPONENT):
        raise ValueError("too large an exponent")
    return Decimal(text)


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("too many digits")
    return int(text)


def _objects(value: Any) -> list[tuple[str, dict[str, Any]]]:
    """Every object with its place."""
    found: list[tuple[str, dict[str, Any]]] = []
    open_parts: list[tuple[str, Any]] = [("", value)]
    while open_parts:
        place, part = open_parts.pop()
        if isinstance(part, dict):
            if not place and isinstance(part.get("resourceType"), str) and PLAIN_NAME(part["resourceType"]):
                place = part["resourceType"]
            found.append((place, part))
            open_parts += [
                (step(place, name if PLAIN_NAME(name) else "?"), child)
                for name, child in part.items()
                if isinstance(child, (dict, list))
            ]
        else:
            open_parts += [(f"{place}[{i}]", child) for i, child in enumerate(part) if isinstance(child, (dict, list))]
    return found


def too_deep(line: int | None = None) -> FHIRError:
    return FHIRError("too-costly", f"More than {MAX_DEPTH} objects and arrays stand inside one another.", None, line)


def refuse_depth(value: Any, line: int | None = None) -> None:
    """FHIRError when the tree is deeper than MAX_DEPTH; looks level by level, so that no depth hurts."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [
            child
            for part in level
            for child in (part.values() if type(part) is dict else part)
            if type(child) is dict or type(child) is list
        ]
    if level:
        raise too_deep(line)


def _refuse_surrogates(value: Any, line: int) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeEncodeError:
        text = "Half a surrogate pair is escaped in a string; it stands for no character."
        raise FHIRError("value", text, None, line) from None
