"""What every process of the platform is told, brings along and says when it is ready."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson


def now() -> datetime:
    """The platform's clock; everything below takes it as an argument."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Serve:
    """What one process of the platform is told."""

    role: str
    estate: Path
    data: Path
    database_url: str
    overlay: Path | None = None
    name: str = ""
    port: int = 0


def ready(told: Serve, says: Mapping[str, Any]) -> None:
    place = told.data / f"ready-{told.name}.json"
    part = place.with_suffix(".part")
    part.write_bytes(orjson.dumps({"pid": os.getpid(), **says}))
    part.rename(place)
