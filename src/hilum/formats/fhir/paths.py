"""Places in FHIR content as simple FHIRPath: ``Claim.insurance[0].coverage.reference``."""

from __future__ import annotations

import re
from typing import Any

PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}").fullmatch
"""Whether a property name may be shown: anything else could be content in the wrong place."""
_PATH = re.compile(
    r"[A-Za-z_][A-Za-z0-9_]*(?:\[[0-9]{1,9}\])*(?:\.[A-Za-z_][A-Za-z0-9_]*(?:\[[0-9]{1,9}\])*)*"
).fullmatch
_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]")


class InvalidPath(ValueError):
    """The text is no path of names and indices."""


def step(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def parse_path(path: str) -> list[str | int]:
    """The names and indices of a path. InvalidPath when it is none."""
    if not _PATH(path):
        raise InvalidPath("a path looks like Claim.insurance[0].coverage.reference")
    return [name if name else int(index) for name, index in _STEP.findall(path)]


def look_up(resource: dict[str, Any], path: str) -> Any:
    """What stands at a path in a resource, None when nothing does.

    The path may begin with the resource's type. A list without an index means its first item, as one reads
    ``Patient.name.family``; at the end of a path the whole list is given.
    """
    steps = parse_path(path)
    if steps[0] == resource.get("resourceType"):
        steps = steps[1:]
    found: Any = resource
    for one in steps:
        if isinstance(one, int):
            if not isinstance(found, list) or one >= len(found):
                return None
            found = found[one]
        else:
            if isinstance(found, list) and found:
                found = found[0]
            if not isinstance(found, dict):
                return None
            found = found.get(one)
    return found
