"""A document as a tree for readers: interchange, group, transaction, loops, segments, elements.

What may tell who a patient is, or about their health, is marked as protected: in the health care sets rather too much than too
little (a segment out of its place altogether), in sets that no table knows everything, in supply sets what is said of
persons. So are bank accounts in all of them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from hilum.formats.outline import Outline
from hilum.formats.x12.document import Document, Interchange, Loop, Segment, Separators, Transaction, value
from hilum.formats.x12.walker import walk

HEALTH_CARE = frozenset({"269", "270", "271", "274", "275", "276", "277", "278", "820", "824", "834", "835", "837"})
"""Sets whose transactions may be about patients."""
_ANSWERS = frozenset({"997", "999"})

_PATIENTS = frozenset({"QC", "IL", "74", "03", "70", "S1", "S2", "GW", "31", "E1", "EI", "QD", "X4", "36", "PW", "45"})
"""Entity codes (NM101, N101) of patients, subscribers, those who stand for them, and where an ambulance took or left one."""
_OPEN_REFERENCES = frozenset(
    {"87", "EV", "F2", "2U", "TJ", "EI", "G2", "LU", "0B", "1G", "1C", "1D", "PQ", "D3", "FY", "NF", "HI", "EO", "BT"}
)
"""REF01 of organizations, files and programs; any other reference may be a patient's."""
_WHOLE = frozenset(
    {
        "DMG",
        "HI",
        "MIA",
        "MOA",
        "NTE",
        "K3",
        "MSG",
        "CRC",
        "MEA",
        "TOO",
        "III",
        "DSB",
        "PWK",
        "INS",
        "PAT",
        "FRM",
        "EC",
        "ICM",
        "HLH",
        "LUI",
        "IDC",
        "MPI",
    }
)
"""Segments that are protected altogether; so are CR1 to CR8."""
_ELEMENTS = {
    "CLM": {1},
    "CLP": {1, 7},
    "SBR": {3, 4},
    "PLB": {3, 5, 7, 9, 11, 13},
    "STC": {12},
    "RMR": {2},
    "ENT": {4},
    "CTX": {1},
    "LIN": {3, 5, 7},
    "HCR": {2},
    "COB": {2},
}
_ACCOUNTS = {"BPR": {7, 9, 13, 15}}
"""Banks and accounts between which money goes, in whatever set."""
_DATES = {"DTP": {3}, "DTM": {2, 6}}
_ENVELOPE = frozenset({"ST", "SE", "BHT", "HL", "LX", "LS", "LE"})


@cache
def _notes() -> dict[str, str]:
    text = (files("hilum.formats.x12") / "tables" / "notes.csv").read_text(encoding="utf-8")
    return {row["place"]: row["note"] for row in csv.DictReader(text.splitlines())}


def outline(document: Document) -> Outline:
    """The tree of a document; transactions that were not walked yet are walked first."""
    top = Outline("X12", note=None)
    top.children = [_interchange(interchange) for interchange in document.interchanges]
    return top


def _interchange(interchange: Interchange) -> Outline:
    separators = interchange.separators
    node = Outline("interchange", interchange.control_number, "control number")
    node.children.append(_plain(interchange.header, separators))
    node.children += [_plain(answer, separators) for answer in interchange.acknowledgements]
    for group in interchange.groups:
        inner = Outline("group", group.control_number, "control number")
        if len(group.header) > 1:
            inner.children.append(_plain(group.header, separators))
        inner.children += [transaction_outline(transaction) for transaction in group.transactions]
        if group.trailer is not None:
            inner.children.append(_plain(group.trailer, separators))
        node.children.append(inner)
    if interchange.trailer is not None:
        node.children.append(_plain(interchange.trailer, separators))
    return node


def transaction_outline(transaction: Transaction) -> Outline:
    """The tree of one transaction: its loops and segments in the order of the file."""
    if transaction.root is None:
        walk(transaction)
    top = Outline(f"transaction {transaction.set_id}", transaction.control_number, _notes().get(transaction.set_id))
    root = transaction.root
    places: dict[int, Loop] = {}
    if root is not None:
        for found in (root, *_loops(root)):
            places.update((id(segment), found) for segment in found.segments)
    nodes: dict[int, Outline] = {} if root is None else {id(root): top}
    here, loop_here = top, root
    for segment in transaction.segments:
        loop = places.get(id(segment))
        if loop is not None and loop is not loop_here:
            here, loop_here = _node_of(loop, nodes, transaction.separators), loop
        lost = root is not None and loop is None
        shown = _segment(segment, transaction, loop_here, lost)
        if lost:
            shown.note = "not possible here"
        here.children.append(shown)
    return top


