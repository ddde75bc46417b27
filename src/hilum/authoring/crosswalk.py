"""Crosswalks as the author sees them: a name to look up, with an owner in the estate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hilum.authoring.running import current_run


@dataclass(frozen=True)
class Crosswalk:
    """A translation of one system's codes into another's, kept in ``tables/`` and by stewards."""

    name: str

    def lookup(self, value: str, *, facility: str = "", on: datetime | None = None) -> str | None:
        """The target code, or None when there is no entry in force: a facility's own entry wins over the network's."""
        return current_run().lookup(self.name, value, facility, on)
