"""A denial that somebody gives up: agreed to by somebody else above the estate's limit, staged, posted, and written down.

One case for each decision. An estate supplies a posting rule for the kind ``write_off``, ``tables/write_off_limits.csv``, and
systems that play the roles ``claims``, ``approvals``, ``revenue`` and ``erp``.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_UP, Decimal
from hashlib import sha256
from typing import Annotated

from pydantic import PositiveInt

from hilum.authoring import AtRisk, Contract, Key, flow, step
from hilum.authoring.approving import ApprovalAsked, ApprovalDesk, ApprovalRejected, agreed
from hilum.authoring.approving import (
    NeedsApproval as NeedsApproval,
)  # Raised by `agreed`; the estate must have its queue.
from hilum.authoring.claims import Booked, ClaimsDesk, DenialToDecide
from hilum.authoring.revenue import RevenueBooks, StagedSource, Staging
from hilum.model.identifiers import FacilityCode
from hilum.model.money import Money
from hilum.model.posting import FinancialMovement
from hilum.processes.patient_to_cash.journals import PeriodNotOpen as PeriodNotOpen
from hilum.processes.patient_to_cash.journals import Posted, into_ledger, number_noted

claims = ClaimsDesk("claims")
approvals = ApprovalDesk("approvals")
revenue = RevenueBooks("revenue")

APPROVAL = "Posting"
"""What has to be agreed to, in the words of the policies."""


class WriteOffDecided(Contract, version=1, identities=["reference"], owner="revenue-cycle"):
    """Somebody decided that a denial is given up. The platform's own event: the decision stands in the claim books."""

    raised_by_platform = True

    reference: Annotated[str, Key("denial")]  # 12-1: the first decision about denial 12.
    denial: PositiveInt
    facility: FacilityCode
    payer: str
    amount: Annotated[Decimal, AtRisk]
    decided_on: date
    requested_by: str


@flow(
    on=WriteOffDecided,
    key="reference",
    criticality="normal",
    owner="revenue-cycle",
    recovery="Nothing is posted before it is agreed to; the ERP's journal is found by its key and not posted again. Release the case and it goes on.",
)
def write_off(decided: WriteOffDecided) -> None:
    denial = still_denied(decided)
    if denial is None or not agreed_to(decided, denial):
        conclude(decided, posted=False)
        return
    staged = stage_write_off(decided, denial)
    for journal in staged.journals:
        posted = post_write_off(decided, staged.source, journal.facility)
        record_write_off(staged.source, journal.facility, posted)
    conclude(decided, posted=True)


def source_of(reference: str) -> str:
    """How the books call a write-off."""
    return f"write_off/{reference}"


@step
def still_denied(decided: WriteOffDecided) -> DenialToDecide | None:
    """The denial, when it waits for exactly this; None when its payer paid meanwhile, or it was sent again."""
    found = claims.denial(decided.denial)
    return found if found is not None and found.state == "write_off_asked" else None


@step
def agreed_to(decided: WriteOffDecided, denial: DenialToDecide) -> bool:
    """Whether it may be given up: at once up to the limit, above it when somebody else agreed."""
    if denial.amount <= denial.limit_usd:
        return True
    try:
        agreed(
            approvals,
            ApprovalAsked(
                kind=APPROVAL, subject=f"write-off/{decided.reference}", digest=digest_of(decided, denial),
                requested_by=decided.requested_by, facility=denial.facility,
                amount_usd=int(denial.amount.to_integral_value(ROUND_UP)),
            ),
            at_risk=Money.usd(str(denial.amount)),
        )  # fmt: skip
    except ApprovalRejected:
        return False
    return True


@step
def stage_write_off(decided: WriteOffDecided, denial: DenialToDecide) -> StagedSource:
    return revenue.stage(
        Staging(
            source=source_of(decided.reference), kind="write_off", reference=decided.reference, payer=denial.payer,
            on=decided.decided_on, amount=denial.amount,
            movements=(
                FinancialMovement(
                    kind="write_off", reason=f"{denial.group}-{denial.reason}", facility=denial.facility,
                    payer_class=denial.payer_class, payer=denial.payer, line="d1", amount=denial.amount,
                ),
            ),
        )
    )  # fmt: skip


@step
def post_write_off(decided: WriteOffDecided, source: str, facility: str) -> Posted:
    """On the day of the decision, or on the first day of the next open period."""
    text = f"Write-off of denial {decided.denial} of {decided.payer}, decision {decided.reference}"
    return into_ledger(source, facility, text=text, on=decided.decided_on, at_risk_usd=decided.amount)


@step
def record_write_off(source: str, facility: str, posted: Posted) -> StagedSource:
    return number_noted(source, facility, posted)


@step
def conclude(decided: WriteOffDecided, posted: bool) -> Booked:
    return claims.written_off(decided.denial, decided.reference, posted)


def digest_of(decided: WriteOffDecided, denial: DenialToDecide) -> str:
    """``sha256:<hex>`` of what is agreed to: this decision, about this amount."""
    told = f"{decided.reference}\x1f{denial.facility}\x1f{denial.payer}\x1f{denial.group}-{denial.reason}\x1f{denial.amount}"
    return f"sha256:{sha256(told.encode()).hexdigest()}"
