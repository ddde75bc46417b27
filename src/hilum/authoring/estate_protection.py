"""What ``[protection]`` of an estate says: who keeps the key under which everything at rest is sealed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ProtectionSpec(BaseModel):
    """``keys`` is ``file`` (a key file in the data directory), ``vault`` (its transit engine) or the name of a plug-in.

    ``settings`` are the wrapper's own; a secret among them is a reference (``token = "file:secrets/vault-token"``).
    """

    model_config = ConfigDict(extra="forbid")

    keys: str = Field(default="file", pattern=r"^[a-z][a-z0-9_-]*$")
    settings: dict[str, Any] = Field(default_factory=dict)
