"""Mobile: an implant is scanned in theatre, and whoever scanned it sees what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, model_validator

from hilum.authoring import Accepted, Api, Contract, Example, Phi, Problem
from hilum.authoring.caller import Caller
from hilum.authoring.platform import Platform
from hilum.formats.barcodes.udi import parse_udi
from hilum.formats.findings import FormatError
from hilum.model import AccountNumber, ChargeCode, DepartmentCode, FacilityCode
from hilum.processes.implant_usage import ImplantUsed, implant_usage

mobile = Api("mobile")


class ImplantScan(Contract, version=1, owner="supply-chain"):
    """A scan at the point of use: the label as it was read (GS1 or HIBC), or a charge code typed by hand."""

    usage_id: str = Field(
        min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$", description="The scan's own number."
    )
    label: str | None = Field(default=None, max_length=200, description="The device label, as the scanner read it.")
    charge_code: str | None = Field(default=None, max_length=64)
    quantity: int = Field(default=1, gt=0, le=1000)
    account: Annotated[str, Phi, Field(min_length=1, max_length=64)]
    department: str = Field(min_length=1, max_length=64)
    facility: str = Field(min_length=1, max_length=64)
    used_at: AwareDatetime

    @model_validator(mode="after")
    def _says_what(self) -> ImplantScan:
        if self.label is None and self.charge_code is None:
            raise ValueError("give the label or the charge code")
        return self


class ScanTaken(Contract, version=1, owner="supply-chain"):
    """The scan is durable; its outcome is at the address in Location. `known`: it had been reported before."""

    usage_id: str
    facility: str
    known: bool


class ScanOutcome(Contract, version=1, owner="supply-chain"):
    """What became of a scan, in words for who stands at the table. No patient is named."""

    usage_id: str
    facility: str
    state: str = Field(description="ready, running, waiting, parked, stopped, done or skipped.")
    waits_for: str | None = Field(default=None, description="Whom or what it waits for.")
    updated_at: datetime


def about_scan(body: ImplantScan) -> Mapping[str, Any]:
    return {"facility": body.facility, "department": body.department}


_SCAN = ImplantScan(
    usage_id="U-2044", label="(01)00851234500015(10)L7(21)S-99", account="SYN-A-1", department="OR", facility="ST-MARY",
    used_at=datetime.fromisoformat("2026-03-02T09:15:00-06:00"),
)  # fmt: skip


@mobile.post(
    "/scans",
    resource="Implant",
    about=about_scan,
    raises=(ImplantUsed,),
    examples=(
        Example("A knee in theatre", body=_SCAN, answer=ScanTaken(usage_id="U-2044", facility="ST-MARY", known=False)),
    ),
)
async def scan_implant(body: ImplantScan, caller: Caller, platform: Platform) -> Accepted[ScanTaken]:
    """Report an implant that was opened. The shelf, the ledger, the order and billing follow; a repeat has no effect."""
    device = None
    if body.label is not None:
        try:
            device = parse_udi(body.label)
        except (FormatError, ValueError):
            raise Problem(422, "invalid", "the label is neither a GS1 nor an HIBC device label") from None
    if body.facility not in platform.estate.facilities:
        raise Problem(422, "invalid", "there is no facility of this code")
    taken = await platform.submit(
        ImplantUsed(
            usage_id=body.usage_id,
            charge_code=ChargeCode(value=body.charge_code) if body.charge_code is not None else None,
            device_identifier=device.device_identifier if device is not None else None,
            lot=device.lot if device is not None else None,
            serial=device.serial if device is not None else None,
            quantity=body.quantity,
            account=AccountNumber(value=body.account, authority=body.facility),
            department=DepartmentCode(value=body.department),
            facility=FacilityCode(value=body.facility),
            used_at=body.used_at,
        ),
        source="mobile",
        actor=caller.actor,
    )
    answer = ScanTaken(usage_id=body.usage_id, facility=body.facility, known=taken.known)
    return Accepted(answer, f"/scans/{body.usage_id}")


@mobile.get(
    "/scans/{usage_id}",
    resource="Implant",
    attributes={"facility": "facility"},
    examples=(
        Example(
            "A code that the item master does not know",
            path={"usage_id": "U-2044"},
            answer=ScanOutcome(
                usage_id="U-2044", facility="ST-MARY", state="waiting", waits_for="item-master: Unknown item: IMP-2050",
                updated_at=datetime.fromisoformat("2026-03-02T15:15:02+00:00"),
            ),
        ),
    ),
)  # fmt: skip
async def scan_outcome(usage_id: str, platform: Platform) -> ScanOutcome | None:
    """Read what became of a scan, and whom it waits for."""
    case = f"{implant_usage.name}/{usage_id}"
    async with platform.pool.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT state, facility, parked_on, updated_at FROM flow_case WHERE id = $1", case
        )
        if row is None:
            return None
        item = await connection.fetchrow(
            """SELECT w.queue, w.title FROM work_item_case c JOIN work_item w ON w.id = c.work_item
                WHERE c.subject = $1 AND w.state = 'open' ORDER BY w.id LIMIT 1""",
            f"c/{case}",
        )
    waits = f"{item['queue']}: {item['title']}" if item is not None else row["parked_on"]
    return ScanOutcome(
        usage_id=usage_id, facility=row["facility"], state=row["state"], waits_for=waits, updated_at=row["updated_at"]
    )
