"""Ship notices, 856: the hierarchy of shipment, order, tare, pack and item, and the quantities in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from hilum.formats.x12.document import Loop, Segment, Transaction, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.item_numbers import check_item_numbers, check_marks
from hilum.formats.x12.rules.report import Report, amount
from hilum.formats.x12.rules.totals import check_count, check_hash

_STRUCTURES = {"0001": "SOTPI", "0002": "SOITP", "0003": "STPOI", "0004": "SOI"}
"""Levels from the outermost to the innermost by BSN05; a level may be left out, but not turned around."""
_PARENTS = {"S": "", "O": "STP", "T": "SOI", "P": "SOTIP", "I": "SOTPI"}
"""Where a level may stand when BSN05 does not say."""


@dataclass(slots=True, eq=False)
class Level:
    """A HL loop with its kind (HL03) and the levels inside it, in order."""

    loop: Loop
    kind: str
    parent: Level | None = None
    children: list[Level] = field(default_factory=list)

    @property
    def header(self) -> Segment:
        """The HL segment: it opens the loop, so it is the first."""
        return self.loop.segments[0]


def levels(root: Loop) -> list[Level]:
    """The levels of a walked 856 in document order; one whose parent is not among those before it has none."""
    known: dict[str, Level] = {}
    found: list[Level] = []
    for loop in root.inside("HL"):
        segment = loop.segments[0]
        number, above, kind = value(segment, 1), value(segment, 2), value(segment, 3)
        level = Level(loop, "?" if kind is None else kind, None if above is None else known.get(above))
        if level.parent is not None:
            level.parent.children.append(level)
        if number is not None:
            known.setdefault(number, level)
        found.append(level)
    return found


def check_levels(transaction: Transaction, report: Report) -> None:
    """``856-hierarchy``, ``856-item``, ``856-order`` and ``856-quantity``."""
    root = transaction.root
    if root is not None:
        found = levels(root)
        check_hierarchy(root, found, report)
        check_quantities(found, report)


def check_hierarchy(root: Loop, found: list[Level], report: Report) -> None:
    """``856-hierarchy``: levels stand in levels of the right kind, in the order that BSN05 names, and items are there.

    Numbers, parents that do not exist and HL04 are checked for every set with HL segments (``hilum.formats.x12.hierarchy``).
    """
    structure = _STRUCTURES.get(said) if (said := value(root.first("BSN"), 5)) is not None else None
    for level in found:
        _check_parent(report, level, structure)
        _check_content(report, level)
    if found and not any(level.kind == "I" for level in found):
        report("856-hierarchy", "the shipment has no item", loop=found[0].loop, segment=found[0].header)


def _check_parent(report: Report, level: Level, structure: str | None) -> None:
    segment, kind = level.header, level.kind
    text = None
    if level.parent is None:
        if value(segment, 2) is None and kind != "S":
            text = "only a shipment stands in no other level"
    elif kind == "S":
        text = "a shipment stands in no other level"
    elif structure is not None and kind in _PARENTS and level.parent.kind in _PARENTS:
        if kind not in structure:
            text = "the structure that BSN05 names has no such level"
        elif structure.find(level.parent.kind) >= structure.index(kind) and level.parent.kind != kind:
            text = "the structure that BSN05 names has these levels the other way around"
        elif level.parent.kind == kind and kind not in "PI":
            text = "a level of this kind does not stand in another of its kind"
    elif kind in _PARENTS and level.parent.kind in _PARENTS and level.parent.kind not in _PARENTS[kind]:
        text = "a level of this kind does not stand in one of its parent's kind"
    if text is not None:
        report("856-hierarchy", text, loop=level.loop, segment=segment, element=2)


def _check_content(report: Report, level: Level) -> None:
    loop, segment = level.loop, level.header
    if level.kind == "I":
        if loop.first("LIN") is None:
            report("856-item", "an item level has no LIN", loop=loop, segment=segment, snip=4)
        if loop.first("SN1") is None and not any(child.loop.first("SN1") for child in level.children):
            report("856-item", "an item level has no quantity (SN1)", loop=loop, segment=segment, snip=4)
    elif level.kind == "O" and loop.first("PRF") is None:
        report("856-order", "an order level has no order number (PRF)", loop=loop, segment=segment, snip=4)
    if level.kind in ("O", "T") and not level.children:
        text = "a level that holds others holds none"
        report("856-hierarchy", text, loop=loop, segment=segment, severity="warning")


def check_quantities(found: list[Level], report: Report) -> None:
    """``856-quantity``: what is shipped is positive, and packs and loads add up to their item."""
    for level in found:
        loop = level.loop
        shipped = loop.first("SN1")
        quantity = amount(shipped, 2)
        if shipped is None or quantity is None:
            continue
        if quantity < 0:
            report("856-quantity", "a quantity shipped is negative", loop=loop, segment=shipped, element=2)
        ordered = amount(shipped, 5)
        same_unit = value(shipped, 6) == value(shipped, 3)
        if ordered is not None and same_unit and quantity > ordered:
            text = "more is shipped than was ordered"
            report("856-quantity", text, loop=loop, segment=shipped, element=2, severity="warning")
        if level.kind != "I":
            continue
        if loop.loops:
            _check_loads(report, loop, quantity)
        if not level.children:
            continue
        packs = [child.loop.first("SN1") for child in level.children if child.kind in ("P", "T")]
        told = [amount(pack, 2) for pack in packs if value(pack, 3) == value(shipped, 3)]
        parts = [part for part in told if part is not None]
        if packs and len(parts) == len(packs) and sum(parts, Decimal(0)) != quantity:
            text = "the packs of an item do not add up to its quantity"
            report("856-quantity", text, loop=loop, segment=shipped, element=2)


def _check_loads(report: Report, loop: Loop, quantity: Decimal) -> None:
    loads = [(amount(load, 1), amount(load, 2)) for inner in loop.inside("CLD") for load in inner.every("CLD")]
    told = [count * each for count, each in loads if count is not None and each is not None]
    if loads and len(told) == len(loads) and sum(told, Decimal(0)) != quantity:
        text = "the loads of an item (CLD) do not add up to its quantity"
        report("856-quantity", text, loop=loop, segment=loop.first("SN1"), element=2)


def check_totals(transaction: Transaction, report: Report) -> None:
    """CTT01 counts the HL segments, CTT02 sums SN102; item numbers and container numbers are right."""
    root = transaction.root
    if root is None:
        return
    found = root.inside("HL")
    items = [loop for loop in found if value(loop.segments[0], 3) == "I"]
    ctt = root.first("CTT")
    check_count(report, "856-line-count", ctt, (len(found), len(items)), "HL segments")
    if value(ctt, 2) is not None:
        every = [text for loop in found if (text := value(loop.first("SN1"), 2)) is not None]
        of_items = [text for loop in items if (text := value(loop.first("SN1"), 2)) is not None]
        readings = (every,) if every == of_items else (every, of_items)
        check_hash(report, "856-hash-total", ctt, readings, "the quantities shipped (SN102)")
    check_item_numbers(report, found)
    check_marks(report, found)


RULES: dict[str, tuple[Rule, ...]] = {"856": (check_levels, check_totals)}
