"""Dashboards: how the operation stands at each facility, in cases and in dollars. No patient is in any of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from hilum.authoring import Api, Contract, Financial, Page, PageRequest, Problem
from hilum.authoring.platform import Platform
from hilum.model.where import Where
from hilum.store.where_sql import sql_condition

dashboards = Api("dashboards")


class FacilityStanding(Contract, version=1, owner="finance"):
    """One facility's cases by state, and what waits for people there."""

    facility: str
    done: int
    moving: int
    waiting_for_people: int
    waiting_for_systems: int
    at_risk_usd: Annotated[Decimal | None, Financial] = None
    oldest_waiting_since: datetime | None = None


class QueueStanding(Contract, version=1, owner="finance"):
    """What waits in one queue of one facility. A case that waits in it counts once."""

    facility: str
    queue: str
    cases: int
    items: int
    overdue_items: int
    at_risk_usd: Annotated[Decimal | None, Financial] = None
    due_first: datetime


@dashboards.list(
    "/facilities",
    resource="Dashboard",
    attributes={"facility": "facility"},
    examples=(
        FacilityStanding(
            facility="ST-MARY", done=119, moving=2, waiting_for_people=12, waiting_for_systems=0,
            at_risk_usd=Decimal("57720.00"), oldest_waiting_since=datetime.fromisoformat("2026-03-02T15:15:02+00:00"),
        ),
    ),
)  # fmt: skip
async def facility_standings(where: Where, page: PageRequest, platform: Platform) -> Page[FacilityStanding]:
    """List how each facility's cases stand: done, moving, waiting for people or for systems, and the money at risk."""
    after = _after(page, parts=1)
    condition = sql_condition(where, {"facility": "nullif(c.facility, '')"}, first_parameter=3)
    rows = await platform.pool.fetch(
        f"""SELECT c.facility, count(*) FILTER (WHERE c.state IN ('done', 'skipped')) AS done,
                   count(*) FILTER (WHERE c.state IN ('ready', 'running')) AS moving,
                   count(*) FILTER (WHERE c.state IN ('waiting', 'stopped')) AS people,
                   count(*) FILTER (WHERE c.state = 'parked') AS systems,
                   min(c.updated_at) FILTER (WHERE c.state IN ('waiting', 'stopped')) AS oldest,
                   (SELECT sum(w.at_risk_usd) FROM work_item_case w JOIN work_item i ON i.id = w.work_item AND i.state = 'open'
                      JOIN flow_case f ON 'c/' || f.id = w.subject WHERE f.facility = c.facility) AS at_risk
              FROM flow_case c WHERE c.facility > $1 AND {condition.text}
             GROUP BY c.facility ORDER BY c.facility LIMIT $2""",
        after[0], page.limit + 1, *condition.parameters,
    )  # fmt: skip
    items = tuple(
        FacilityStanding(
            facility=r["facility"], done=r["done"], moving=r["moving"], waiting_for_people=r["people"],
            waiting_for_systems=r["systems"], at_risk_usd=r["at_risk"], oldest_waiting_since=r["oldest"],
        )
        for r in rows[: page.limit]
    )  # fmt: skip
    return Page(items, items[-1].facility if len(rows) > page.limit else None)


@dashboards.list(
    "/exceptions",
    resource="Dashboard",
    attributes={"facility": "facility"},
    examples=(
        QueueStanding(
            facility="ST-MARY", queue="item-master", cases=12, items=1, overdue_items=0, at_risk_usd=Decimal("57720.00"),
            due_first=datetime.fromisoformat("2026-03-02T23:15:02+00:00"),
        ),
    ),
)  # fmt: skip
async def exceptions(where: Where, page: PageRequest, platform: Platform) -> Page[QueueStanding]:
    """List the exceptions of each facility by queue: how many cases wait, since when they are due, and for how much."""
    facility, queue = _after(page, parts=2)
    condition = sql_condition(where, {"facility": "nullif(c.facility, '')"}, first_parameter=5)
    rows = await platform.pool.fetch(
        f"""SELECT c.facility, i.queue, count(DISTINCT w.subject) AS cases, count(DISTINCT i.id) AS items,
                   count(DISTINCT i.id) FILTER (WHERE i.due_at < $4) AS overdue, sum(w.at_risk_usd) AS at_risk,
                   min(i.due_at) AS due_first
              FROM work_item i JOIN work_item_case w ON w.work_item = i.id JOIN flow_case c ON 'c/' || c.id = w.subject
             WHERE i.state = 'open' AND (c.facility, i.queue) > ($1, $2) AND {condition.text}
             GROUP BY c.facility, i.queue ORDER BY c.facility, i.queue LIMIT $3""",
        facility, queue, page.limit + 1, platform.now(), *condition.parameters,
    )  # fmt: skip
    items = tuple(
        QueueStanding(
            facility=r["facility"], queue=r["queue"], cases=r["cases"], items=r["items"], overdue_items=r["overdue"],
            at_risk_usd=r["at_risk"], due_first=r["due_first"],
        )
        for r in rows[: page.limit]
    )  # fmt: skip
    return Page(items, f"{items[-1].facility}\x1f{items[-1].queue}" if len(rows) > page.limit else None)


def _after(page: PageRequest, parts: int) -> list[str]:
    """What the previous page ended with; the gateway has made sure that the cursor is one of ours."""
    if page.cursor is None:
        return [""] * parts
    found = page.cursor.split("\x1f")
    if len(found) != parts:
        raise Problem(400, "bad-cursor", "the cursor belongs to another list")
    return found
