"""Patient to cash: claims as billing sent them, and what clearinghouse and payers answered."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from hilum.authoring import X12, Moment, System, mapping, schedule
from hilum.processes.patient_to_cash.claim_watch import (
    ClaimsAgeingDue,
    age_claims,
    take_acknowledgement,
    take_answers,
    take_status,
    watch_claims,
)
from hilum.processes.patient_to_cash.claims import (
    ClaimsAcknowledged,
    ClaimsAnswered,
    ClaimsSubmitted,
    ClaimStatusTold,
    claims_acknowledged,
    claims_submitted,
    claims_told,
)
from hilum.processes.patient_to_cash.write_offs import write_off
from hilum.processes.process_apis.claim_status import claims
from hilum.processes.process_apis.denials import denials

billing = System("billing")
clearinghouse = System("clearinghouse")

# Who may look at claims is decided from their first moment on, by the table as it was loaded; whose they are, by the crosswalk as
# stewards keep it.
with (Path(__file__).parents[1] / "tables" / "payee_to_facility.csv").open(newline="", encoding="utf-8") as table:
    PROVIDERS = {row["code"]: row["target"] for row in csv.DictReader(table) if not row["valid_to"]}

__all__ = [
    "age_claims",
    "claims",
    "denials",
    "take_acknowledgement",
    "take_answers",
    "take_status",
    "watch_claims",
    "write_off",
]


@mapping(source=billing, message="837")
def claims_sent(message: X12) -> ClaimsSubmitted:
    """A copy of what billing sent."""
    return claims_submitted(message, PROVIDERS)


@mapping(source=clearinghouse, message="999")
def claim_file_acknowledged(message: X12) -> ClaimsAcknowledged:
    """Whether the clearinghouse could read it."""
    return claims_acknowledged(message)


@mapping(source=clearinghouse, message="277")
def claims_answered(message: X12) -> ClaimsAnswered | ClaimStatusTold:
    """Which claims were taken and which came back, or where they stand."""
    return claims_told(message, PROVIDERS)


@schedule(cron="10 * * * *", owner="revenue-cycle", catch_up="latest")
def claims_ageing(moment: Moment) -> Iterable[ClaimsAgeingDue]:
    return [ClaimsAgeingDue(moment=moment.at.isoformat(), day=moment.day)]
