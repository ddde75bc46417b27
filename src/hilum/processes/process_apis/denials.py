"""Denials: what payers did not pay, by reason, payer and facility, and what is decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from hilum.authoring import Api, Contract, Created, Example, Financial, Page, PageRequest, Problem
from hilum.authoring.caller import Caller
from hilum.authoring.platform import Platform
from hilum.model.where import Where
from hilum.runtime import denials as kept
from hilum.runtime.denials import DenialLine, NotDecided, Selection

denials = Api("denials")
_ATTRIBUTES = {"facility": "facility", "queue": "queue"}


class DenialQuery(Contract, version=1, owner="revenue-cycle"):
    """Which denials: all that is given counts together."""

    group: str | None = Field(default=None, pattern=r"^(CO|PR|OA|PI|CR)$", description="Claim adjustment group.")
    reason: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9]{1,5}$", description="Claim adjustment reason code (CARC)."
    )
    payer: str | None = Field(default=None, min_length=1, max_length=80)
    facility: str | None = Field(default=None, min_length=1, max_length=64)
    due_by: date | None = Field(default=None, description="Only what the payer takes until this day.")
    settled: bool = Field(default=False, description="Also what is settled.")


class Denial(Contract, version=1, owner="revenue-cycle"):
    """One denial, without whose it is: `number` is by which people call it."""

    number: int
    queue: Literal["denials"] = "denials"
    state: str
    facility: str
    payer: str
    group: str
    reason: str
    remarks: tuple[str, ...] = ()
    amount: Annotated[Decimal, Financial]
    on: date
    due_on: date | None = None
    cause: str


class DenialDecision(Contract, version=1, owner="revenue-cycle"):
    """What is decided: it is sent again, or given up. No names or numbers of patients in the reason."""

    decision: Literal["resubmit", "write_off"]
    reason: str = Field(min_length=3, max_length=500, pattern=r"^[^\x00-\x09\x0b-\x1f]*$")


class DenialDecided(Contract, version=1, owner="revenue-cycle"):
    """The decision was written down; `reference` is its name. What is given up is posted when nobody else has to agree, or has."""

    number: int
    facility: str
    queue: Literal["denials"] = "denials"
    decision: Literal["resubmit", "write_off"]
    reference: str


_SHOWN = Denial(
    number=12, state="open", facility="ST-MARY", payer="HHP01", group="CO", reason="197", remarks=("N54",),
    amount=Decimal("450.00"), on=date(2026, 3, 3), due_on=date(2026, 7, 14), cause="Authorisation is missing",
)  # fmt: skip


@denials.list("/denials", resource="WorkItem", attributes=_ATTRIBUTES, examples=(_SHOWN,))
async def list_denials(query: DenialQuery, where: Where, page: PageRequest, platform: Platform) -> Page[Denial]:
    """List denials, those first that the payer takes the shortest time."""
    after = int(page.cursor) if page.cursor is not None else 0
    chosen = Selection(query.group, query.reason, query.payer, query.facility, query.due_by, not query.settled)
    async with platform.pool.acquire() as connection:
        found = await kept.listed(connection, chosen, where, limit=page.limit + 1, after=after)
    more = str(after + page.limit) if len(found) > page.limit else None
    return Page(tuple(_told(each) for each in found[: page.limit]), more)


async def about_denial(number: int, platform: Platform) -> Mapping[str, Any] | None:
    """A denial as policies look at it; None when there is none of this number."""
    async with platform.pool.acquire() as connection:
        found = await kept.read(connection, number)
    return None if found is None else {"queue": "denials", "facility": found.facility}


@denials.get("/denials/{number}", resource="WorkItem", attributes=_ATTRIBUTES, examples=(_SHOWN,))
async def one_denial(number: int, platform: Platform) -> Denial | None:
    """Read one denial, settled or not."""
    async with platform.pool.acquire() as connection:
        found = await kept.read(connection, number)
    return None if found is None else _told(found)


@denials.post(
    "/denials/{number}/decisions",
    action="release",
    resource="WorkItem",
    about=about_denial,
    examples=(
        Example(
            "Given up",
            path={"number": "12"},
            body=DenialDecision(decision="write_off", reason="Filed too late, no appeal left"),
            answer=DenialDecided(number=12, facility="ST-MARY", decision="write_off", reference="12-1"),
        ),
    ),
)
async def decide_denial(
    number: int, body: DenialDecision, caller: Caller, platform: Platform
) -> Created[DenialDecided]:
    """Decide about a denial. Above the estate's limit somebody else has to agree before a write-off is posted."""
    try:
        async with platform.pool.acquire() as connection, connection.transaction():
            made = await kept.decide(
                connection, number, body.decision, reason=body.reason, actor=caller.actor, now=platform.now()
            )
    except NotDecided as refused:
        raise Problem(409, "conflict", str(refused)) from None
    answer = DenialDecided(number=number, facility=made.facility, decision=body.decision, reference=made.reference)
    return Created(answer, f"/denials/{number}")


def _told(line: DenialLine) -> Denial:
    return Denial(
        number=line.number, state=line.state, facility=line.facility, payer=line.payer, group=line.group, reason=line.reason,
        remarks=line.remarks, amount=line.amount, on=line.on, due_on=line.due_on, cause=line.cause,
    )  # fmt: skip
