"""What an estate declares about its governed door: APIs, identities, protection. One file of ``apis/`` is an ``ApiSpec``."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

STRICT = ConfigDict(extra="forbid", frozen=True)


class Limits(BaseModel):
    """What a caller may use of an API. Requests a minute and a day are counted over all processes."""

    model_config = STRICT

    requests_per_minute: int = Field(default=600, gt=0)
    burst: int = Field(default=60, gt=0)
    quota_per_day: int | None = Field(default=None, gt=0)
    concurrency: int = Field(default=16, gt=0)
    timeout_seconds: float = Field(default=10, gt=0)
    max_body_bytes: int = Field(default=262_144, gt=0)
    max_depth: int = Field(default=20, gt=0)


class Slo(BaseModel):
    """What the owner promises: the share of requests answered without a fault of ours, and how fast."""

    model_config = STRICT

    availability: float = Field(gt=0, le=1)
    p95_milliseconds: float = Field(gt=0)


class VersionSpec(BaseModel):
    """One version's life. Only published and deprecated versions are reachable."""

    model_config = STRICT

    state: Literal["draft", "published", "deprecated", "retired"] = "draft"
    published_on: date | None = None
    deprecated_on: date | None = Field(default=None, description="RFC 9745 Deprecation.")
    sunset_on: date | None = Field(default=None, description="RFC 8594 Sunset.")
    successor: int | None = None
    approved_by: str = Field(default="", description="Who released it; not its author.")
    author: str = ""


class ConsumerSpec(BaseModel):
    """What is agreed with one consumer of an API beyond what everyone gets."""

    model_config = STRICT

    limits: Limits | None = None
    criticality: Literal["critical", "high", "normal", "low"] | None = None
    purposes: tuple[Literal["treatment", "payment", "operations", "audit"], ...] = Field(
        default=("operations",), min_length=1, description="What a program may state as its purpose of use; people are asked by policies."
    )  # fmt: skip


class ApiSpec(BaseModel):
    """One file of ``apis/``."""

    model_config = STRICT

    name: str
    title: str = ""
    description: str = ""
    layer: Literal["system", "process", "experience"]
    owner: str = ""
    system: str = Field(default="", description="The system behind a system API.")
    audience: tuple[str, ...] = Field(default=(), description="A token's `aud` must be one of these.")
    criticality: Literal["critical", "high", "normal", "low"] = "normal"
    slo: Slo
    limits: Limits = Limits()
    versions: dict[int, VersionSpec]
    consumers: dict[str, ConsumerSpec] = Field(default_factory=dict)
