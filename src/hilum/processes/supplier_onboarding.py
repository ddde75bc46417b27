"""Supplier onboarding: an application is screened, agreed to by somebody else, and only then known to the ERP."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hilum.authoring import Confidential, Contract, Crosswalk, Erp, Key, Pii, Rejected, flow, step
from hilum.authoring.approving import ApprovalAsked, ApprovalDesk, agreed
from hilum.authoring.approving import ApprovalRejected as ApprovalRejected  # Raised by `agreed`; the estate must have
from hilum.authoring.approving import NeedsApproval as NeedsApproval  # their queue.
from hilum.model.ledger import DocumentRef
from hilum.model.procurement import Supplier, SupplierAddress, SupplierContact, TaxIdentifier

erp = Erp("erp")
desk = ApprovalDesk("approvals")
excluded_parties = Crosswalk("excluded_parties")

APPLICATION = "SupplierApplication"
_LEGAL_FORMS = re.compile(r"\b(inc|incorporated|llc|ltd|limited|corp|corporation|co|company|gmbh|ag|sa)\b")


class AppliedAddress(BaseModel):
    """Where the applicant is written to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    street: str = Field(min_length=1, max_length=120)
    city: str = Field(min_length=1, max_length=80)
    subdivision: str = Field(default="", max_length=6, description="ISO 3166-2 without the country.")
    postal_code: str = Field(min_length=1, max_length=16)
    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2.")


class SupplierApplied(Contract, version=1, identities=["application"], owner="supply-chain"):
    """Somebody asked that a supplier be taken on. The application's number names the request that brought it."""

    application: Annotated[str, Key("application")]
    supplier: Annotated[str, Key("supplier")]
    name: str
    tax_number: Annotated[str, Confidential]
    tax_kind: str
    address: AppliedAddress
    contact_name: Annotated[str, Pii]
    contact_email: Annotated[str, Pii]
    payment_term: str | None = None
    requested_by: str
    requested_at: AwareDatetime


class AlreadySupplier(Rejected, queue="purchasing", due_hours=48):
    """The code is another supplier's. Use that supplier, or have the application made anew with another code; then skip it."""


class ExcludedParty(Rejected, queue="purchasing", due_hours=24):
    """The name stands in the crosswalk excluded_parties. Clear it with compliance, take it out there and release; or skip it."""


@flow(
    on=SupplierApplied,
    key="application",
    criticality="normal",
    owner="supply-chain",
    recovery="What was screened out or not agreed to waits for purchasing; what the ERP could not take goes on by itself.",
)
def onboard_supplier(applied: SupplierApplied) -> None:
    screen(applied)
    approved(applied)
    make_known(applied)


@step
def screen(applied: SupplierApplied) -> bool:
    """No excluded party, and no code that is somebody else's."""
    listed = excluded_parties.lookup(screened_name(applied.name), facility="", on=applied.requested_at)
    if listed is not None:
        raise ExcludedParty(applied.supplier, detail=f"listed as {listed}")
    known = erp.supplier(applied.supplier)
    if known is not None and screened_name(known.name) != screened_name(applied.name):
        raise AlreadySupplier(applied.supplier)
    return True


@step
def approved(applied: SupplierApplied) -> int:
    """Somebody who did not ask for it agreed to exactly this application."""
    return agreed(
        desk,
        ApprovalAsked(
            kind=APPLICATION, subject=applied.application, digest=application_digest(applied),
            requested_by=applied.requested_by, supplier=applied.supplier,
        ),
    )  # fmt: skip


@step
def make_known(applied: SupplierApplied) -> DocumentRef:
    address = applied.address
    return erp.create_supplier(
        Supplier(
            code=applied.supplier,
            name=applied.name,
            addresses=(
                SupplierAddress(
                    street=address.street, city=address.city, subdivision=address.subdivision,
                    postal_code=address.postal_code, country=address.country,
                ),
            ),
            contacts=(SupplierContact(kind="email", value=applied.contact_email, name=applied.contact_name),),
            tax_identifiers=(TaxIdentifier(kind=applied.tax_kind, value=applied.tax_number),),
            payment_term=applied.payment_term,
        )
    )  # fmt: skip


def application_digest(applied: SupplierApplied) -> str:
    """``sha256:<hex>`` of what is agreed to."""
    return f"sha256:{sha256(applied.model_dump_json().encode()).hexdigest()}"


def screened_name(name: str) -> str:
    """A name as screening compares it: lower case, without legal form and punctuation, one space between words."""
    return " ".join(_LEGAL_FORMS.sub(" ", re.sub(r"[^\w\s]", " ", name.casefold())).split())
