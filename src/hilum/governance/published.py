"""The descriptions an estate has published: one file for each version of each API, kept with the estate.

``hilum api record`` writes them; ``hilum check`` holds what is declared against them, so that nobody breaks a consumer by
accident.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from hilum.authoring.estate import Estate
from hilum.governance.compatibility import Change, changes
from hilum.governance.openapi import REACHABLE, openapi

FOLDER = Path("apis") / "published"


def published_file(name: str, version: int) -> Path:
    """``apis/published/erp.v1.json``, relative to the estate."""
    return FOLDER / f"{name}.v{version}.json"


def reachable_versions(estate: Estate) -> list[tuple[str, int]]:
    """Every version of every API that callers can reach and that has operations."""
    declared = {(operation.api.name, operation.version) for operation in estate.operations()}
    return sorted(
        (name, version)
        for name, spec in estate.api_specs.items()
        for version, life in spec.versions.items()
        if life.state in REACHABLE and (name, version) in declared
    )


def recorded(estate: Estate, name: str, version: int) -> dict[str, Any] | None:
    """The description as it was recorded; None when it never was. ValueError when the file cannot be read."""
    path = estate.root / published_file(name, version)
    if not path.exists():
        return None
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from error
    if not isinstance(document, dict) or "paths" not in document or "components" not in document:
        raise ValueError("it is no OpenAPI document")
    return document


def differences(estate: Estate, name: str, version: int) -> list[Change] | None:
    """What changed since the version was recorded; None when it never was."""
    before = recorded(estate, name, version)
    return None if before is None else changes(before, openapi(estate, api=name, version=version))


def record(estate: Estate, name: str, version: int) -> Path:
    """Write the present description as what is published; returns the file, relative to the estate."""
    place = published_file(name, version)
    path = estate.root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(
        orjson.dumps(openapi(estate, api=name, version=version), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        + b"\n"
    )
    os.replace(part, path)
    return place
