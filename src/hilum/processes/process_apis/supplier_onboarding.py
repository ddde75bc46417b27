"""Onboarding a supplier: an application is taken in at once; screening, approval and the ERP follow as a durable process."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, Literal

from pydantic import Field

from hilum.authoring import Accepted, Api, Confidential, Contract, Example, Pii
from hilum.authoring.caller import Caller
from hilum.authoring.platform import Platform
from hilum.processes.supplier_onboarding import APPLICATION, AppliedAddress, SupplierApplied, onboard_supplier

onboarding = Api("supplier-onboarding")

Line = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]+$")]


class SupplierApplication(Contract, version=1, owner="supply-chain"):
    """Who wants to be, or shall be, a supplier."""

    supplier: str = Field(pattern=r"^[A-Z0-9][A-Z0-9_-]{1,39}$", description="The code it shall have in the ERP.")
    name: Line
    tax_kind: Literal["us_ein", "us_tin", "eu_vat"]
    tax_number: Annotated[str, Confidential, Field(min_length=4, max_length=20, pattern=r"^[A-Z0-9-]+$")]
    address: AppliedAddress
    contact_name: Annotated[Line, Pii]
    contact_email: Annotated[
        str, Pii, Field(max_length=120, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[a-zA-Z]{2,}$")
    ]
    payment_term: str | None = Field(default=None, max_length=60)


class ApplicationState(Contract, version=1, owner="supply-chain"):
    """How far an application is. `approval` is the number by which it is decided."""

    application: str
    supplier: str
    state: Literal["taken", "screening", "waiting", "admitted", "refused"]
    waits_for: str | None = None
    approval: int | None = None
    digest: str | None = Field(default=None, description="Of what is to be approved; a decision names it.")


def about_application(body: SupplierApplication) -> Mapping[str, Any]:
    return {"supplier": body.supplier}


_BODY = SupplierApplication(
    supplier="NORTHSTAR", name="North Star Orthopedics LLC", tax_kind="us_ein", tax_number="36-1234567",
    address=AppliedAddress(street="12 Harbor Rd", city="Lakeport", subdivision="MI", postal_code="49001", country="US"),
    contact_name="Nora Stern", contact_email="nora@northstar.example", payment_term="30 days",
)  # fmt: skip
_TAKEN = ApplicationState(application="SA-41f0c2a9b7d3", supplier="NORTHSTAR", state="taken")


@onboarding.post(
    "/applications", resource="SupplierApplication", about=about_application, raises=(SupplierApplied,),
    examples=(Example("A new maker of screws", body=_BODY, answer=_TAKEN),),
)  # fmt: skip
async def apply(body: SupplierApplication, caller: Caller, key: str, platform: Platform) -> Accepted[ApplicationState]:
    """Apply for a supplier to be taken on. It is screened, agreed to by somebody else, and then known to the ERP."""
    application = "SA-" + blake2b(f"{caller.actor}\x1f{key}".encode(), digest_size=6).hexdigest()
    taken = await _known(platform, application)
    if taken is None:
        await platform.submit(
            SupplierApplied(
                application=application, requested_by=caller.actor, requested_at=platform.now(),
                **body.model_dump(exclude={"address"}), address=body.address,
            ),
            source="supplier-onboarding",
            actor=caller.actor,
        )  # fmt: skip
    answer = ApplicationState(application=application, supplier=body.supplier, state="taken")
    return Accepted(answer, f"/applications/{application}")


@onboarding.get(
    "/applications/{application}", resource="SupplierApplication", attributes={"supplier": "supplier"},
    examples=(
        Example(
            "Waiting for a steward", path={"application": "SA-41f0c2a9b7d3"},
            answer=_TAKEN.model_copy(
                update={"state": "waiting", "waits_for": "approvals: Needs approval", "approval": 7, "digest": "sha256:" + "1f" * 32}
            ),
        ),
    ),
)  # fmt: skip
async def application_state(application: str, platform: Platform) -> ApplicationState | None:
    """Read how far an application is, and whom it waits for."""
    return await _known(platform, application)


async def _known(platform: Platform, application: str) -> ApplicationState | None:
    case = f"{onboard_supplier.name}/{application}"
    async with platform.pool.acquire() as connection:
        supplier = await connection.fetchval(
            """SELECT s.value FROM business_key a JOIN business_key s ON s.subject = a.subject AND s.kind = 'supplier'
                WHERE a.value = $1 AND a.kind = 'application' LIMIT 1""",
            application,
        )
        if supplier is None:
            return None
        state = await connection.fetchval("SELECT state FROM flow_case WHERE id = $1", case)
        item = await connection.fetchrow(
            """SELECT w.queue, w.title FROM work_item_case c JOIN work_item w ON w.id = c.work_item
                WHERE c.subject = $1 AND w.state = 'open' ORDER BY w.id LIMIT 1""",
            f"c/{case}",
        )
        approval = await connection.fetchrow(
            "SELECT id, digest FROM approval WHERE kind = $1 AND subject = $2 ORDER BY id DESC LIMIT 1",
            APPLICATION, application,
        )  # fmt: skip
    states = {None: "taken", "done": "admitted", "skipped": "refused", "waiting": "waiting", "stopped": "waiting"}
    return ApplicationState.model_validate(
        {
            "application": application, "supplier": supplier, "state": states.get(state, "screening"),
            "waits_for": f"{item['queue']}: {item['title']}" if item is not None else None,
            "approval": approval["id"] if approval is not None else None,
            "digest": approval["digest"] if approval is not None else None,
        }
    )  # fmt: skip
