"""Showing data to people who need its shape, not its subject: protected health information is masked.

``mask`` keeps the last two characters, so that two people can tell that they speak of the same account. Raw messages
are masked by what is known to be harmless, not by what is known to be PHI: what no table names is not shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

MASK = "***"
_KEPT = 2
_SHORTEST_KEPT = 6
"""Of a shorter text two characters would be too much of it."""


def mask(text: str) -> str:
    """``***`` and the last two characters; of a short text nothing. The length is not shown."""
    return MASK + text[-_KEPT:] if len(text) >= _SHORTEST_KEPT else MASK


def _mask_all(value: Any) -> Any:
    """Mask every value but an identifier's authority: which hospital issued a number is not the patient's secret."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: inner if name == "authority" else _mask_all(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mask_all(inner) for inner in value]
    return mask(value) if isinstance(value, str) else MASK


# --- raw messages ------------------------------------------------------------------------------------------------

_EVERY_FIELD = frozenset(range(1, 100))
_HARMLESS: dict[str, frozenset[int]] = {
    "BHS": _EVERY_FIELD,
    "BTS": _EVERY_FIELD,
    "DG1": frozenset({1, 2}),
    "ERR": frozenset({1, 2, 3, 4, 5}),
    "EVN": frozenset({1, 2, 3, 4, 6, 7}),
    "FHS": _EVERY_FIELD,
    "FT1": frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16}),
    "GT1": frozenset({1}),
    "IN1": frozenset({1}),
    "MSA": frozenset({1, 2}),
    "MSH": _EVERY_FIELD,
    "NK1": frozenset({1}),
    "OBX": frozenset({1, 2, 11}),
    "PID": frozenset({1}),
    "PRT": frozenset({1, 2, 3, 4, 10}),
    "PV1": frozenset({1, 2, 3, 4, 6, 10, 14, 18, 36, 37, 39}),
}
"""The fields of each segment that are shown as sent (HL7 v2.5.1 ch. 2, 3 and 6); of other segments none are."""

_NULL = '""'  # "Delete this" is an instruction of the sender, not data (HL7 v2.5.1 ch. 2.5.3).
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}", re.ASCII)


def mask_hl7(raw: bytes) -> str:
    """An HL7 v2 message as it may be shown, one segment a line, in the sender's delimiters and structure.

    Works on broken messages too, since those are the ones people look at: a line that is no segment is masked whole,
    and bytes without a readable MSH (HL7 v2.5.1 ch. 2.5.4) are not shown at all.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # Every byte is a character there; for masking, which one does not matter.
    lines = [line for line in re.split(r"[\r\n]+", text.strip("\x0b\x1c\r\n ")) if line]
    if not lines or not re.match(r"MSH[^\w\s].{3}", lines[0]):
        return f"{MASK} ({len(raw)} bytes that are no HL7 v2 message)"
    field_mark, marks = lines[0][3], re.split(re.escape(lines[0][3]), lines[0][4:], maxsplit=1)[0]
    # MSH-2 is component, repetition, escape, subcomponent; the escape character separates nothing.
    parts = re.compile("([" + re.escape(marks[:2] + marks[3:4]) + "])")
    return "\n".join(_mask_segment(line, field_mark, parts) for line in lines)


def _mask_segment(line: str, field_mark: str, parts: re.Pattern[str]) -> str:
    name, *fields = line.split(field_mark)
    if not _SEGMENT.fullmatch(name):
        return MASK
    shown = _HARMLESS.get(name, frozenset())
    # The field mark of the segments that define it counts as their first field.
    first = 2 if name in ("MSH", "BHS", "FHS") else 1
    return field_mark.join(
        [name, *(text if number in shown else _mask_parts(text, parts) for number, text in enumerate(fields, first))]
    )


def _mask_parts(text: str, parts: re.Pattern[str]) -> str:
    return "".join(
        part if not part or part == _NULL or parts.fullmatch(part) else mask(part) for part in parts.split(text)
    )


def mask_json(raw: bytes, shown: Collection[str] = ("type",)) -> str:
    """A JSON message as it may be shown: its members' names, and values only of members named in ``shown``."""
    try:
        document = json.loads(raw)
    except ValueError:
        return f"{MASK} ({len(raw)} bytes that are no JSON)"
    return json.dumps(_mask_members(document, frozenset(shown)), indent=2, ensure_ascii=False)


def _mask_members(value: Any, shown: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: inner if name in shown and not isinstance(inner, dict | list) else _mask_members(inner, shown)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_mask_members(inner, shown) for inner in value]
    return _mask_all(value)
