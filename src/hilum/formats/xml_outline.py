"""How an XML document looks to a reader: its elements and attributes as a tree, with what must be masked marked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from hilum.formats.outline import Outline
from hilum.formats.xml import Element, name_of

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
        text = (element.text or "").strip()
        if len(element):
            # Mixed content: what stands between the children belongs to the element all the same.
            text = " ".join(part for part in [text, *((child.tail or "").strip() for child in element)] if part)
        if text:
            shown.value = text
            shown.protected = protected(element, label)
        children = [(child, Outline(name_of(child))) for child in islice(element, left)]
        left -= len(children)
        shown.children.extend(node for _, node in children)
        if len(children) < len(element):
            shown.note = "more follow"
        todo.extend(reversed(children))
    return top
