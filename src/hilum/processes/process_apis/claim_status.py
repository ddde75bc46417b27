"""Claims: where they stand by the books, and what a payer says when it is asked in real time (X12 276/277)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Annotated, Any, Literal

from pydantic import Field

from hilum.authoring import Api, Contract, Example, Financial, Payer, Phi, Unavailable
from hilum.authoring.caller import Caller
from hilum.authoring.platform import Platform
from hilum.model.claim_status import ClaimStatusQuestion, ClaimStatusSaid
from hilum.model.identifiers import FacilityCode
from hilum.processes.patient_to_cash.claims import ClaimAnswer, ClaimStatusTold, ToldStatus
from hilum.processes.process_apis.eligibility import UnknownProvider

payer = Payer("payer")
claims = Api("claims")


class ClaimStatusRequest(Contract, version=1, owner="revenue-cycle"):
    """Which claim is asked about, and whose it is: payers find nothing by the number alone."""

    facility: str = Field(min_length=1, max_length=64)
    payer: str = Field(min_length=2, max_length=80, pattern=r"^[A-Za-z0-9]+$", description="The payer's number.")
    claim_number: Annotated[str, Phi, Field(min_length=1, max_length=38, pattern=r"^[A-Za-z0-9._/-]+$")]
    payer_claim_number: (
        Annotated[str, Phi, Field(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9._/-]+$")] | None
    ) = None
    member_number: Annotated[str, Phi, Field(min_length=2, max_length=80, pattern=r"^[A-Za-z0-9-]+$")]
    family_name: Annotated[str, Phi, Field(min_length=1, max_length=60)]
    given_name: Annotated[str, Phi, Field(min_length=1, max_length=35)] | None = None
    birth_date: Annotated[date, Phi]
    sex: Annotated[Literal["F", "M", "U"], Phi] | None = None
    charge: Annotated[Decimal, Financial] | None = Field(default=None, max_digits=14, decimal_places=2)
    service_from: date | None = None
    service_to: date | None = None


class ClaimStatus(Contract, version=1, owner="revenue-cycle"):
    """What the payer said; it stands in the claim's life as well. `not-answered`: it did not answer in time; ask again later."""

    reference: str
    facility: str
    payer: str
    state: Literal["answered", "not-answered"]
    category: str | None = Field(
        default=None, description="X12 list 507: P pending, F finalised, A acknowledged, R and E."
    )
    reasons: tuple[str, ...] = Field(default=(), description="In words, each with its codes.")
    on: date | None = None
    charge: Annotated[Decimal | None, Financial] = None
    paid: Annotated[Decimal | None, Financial] = None
    asked_at: datetime


def about_claim_status(body: ClaimStatusRequest) -> Mapping[str, Any]:
    return {"facility": body.facility}


_ASKED = ClaimStatusRequest(
    facility="ST-MARY", payer="HHP01", claim_number="CLM-2044", member_number="W-1001", family_name="DOE", given_name="ANNA",
    birth_date=date(1961, 2, 3), service_from=date(2026, 1, 15),
)  # fmt: skip


@claims.post(
    "/status-inquiries",
    resource="Charge",
    about=about_claim_status,
    raises=(ClaimStatusTold,),
    examples=(
        Example(
            "The payer wants records",
            body=_ASKED,
            answer=ClaimStatus(
                reference="S-1f0c", facility="ST-MARY", payer="HHP01", state="answered", category="P3",
                reasons=("pending: the provider was asked for information (P3): the patient's medical records are asked for (317)",),
                on=date(2026, 3, 2), asked_at=datetime.fromisoformat("2026-03-02T08:00:00+00:00"),
            ),
        ),
    ),
)  # fmt: skip
def ask_claim_status(body: ClaimStatusRequest, caller: Caller, key: str, platform: Platform) -> ClaimStatus:
    """Ask the payer where a claim stands. Its answer is a fact of the claim's life; no answer changes nothing."""
    provider = _provider(platform, body.facility)
    # The same request is the same inquiry, also at the payer.
    reference = "S-" + blake2b(f"{caller.actor}\x1f{key}".encode(), digest_size=12).hexdigest()
    told = {"reference": reference, "facility": body.facility, "payer": body.payer, "asked_at": platform.now()}
    try:
        said = payer.claim_status(
            ClaimStatusQuestion(
                reference=reference, facility=FacilityCode(value=body.facility), provider_npi=provider["npi"],
                provider_name=provider["name"],
                **body.model_dump(exclude={"facility"}),
            )
        )  # fmt: skip
    except Unavailable:
        return ClaimStatus.model_validate({**told, "state": "not-answered", "reasons": ("the payer did not answer",)})
    today = platform.now().date()
    platform.wait_for(platform.submit(_fact(body, said, today), source="claims", actor=caller.actor))
    return ClaimStatus.model_validate(
        {
            **told, "state": "answered", "category": said.statuses[0].category, "on": said.on, "charge": said.charge,
            "paid": said.paid, "reasons": tuple(each.words for each in said.statuses),
        }
    )  # fmt: skip


def _fact(body: ClaimStatusRequest, said: ClaimStatusSaid, today: date) -> ClaimStatusTold:
    on = said.on if said.on is not None else today
    answer = ClaimAnswer(
        level="claim", claim=body.claim_number, payer_claim=said.payer_claim_number, trace=said.reference,
        category=said.statuses[0].category, on=on, charge=said.charge, paid=said.paid,
        statuses=tuple(
            ToldStatus(category=each.category, status=each.status or "", entity=each.entity or "", words=each.words)
            for each in said.statuses
        ),
    )  # fmt: skip
    digest = blake2b(answer.model_dump_json().encode(), digest_size=32).hexdigest()
    return ClaimStatusTold(
        number=f"{body.payer}/asked/{said.reference}", partner=body.payer, made_on=today,
        facility=FacilityCode(value=body.facility), payer=body.payer, answers=(answer,), digest=digest,
    )  # fmt: skip


def _provider(platform: Platform, facility: str) -> Mapping[str, str]:
    table = platform.estate.root / "tables" / "providers.csv"
    if table.exists():
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row.get("facility") == facility and row.get("npi") and row.get("name"):
                    return row
    raise UnknownProvider(facility)
