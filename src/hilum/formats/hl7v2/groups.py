"""Segment groups: which ORDER_OBSERVATION an OBX belongs to (HL7 v2.5.1 ch. 2.12, and each chapter's structures).

Real messages have segments where no structure has them. Each is put where the structure can take it, else into the group that
is open, and told as a finding; none is ever dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from hilum.formats.hl7v2.events import structure_of
from hilum.formats.hl7v2.tables import MANY, Node

if TYPE_CHECKING:
    from hilum.formats.hl7v2.message import Message, Segment

_REMEMBERED_SEGMENTS = 48
_PROBLEMS_MAX = 200


class Group:
    """A group of a message, or the whole of it: its segments and the groups inside it, in the order of the message."""

    __slots__ = ("items", "name")

    def __init__(self, name: str, items: tuple[Segment | Group, ...]) -> None:
        self.name = name
        self.items = items

    def groups(self, name: str | None = None) -> list[Group]:
        """The groups called ``name`` at any depth below, in their order; without a name those directly inside."""
        if name is None:
            return [item for item in self.items if isinstance(item, Group)]
        found: list[Group] = []
        for item in self.items:
            if isinstance(item, Group):
                if item.name == name:
                    found.append(item)
                found.extend(item.groups(name))
        return found

    def segments(self, name: str | None = None) -> list[Segment]:
        """The segments directly inside, those of its inner groups not among them."""
        return [item for item in self.items if not isinstance(item, Group) and name in (None, item.name)]

    def __iter__(self) -> Iterator[Segment]:
        """All segments, those of inner groups too."""
        for item in self.items:
            if isinstance(item, Group):
                yield from item
            else:
                yield item

    def __repr__(self) -> str:
        return f"<Group {self.name}, {len(self.items)} items>"


class Problem(NamedTuple):
    """What the order of the segments breaks: ``location`` is a path that names a segment; ``position`` counts from 0."""

    text: str
    location: str
    severe: bool
    position: int | None


class Plan(NamedTuple):
    """Where each segment goes, by its number from 0."""

    name: str
    items: list[int | Plan]


def groups_of(message: Message) -> Group:
    """The message as the groups of its structure; a type nobody knows is one group of all its segments."""
    segments = list(message)
    structure = structure_of(message.version, message.type, message.structure)
    if structure is None:
        return Group(message.structure or message.type or "", tuple(segments))
    plan, _ = plan_of(structure, tuple(segment.name for segment in segments))
    return _group(plan, segments)


def plan_of(structure: Node, names: tuple[str, ...]) -> tuple[Plan, tuple[Problem, ...]]:
    """The groups and what is wrong with them; the same few sequences come all day, so short ones are remembered."""
    return _remembered(structure, names) if len(names) <= _REMEMBERED_SEGMENTS else _planned(structure, names)


def _group(plan: Plan, segments: list[Segment]) -> Group:
    return Group(
        plan.name, tuple(segments[item] if isinstance(item, int) else _group(item, segments) for item in plan.items)
    )


class _Open:
    """A group that is open: at which of its children the message is, and how often each was there."""

    __slots__ = ("counts", "node", "place", "plan")

    def __init__(self, node: Node, plan: Plan | None = None) -> None:
        self.node = node
        self.plan = Plan(node.name, []) if plan is None else plan
        self.place = 0
        self.counts = [0] * len(node.children)


def _planned(structure: Node, names: tuple[str, ...]) -> tuple[Plan, tuple[Problem, ...]]:
    root = _Open(structure)
    stack = [root]
    problems: list[Problem] = []
    absent: list[tuple[str, str]] = []
    strays: set[str] = set()
    hopeless: set[str] = set()
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        if name in structure.names and name not in hopeless and _placed(stack, name, absent):
            stack[-1].plan.items.append(number)
            hopeless.clear()
            continue
        stack[-1].plan.items.append(number)
        if name[0] == "Z" or len(problems) >= _PROBLEMS_MAX:
            continue
        place = name if seen[name] == 1 else f"{name}({seen[name]})"
        if name in structure.names:
            hopeless.add(name)
            strays.add(name)
            text = f"{structure.name} has no {name} at this place, or not so many"
            problems.append(Problem(text, place, True, number))
        else:
            problems.append(Problem(f"{structure.name} has no segment {name}", place, False, number))
    while stack:
        _close(stack.pop(), absent)
    for name, group in absent[:_PROBLEMS_MAX]:
        # What stands at the wrong place was told already.
        if name not in strays:
            inside = "" if group == structure.name else f" in its group {group}"
            problems.append(Problem(f"{structure.name} needs a segment {name}{inside}", name, True, None))
    return root.plan, tuple(problems)


_remembered = lru_cache(maxsize=512)(_planned)


def _placed(stack: list[_Open], name: str, absent: list[tuple[str, str]]) -> bool:
    """Open and close groups until ``name`` fits. Where nothing begins with it, a group may begin without its first segment."""
    for strict in (True, False):
        depth, way = _deepest(stack, name, strict)
        if way is None:
            continue
        while len(stack) > depth + 1:
            _close(stack.pop(), absent)
        for step in way:
            here = stack[-1]
            here.place = step
            here.counts[step] += 1
            child = here.node.children[step]
            if child.children:
                # A choice is the standard's way to say "one of these", no group that anybody would ask for.
                opened = _Open(child, here.plan if child.choice else None)
                if not child.choice:
                    here.plan.items.append(opened.plan)
                stack.append(opened)
        return True
    return False


def _deepest(stack: list[_Open], name: str, strict: bool) -> tuple[int, list[int] | None]:
    """The innermost open group with a place for ``name``, and the way there.

    Structures are ambiguous: in OML_O21 an ORC may begin the next ORDER or the first ORDER_PRIOR of this one. A group that
    is open and begins with that very segment is repeated rather than another one opened further inside.
    """
    first: tuple[int, list[int] | None] = (0, None)
    for depth in range(len(stack) - 1, -1, -1):
        opened = stack[depth]
        way = _way(opened, name, strict)
        if way is None:
            continue
        if first[1] is None:
            first = (depth, way)
            if len(way) == 1:
                break
        if opened.counts[way[0]] and len(way) == 2 and way[1] == 0:
            return depth, way
        if first[0] == depth and opened.node.children[way[0]].required and not opened.counts[way[0]]:
            break
    return first


def _way(opened: _Open, name: str, strict: bool) -> list[int] | None:
    """The children to go through from where the group is, forwards, to a place for ``name``."""
    node = opened.node
    for place in range(opened.place, len(node.children)):
        child = node.children[place]
        if name not in (child.firsts if strict else child.names):
            continue
        if child.most != MANY and opened.counts[place] >= child.most:
            continue
        if node.choice and any(count for other, count in enumerate(opened.counts) if other != place):
            continue
        return [place, *_down(child, name, strict)]
    return None


def _down(node: Node, name: str, strict: bool) -> list[int]:
    way: list[int] = []
    while node.children:
        for place, child in enumerate(node.children):
            if name in (child.firsts if strict else child.names):
                way.append(place)
                node = child
                break
    return way


def _close(opened: _Open, absent: list[tuple[str, str]]) -> None:
    """Note what the group should have had."""
    node = opened.node
    if node.choice:
        return
    for child, count in zip(node.children, opened.counts, strict=True):
        if child.required and not count:
            absent.append((_first_segment(child), node.name))


def _first_segment(node: Node) -> str:
    """The segment by whose absence a group's absence is told: its first required one, or its first."""
    while node.children:
        node = next((child for child in node.children if child.required), node.children[0])
    return node.name
