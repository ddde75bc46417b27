"""Canonical ship notices to 856 transactions, as a supplier sends them."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from itertools import groupby

from hilum.formats.canonical import DocumentLine, Package, ShipNotice
from hilum.formats.findings import FormatError
from hilum.formats.x12.conversion.item_identifiers import pairs
from hilum.formats.x12.conversion.line_details import needed, plain, x12_date
from hilum.formats.x12.conversion.trading_parties import party_segments
from hilum.formats.x12.conversion.writing_order import hash_total
from hilum.formats.x12.writer import Element, NewTransaction


def ship_notice_to_856(notice: ShipNotice, control_number: str | None = None) -> NewTransaction:
    """A ship notice as the segments of an 856 for ``x12.build``.

    Packages stand in the shipment or in the package they are inside of, orders in packages, items in orders (BSN05 0003);
    lines that are in no package stand in their orders after them (0004 when there is no package at all). FormatError when
    an item has no number of any kind or no quantity with its unit, or a package is inside of one that is not there.
    """
    return NewTransaction(set_id="856", segments=_Writer(notice).segments(), control_number=control_number)


class _Writer:
    def __init__(self, notice: ShipNotice) -> None:
        self.notice = notice
        self.count = 0
        self.total = Decimal(0)

    def segments(self) -> list[list[Element]]:
        notice = self.notice
        date = x12_date(notice.date, "BSN03", "the notice's date")
        hour = re.sub(r"[^0-9]", "", notice.date[10:])[:6] if notice.date is not None else ""
        structure = "0003" if notice.packages else "0004"
        number = needed(notice.number, "BSN02", "the notice's number")
        body = self._packages(1) + self._orders(self._loose(), 1)
        written: list[list[Element]] = [["BSN", "00", number, date, hour or "0000", structure]]
        for kind, day in (("011", notice.shipped), ("017", notice.expected)):
            if day is not None:
                written.append(["DTM", kind, x12_date(day, "DTM02", "a date of the shipment")])
        written += [["HL", "1", None, "S", "1" if body else "0"], *self._shipment(), *body]
        written.append(["CTT", str(self.count + 1), hash_total(self.total)])
        return written

    def _shipment(self) -> list[list[Element]]:
        notice = self.notice
        written: list[list[Element]] = []
        if notice.carrier is not None:
            if re.fullmatch(r"[A-Z]{2,4}", notice.carrier):
                written.append(["TD5", None, "2", notice.carrier])
            else:
                written.append(["TD5", None, None, None, None, notice.carrier])
        written += [["REF", "2I", number] for number in notice.tracking_numbers]
        for role, party in (("SF", notice.ship_from), ("ST", notice.ship_to)):
            written += map(list, party_segments(role, party))
        return written

    def _loose(self) -> list[DocumentLine]:
        packed = Counter(line for package in self.notice.packages for line in package.lines)
        loose = []
        for line in self.notice.lines:
            if packed[line]:
                packed[line] -= 1
            else:
                loose.append(line)
        return loose

    def _packages(self, parent: int) -> list[list[Element]]:
        """Packages in the order given, each after the package it is inside of."""
        levels: dict[str, int] = {}
        written: list[list[Element]] = []
        with_children = {package.inside for package in self.notice.packages}
        for package in self.notice.packages:
            if package.inside is not None and package.inside not in levels:
                raise FormatError("I6", "a package is inside of one that does not stand before it", "HL02")
            above = parent if package.inside is None else levels[package.inside]
            own = self._next()
            if package.label is not None:
                levels.setdefault(package.label, own)
            holds = bool(package.lines) or (package.label is not None and package.label in with_children)
            kind = "T" if package.kind == "pallet" else "P"
            written.append(["HL", str(own), str(above), kind, "1" if holds else "0"])
            written += self._marks(package)
            written += self._orders(list(package.lines), own)
        return written

    def _marks(self, package: Package) -> list[list[Element]]:
        if package.label is None:
            return []
        is_sscc = package.label.isdigit() and len(package.label) in (18, 20)
        return [["MAN", "GM" if is_sscc else "ZZ", package.label]]

    def _orders(self, lines: list[DocumentLine], parent: int) -> list[list[Element]]:
        written: list[list[Element]] = []
        for order, items in groupby(lines, key=lambda line: line.order_number):
            above = parent
            if order is not None:
                above = self._next()
                written += [["HL", str(above), str(parent), "O", "1"], ["PRF", order]]
            for line in items:
                written += self._item(line, above)
        return written

    def _item(self, line: DocumentLine, parent: int) -> list[list[Element]]:
        numbers = pairs(line)
        if not numbers:
            raise FormatError("1", "an item has no number", "LIN03")
        if line.quantity is None or line.unit is None:
            raise FormatError("1", "an item has no quantity with its unit", "SN102")
        self.total += line.quantity
        written: list[list[Element]] = [
            ["HL", str(self._next()), str(parent), "I", "0"],
            ["LIN", line.number, *numbers],
            ["SN1", line.order_line, plain(line.quantity), line.unit],
        ]
        if line.description is not None:
            written.append(["PID", "F", None, None, None, line.description])
        if line.expires is not None:
            written.append(["DTM", "036", x12_date(line.expires, "DTM02", "the day an item expires")])
        return written

    def _next(self) -> int:
        self.count += 1
        return self.count + 1
