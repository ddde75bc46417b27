"""Procedures as composites write them (C003: kind, code, modifiers)."""

from __future__ import annotations

from dataclasses import dataclass

from hilum.formats.x12.document import Segment, Separators, value

REVENUE = "NU"
"""The kind of a procedure that is a revenue code of the National Uniform Billing Committee."""


@dataclass(frozen=True, slots=True)
class Procedure:
    """What was done; ``kind`` is element 235 as written (HC, AD, N4 ...)."""

    code: str | None
    kind: str | None
    modifiers: tuple[str, ...]
    revenue_code: str | None


def procedure(segment: Segment, at: int, separators: Separators, revenue_code: str | None = None) -> Procedure:
    """The procedure in element ``at``; where its kind says that it is a revenue code, it stands as one."""
    text = value(segment, at)
    if text is None:
        return Procedure(None, None, (), revenue_code)
    parts = text.split(separators.component)
    kind = parts[0] or None
    code = (parts[1] or None) if len(parts) > 1 else None
    modifiers = tuple(part for part in parts[2:6] if part)
    if kind == REVENUE:
        return Procedure(None, None, modifiers, code if revenue_code is None else revenue_code)
    return Procedure(code, kind, modifiers, revenue_code)
