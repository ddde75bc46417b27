"""Who owns which master data: ``[master.<object>]`` of an estate."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class MasterSpec(BaseModel):
    """One kind of master record and its authority: ``owner_system``, and at the facilities of ``facilities`` another one.

    Where a facility has an authority of its own, nobody else's records count there.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$", description="department, location, provider, payer, cost_centre ..."
    )
    owner_system: str = Field(min_length=1)
    facilities: dict[str, str] = Field(default_factory=dict, description="Facility to the system that owns it there.")
    owner: str = Field(default="", description="Who answers for it, of the estate's owners.")
    queue: str = Field(default="", description="Where its stewards find what does not fit.")
    table: str = Field(default="", description="`tables/accounts.csv:account`: codes the estate itself relies on.")
    most_gone_percent: float = Field(
        default=20, ge=0, le=100, description="A complete list that lacks more than this waits for a person."
    )
    ends_within_days: int = Field(
        default=30, ge=0, description="How long before its end a record is work for a steward."
    )

    def authority(self, facility: str = "") -> str:
        """The one system whose word counts for records of this facility; empty for those of the whole network."""
        return self.facilities.get(facility, self.owner_system)
