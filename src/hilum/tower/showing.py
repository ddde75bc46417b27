"""How values look on a page: times in the estate's zone, money, counts and spans, all as plain text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

IN_ORDER = ("done", "running", "ready", "waiting", "parked", "stopped", "skipped")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def templates(time_zone: str) -> Environment:
    """The page's templates: everything escaped, every undefined name an error."""
    environment = Environment(
        loader=PackageLoader("hilum.tower", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    zone = zone_of(time_zone)
    environment.filters.update(
        clock=lambda at: f"{at.astimezone(zone):%H:%M:%S}",
        fine_clock=lambda at: f"{at.astimezone(zone):%H:%M:%S.%f}"[:12],
        day=lambda at: f"{at.astimezone(zone):%a %d %b %Y}",
        moment=lambda at: f"{at.astimezone(zone):%d %b %H:%M}",
        iso=lambda at: at.astimezone(UTC).isoformat(timespec="milliseconds"),
        dollars=dollars,
        whole_dollars=whole_dollars,
        number=lambda n: f"{n:,}",
        span=span,
        pretty=pretty,
        stack=stack,
        prose=prose,
    )
    environment.globals.update(zone=zone_name(zone), in_order=IN_ORDER)
    return environment


def zone_of(name: str) -> tzinfo:
    """The zone, or UTC where the machine has no table of zones."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def zone_name(zone: tzinfo) -> str:
    return zone.key.replace("_", " ") if isinstance(zone, ZoneInfo) else "UTC"


def dollars(amount: Decimal) -> str:
    return f"${amount:,.2f}"


def whole_dollars(amount: Decimal) -> str:
    """For a figure that is read from afar."""
    return f"${amount:,.0f}"


def span(seconds: float) -> str:
    """``4 ms``, ``1.2 s``, ``3 min``, ``5 h``, ``2 d``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in _UNITS:
        if seconds >= size * (2 if size > 60 else 1.5):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def until(due: datetime, now: datetime) -> str:
    """``in 3 h`` or ``2 h late``."""
    seconds = (due - now).total_seconds()
    return f"in {span(seconds)}" if seconds >= 0 else f"{span(-seconds)} late"


def since(at: datetime | None, now: datetime) -> str:
    """``12 s ago``; a word where it never happened or has just happened."""
    if at is None:
        return "never"
    seconds = (now - at).total_seconds() // 1
    return f"{seconds:.0f} s ago" if 1 <= seconds < 90 else "just now" if seconds < 1 else f"{span(seconds)} ago"


def prose(text: str) -> Markup:
    """A sentence whose `commands` are set as code; everything in it escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of a bar of 1000 units."""

    state: str
    start: float
    width: float


def stack(counts: Mapping[str, int]) -> list[Part]:
    """Counts as stretches of one bar, in the order in which a case would like to stand. What is there at all is wide enough to be seen."""
    order = [state for state in IN_ORDER if counts.get(state)]
    widths = {state: max(1000 * counts[state] / sum(counts.values()), 6.0) for state in order}
    scale = 1000 / sum(widths.values()) if widths else 1.0
    parts, start = [], 0.0
    for state in order:
        parts.append(Part(state, round(start, 2), round(widths[state] * scale, 2)))
        start += widths[state] * scale
    return parts


def pretty(value: Any) -> str:
    """JSON for people to read."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
