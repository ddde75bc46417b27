"""Approvals: asking for one, seeing what waits, and deciding, never about what one made or asked for oneself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from hilum.authoring import Api, Contract, Created, Example, Financial, Page, PageRequest, Problem
from hilum.authoring.caller import Caller
from hilum.authoring.platform import Platform
from hilum.model.where import Where
from hilum.runtime.approval_desk import go_on
from hilum.runtime.approvals import Approval as Kept
from hilum.runtime.approvals import ApprovalRefused, Names, decide, read, request
from hilum.store.where_sql import sql_condition

approvals = Api("approvals")

_COLUMNS = {
    "facility": "attributes->>'facility'",
    "supplier": "attributes->>'supplier'",
    "department": "attributes->>'department'",
    "kind": "kind",
    "author": "requested_by",
}
_ATTRIBUTES = {name: name for name in ("facility", "supplier", "department", "kind")} | {"author": "requested_by"}
Kind = Literal["Invoice", "Order", "Request", "SupplierApplication", "Posting", "Supplier", "Price"]
"""What can be approved by this API, in the words of the policies."""


class ApprovalRequest(Contract, version=1, owner="finance"):
    """What is to be approved: a thing, and the digest of exactly what it says."""

    kind: Kind
    subject: str = Field(
        min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:/-]+$", description="Its number or address."
    )
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="What changes afterwards was not approved.")
    facility: str | None = Field(default=None, min_length=1, max_length=64)
    supplier: str | None = Field(default=None, min_length=1, max_length=64)
    department: str | None = Field(default=None, min_length=1, max_length=64)
    amount_usd: Annotated[int, Financial] | None = Field(default=None, ge=0, le=10**12, description="Whole dollars.")
    expires_in_hours: int = Field(default=72, ge=1, le=24 * 90)
    quorum: int = Field(default=1, ge=1, le=9, description="How many different people have to agree.")


class Approval(Contract, version=1, owner="finance"):
    """One approval: who asked, who agreed, and what is decided."""

    id: int
    kind: str
    subject: str
    digest: str
    facility: str | None = None
    supplier: str | None = None
    department: str | None = None
    amount_usd: Annotated[int | None, Financial] = None
    requested_by: str
    quorum: int
    state: Literal["open", "approved", "rejected", "withdrawn", "expired"]
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None = None
    approved_by: tuple[str, ...] = ()


class ApprovalDecision(Contract, version=1, owner="finance"):
    """One person's decision about exactly what the digest stands for."""

    decision: Literal["approve", "reject"]
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    reason: str = Field(default="", max_length=500, pattern=r"^[^\x00-\x09\x0b-\x1f]*$")


_DIGEST = "sha256:" + "1f" * 32
_SHOWN = Approval(
    id=7, kind="SupplierApplication", subject="SA-1", digest=_DIGEST, supplier="ORTHOVIA", requested_by="person:sam", quorum=1,
    state="open", requested_at=datetime.fromisoformat("2026-03-02T15:00:00+00:00"),
    expires_at=datetime.fromisoformat("2026-03-05T15:00:00+00:00"),
)  # fmt: skip


def about_request(body: ApprovalRequest) -> Mapping[str, Any]:
    return _given(body)


@approvals.post(
    "/approvals",
    resource="Approval",
    about=about_request,
    examples=(
        Example(
            "A new supplier",
            body=ApprovalRequest(kind="SupplierApplication", subject="SA-1", digest=_DIGEST, supplier="ORTHOVIA"),
            answer=_SHOWN,
        ),
    ),
)
async def ask_approval(body: ApprovalRequest, caller: Caller, platform: Platform) -> Created[Approval]:
    """Ask that something be approved. The open approval of the same thing is joined; of a changed one whoever asked replaces it."""
    now = platform.now()
    attributes = {name: value for name, value in _given(body).items() if name != "kind"}
    try:
        async with platform.pool.acquire() as connection, connection.transaction():
            made = await request(
                connection, kind=body.kind, subject=body.subject, digest=body.digest, caller=caller,
                names=Names(platform.estate), now=now, expires_at=now + timedelta(hours=body.expires_in_hours),
                attributes=attributes, quorum=body.quorum, policies=platform.policies,
            )  # fmt: skip
    except ApprovalRefused as refused:
        raise Problem(409, "conflict", str(refused)) from None
    return Created(_told(made, now), f"/approvals/{made.id}")


