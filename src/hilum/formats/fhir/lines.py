"""On which line of a JSON text a place is: read only when there are findings to place."""

from __future__ import annotations

import re

from hilum.formats.fhir.paths import PLAIN_NAME, step

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_TYPE = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]{1,64})"')


def lines_of(source: bytes, places: set[str]) -> dict[str, int]:
    """The line (1-based) on which each place starts; one that is not in the text gets its nearest parent's line."""
    return nearest(places, _scan(source, surrounded(places)))


def surrounded(places: set[str]) -> set[str]:
    """The places and all that they are in."""
    wanted: set[str] = set()
    for place in places:
        while place and place not in wanted:
            wanted.add(place)
            place = _around(place)
    return wanted


def nearest(places: set[str], found: dict[str, int]) -> dict[str, int]:
    """The line of each place, or of the nearest place around it that was found."""
    told: dict[str, int] = {}
    for place in places:
        near = place
        while near and near not in found:
            near = _around(near)
        if near:
            told[place] = found[near]
    return told


def _around(place: str) -> str:
    return place[: max(place.rfind("."), place.rfind("["), 0)]


def _scan(source: bytes, wanted: set[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    # One frame per open object or array: its place and, in an array, the index of the item; None in an object.
    frames: list[tuple[str, int | None]] = []
    place = next((name for name in wanted if "." not in name and "[" not in name), "")
    key_next = False
    line, counted = 1, 0
    for match in _TOKEN.finditer(source):
        token = match[0]
        first = token[:1]
        if first == b"}" or first == b"]":
            if frames:
                place, _ = frames.pop()
            key_next = False
            continue
        if first == b",":
            if frames and frames[-1][1] is not None:
                holder, index = frames[-1][0], (frames[-1][1] or 0) + 1
                frames[-1] = (holder, index)
                place = f"{holder}[{index}]"
            elif frames:
                place, key_next = frames[-1][0], True
            continue
        if first == b":":
            continue
        if place in wanted and place not in found:
            line += source.count(b"\n", counted, match.start())
            counted = match.start()
            found[place] = line
        if key_next and first == b'"':
            name = token[1:-1].decode("utf-8", "replace")
            # The extensions of a primitive stand in a property of their own, and are told at the primitive.
            name = name[1:] if name[:1] == "_" else name
            place = step(frames[-1][0], name if PLAIN_NAME(name) else "?")
            key_next = False
            if place in wanted and place not in found:
                line += source.count(b"\n", counted, match.start())
                counted = match.start()
                found[place] = line
        elif first == b"{":
            frames.append((place, None))
            key_next = True
        elif first == b"[":
            frames.append((place, 0))
            place = f"{place}[0]"
    return found
