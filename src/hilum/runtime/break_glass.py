"""Broken glass: access beyond one's policies in an emergency (45 CFR 164.312(a)(2)(ii), emergency access procedure).

A person gives a reason and gets a grant at once: for one facility, one purpose and a while. What it opens is for the
policies to say (``context.break_glass``). The grant opens a work item for the privacy officer, every use is recorded, and
somebody else reviews it; until then `hilum policy review` shows it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.caller import PERSON, Caller
from hilum.authoring.estate import Estate
from hilum.model.where import EVERYTHING, Where
from hilum.runtime import work_items
from hilum.runtime.approvals import Names
from hilum.security.decisions import Resource
from hilum.security.policies import Policies
from hilum.security.policies.explaining import explain
from hilum.store.where_sql import platform_columns, sql_condition

log = logging.getLogger(__name__)


class BreakGlassRefused(Exception):
    """A grant cannot be given, ended or reviewed like this; the text says why."""


@dataclass(frozen=True)
class Grant:
    """One grant: to whom, why, for what and until when; how it was used; who looked at it afterwards."""

    id: int
    person: str
    reason: str
    purpose: str
    facility: str
    resource: str | None
    told: str | None
    work_item: int | None
    granted_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    uses: int
    last_used_at: datetime | None
    reviewed_at: datetime | None
    reviewed_by: str | None
    justified: bool | None
    finding: str | None
    behind: tuple[str, ...] = ()
    """Everyone who acted when it was asked for, by all their names and the terminal's login: none of them reviews it."""

    def in_force(self, at: datetime) -> bool:
        return self.ended_at is None and at < self.expires_at


async def ask(
    connection: asyncpg.Connection,
    caller: Caller,
    *,
    reason: str,
    facility: str,
    purpose: str,
    policies: Policies,
    estate: Estate,
    now: datetime,
    resource: str | None = None,
    minutes: int | None = None,
    told: str | None = None,
) -> Grant:
    """Break the glass, at once; ``BreakGlassRefused`` when the policies, the estate or the request do not allow it.

    ``told`` names a second person, to whom the work item is assigned. ``reason`` is read by whoever reviews and stands in
    the audit log: no patient's name belongs in it. Inside the caller's transaction, as everything here.
    """
    spec = estate.break_glass
    lasts = spec.minutes if minutes is None else minutes
    second = None if told is None else told if told.startswith(f"{PERSON}:") else f"{PERSON}:{told}"
    _refuse_unfit(caller, reason, facility, purpose, lasts, resource, second, policies, estate)
    about = Resource("BreakGlass", "", {"facility": facility})
    asked = explain(policies, caller, "create", about)
    if not asked.decision:
        raise BreakGlassRefused(asked.sentence(caller.actor, "create", about))
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"break_glass:{caller.actor}")
    for other in await of_person(connection, caller.actor, now=now):
        if other.facility == facility and other.resource in (None, resource):
            raise BreakGlassRefused(f"grant {other.id} for {facility} is in force until {other.expires_at:%H:%M} UTC")
    number: int = await connection.fetchval(
        """INSERT INTO hilum.break_glass (person, reason, purpose, facility, resource, told, granted_at, expires_at, behind)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id""",
        caller.actor, reason.strip(), purpose, facility, resource, second, now, now + timedelta(minutes=lasts),
        sorted(Names(estate).behind_caller(caller)),
    )  # fmt: skip
    item = await _alert(connection, number, caller, facility, spec.queue, spec.review_hours, estate, now)
    await connection.execute("UPDATE hilum.break_glass SET work_item = $2 WHERE id = $1", number, item)
    if second is not None:
        await work_items.assign(
            connection, item, assignee=second.removeprefix(f"{PERSON}:"), now=now, actor=caller.actor
        )
    detail = {
        "reason": reason.strip(), "purpose": purpose, "facility": facility, "resource": resource, "minutes": lasts,
        "told": second, "item": item, "policy_version": policies.version,
    }  # fmt: skip
    await append(connection, [Entry(now, caller.actor, "break_glass.granted", address(number), detail)])
    log.warning(
        "%s broke the glass for %s until %s: grant %d", caller.actor, facility, now + timedelta(minutes=lasts), number
    )
    return await read(connection, number)


