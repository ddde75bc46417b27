"""The resources and datatypes of FHIR R4 (4.0.1): which elements each has, read from the tables beside this file.

``r4_elements.txt`` has one block per type or nested part. Its first line is the name and ``resource``, ``type`` or ``part``;
then follows one line per element: name, min, max, types with ``|`` between (a Reference names its permitted targets, a
Quantity whether it is a SimpleQuantity), and
the value set of a required binding. ``r4_codes.txt`` has the codes of these value sets; where a Coding or CodeableConcept is
bound they are ``system|code``. ``tools/fhir_tables.py`` makes both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from hilum.formats.fhir.primitives import PRIMITIVES, Check

VERSION = "4.0.1"


@dataclass(slots=True)
class Element:
    """One JSON property of a type; a choice such as ``value[x]`` is one element per type it permits."""

    name: str
    type: str
    minimum: int
    many: bool
    choice: str | None
    check: Check | None
    """Whether a JSON value is of the primitive type; None when the type is complex."""
    targets: frozenset[str] | None
    """Resource types a Reference may point to, None when any; SimpleQuantity for a Quantity that must be simple."""
    codes: frozenset[str] | None
    value_set: str | None
    order: int
    shape: Shape | None = None
    """The complex type, found on first use: types refer to one another."""

    def resolved(self) -> Shape:
        """The shape of a complex element other than a resource."""
        if self.shape is None:
            self.shape = shape_of(self.type)
        return self.shape


@dataclass(slots=True)
class Shape:
    """A resource, a datatype or a nested part with its elements by JSON name.

    ``required`` has for each element with min 1 its name and the JSON properties any of which satisfies it.
    """

    name: str
    kind: str
    elements: dict[str, Element]
    required: tuple[tuple[str, tuple[str, ...]], ...]
    must: frozenset[str]
    """The required elements that are no choice, for one quick comparison."""
    choices: dict[str, tuple[str, ...]]


def _text(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


@cache
def _blocks() -> dict[str, tuple[str, list[str]]]:
    blocks: dict[str, tuple[str, list[str]]] = {}
    lines: list[str] = []
    for line in _text("r4_elements.txt").splitlines():
        if line.startswith(" "):
            lines.append(line)
        else:
            name, kind = line.split()
            lines = []
            blocks[name] = (kind, lines)
    return blocks


@cache
def _value_sets() -> dict[str, frozenset[str]]:
    split = (line.split() for line in _text("r4_codes.txt").splitlines())
    return {name: frozenset(codes) for name, *codes in split}


@cache
def invariant_keys() -> tuple[tuple[str, str, str], ...]:
    """Every constraint R4 states on its resources and datatypes: key, severity (error or warning), the element it is on."""
    rows = (line.split() for line in _text("r4_invariants.txt").splitlines())
    return tuple((key, severity, path) for key, severity, path in rows)


@cache
def resource_types() -> frozenset[str]:
    """The names of the resources of R4, the abstract ones left out."""
    return frozenset(name for name, (kind, _) in _blocks().items() if kind == "resource")


@cache
def shape_of(name: str) -> Shape:
    """The shape of a type; KeyError when R4 has none of that name."""
    kind, lines = _blocks()[name]
    elements: dict[str, Element] = {}
    required: list[tuple[str, tuple[str, ...]]] = []
    must: list[str] = []
    choices: dict[str, tuple[str, ...]] = {}
    for order, line in enumerate(lines):
        words = line.split()
        path, minimum, maximum, types = words[:4]
        value_set = words[4] if len(words) > 4 else None
        choice = path[:-3] if path.endswith("[x]") else None
        names: list[str] = []
        for type_name in types.split("|"):
            bare, _, targets = type_name.partition("(")
            json_name = path if choice is None else choice + bare[0].upper() + bare[1:]
            names.append(json_name)
            elements[json_name] = Element(
                name=json_name,
                type=bare,
                minimum=int(minimum),
                many=maximum == "*",
                choice=choice,
                check=PRIMITIVES.get(bare),
                targets=frozenset(targets[:-1].split(",")) if targets else None,
                codes=_value_sets()[value_set] if value_set else None,
                value_set=value_set,
                order=order,
            )
        if choice is not None:
            choices[choice] = tuple(names)
        if minimum != "0":
            required.append((path, tuple(names)))
            if choice is None:
                must.append(path)
    return Shape(name, kind, elements, tuple(required), frozenset(must), choices)
