"""What ``[evidence]`` and ``[retention]`` of an estate say: where proof is published, and how long what is kept."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

SIX_YEARS_DAYS = 2192
"""How long documentation is kept at least: six years (45 CFR 164.316(b)(2)(i)), two of them leap years."""


class EvidenceSpec(BaseModel):
    """Where signed heads are published, and what is archived without being asked for.

    ``publish_to`` are places outside the database: ``file:/mnt/worm/heads.jsonl`` (relative to the data directory) or
    ``s3://bucket/prefix?endpoint=https://...&region=...&credentials=file:secrets/heads``. ``archive`` is ``monthly``
    where each facility's month becomes a package when it has ended.
    """

    model_config = ConfigDict(extra="forbid")

    publish_to: tuple[str, ...] = ()
    publish_every_seconds: float = Field(default=60, gt=0)
    lock_days: int = Field(default=SIX_YEARS_DAYS, ge=1, description="Where a bucket has Object Lock.")
    queue: str = Field(default="compliance", description="Whose work it is when the log was set back or forked.")
    archive: str = Field(default="", pattern=r"^(monthly)?$")
    payloads: bool = Field(default=False, description="Whether packages may hold source bytes.")


class RetentionSpec(BaseModel):
    """Days after which what is stored leaves, by kind. A legal hold keeps what it covers longer.

    Never removed by retention: the audit log, facts (a resend after years is still a resend), cases, deliveries and
    work items, whose protected values become unreadable with their keys.
    """

    model_config = ConfigDict(extra="forbid")

    messages: int = Field(default=90, ge=1, description="Raw bytes and events.")
    search_keys: int = Field(default=SIX_YEARS_DAYS, ge=1, description="Keys by which cases are found.")
    deliveries: int = Field(default=SIX_YEARS_DAYS, ge=1, description="What was sent and answered.")
    access_log: int = Field(default=SIX_YEARS_DAYS, ge=SIX_YEARS_DAYS, description="By what accesses are found.")
    answers: int = Field(default=7, ge=1, description="Answers kept for a repeated Idempotency-Key.")
    sessions: int = Field(default=30, ge=1, description="Ended sessions and spent one-time values.")
    usage: int = Field(default=400, ge=1, description="Counts of API use.")
    packages: int = Field(default=30, ge=1, description="Evidence packages, once the archive keeps them.")

    @model_validator(mode="after")
    def _found_as_long_as_there(self) -> RetentionSpec:
        if self.search_keys < self.messages:
            raise ValueError("search_keys must be kept at least as long as messages: what is there must be found")
        return self
