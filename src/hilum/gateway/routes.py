"""From a path to the operations it names. One spelling each: no other case, encoding, slash or dot reaches anything."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

T = TypeVar("T")

_LONGEST_PATH = 2048
_MOST_SEGMENTS = 32
_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f/\\]")


class AmbiguousRoute(ValueError):
    """Two operations of one method under paths that only differ in their parameters' names."""


@dataclass
class _Node(Generic[T]):
    literals: dict[bytes, _Node[T]] = field(default_factory=dict)
    parameter: _Node[T] | None = None
    methods: dict[str, T] = field(default_factory=dict)


class Routes(Generic[T]):
    """A tree of path segments. A literal segment is compared as bytes, undecoded; a parameter takes exactly one segment."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, route: str, target: T) -> None:
        """``route`` is ``/erp/v1/orders/{number}``."""
        node = self._root
        for segment in route[1:].split("/"):
            if segment.startswith("{"):
                if node.parameter is None:
                    node.parameter = _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment.encode(), _Node())
        if method in node.methods:
            raise AmbiguousRoute(f"{method} {route} is declared twice; parameters' names do not tell routes apart")
        node.methods[method] = target

    def find(self, raw_path: bytes) -> tuple[dict[str, T], tuple[str, ...]] | None:
        """Targets by method, and the parameters' values in their order; None when the path names nothing."""
        if raw_path[:1] != b"/" or len(raw_path) > _LONGEST_PATH:
            return None
        segments = raw_path[1:].split(b"/")
        if len(segments) > _MOST_SEGMENTS:
            return None
        found = _walk(self._root, segments, 0, ())
        if found is None:
            return None
        node, taken = found
        values = []
        for segment in taken:
            value = _decoded(segment)
            if value is None:
                return None
            values.append(value)
        return node.methods, tuple(values)


def _walk(
    node: _Node[T], segments: list[bytes], at: int, taken: tuple[bytes, ...]
) -> tuple[_Node[T], tuple[bytes, ...]] | None:
    """A literal is preferred; a parameter is tried when the literal leads nowhere."""
    if at == len(segments):
        return (node, taken) if node.methods else None
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _walk(literal, segments, at + 1, taken)
        if found is not None:
            return found
    if node.parameter is None or segment in (b"", b".", b".."):
        return None
    return _walk(node.parameter, segments, at + 1, (*taken, segment))


def _decoded(segment: bytes) -> str | None:
    """A parameter's value; None for a broken escape, what is no UTF-8, a control character, a slash or a dot segment."""
    if b"%" not in segment:
        try:
            value = segment.decode("ascii")
        except UnicodeDecodeError:
            return None
    else:
        if _PERCENT.search(segment):
            return None
        try:
            value = unquote_to_bytes(segment).decode()
        except UnicodeDecodeError:
            return None
    return None if value in (".", "..") or _UNSPEAKABLE.search(value) else value
