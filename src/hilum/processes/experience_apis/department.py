"""Departments ask for items, and see how far what they asked for is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from hashlib import blake2b
from typing import Any

from pydantic import Field

from hilum.authoring import Accepted, Api, Contract, Example, Page, PageRequest, Problem
from hilum.authoring.caller import Caller
from hilum.authoring.platform import Platform
from hilum.model.identifiers import DepartmentCode, FacilityCode
from hilum.model.where import Where
from hilum.processes.department_requests import DepartmentRequested, RequestedLine, department_request
from hilum.store.where_sql import sql_condition

departments = Api("department-requests")

OF_DEPARTMENT = {"facility": "facility", "department": "department"}


class ItemRequest(Contract, version=1, owner="supply-chain"):
    """What a department needs."""

    facility: str = Field(min_length=1, max_length=64)
    department: str = Field(min_length=1, max_length=64)
    lines: tuple[RequestedLine, ...] = Field(min_length=1, max_length=20)
    reason: str = Field(default="", max_length=500, pattern=r"^[^\x00-\x09\x0b-\x1f]*$")
    needed_by: date | None = None


class RequestState(Contract, version=1, owner="supply-chain"):
    """How far a request is, and what was ordered for it."""

    request: str
    facility: str
    department: str
    state: str = Field(description="taken, ready, running, waiting, parked, stopped, done or skipped.")
    waits_for: str | None = None
    orders: tuple[str, ...] = Field(default=(), description="The ERP's order numbers.")
    requested_at: datetime


def about_request(body: ItemRequest) -> Mapping[str, Any]:
    return {"facility": body.facility, "department": body.department}


_AT = datetime.fromisoformat("2026-03-02T15:00:00+00:00")
_STATE = RequestState(request="DR-41f0c2a9b7d3", facility="ST-MARY", department="OR", state="taken", requested_at=_AT)


@departments.post(
    "/requests",
    resource="Request",
    about=about_request,
    raises=(DepartmentRequested,),
    examples=(
        Example(
            "Two knees for the theatre",
            body=ItemRequest(
                facility="ST-MARY", department="OR", lines=(RequestedLine(item="KNEE-99", quantity_each=2),)
            ),
            answer=_STATE,
        ),
    ),
)
async def ask_for_items(body: ItemRequest, caller: Caller, key: str, platform: Platform) -> Accepted[RequestState]:
    """Ask for items. They are priced by contract, agreed to when they cost much, and ordered; a repeat orders nothing."""
    if body.facility not in platform.estate.facilities:
        raise Problem(422, "invalid", "there is no facility of this code")
    request = "DR-" + blake2b(f"{caller.actor}\x1f{key}".encode(), digest_size=6).hexdigest()
    now = platform.now()
    fact = DepartmentRequested(
        request=request, department=DepartmentCode(value=body.department), facility=FacilityCode(value=body.facility),
        lines=body.lines, reason=body.reason, needed_by=body.needed_by, requested_by=caller.actor, requested_at=now,
    )  # fmt: skip
    await platform.submit(fact, source="department-requests", actor=caller.actor)
    answer = RequestState(
        request=request, facility=body.facility, department=body.department, state="taken", requested_at=now
    )
    return Accepted(answer, f"/requests/{request}")


_SELECT = """
    SELECT c.id, c.facility, c.state, c.created_at, k.value AS department,
           (SELECT w.queue || ': ' || w.title FROM work_item_case x JOIN work_item w ON w.id = x.work_item
             WHERE x.subject = 'c/' || c.id AND w.state = 'open' ORDER BY w.id LIMIT 1) AS waits_for,
           (SELECT array_agg(d.document ORDER BY d.key) FROM delivery_case x JOIN delivery d ON d.key = x.key
             WHERE x.case_id = c.id AND d.operation = 'order_replenishment' AND d.document IS NOT NULL) AS orders
      FROM flow_case c JOIN business_key k ON k.subject = 'e/' || c.event_shard || '/' || c.event_seq AND k.kind = 'requester'
     WHERE c.flow = $1"""
_COLUMNS = {"facility": "nullif(c.facility, '')", "department": "k.value"}


@departments.list("/requests", resource="Request", attributes=OF_DEPARTMENT, examples=(_STATE,))
async def my_requests(where: Where, page: PageRequest, platform: Platform) -> Page[RequestState]:
    """List your department's requests, by their numbers."""
    condition = sql_condition(where, _COLUMNS, first_parameter=4)
    after = page.cursor if page.cursor is not None else ""
    rows = await platform.pool.fetch(
        f"{_SELECT} AND c.id > $2 AND {condition.text} ORDER BY c.id LIMIT $3",
        department_request.name, after, page.limit + 1, *condition.parameters,
    )  # fmt: skip
    found = rows[: page.limit]
    return Page(tuple(_told(row) for row in found), found[-1]["id"] if len(rows) > page.limit else None)


@departments.get("/requests/{request}", resource="Request", attributes=OF_DEPARTMENT, examples=(_STATE,))
async def one_request(request: str, platform: Platform) -> RequestState | None:
    """Read how far one request is."""
    row = await platform.pool.fetchrow(
        f"{_SELECT} AND c.id = $2", department_request.name, f"{department_request.name}/{request}"
    )
    return _told(row) if row is not None else None


def _told(row: Mapping[str, Any]) -> RequestState:
    return RequestState(
        request=row["id"].partition("/")[2], facility=row["facility"], department=row["department"], state=row["state"],
        waits_for=row["waits_for"], orders=tuple(row["orders"]) if row["orders"] is not None else (),
        requested_at=row["created_at"],
    )  # fmt: skip
