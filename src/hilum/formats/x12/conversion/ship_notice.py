"""Ship notices, 856, to canonical ship notices: items wherever they stand in the hierarchy, and the packages they are in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hilum.formats.canonical import Canonical, DocumentLine, Package, ShipNotice
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.conversion.item_identifiers import named
from hilum.formats.x12.conversion.line_details import dated, description, iso_date, needed
from hilum.formats.x12.conversion.trading_parties import party
from hilum.formats.x12.document import Loop, Segment, Transaction, value
from hilum.formats.x12.rules.report import amount
from hilum.formats.x12.rules.ship_notice import Level, levels

_KINDS = {"T": "pallet", "P": "carton"}
_TRACKING = ("CN", "2I")
"""Kinds of reference (REF01) that track a shipment: the carrier's own number, a tracking number."""
_EXPIRES = "036"


def ship_notices(transaction: Transaction) -> list[Canonical]:
    """A walked 856 as one ship notice; ``lines`` has all items, a package again those in it. FormatError without a number."""
    root = transaction.root
    if root is None:
        return []
    header = root.first("BSN")
    number = needed(value(header, 2), "BSN02", "the shipment's number")
    found = levels(root)
    shipments = [level.loop for level in found if level.kind == "S"]
    dates = [segment for loop in (root, *shipments) for segment in loop.every("DTM")]
    places = [place for loop in shipments for place in loop.inside("N1")]
    around = _Around(found)
    return [
        ShipNotice(
            number=number,
            date=_moment(value(header, 3), value(header, 4)),
            shipped=dated(dates, "011"),
            expected=dated(dates, "017", "067", "002"),
            carrier=_carrier([segment for loop in shipments for segment in loop.every("TD5")]),
            tracking_numbers=_tracking(found),
            ship_from=party(places, "SF"),
            ship_to=party(places, "ST"),
            order_numbers=_unique(value(level.loop.first("PRF"), 1) for level in found),
            lines=tuple(around.line(level) for level in found if level.kind == "I"),
            packages=tuple(around.package(level) for level in found if level.kind in _KINDS),
        )
    ]


def _moment(day: str | None, hour: str | None) -> str | None:
    """Date and time as ISO 8601; midnight is what senders write who know no time, and says none."""
    date = iso_date(day)
    if date is None or hour is None or len(hour) < 4 or not hour.isdigit() or not hour.strip("0"):
        return date
    return f"{date}T{hour[:2]}:{hour[2:4]}" + (f":{hour[4:6]}" if len(hour) >= 6 else "")


def _carrier(segments: list[Segment]) -> str | None:
    """The carrier's SCAC where it is said, else the name or number that is."""
    for at, qualifier in ((3, "2"), (5, None), (3, None)):
        for segment in segments:
            said = value(segment, at)
            if said is not None and (qualifier is None or value(segment, 2) == qualifier):
                return said
    return None


def _tracking(found: list[Level]) -> tuple[str, ...]:
    told = [value(ref, 2) for level in found for ref in level.loop.every("REF") if value(ref, 1) in _TRACKING]
    told += [value(mark, 2) for level in found for mark in level.loop.every("MAN") if value(mark, 1) == "CP"]
    return _unique(told)


def _unique(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def _label(loop: Loop) -> str | None:
    """The container's serial shipping code where it has one, else the first of its marks."""
    marks = {value(mark, 1): value(mark, 2) for mark in reversed(loop.every("MAN"))}
    return marks.get("GM") if "GM" in marks else next(reversed(marks.values()), None)


class _Around:
    """The order that each level is for and the package it is in, told from the top down in one pass over the levels."""

    def __init__(self, found: list[Level]) -> None:
        self.orders: dict[Level, str | None] = {}
        self.packages: dict[Level, Level | None] = {}
        for level in found:
            own = value(level.loop.first("PRF"), 1)
            above = level.parent
            self.orders[level] = self.orders[above] if own is None and above is not None else own
            inside = None if above is None else above if above.kind in _KINDS else self.packages[above]
            self.packages[level] = inside

    def line(self, level: Level) -> DocumentLine:
        """An item level as a line."""
        loop = level.loop
        item, shipped = loop.first("LIN"), loop.first("SN1")
        names = named(item)
        return DocumentLine(
            number=value(shipped, 1) if value(item, 1) is None else value(item, 1),
            order_number=self.orders[level] if names.order_number is None else names.order_number,
            order_line=value(shipped, 1) if names.order_line is None else names.order_line,
            identifiers=names.identifiers,
            description=description([loop]),
            quantity=amount(shipped, 2),
            unit=value(shipped, 3),
            lot=value(loop.first("REF", "LT"), 2) if names.lot is None else names.lot,
            serial=value(loop.first("REF", "SE"), 2) if names.serial is None else names.serial,
            expires=dated(loop.every("DTM"), _EXPIRES),
        )

    def package(self, level: Level) -> Package:
        """A tare or pack level with the items in it, but for those in packages inside it."""
        above = self.packages[level]
        return Package(
            label=_label(level.loop),
            kind=_KINDS[level.kind],
            inside=None if above is None else _label(above.loop),
            lines=tuple(self._inside(level)),
        )

    def _inside(self, level: Level) -> list[DocumentLine]:
        """Where packs stand inside an item, a pack has its share of the item."""
        if level.parent is not None and level.parent.kind == "I":
            line = self.line(level.parent)
            share = amount(level.loop.first("SN1"), 2)
            return [line if share is None else replace(line, quantity=share)]
        found: list[DocumentLine] = []
        waiting = list(reversed(level.children))
        while waiting:
            child = waiting.pop()
            if child.kind == "I":
                found.append(self.line(child))
            if child.kind not in _KINDS:
                waiting += reversed(child.children)
        return found


CONVERTERS: dict[str, Converter] = {"856": ship_notices}
