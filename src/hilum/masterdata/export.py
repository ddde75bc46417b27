"""Turning decided entries back into a table: one answer for each day, as Git keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

from hilum.masterdata.entries import CrosswalkEntry, precedence
from hilum.masterdata.tables import CrosswalkRow

_ONE_DAY = timedelta(days=1)


def export_rows(entries: Iterable[CrosswalkEntry]) -> list[CrosswalkRow]:
    """Rows without overlaps that answer every look-up as the entries do; those of one crosswalk at a time."""
    grouped: dict[tuple[str, str], list[CrosswalkEntry]] = {}
    for entry in entries:
        grouped.setdefault((entry.code, entry.facility), []).append(entry)
    return [row for _, found in sorted(grouped.items()) for row in _flattened(found)]


def _flattened(entries: list[CrosswalkEntry]) -> list[CrosswalkRow]:
    ranked = sorted(entries, key=precedence, reverse=True)
    starts = {entry.valid_from for entry in entries}
    starts |= {entry.valid_to + _ONE_DAY for entry in entries if entry.valid_to != date.max}
    days = sorted(starts)
    rows: list[CrosswalkRow] = []
    for day, following in zip(days, [*days[1:], None], strict=True):
        last = following - _ONE_DAY if following is not None else date.max
        winner = next((entry for entry in ranked if entry.in_force(day)), None)
        if winner is None:
            continue
        if rows and rows[-1].target == winner.target and rows[-1].valid_to + _ONE_DAY == day:
            rows[-1] = replace(rows[-1], valid_to=last)
        else:
            rows.append(CrosswalkRow(winner.code, winner.target, winner.facility, day, last))
    return rows