@approvals.list("/approvals", resource="Approval", attributes=_ATTRIBUTES, examples=(_SHOWN,))
async def waiting_approvals(where: Where, page: PageRequest, platform: Platform) -> Page[Approval]:
    """List what waits for a decision, the oldest first."""
    condition = sql_condition(where, _COLUMNS, first_parameter=4)
    after = int(page.cursor) if page.cursor is not None else 0
    now = platform.now()
    async with platform.pool.acquire() as connection:
        numbers = await connection.fetch(
            f"""SELECT id FROM approval WHERE state = 'open' AND expires_at > $1 AND id > $2 AND {condition.text}
                 ORDER BY id LIMIT $3""",
            now, after, page.limit + 1, *condition.parameters,
        )  # fmt: skip
        found = [await read(connection, row["id"]) for row in numbers[: page.limit]]
    more = str(found[-1].id) if len(numbers) > page.limit else None
    return Page(tuple(_told(approval, now) for approval in found), more)


@approvals.get("/approvals/{id}", resource="Approval", attributes=_ATTRIBUTES, etag="", examples=(_SHOWN,))
async def one_approval(id: int, platform: Platform) -> Approval | None:
    """Read one approval, decided or not."""
    found = await _found(platform, id)
    return _told(found, platform.now()) if found is not None else None


async def about_decision(id: int, platform: Platform) -> Mapping[str, Any] | None:
    """What is to be approved, as policies look at it; None when there is no approval of this number."""
    found = await _found(platform, id)
    if found is None:
        return None
    return {"type": found.kind, "id": found.subject, "author": found.requested_by, **found.attributes}


@approvals.post(
    "/approvals/{id}/decisions",
    action="approve",
    resource="Approval",
    about=about_decision,
    examples=(
        Example(
            "Agreed",
            path={"id": "7"},
            body=ApprovalDecision(decision="approve", digest=_DIGEST, reason="Contract signed"),
            answer=_SHOWN.model_copy(update={"state": "approved", "approved_by": ("person:dora",)}),
        ),
    ),
)
async def decide_approval(id: int, body: ApprovalDecision, caller: Caller, platform: Platform) -> Created[Approval]:
    """Approve or reject. Nobody decides what they made or asked for; one rejection rejects, the quorum approves."""
    now = platform.now()
    try:
        async with platform.pool.acquire() as connection, connection.transaction():
            decided = await decide(
                connection, id, caller=caller, approves=body.decision == "approve", digest=body.digest,
                policies=platform.policies, names=Names(platform.estate), now=now, reason=body.reason,
            )  # fmt: skip
            if decided.state != "open":
                await go_on(connection, decided, now=now, actor=caller.actor)
    except ApprovalRefused as refused:
        raise Problem(409, "conflict", str(refused)) from None
    return Created(_told(decided, now), f"/approvals/{id}")


def _given(body: ApprovalRequest) -> dict[str, Any]:
    return body.model_dump(include={"kind", "facility", "supplier", "department", "amount_usd"}, exclude_none=True)


async def _found(platform: Platform, number: int) -> Kept | None:
    async with platform.pool.acquire() as connection:
        try:
            return await read(connection, number)
        except ApprovalRefused:
            return None


def _told(approval: Kept, now: datetime) -> Approval:
    state = "expired" if approval.state == "open" and approval.expires_at <= now else approval.state
    known = {name: approval.attributes.get(name) for name in ("facility", "supplier", "department", "amount_usd")}
    return Approval.model_validate(
        {
            **known, "id": approval.id, "kind": approval.kind, "subject": approval.subject, "digest": approval.digest,
            "requested_by": approval.requested_by, "quorum": approval.quorum, "state": state,
            "requested_at": approval.requested_at, "expires_at": approval.expires_at, "decided_at": approval.decided_at,
            "approved_by": approval.approved_by,
        }
    )  # fmt: skip
