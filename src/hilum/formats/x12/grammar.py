"""A set definition made ready for walking: by segment id, what may come next in a loop, and each segment's fast check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hilum.formats.x12.definitions import LoopUse, SegmentUse, SetDefinition
from hilum.formats.x12.document import Segment, Separators
from hilum.formats.x12.elements import Codes
from hilum.formats.x12.patterns import segment_pattern

COMPILE_AFTER = 12
"""A segment use earns its expression when so many of its segments were looked at: compiling costs as much as explaining a
hundred segments, and most uses of a short file never come that far."""

_GRAMMARS_MAX = 64
Match = Callable[[str], object]


class Place:
    """A segment at its place in a loop, or a loop by the segment that opens it."""

    __slots__ = ("index", "loop", "match", "max", "name", "opens", "position", "required", "seen", "tests", "use")

    def __init__(self, use: SegmentUse, index: int, child: SegmentUse | LoopUse) -> None:
        self.use = use
        self.name = use.name
        self.index = index
        self.position = child.position
        self.max = child.max
        self.required = child.usage == "R"
        self.loop = child if isinstance(child, LoopUse) else None
        self.opens: tuple[Node, ...] = ()
        """The loop that it opens, and the loops that begin with the same segment inside it."""
        self.tests = use.discriminators
        self.match: Match | None = None
        self.seen = 0

    def fits(self, segment: Segment, separators: Separators) -> bool:
        """Whether the segment has the codes that tell it from its namesakes."""
        for at, part, codes in self.tests:
            text = segment[at] if at < len(segment) else ""
            if part:
                parts = text.split(separators.component)
                text = parts[part - 1] if part <= len(parts) else ""
            if text not in codes:
                return False
        return True


Choice = tuple[int, dict[str, tuple[Place, ...]], tuple[Place, ...]]
"""(element, places by its value, places for any other value); with element 0 the last alone, each to be tested."""


@dataclass(slots=True, eq=False)
class Node:
    """A loop: its places in order, the same by segment id, and those that must be filled."""

    use: LoopUse
    places: list[Place] = field(default_factory=list)
    by_name: dict[str, tuple[Place, ...]] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    required: tuple[Place, ...] = ()
    first_position: int = 0
    """The position of the segment that opens it."""
    opened: list[int] = field(default_factory=list)
    """How often each place is filled when the loop has just been opened, to be copied: its opening segment once."""


class Grammar:
    """A set definition for given separators and code lists."""

    def __init__(self, definition: SetDefinition, separators: Separators, codes: Codes | None) -> None:
        self.definition, self.separators, self.codes = definition, separators, codes
        self.nodes: dict[int, Node] = {}
        self.root = self._node(definition.root)
        self.names = frozenset(name for node in self.nodes.values() for name in node.by_name)
        self.hierarchical = "HL" in self.names

    def compile(self, place: Place) -> Match:
        """The fast check of a place's segments."""
        place.match = match = segment_pattern(place.use, self.separators, self.codes).fullmatch
        return match

    def _node(self, use: LoopUse) -> Node:
        # A loop that is used in several places is one node, keyed by its children, which they share.
        if id(use.children) in self.nodes and self.nodes[id(use.children)].use is use:
            return self.nodes[id(use.children)]
        node = Node(use)
        self.nodes[id(use)] = node
        if id(use.children) not in self.nodes:
            self.nodes[id(use.children)] = node
        for index, child in enumerate(use.children):
            opener = child.opener if isinstance(child, LoopUse) else child
            place = Place(opener, index, child)
            if isinstance(child, LoopUse):
                below = self.nodes[id(child)] if id(child) in self.nodes else self._node(child)
                chain = [below]
                while isinstance(first := chain[-1].use.children[0], LoopUse):
                    chain.append(self.nodes[id(first)])
                place.opens = tuple(chain)
            node.places.append(place)
        named: dict[str, list[Place]] = {}
        for place in node.places:
            named.setdefault(place.name, []).append(place)
        node.by_name = {name: tuple(places) for name, places in named.items()}
        node.choices = {name: _choice(places) for name, places in named.items()}
        node.required = tuple(place for place in node.places if place.required)
        node.first_position = node.places[0].position
        node.opened = [1, *[0] * (len(node.places) - 1)]
        return node


def _choice(places: list[Place]) -> Choice:
    simple = {tests[0][0] for place in places if len(tests := place.tests) == 1 and tests[0][1] == 0}
    if len(simple) != 1 or any(len(p.tests) > 1 or (p.tests and p.tests[0][1]) for p in places):
        return 0, {}, tuple(places)
    codes = {code for place in places for _, _, own in place.tests for code in own}
    mapping = {code: tuple(p for p in places if not p.tests or code in p.tests[0][2]) for code in codes}
    return simple.pop(), mapping, tuple(place for place in places if not place.tests)


_grammars: dict[tuple[int, Separators, int], Grammar] = {}


def grammar_for(definition: SetDefinition, separators: Separators, codes: Codes | None) -> Grammar:
    """The grammar, made once for each definition, separators and code lists; the latest ones are kept."""
    key = (id(definition), separators, id(codes))
    found = _grammars.get(key)
    if found is None or found.codes is not codes or found.definition is not definition:
        while len(_grammars) >= _GRAMMARS_MAX:
            _grammars.pop(next(iter(_grammars)), None)
        found = _grammars[key] = Grammar(definition, separators, codes)
    return found