def _refuse_unfit(
    caller: Caller,
    reason: str,
    facility: str,
    purpose: str,
    minutes: int,
    resource: str | None,
    told: str | None,
    policies: Policies,
    estate: Estate,
) -> None:
    spec = estate.break_glass
    if caller.kind != PERSON:
        raise BreakGlassRefused(f"{caller.actor} is no person; only people break the glass")
    if not reason.strip():
        raise BreakGlassRefused("a reason is needed: it is what whoever reviews the grant reads")
    if facility not in estate.facilities:
        raise BreakGlassRefused(f"there is no facility {facility!r}; known: {', '.join(sorted(estate.facilities))}")
    if purpose not in spec.purposes:
        raise BreakGlassRefused(f"{purpose!r} is no purpose for it; known: {', '.join(spec.purposes)}")
    if not 1 <= minutes <= spec.minutes:
        raise BreakGlassRefused(f"a grant lasts at most {spec.minutes} minutes, not {minutes}")
    if resource is not None and resource not in policies.vocabulary.attributes:
        raise BreakGlassRefused(f"the policies know no resource {resource!r}")
    if told is not None and Names(estate).behind(told) & Names(estate).behind_caller(caller):
        raise BreakGlassRefused("the second person is somebody else")


async def _alert(
    connection: asyncpg.Connection,
    number: int,
    caller: Caller,
    facility: str,
    queue: str,
    review_hours: float,
    estate: Estate,
    now: datetime,
) -> int:
    owner = estate.queues.get(queue)
    return await work_items.join(
        connection,
        work_items.Exceptional(
            queue=queue,
            cause=f"BrokenGlass:{number}",
            title=f"{caller.actor} broke the glass for {facility} (grant {number})",
            remedy=f"Look at what was done under it, then: hilum break-glass review {number} --finding ...",
            due_hours=review_hours,
            subject=address(number),
            at_risk_usd=Decimal(0),
            owner=owner if owner is not None else "compliance",
        ),
        now=now,
        actor=caller.actor,
    )


def under(caller: Caller, grant: Grant) -> Caller:
    """The caller as policies see them while the grant is in force: its number, its purpose, and how far it reaches."""
    return replace(
        caller,
        purpose=grant.purpose,
        break_glass=str(grant.id),
        break_glass_facility=grant.facility,
        break_glass_resource=grant.resource,
    )


async def of_person(connection: asyncpg.Connection, actor: str, *, now: datetime) -> list[Grant]:
    """A person's grants in force, the newest first. Ask at every request: a grant can be ended at any time."""
    rows = await connection.fetch(
        "SELECT * FROM hilum.break_glass WHERE person = $1 AND ended_at IS NULL AND expires_at > $2 ORDER BY id DESC",
        actor, now,
    )  # fmt: skip
    return [_grant(row) for row in rows]


async def used(
    connection: asyncpg.Connection, number: int, *, actor: str, operation: str, subject: str, now: datetime
) -> None:
    """Record one use. ``BreakGlassRefused`` when the grant is not this person's or not in force: then nothing is shown."""
    found = await connection.fetchval(
        """UPDATE hilum.break_glass SET uses = uses + 1, last_used_at = $3
            WHERE id = $1 AND person = $2 AND ended_at IS NULL AND expires_at > $3 RETURNING id""",
        number, actor, now,
    )  # fmt: skip
    if found is None:
        raise BreakGlassRefused(f"grant {number} is not in force for {actor}")
    detail = {"operation": operation, "subject": subject}
    await append(connection, [Entry(now, actor, "break_glass.used", address(number), detail)])


