"""The fields of one segment against its version's table: required, how often, of which type, how long (ch. 2.5.3).

The rules of a segment are compiled once for each version; a message that is well costs one look at each of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from hilum.formats.findings import Severity
from hilum.formats.hl7v2.datatypes import CHECKS
from hilum.formats.hl7v2.delimiters import NULL, Delimiters
from hilum.formats.hl7v2.findings import Code
from hilum.formats.hl7v2.tables import Spec, Tables, tables_of

Check = Callable[[str], str | None]

# Why not one "segment[field].part": paths are joined only for what is wrong.
Place = tuple[int, int, int, int]
"""Field, repetition, component, subcomponent; 0 where the finding is about all of it."""


class Wrong(NamedTuple):
    """One thing wrong in a segment."""

    code: Code
    text: str
    place: Place
    severity: Severity = "error"


class Part(NamedTuple):
    """What is asked of a field, a component or a subcomponent; ``parts`` is empty where nothing is asked below it."""

    type: str
    required: bool
    most: int
    length: int
    check: Check | None
    parts: tuple[Part, ...]
    needs: tuple[int, ...]
    """Which of ``parts``, from 0, are required."""


_FREE = Part("", False, 0, 0, None, (), ())


@lru_cache(maxsize=4096)
def rules_of(version: str, segment: str) -> tuple[Part, ...] | None:
    """The rules of a segment's fields, the first at place 0; None for a segment or a version that nobody knows."""
    tables = tables_of(version)
    specs = tables.segment(segment) if tables is not None else None
    if tables is None or specs is None:
        return None
    rules = [_part(tables, spec, 0) for spec in specs]
    if segment in ("MSH", "FHS", "BHS"):
        rules[:2] = [_FREE, _FREE]  # The delimiters were checked when the message was read.
    return tuple(rules)


@lru_cache(maxsize=1024)
def rule_of_type(version: str, kind: str) -> Part | None:
    """What a value of a data type must be, for the fields whose type another field names; None when there is no such type."""
    tables = tables_of(version)
    if tables is None or (tables.type(kind) is None and kind not in CHECKS and kind not in _TEXTS):
        return None
    return _part(tables, Spec(kind, 0, False, 0), 0)


_TEXTS = frozenset({"ST", "TX", "FT", "ID", "IS", "GTS", "TN", "SNM"})


def _part(tables: Tables, spec: Spec, depth: int) -> Part:
    below: tuple[Part, ...] = ()
    if depth < 2 and (specs := tables.type(spec.type)) is not None:
        parts = [_part(tables, component, depth + 1) for component in specs]
        if spec.type == "TS":
            # The tables of 2.1 to 2.4 call the time itself a string.
            parts[0] = parts[0]._replace(check=CHECKS["DTM"])
        while parts and not (parts[-1].check or parts[-1].length or parts[-1].required or parts[-1].parts):
            parts.pop()
        below = tuple(parts)
    needs = tuple(place for place, part in enumerate(below) if part.required)
    return Part(spec.type, spec.required, spec.most, spec.length, CHECKS.get(spec.type), below, needs)


def wrong_in(fields: list[str], rules: tuple[Part, ...], version: str, marks: Delimiters) -> Iterator[Wrong]:
    """What is wrong with a segment; ``fields`` begins with its name, as ``Segment`` splits it."""
    count = len(fields)
    long: Severity = _length_severity(version)
    repeats = marks.repetition
    number = 0
    for rule in rules:
        number += 1
        text = fields[number] if number < count else ""
        if not text:
            if rule.required:
                yield Wrong(Code.REQUIRED_FIELD_MISSING, "a required field is missing", (number, 1, 0, 0))
            continue
        if text == NULL:
            if rule.required:
                text = "a required field is to be deleted"
                yield Wrong(Code.REQUIRED_FIELD_MISSING, text, (number, 1, 0, 0))
            continue
        if rule.type == "*":
            resolved, problem = _resolved(fields, number, version)
            if problem is not None:
                yield problem
            if resolved is None:
                continue
            rule = resolved
        if not repeats or repeats not in text:
            if not _well(text, rule, 0, marks):
                yield from _value(text, rule, (number, 1, 0, 0), 0, marks, long)
            continue
        parts = text.split(repeats)
        if rule.most and len(parts) > rule.most:
            told = f"the field repeats more often than its version has it ({rule.most})"
            yield Wrong(Code.DATA_TYPE, told, (number, rule.most + 1, 0, 0))
        for repetition, part in enumerate(parts, 1):
            if part and not _well(part, rule, 0, marks):
                yield from _value(part, rule, (number, repetition, 0, 0), 0, marks, long)


