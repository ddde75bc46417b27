"""How a document looks to a reader: a tree of labelled values, with what must be masked marked as such."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Outline:
    """One node: ``label`` is the place as the format's paths write it, ``value`` its text, if it has one itself.

    ``protected`` marks a value that may tell who a patient is (or what an account holds); readers without the right see it masked.
    ``note`` is a short word for people (``billing provider``, ``paid``), never taken from the document.
    """

    label: str
    value: str | None = None
    note: str | None = None
    protected: bool = False
    children: list[Outline] = field(default_factory=list)

    def as_json(self, mask: Callable[[str], str] | None = None) -> dict[str, Any]:
        """The node as JSON values; ``mask`` replaces protected values, None shows them."""
        told: dict[str, Any] = {"label": self.label}
        if self.note is not None:
            told["note"] = self.note
        if self.value is not None:
            told["value"] = mask(self.value) if self.protected and mask is not None else self.value
        if self.children:
            told["children"] = [child.as_json(mask) for child in self.children]
        return told
