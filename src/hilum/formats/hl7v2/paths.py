"""Paths into a message: ``PID-3.1``, ``PID-3[2].1``, ``OBX(3)-5``, ``PID-5.1.1``; inside a segment ``3[2].1``.

All numbers count from one, as the standard does. A path that names no repetition means the first one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class InvalidPath(ValueError):
    """Text that is no path: a mistake of whoever wrote it, not of the message."""


class Path(NamedTuple):
    """A path taken apart. ``component`` and ``subcomponent`` are 0 where the path stops above them."""

    segment: str  # Empty in a path relative to a segment.
    occurrence: int
    field: int  # 0: the path names a segment only.
    repetition: int
    component: int
    subcomponent: int

    def __str__(self) -> str:
        text = self.segment + (f"({self.occurrence})" if self.occurrence > 1 else "")
        if self.field:
            text += ("-" if self.segment else "") + str(self.field)
            text += f"[{self.repetition}]" if self.repetition > 1 else ""
            text += f".{self.component}" if self.component else ""
            text += f".{self.subcomponent}" if self.subcomponent else ""
        return text


_PLACE = r"([1-9]\d{0,4})(?:\[([1-9]\d{0,5})\])?(?:\.([1-9]\d{0,4}))?(?:\.([1-9]\d{0,4}))?"
_FULL = re.compile(rf"([A-Z][A-Z0-9]{{2}})(?:\(([1-9]\d{{0,5}})\))?(?:-{_PLACE})?", re.ASCII)
_RELATIVE = re.compile(_PLACE, re.ASCII)


def _number(text: str | None, default: int) -> int:
    return default if text is None else int(text)


@lru_cache(maxsize=8192)
def parse_path(text: str) -> Path:
    """Take ``SEG(occurrence)-field[repetition].component.subcomponent`` apart; InvalidPath when it is none."""
    match = _FULL.fullmatch(text)
    if match is None:
        raise InvalidPath(f"{text!r} is no HL7 path: write it as PID-3.1, PID-3[2].1, OBX(3)-5 or PID-5.1.1")
    segment, occurrence, field, repetition, component, subcomponent = match.groups()
    return Path(
        segment,
        _number(occurrence, 1),
        _number(field, 0),
        _number(repetition, 1),
        _number(component, 0),
        _number(subcomponent, 0),
    )


@lru_cache(maxsize=8192)
def field_path(text: str) -> Path:
    """The same for a path that must reach a field."""
    path = parse_path(text)
    if not path.field:
        raise InvalidPath(f"{text!r} names a segment only: write the field too, as in {text}-1")
    return path


@lru_cache(maxsize=8192)
def relative_path(text: str) -> Path:
    """The same for a path inside a segment: ``7.1``, ``3[2].1``."""
    match = _RELATIVE.fullmatch(text)
    if match is None:
        raise InvalidPath(f"{text!r} is no path inside a segment: write it as 7, 7.1 or 3[2].1")
    field, repetition, component, subcomponent = match.groups()
    return Path("", 1, int(field), _number(repetition, 1), _number(component, 0), _number(subcomponent, 0))
