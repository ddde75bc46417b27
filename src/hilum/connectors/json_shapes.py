"""What a JSON answer looks like, as parts of a description (see ``governance.drift``): where a vendor publishes no schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Parts = dict[str, dict[str, Any]]
_NAMES = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}


def shape_of(path: str, answer: Any, fields: Iterable[str], operation: str) -> tuple[Parts, list[str]]:
    """The parts of one answer that ``operation`` reads, and the paths under which there was nothing to look at.

    ``fields`` are dotted: ``on_hand``, ``lines[].item``. A list is looked at as a whole: a field is required when all of its
    records have it. What is null in all of them says nothing about its type and is unseen.
    """
    parts: Parts = {}
    unseen: list[str] = []
    records = answer if isinstance(answer, list) else [answer]
    base = f"{path}[]" if isinstance(answer, list) else path
    parts[path] = {"type": "list" if isinstance(answer, list) else _kind([answer]), "required": True}
    parts[path]["relied_on_by"] = [operation]
    if not records:
        return parts, [base]
    for field in fields:
        found = [value for record in records for value in _values(record, field.split("."))]
        there = [value for value in found if value is not _ABSENT]
        name = f"{base}.{field}"
        known = [value for value in there if value is not None]
        if known:
            required = len(there) == len(found)
            parts[name] = {"type": _kind(known), "required": required, "relied_on_by": [operation]}
        elif there or not found:
            unseen.append(name)
    return parts, unseen


class _Absent:
    pass


_ABSENT = _Absent()


def _values(record: Any, steps: list[str]) -> list[Any]:
    """Every value at a path of one record; ``_ABSENT`` where a record lacks it."""
    step, rest = steps[0], steps[1:]
    name, many = step.removesuffix("[]"), step.endswith("[]")
    value = record.get(name, _ABSENT) if isinstance(record, dict) else _ABSENT
    if value is _ABSENT:
        return [_ABSENT]
    inner = (value if isinstance(value, list) else [_ABSENT]) if many else [value]
    return [found for one in inner for found in (_values(one, rest) if rest else [one])]


def _kind(values: list[Any]) -> str:
    kinds = {"list" if isinstance(v, list) else _NAMES.get(type(v), "object") for v in values}
    return "|".join(sorted(kinds))
