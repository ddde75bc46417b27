"""Overlays: the addresses and policies of one installation, over what the estate says."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from hilum.authoring.estate import Estate, SystemSpec
from hilum.authoring.estate_transport import DOORS, HttpDoor


class OverlayRefused(ValueError):
    """An overlay names a system that the estate does not have, or a setting that no system has."""


def overlaid(estate: Estate, overlay: Path | None) -> Estate:
    """The estate with ``[systems.<name>.connect]`` and the like of an overlay file taken over, key by key."""
    if overlay is None:
        return estate
    given = tomllib.loads(overlay.read_text())
    systems = dict(estate.systems)
    for name, changes in given.get("systems", {}).items():
        if name not in systems:
            raise OverlayRefused(f"{overlay}: the estate has no system {name!r}; it has {', '.join(sorted(systems))}")
        systems[name] = SystemSpec.model_validate(_merged(systems[name].model_dump(exclude_unset=True), changes))
    doors = dict(estate.doors)
    for name, changes in given.get("doors", {}).items():
        if name not in DOORS:
            raise OverlayRefused(f"{overlay}: there is no door {name!r}; there are {', '.join(DOORS)}")
        doors[name] = HttpDoor.model_validate(_merged(estate.door(name).model_dump(exclude_unset=True), changes))
    return replace(estate, systems=systems, doors=doors)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in over.items():
        here = out.get(key)
        out[key] = _merged(here, value) if isinstance(here, dict) and isinstance(value, dict) else value
    return out