def _well(text: str, rule: Part, depth: int, marks: Delimiters) -> bool:
    """Whether nothing at all is wrong, which is so nearly always; what is wrong then, ``_value`` tells at leisure."""
    if rule.length and len(text) > rule.length:
        return False
    below = rule.parts
    if not below:
        return rule.check is None or text == NULL or rule.check(text) is None
    mark = marks.component if depth == 0 else marks.subcomponent
    if mark and mark in text:
        parts = text.split(mark)
    elif text == NULL:
        return True
    else:
        parts = [text]
    count = len(parts)
    for place in rule.needs:
        if place >= count or not parts[place]:
            return False
    for part, wanted in zip(parts, below, strict=False):
        if part:
            if wanted.length and len(part) > wanted.length:
                return False
            if (
                (wanted.parts or wanted.check is not None)
                and part != NULL
                and not _well(part, wanted, depth + 1, marks)
            ):
                return False
    return True


def _value(text: str, rule: Part, place: Place, depth: int, marks: Delimiters, long: Severity) -> Iterator[Wrong]:
    """One field's repetition (depth 0), component (1) or subcomponent (2)."""
    if rule.length and len(text) > rule.length and _length(text, marks) > rule.length:
        yield Wrong(Code.DATA_TYPE, f"the value is longer than {rule.length} characters", place, long)
    below = rule.parts
    if rule.check is None and not below:
        return
    mark = (marks.component, marks.subcomponent, "")[depth]
    if not below:
        # What follows the first part of a simple value is to be ignored (ch. 2.8.2: a newer version may have split it).
        value = text.partition(mark)[0] if mark and mark in text else text
        if value and value != NULL and rule.check is not None and (problem := rule.check(value)) is not None:
            yield Wrong(Code.DATA_TYPE, problem, place)
        return
    if not mark or mark not in text:
        first = below[0]
        if (first.check or first.length or first.parts) and text != NULL:
            yield from _value(text, first, _inside(place, depth, 1), depth + 1, marks, long)
        parts = [text]
    else:
        parts = text.split(mark)
        for number, (part, wanted) in enumerate(zip(parts, below, strict=False), 1):
            if part and part != NULL and (wanted.check or wanted.length or wanted.parts):
                yield from _value(part, wanted, _inside(place, depth, number), depth + 1, marks, long)
    for missing in rule.needs:
        if text != NULL and (missing >= len(parts) or not parts[missing]):
            told = "a required component is missing"
            yield Wrong(Code.REQUIRED_FIELD_MISSING, told, _inside(place, depth, missing + 1))


def _inside(place: Place, depth: int, number: int) -> Place:
    return (place[0], place[1], number, 0) if depth == 0 else (place[0], place[1], place[2], number)


def _length(text: str, marks: Delimiters) -> int:
    """Characters as the standard counts them: an escape sequence is what it stands for (ch. 2.5.3.2)."""
    mark = marks.escape
    if not mark or mark not in text:
        return len(text)
    pieces = text.split(mark)
    return len(text) - sum(len(piece) + 1 for piece in pieces[1::2])


def _length_severity(version: str) -> Severity:
    """Up to 2.6 lengths are what sites agree on (ch. 2.5.3.2); from 2.7 on the tables have only those that bind (ch. 2.5.5)."""
    return "error" if version >= "2.7" else "warning"


def _resolved(fields: list[str], number: int, version: str) -> tuple[Part | None, Wrong | None]:
    """The rule of a field whose type is told elsewhere: OBX-5 by OBX-2 (ch. 7.4.2.2)."""
    if fields[0] != "OBX" or number != 5:
        return None, None
    kind = fields[2]
    if not kind or kind == NULL:
        return None, Wrong(Code.REQUIRED_FIELD_MISSING, "OBX-5 has a value, so OBX-2 must name its type", (2, 1, 0, 0))
    # No data type has a longer name, and what a sender made up is not to be remembered.
    rule = rule_of_type(version, kind) if len(kind) <= 20 else None
    if rule is None:
        return None, Wrong(Code.TABLE_VALUE, "OBX-2 names no data type of this version", (2, 1, 0, 0), "warning")
    return rule, None
