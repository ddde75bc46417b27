"""Masking by role: every classified field of an answer is shown, or is ``***``, as the policies say for this caller.

Text keeps its last two characters, an identifier its authority; everything else becomes null. The published schema
(``governance.api_schemas``) allows exactly these forms.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from hilum.authoring.classification import DataClass, data_class_of, fields_of
from hilum.model.identifiers import Identifier
from hilum.security.redaction import mask

Masked = Callable[[Any], Any]


@dataclass(frozen=True)
class Field:
    """One classified field: the keys that lead to it (lists on the way are gone through) and its masked form."""

    path: tuple[str, ...]
    data_class: str
    masked: Masked


class Masks:
    """The classified fields of a shape, found once; one that holds itself is masked as deep as an item goes."""

    def __init__(self, shape: type[BaseModel]) -> None:
        nodes: dict[type[BaseModel], _Node] = {}
        self._root = _collect(shape, nodes)
        _prune(nodes.values())
        self.classes = frozenset(self._root.classes)

    def apply(self, item: dict[str, Any], hidden: Collection[str]) -> None:
        """Mask every field of these classes, in place."""
        if not self.classes.isdisjoint(hidden):
            _apply(self._root, item, hidden)

    def present(self, item: Mapping[str, Any]) -> frozenset[str]:
        """The classes of which this item holds a value at all."""
        found: set[str] = set()
        _present(self._root, item, found)
        return frozenset(found)


@dataclass
class _Node:
    """A shape: its own classified fields, the shapes that it holds, and the classes of all of them."""

    fields: list[Field] = field(default_factory=list)
    inner: list[tuple[tuple[str, ...], _Node]] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)


def _apply(node: _Node, here: dict[str, Any], hidden: Collection[str]) -> None:
    for marked in node.fields:
        if marked.data_class in hidden:
            _mask_at(here, marked.path, marked.masked)
    for path, inner in node.inner:
        if not inner.classes.isdisjoint(hidden):
            for item in _objects_at(here, path):
                _apply(inner, item, hidden)


def _present(node: _Node, here: Mapping[str, Any], found: set[str]) -> None:
    found.update(marked.data_class for marked in node.fields if _has(here, marked.path))
    for path, inner in node.inner:
        if not inner.classes <= found:
            for item in _objects_at(here, path):
                _present(inner, item, found)


def _objects_at(here: Any, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if isinstance(here, list):
        for item in here:
            yield from _objects_at(item, path)
    elif isinstance(here, dict):
        if not path:
            yield here
        elif path[0] == _ANY:
            for inner in here.values():
                yield from _objects_at(inner, path[1:])
        elif path[0] in here:
            yield from _objects_at(here[path[0]], path[1:])


def _mask_at(here: Any, path: tuple[str, ...], masked: Masked) -> None:
    if isinstance(here, list):
        for item in here:
            _mask_at(item, path, masked)
    elif isinstance(here, dict):
        if path[0] == _ANY:
            for name in here:
                if len(path) == 1:
                    here[name] = masked(here[name])
                else:
                    _mask_at(here[name], path[1:], masked)
        elif path[0] in here:
            if len(path) == 1:
                here[path[0]] = masked(here[path[0]])
            else:
                _mask_at(here[path[0]], path[1:], masked)


def _has(here: Any, path: tuple[str, ...]) -> bool:
    if not path:
        return here is not None
    if isinstance(here, list):
        return any(_has(item, path) for item in here)
    if not isinstance(here, dict):
        return False
    if path[0] == _ANY:
        return any(_has(inner, path[1:]) for inner in here.values())
    return path[0] in here and _has(here[path[0]], path[1:])


_ANY = "*"
"""Every value of an object whose members' names are data."""


def _collect(shape: type[BaseModel], nodes: dict[type[BaseModel], _Node]) -> _Node:
    if shape in nodes:
        return nodes[shape]
    node = nodes[shape] = _Node()
    for declared in fields_of(shape):
        path = (declared.alias,)
        marked = declared.data_class
        if marked is not None:
            outside = data_class_of(declared.metadata, None) is not None
            whole = outside and not _is_text(declared.annotation) and not _is_identifier(declared.annotation)
            node.fields.append(Field(path, marked, _nothing if whole else _form(declared.annotation)))
            node.classes.add(marked)
            continue
        node.inner += [(inside, _collect(inner, nodes)) for inner, inside in _shapes(declared.annotation, path)]
    return node


def _prune(nodes: Collection[_Node]) -> None:
    """Tell each shape the classes below it, and let go of those that hold none: nothing is looked for in them."""
    changed = True
    while changed:
        changed = False
        for node in nodes:
            below = {name for _, inner in node.inner for name in inner.classes}
            if not below <= node.classes:
                node.classes |= below
                changed = True
    for node in nodes:
        node.inner = [(path, inner) for path, inner in node.inner if inner.classes]


def _shapes(annotation: Any, path: tuple[str, ...]) -> list[tuple[type[BaseModel], tuple[str, ...]]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, path)]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _shapes(arguments[1], (*path, _ANY)) if len(arguments) == 2 else []
    return [found for part in arguments for found in _shapes(part, path)]


def _form(annotation: Any) -> Masked:
    """How a marked value is shown. A mark inside a list masks each of its items, so that their number stays."""
    if _is_text(annotation):
        return _text
    if _is_identifier(annotation):
        return _identifier
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        inner = _form(get_args(annotation)[1])
        return lambda value: {k: inner(v) for k, v in value.items()} if isinstance(value, dict) else None
    if isinstance(origin, type) and issubclass(origin, list | tuple | set | frozenset):
        inner = _form(get_args(annotation)[0])
        return lambda value: [inner(item) for item in value] if isinstance(value, list) else None
    return _nothing


def _leaves(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, UnionType):
        return [leaf for part in get_args(annotation) for leaf in _leaves(part)]
    if hasattr(annotation, "__metadata__"):
        return _leaves(annotation.__origin__)
    return [] if annotation is NoneType or _is_mark(annotation) else [annotation]


def _is_mark(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, DataClass)


def _is_text(annotation: Any) -> bool:
    leaves = _leaves(annotation)
    return bool(leaves) and all(leaf is str for leaf in leaves)


def _is_identifier(annotation: Any) -> bool:
    leaves = _leaves(annotation)
    return bool(leaves) and all(isinstance(leaf, type) and issubclass(leaf, Identifier) for leaf in leaves)


def _text(value: Any) -> Any:
    return mask(value) if isinstance(value, str) else None


def _identifier(value: Any) -> Any:
    """Which hospital issued a number is not the patient's secret."""
    if not isinstance(value, dict) or not isinstance(value.get("value"), str):
        return None
    return {
        name: mask(inner) if name == "value" else inner
        for name, inner in value.items()
        if name in ("value", "authority")
    }


def _nothing(value: Any) -> None:
    return None
