"""What each version of the standard says of its segments, data types and message structures.

A version's table is a text, one definition a line, made by ``tools/hl7_tables.py`` (NOTICE.txt tells from what):

    S PID SI:4 - CX:250!* ...     the fields of a segment: type, ``:`` longest length, ``!`` required, ``*`` repeats, ``*3`` at
    T CX ST:15! ST:1 ID:3 ...     most three times; ``-`` is withdrawn or untyped, ``**`` a type that another field names
    M ADT_A01 MSH! SFT* (INSURANCE* IN1! ) <CHOICE! OBR! RXO! >      a structure: segments, ``( )`` groups, ``< >`` choices

Tables are read when a message of their version first needs them and kept; lines are taken apart one by one as they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import NamedTuple

MANY = 0
"""As often as one likes."""

# 2.7.1 is not among the sources; it changed texts of 2.7, no structures.
_SAME = {"2.7.1": "2.7"}


class Spec(NamedTuple):
    """A field, or a component of a data type. ``length`` is 0 where the version sets none, ``most`` may be MANY."""

    type: str
    length: int
    required: bool
    most: int


class Node(NamedTuple):
    """A segment or a group in a message structure; ``children`` is empty for a segment.

    Of a ``choice`` one child is there. ``names`` are the segments anywhere below, ``firsts`` those that can begin it.
    """

    name: str
    required: bool
    most: int
    children: tuple[Node, ...] = ()
    choice: bool = False
    names: frozenset[str] = frozenset()
    firsts: frozenset[str] = frozenset()


class Tables:
    """One version's definitions; what it does not define is None."""

    def __init__(self, lines: Mapping[tuple[str, str], str]) -> None:
        self._lines = lines
        self._specs: dict[tuple[str, str], tuple[Spec, ...]] = {}
        self._structures: dict[str, Node] = {}

    def segment(self, name: str) -> tuple[Spec, ...] | None:
        """The fields of a segment, the first at place 0."""
        return self._spec("S", name)

    def type(self, name: str) -> tuple[Spec, ...] | None:
        """The components of a composite data type; None for a primitive one."""
        return self._spec("T", name)

    def structure(self, name: str) -> Node | None:
        """A message structure such as ``ADT_A01``."""
        known = self._structures.get(name)
        if known is None and (line := self._lines.get(("M", name))) is not None:
            # Only what the tables have is remembered: the names that senders make up have no end.
            known = self._structures[name] = _tree(name, line.split())
        return known

    @cached_property
    def structures(self) -> frozenset[str]:
        """The names of all message structures."""
        return frozenset(name for kind, name in self._lines if kind == "M")

    @cached_property
    def codes(self) -> frozenset[str]:
        """The message codes (MSH-9.1) that there are structures for."""
        return frozenset(name.partition("_")[0] for name in self.structures)

    def _spec(self, kind: str, name: str) -> tuple[Spec, ...] | None:
        key = (kind, name)
        known = self._specs.get(key)
        if known is None and (line := self._lines.get(key)) is not None:
            known = self._specs[key] = tuple(_specification(token) for token in line.split())
        return known


def tables_of(version: str) -> Tables | None:
    """The tables of ``2.1`` to ``2.8.2``; None for a version that nobody knows."""
    if len(version) > 8 or not version.replace(".", "").isdigit() or not version.isascii():
        return None
    return _read(version)


@lru_cache(maxsize=32)
def _read(version: str) -> Tables | None:
    source = files(__name__) / f"{_SAME.get(version, version)}.txt"
    if not source.is_file():
        return None
    lines: dict[tuple[str, str], str] = {}
    for line in source.read_text("utf-8").splitlines():
        kind, name, *rest = line.split(" ", 2)
        lines[kind, name] = rest[0] if rest else ""
    return Tables(lines)


@lru_cache(maxsize=1)
def field_names() -> Mapping[str, tuple[str, ...]]:
    """What the fields of each segment are called (``patient name``), the first at place 0, "" where nobody says."""
    found = {}
    for line in (files(__name__) / "names.txt").read_text("utf-8").splitlines():
        name, *fields = line.split("|")
        found[name] = tuple(fields)
    return found


def _specification(token: str) -> Spec:
    if token == "-":
        return Spec("", 0, False, MANY)
    body, star, most = token[1:].partition("*")
    body = token[0] + body
    required = body.endswith("!")
    kind, _, length = body.rstrip("!").partition(":")
    return Spec(kind, int(length or 0), required, (int(most) if most else MANY) if star else 1)


def _tree(name: str, tokens: list[str]) -> Node:
    """The structure's root, without recursion because the tokens are a flat list."""
    opened: list[tuple[str, list[Node]]] = [(f"({name}!", [])]
    for token in tokens:
        if token[0] in "(<":
            opened.append((token, []))
        elif token in (")", ">"):
            head, children = opened.pop()
            opened[-1][1].append(_node(head, children))
        else:
            opened[-1][1].append(_node(token, []))
    head, children = opened.pop()
    return _node(head, children)


def _node(token: str, children: list[Node]) -> Node:
    choice = token[0] == "<"
    body, star, most = token.lstrip("(<").partition("*")
    name = body.rstrip("!")
    if not children:
        only = frozenset((name,))
        return Node(name, body.endswith("!"), (int(most) if most else MANY) if star else 1, names=only, firsts=only)
    firsts: set[str] = set()
    for child in children:
        firsts |= child.firsts
        if child.required and not choice:
            break
    return Node(
        name,
        body.endswith("!"),
        (int(most) if most else MANY) if star else 1,
        tuple(children),
        choice,
        frozenset().union(*(child.names for child in children)),
        frozenset(firsts),
    )
