"""The picture of a thread: a column for each system, a numbered line for each hop, time running down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hilum.audit.thread import Hop, Thread

HILUM, PEOPLE = "Hilum", "People"
MOST_ROWS = 60

_WIDTH = 980
_SHORTER = ((" again: a resend, without effect", ", a resend"), (" reports the same fact: without effect", ", known"))
_LEFT, _RIGHT, _WIDEST_GAP = 150, 90, 240
_TOP, _ROW = 56, 40
_CHARACTER = 7  # The width of one in a label, on average.


@dataclass(frozen=True, slots=True)
class Lane:
    """A column; ``kind`` is system, hilum or people."""

    name: str
    kind: str
    x: int


@dataclass(frozen=True, slots=True)
class Row:
    """A hop: an arrow from ``x1`` to ``x2``, or a dot where both are the same. ``number`` is its place in the list."""

    number: int
    y: int
    x1: int
    x2: int
    state: str
    label: str
    hop: Hop

    @property
    def is_arrow(self) -> bool:
        return self.x1 != self.x2

    @property
    def label_x(self) -> int:
        return (self.x1 + self.x2) // 2 if self.is_arrow else self.x1 + 18

    @property
    def tip(self) -> str:
        """The arrow's head, as points of a polygon."""
        back = -8 if self.x2 > self.x1 else 8
        end = self.x2 - (4 if back < 0 else -4)
        return f"{end},{self.y} {end + back},{self.y - 4} {end + back},{self.y + 4}"


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything to be drawn, in the units of its view box; ``left_out`` hops are in the list only."""

    width: int
    height: int
    lanes: tuple[Lane, ...]
    rows: tuple[Row, ...]
    left_out: int


def picture_of(thread: Thread) -> Picture:
    """Lay a thread out. Who only sends stands left of Hilum, who is sent something right of it."""
    lanes = _lanes(thread.hops)
    x = {lane.name: lane.x for lane in lanes}
    documents = {f"d/{d.key}": d.document for d in thread.deliveries if d.document is not None}
    rows = []
    for number, hop in enumerate(thread.hops[:MOST_ROWS], start=1):
        start, end = _way(hop, x)
        room = (abs(end - start) if start != end else _WIDTH - start - 30) // _CHARACTER
        rows.append(
            Row(number, _TOP + _ROW * number - _ROW // 2, start, end, hop.state, _label(hop, documents, room), hop)
        )
    height = _TOP + _ROW * len(rows) + 12
    return Picture(_WIDTH, height, lanes, tuple(rows), max(len(thread.hops) - MOST_ROWS, 0))


def _lanes(hops: tuple[Hop, ...]) -> tuple[Lane, ...]:
    receivers = list(dict.fromkeys(h.system for h in hops if h.system is not None and h.kind in ("delivery", "feed")))
    senders = [s for s in dict.fromkeys(h.system for h in hops if h.system is not None) if s not in receivers]
    people = [PEOPLE] if any(_by_person(h) for h in hops) else []
    names = [*senders, *people, HILUM, *receivers]
    if len(names) == 1:
        return (Lane(HILUM, "hilum", _LEFT),)
    # Few columns stand close together, so that what happens inside Hilum has room to its right.
    gap = min((_WIDTH - _LEFT - _RIGHT) / (len(names) - 1), _WIDEST_GAP)
    kinds = {HILUM: "hilum", PEOPLE: "people"}
    return tuple(Lane(name, kinds.get(name, "system"), round(_LEFT + gap * place)) for place, name in enumerate(names))


def _label(hop: Hop, documents: Mapping[str, str], room: int) -> str:
    """What stands at the arrow, in at most ``room`` characters: who and whom are columns already."""
    text = hop.title
    for word in (f" from {hop.system}", f" to {hop.system}"):
        text = text.replace(word, "")
    choices = [text, *(text.replace(long, short) for long, short in _SHORTER if long in text)]
    if hop.kind == "delivery" and hop.state == "good" and hop.subject in documents:
        # A document says more than that it was made.
        choices = [f"{text}: {documents[hop.subject]}", documents[hop.subject]]
    fitting = next((choice for choice in choices if len(choice) <= room), None)
    return fitting if fitting is not None else choices[-1][: room - 1] + "…"


def _by_person(hop: Hop) -> bool:
    return hop.actor.startswith("person:")


def _way(hop: Hop, x: dict[str, int]) -> tuple[int, int]:
    hilum = x[HILUM]
    if hop.kind in ("delivery", "feed") and hop.system is not None:
        return hilum, x[hop.system]
    if hop.kind == "message" and hop.system is not None:
        return x[hop.system], hilum
    if _by_person(hop):
        return x[PEOPLE], hilum
    return hilum, hilum