def _loops(root: Loop) -> Iterator[Loop]:
    pending = list(root.loops)
    while pending:
        loop = pending.pop()
        yield loop
        pending += loop.loops


def _node_of(loop: Loop, nodes: dict[int, Outline], separators: Separators) -> Outline:
    """The node of a loop, made below its parent's when it is not there yet."""
    missing = []
    inner: Loop | None = loop
    while inner is not None and id(inner) not in nodes:
        missing.append(inner)
        inner = inner.parent
    for made in reversed(missing):
        node = Outline(f"loop {made.name}", note=_loop_note(made))
        if made.parent is not None:
            nodes[id(made.parent)].children.append(node)
        nodes[id(made)] = node
    return nodes[id(loop)]


def _loop_note(loop: Loop) -> str | None:
    first = loop.segments[0] if loop.segments else None
    if first is None:
        return None
    code = value(first, 3 if first[0] == "HL" else 1)
    own = None if code is None else _notes().get(f"{first[0]}*{code}")
    return own if own is not None else _notes().get(first[0])


def _plain(segment: Segment, separators: Separators) -> Outline:
    """An envelope segment, in which only what an ISA says to authorize its sender is protected."""
    node = Outline(segment[0], note=_notes().get(segment[0]))
    for at, text in enumerate(segment[1:], 1):
        if text.strip():
            place = f"{segment[0]}{at:02d}"
            node.children.append(Outline(place, text, _notes().get(place), place in ("ISA02", "ISA04")))
    return node


def _segment(segment: Segment, transaction: Transaction, loop: Loop | None, lost: bool) -> Outline:
    name, separators = segment[0], transaction.separators
    shown = name if len(name) <= 3 else "?"
    node = Outline(shown, note=_notes().get(name))
    hidden = None if lost and transaction.set_id in HEALTH_CARE else _protected(segment, transaction, loop)
    for at, text in enumerate(segment[1:], 1):
        if not text:
            continue
        place = f"{shown}{at:02d}"
        protected = hidden is None or at in hidden
        parts = text.split(separators.component) if name != "ISA" else [text]
        if len(parts) == 1:
            node.children.append(Outline(place, text, _notes().get(place), protected))
            continue
        composite = Outline(place, note=_notes().get(place))
        composite.children = [
            Outline(f"{place}-{part}", piece, _notes().get(f"{place}-{part}"), protected)
            for part, piece in enumerate(parts, 1)
            if piece
        ]
        node.children.append(composite)
    return node


def _protected(segment: Segment, transaction: Transaction, loop: Loop | None) -> frozenset[int] | set[int] | None:
    """The elements that are protected; None for all of them."""
    name = segment[0]
    if name in _ENVELOPE:
        return frozenset()
    if transaction.definition is None:
        return None
    if name in _ACCOUNTS:
        return _ACCOUNTS[name]
    person = _person(segment) or (loop is not None and bool(loop.segments) and _person(loop.segments[0]))
    if name in ("NM1", "N1"):
        return {2, 3, 4, 5, 6, 7, 9, 10} - ({2} if name == "NM1" else set()) if _person(segment) else frozenset()
    if person and name in ("N2", "N3", "N4", "PER"):
        return None
    if transaction.set_id in _ANSWERS:
        return {1} if name == "CTX" else {4} if name in ("AK4", "IK4") else frozenset()
    if transaction.set_id not in HEALTH_CARE:
        return frozenset()
    if name in _WHOLE or (name[:2] == "CR" and name[2:].isdigit()):
        return None
    if name == "REF":
        return frozenset() if value(segment, 1) in _OPEN_REFERENCES else {2, 3, 4}
    if name == "TRN":
        return frozenset() if transaction.set_id in ("835", "820") else {2, 4}
    if name in _DATES and loop is not None and loop.parent is not None:
        return _DATES[name]
    return _ELEMENTS.get(name, frozenset())


def _person(segment: Segment) -> bool:
    if segment[0] == "NM1":
        return value(segment, 2) != "2" or value(segment, 1) in _PATIENTS
    return segment[0] == "N1" and value(segment, 1) in _PATIENTS
