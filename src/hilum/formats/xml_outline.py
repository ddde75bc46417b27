"""How an XML document looks to a reader: its elements and attributes as a tree, with what must be masked marked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from hilum.formats.outline import Outline
from hilum.formats.xml import Element, name_of, text_of

_MOST = 200_000


def outline_of(root: Element, protected: Callable[[Element, str], bool]) -> Outline:
    """The tree, attributes as ``@name`` before the children. ``protected(element, label)`` says what is masked; the first
    200,000 elements are shown and a note says that more follow."""
    left = _MOST
    top = Outline(name_of(root))
    todo: list[tuple[Element, Outline]] = [(root, top)]
    while todo:
        element, shown = todo.pop()
        label = shown.label
        for name, value in element.attrib.items():
            bare = str(name)[str(name).rfind("}") + 1 :]
            shown.children.append(Outline(f"@{bare}", str(value), protected=protected(element, f"@{bare}")))
        if text := _said(element):
            shown.value = text
            shown.protected = protected(element, label)
        children = [(child, Outline(name_of(child))) for child in islice(element, left)]
        left -= len(children)
        shown.children.extend(node for _, node in children)
        if len(children) < len(element):
            shown.note = "more follow"
        todo.extend(reversed(children))
    return top


def content_of(element: Element) -> dict[str, Any]:
    """An element as names and values: attributes, then children, lists where a name repeats; no deeper than ``xml.read`` lets in."""
    told: dict[str, Any] = {str(name)[str(name).rfind("}") + 1 :]: str(value) for name, value in element.attrib.items()}
    for child in element:
        name = name_of(child)
        inside: Any = content_of(child) if len(child) or child.attrib else text_of(child)
        if name in told:
            if not isinstance(told[name], list):
                told[name] = [told[name]]
            told[name].append(inside)
        else:
            told[name] = inside
    if text := _said(element):
        # An attribute may be called text, as that of a cXML status is.
        told["#text" if "text" in told else "text"] = text
    return told


def _said(element: Element) -> str:
    """The element's own text; what stands between its children (mixed content) belongs to it all the same."""
    parts = [element.text, *(child.tail for child in element)] if len(element) else [element.text]
    return " ".join(said for part in parts if part is not None and (said := part.strip()))
