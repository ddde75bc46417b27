"""What an estate says about who may do what beyond its Cedar files: the terminal, broken glass, and people's other names."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

STRICT = ConfigDict(extra="forbid", frozen=True)


class TerminalSpec(BaseModel):
    """``[terminal]``: what whoever may use this machine's terminal may do there. ``people`` says it by login."""

    model_config = STRICT

    roles: tuple[str, ...] = ("administrator",)
    facilities: tuple[str, ...] | None = Field(default=None, description="None: every facility of the estate.")
    people: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Login to roles, in place of `roles`."
    )


class BreakGlassSpec(BaseModel):
    """``[break_glass]``: how long a grant lasts, and the queue in which it waits to be reviewed."""

    model_config = STRICT

    minutes: int = Field(default=60, ge=1, le=720)
    queue: str = "privacy"
    review_hours: float = Field(default=72, gt=0, description="Until then somebody else has to have reviewed it.")
    purposes: tuple[str, ...] = ("emergency", "treatment", "operations")
