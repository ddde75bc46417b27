"""The platform's own approval desk, as a flow speaks to it: somebody else has to agree before it goes on."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring.failures import Rejected
from hilum.authoring.system import System, command, question
from hilum.model.money import Money


class NeedsApproval(Rejected, queue="approvals", due_hours=72):
    """Approve or reject it by the approvals API, as somebody who had no part in it. The case then goes on by itself."""


class ApprovalRejected(Rejected, queue="approvals", due_hours=72):
    """It was not agreed to. Tell whoever asked why, then skip it."""


class ApprovalAsked(BaseModel):
    """What somebody has to agree to: ``kind`` is the policies' word for it, ``digest`` says exactly what."""

    model_config = ConfigDict(frozen=True)

    kind: str
    subject: str
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    requested_by: str = Field(description="The actor who asked for it, and so will not decide: person:sam.")
    facility: str | None = None
    supplier: str | None = None
    department: str | None = None
    amount_usd: int | None = None
    expires_in_hours: int = Field(default=24 * 14, ge=1)


class ApprovalStanding(BaseModel):
    """How an approval stands; ``number`` is by which people find it."""

    model_config = ConfigDict(frozen=True)

    number: int
    state: Literal["open", "approved", "rejected", "withdrawn", "expired"]


class ApprovalDesk(System):
    """The platform's own desk: asks for approvals and knows how they stand."""

    @command
    def ask(self, asked: ApprovalAsked, key: str | None = None) -> ApprovalStanding:
        """Ask for an approval, or learn how the one of exactly this stands; asking again asks nobody twice."""
        raise AssertionError("answered by the run")

    @question
    def standing(self, number: int) -> ApprovalStanding | None:
        """How an approval stands now; None when there is none of this number."""
        raise AssertionError("answered by the run")


def agreed(desk: ApprovalDesk, asked: ApprovalAsked, *, at_risk: Money | None = None) -> int:
    """The number of the approval, once there is one; for a step that goes on only then.

    ``NeedsApproval`` while nobody has decided, ``ApprovalRejected`` when somebody said no. It is asked for once; each time
    the step runs again the desk is asked how it stands.
    """
    standing = _now(desk, desk.ask(asked))
    while standing.state in ("expired", "withdrawn"):
        # Nobody decided in time: whoever let the case go on again wants it decided now.
        again = f"approval/{asked.kind}/{asked.subject}/after/{standing.number}"
        standing = _now(desk, desk.ask(asked, key=again))
    if standing.state == "approved":
        return standing.number
    amount = at_risk.amount if at_risk is not None else None
    cause = f"{asked.kind} {asked.subject}"
    if standing.state == "rejected":
        raise ApprovalRejected(cause, at_risk_usd=amount)
    raise NeedsApproval(cause, at_risk_usd=amount)


def _now(desk: ApprovalDesk, asked: ApprovalStanding) -> ApprovalStanding:
    """What was answered when it was asked for may be long ago."""
    standing = desk.standing(asked.number)
    return standing if standing is not None else asked