async def end(
    connection: asyncpg.Connection, number: int, *, caller: Caller, policies: Policies, now: datetime
) -> Grant:
    """End a grant before its time: whoever has it, or who may review it."""
    grant = await _locked(connection, number)
    if grant.person != caller.actor:
        about = Resource("BreakGlass", str(number), {"facility": grant.facility, "author": grant.person})
        asked = explain(policies, caller, "acknowledge", about)
        if not asked.decision:
            raise BreakGlassRefused(asked.sentence(caller.actor, "acknowledge", about))
    if not grant.in_force(now):
        raise BreakGlassRefused(f"grant {number} has ended already")
    await connection.execute(
        "UPDATE hilum.break_glass SET ended_at = $2, ended_by = $3 WHERE id = $1", number, now, caller.actor
    )
    await append(connection, [Entry(now, caller.actor, "break_glass.ended", address(number), {"uses": grant.uses})])
    return await read(connection, number)


async def review(
    connection: asyncpg.Connection,
    number: int,
    *,
    caller: Caller,
    finding: str,
    justified: bool,
    policies: Policies,
    names: Names,
    now: datetime,
) -> Grant:
    """Say afterwards whether it was justified, and close its work item. Not by whoever had the grant, nor before its end."""
    grant = await _locked(connection, number)
    if not finding.strip():
        raise BreakGlassRefused("a review needs a finding: what was looked at, and whether that was right")
    if grant.reviewed_at is not None:
        raise BreakGlassRefused(f"grant {number} was reviewed by {grant.reviewed_by}")
    if grant.in_force(now):
        raise BreakGlassRefused(f"grant {number} is in force until {grant.expires_at:%H:%M} UTC; end it first")
    if caller.kind != PERSON or names.behind_caller(caller) & (names.behind(grant.person) | frozenset(grant.behind)):
        raise BreakGlassRefused(f"{caller.actor} had the grant or asked for it, so somebody else reviews it")
    about = Resource("BreakGlass", str(number), {"facility": grant.facility, "author": grant.person})
    asked = explain(policies, caller, "acknowledge", about)
    if not asked.decision:
        raise BreakGlassRefused(asked.sentence(caller.actor, "acknowledge", about))
    await connection.execute(
        """UPDATE hilum.break_glass SET reviewed_at = $2, reviewed_by = $3, justified = $4, finding = $5 WHERE id = $1""",
        number, now, caller.actor, justified, finding.strip(),
    )  # fmt: skip
    detail = {"justified": justified, "finding": finding.strip(), "uses": grant.uses}
    await append(connection, [Entry(now, caller.actor, "break_glass.reviewed", address(number), detail)])
    if grant.work_item is not None:
        await work_items.resolve(connection, grant.work_item, now=now, actor=caller.actor)
    return await read(connection, number)


async def read(connection: asyncpg.Connection, number: int) -> Grant:
    """One grant; ``BreakGlassRefused`` when there is none of this number."""
    row = await connection.fetchrow("SELECT * FROM hilum.break_glass WHERE id = $1", number)
    if row is None:
        raise BreakGlassRefused(f"there is no grant {number}")
    return _grant(row)


_ATTRIBUTES = platform_columns(facility="facility", author="person", owner="person")


async def grants(
    connection: asyncpg.Connection, *, unreviewed: bool = False, limit: int = 100, where: Where = EVERYTHING
) -> list[Grant]:
    """Grants, the newest first. ``where`` by their facility and by whose they are (``author``, ``owner``)."""
    allowed = sql_condition(where, _ATTRIBUTES, first_parameter=3)
    rows = await connection.fetch(
        f"""SELECT * FROM hilum.break_glass WHERE (NOT $1 OR reviewed_at IS NULL) AND {allowed.text}
             ORDER BY id DESC LIMIT $2""",
        unreviewed, limit, *allowed.parameters,
    )  # fmt: skip
    return [_grant(row) for row in rows]


async def _locked(connection: asyncpg.Connection, number: int) -> Grant:
    row = await connection.fetchrow("SELECT * FROM hilum.break_glass WHERE id = $1 FOR UPDATE", number)
    if row is None:
        raise BreakGlassRefused(f"there is no grant {number}")
    return _grant(row)


def _grant(row: asyncpg.Record) -> Grant:
    return Grant(**{**row, "behind": tuple(row["behind"])})


def address(number: int) -> str:
    """What entries and the work item call a grant."""
    return f"g/{number}"
