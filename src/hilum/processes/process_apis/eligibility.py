"""Eligibility in real time: is this person covered on that day? When the payer does not answer, the answer is "not verified"."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hilum.authoring import Api, Contract, Example, Payer, Phi, Rejected, Unavailable
from hilum.authoring.caller import Caller
from hilum.authoring.platform import Platform
from hilum.model.coverage import CoverageBenefit, CoverageInquiry
from hilum.model.identifiers import FacilityCode

payer = Payer("payer")
eligibility = Api("eligibility")


class UnknownProvider(Rejected, queue="finance-master", due_hours=24):
    """Write the facility's NPI and its name as payers know it into tables/providers.csv, then repeat the request."""


class EligibilityRequest(Contract, version=1, owner="patient-access"):
    """Whose coverage is asked for: by member number, or by family name with date of birth."""

    facility: str = Field(min_length=1, max_length=64)
    payer: str = Field(min_length=2, max_length=80, pattern=r"^[A-Za-z0-9]+$", description="The payer's number.")
    member_number: Annotated[str, Phi, Field(min_length=2, max_length=80, pattern=r"^[A-Za-z0-9-]+$")] | None = None
    family_name: Annotated[str, Phi, Field(min_length=1, max_length=60)] | None = None
    given_name: Annotated[str, Phi, Field(min_length=1, max_length=35)] | None = None
    birth_date: Annotated[date, Phi] | None = None
    sex: Annotated[Literal["F", "M", "U"], Phi] | None = None
    on: date
    service_types: tuple[Annotated[str, Field(pattern=r"^[A-Z0-9]{1,2}$")], ...] = Field(
        default=("30",), min_length=1, max_length=20, description="X12 element 1365; 30 is the whole plan."
    )

    @model_validator(mode="after")
    def _can_be_found(self) -> EligibilityRequest:
        if self.member_number is None and (self.family_name is None or self.birth_date is None):
            raise ValueError("give the member number, or the family name with the date of birth")
        return self


class Eligibility(Contract, version=1, owner="patient-access"):
    """What the payer said. `not-verified`: it did not answer in time; ask again later, and treat the person meanwhile."""

    reference: str
    facility: str
    payer: str
    on: date
    status: Literal["active", "inactive", "unknown", "not-verified"]
    plan: Annotated[str | None, Phi] = None
    benefits: Annotated[tuple[CoverageBenefit, ...] | None, Phi] = None
    reasons: tuple[str, ...] = Field(default=(), description="Why it is unknown (X12 element 901) or not verified.")
    asked_at: datetime


def about_eligibility(body: EligibilityRequest) -> Mapping[str, Any]:
    return {"facility": body.facility}


_ASKED = EligibilityRequest(
    facility="ST-MARY",
    payer="HHP01",
    member_number="W-1001",
    on=date(2026, 3, 2),
    service_types=("30", "98"),
)


@eligibility.post(
    "/inquiries",
    resource="Eligibility",
    about=about_eligibility,
    examples=(
        Example(
            "A member before surgery",
            body=_ASKED,
            answer=Eligibility(
                reference="E-1f0c", facility="ST-MARY", payer="HHP01", on=date(2026, 3, 2), status="active",
                plan="HARBOR GOLD", asked_at=datetime.fromisoformat("2026-03-02T08:00:00+00:00"),
                benefits=(CoverageBenefit(information="B", service_types=("98",), period="27", amount=Decimal(25)),),
            ),
        ),
    ),
)  # fmt: skip
def ask_eligibility(body: EligibilityRequest, caller: Caller, key: str, platform: Platform) -> Eligibility:
    """Ask the payer in real time. A payer that does not answer makes the status `not-verified`; nothing waits for it."""
    provider = _provider(platform.estate.root / "tables" / "providers.csv", body.facility)
    # The same request is the same inquiry, also at the payer.
    reference = "E-" + blake2b(f"{caller.actor}\x1f{key}".encode(), digest_size=12).hexdigest()
    inquiry = CoverageInquiry(
        reference=reference, payer=body.payer, facility=FacilityCode(value=body.facility), provider_npi=provider["npi"],
        provider_name=provider["name"], member_number=body.member_number, family_name=body.family_name,
        given_name=body.given_name, birth_date=body.birth_date, sex=body.sex, on=body.on, service_types=body.service_types,
    )  # fmt: skip
    told = {
        "reference": reference,
        "facility": body.facility,
        "payer": body.payer,
        "on": body.on,
        "asked_at": platform.now(),
    }
    try:
        found = payer.coverage(inquiry)
    except Unavailable:
        answer = Eligibility.model_validate(
            {**told, "status": "not-verified", "reasons": ("the payer did not answer",)}
        )
    else:
        answer = Eligibility.model_validate(
            {
                **told,
                "status": found.status,
                "plan": found.plan,
                "benefits": found.benefits,
                "reasons": found.rejections,
            }
        )
    return answer


def _provider(table: Path, facility: str) -> Mapping[str, str]:
    if table.exists():
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row.get("facility") == facility and row.get("npi") and row.get("name"):
                    return row
    raise UnknownProvider(facility)
