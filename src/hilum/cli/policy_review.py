"""`hilum policy review`: the access review, as a page to go through and sign."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hilum.cli.permission import permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    UrlOption,
    ago,
    ask,
    console,
    moment,
    now,
    print_json,
    usage,
)
from hilum.governance.access_review import Holder, Reach, holders_of, reach_of, roles_named
from hilum.governance.loader import load_estate
from hilum.governance.problems import EstateRefused
from hilum.identity.accounts import everyone
from hilum.runtime import approvals, break_glass
from hilum.runtime.break_glass import Grant
from hilum.runtime.policy_versions import InForce, in_force
from hilum.security.decisions import Resource
from hilum.security.policies import Policies

_UNUSED_DAYS = 90


@dataclass(frozen=True)
class _Known:
    """What the platform's database knows: accounts, when each holder was last seen, grants, and what is in force."""

    accounts: list[Holder]
    last: dict[str, datetime]
    grants: list[Grant]
    running: InForce | None
    approved_by: tuple[str, ...]


def review(
    estate: Annotated[
        Path, typer.Option("--estate", envvar="HILUM_ESTATE", help="The estate's folder.", exists=True, file_okay=False)
    ] = Path("estates/lakeshore"),
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report who may do what to which class of data: accounts, programs, groups; last use, expiry, broken glass.

    Example: hilum policy review --estate estates/lakeshore --json > review-2026-Q4.json
    """
    try:
        known = load_estate(estate)
    except EstateRefused as no:
        usage(f"the estate cannot be read: {no.problems[0]}")
    policies, at = Policies(known.policies), now()
    caller = terminal_caller(data, purpose="audit", estate=estate)

    async def work(pool: asyncpg.Pool) -> _Known:
        await permit(pool, caller, "list", [Resource("Account")], operation="cli.policy.review")
        async with pool.acquire() as connection:
            return await _read(connection, known.name)

    found = ask(data, database_url, work)
    named = roles_named(policies)
    reaches = [
        reach_of(
            replace(holder, last_seen_at=found.last.get(_actor(holder))),
            policies,
            known,
            today=at.date(),
            known_roles=named,
        )
        for holder in [*found.accounts, *holders_of(known)]
    ]
    document = _document(known.name, policies, reaches, found, at)
    if as_json:
        print_json(document)
    else:
        _show(console(), document, reaches, found, at)


def _actor(holder: Holder) -> str:
    return f"{'service' if holder.kind == 'service' else 'person'}:{holder.name}"


async def _read(connection: asyncpg.Connection, estate: str) -> _Known:
    accounts = [
        Holder("account", a.id, a.roles, a.facilities, a.supplier, a.department, owner=a.created_by, state=a.state)
        for a in await everyone(connection)
    ]
    rows = await connection.fetch(
        """SELECT actor, max(at) AS at FROM (
               SELECT substr(mark, 7) AS actor, max(at) AS at FROM hilum.access_mark WHERE mark LIKE 'actor:%' GROUP BY mark
               UNION ALL SELECT consumer, max(last_at) FROM hilum.api_usage GROUP BY consumer
               UNION ALL SELECT 'person:' || account, max(last_seen_at) FROM hilum.issuer_session GROUP BY account
               UNION ALL SELECT 'person:' || person, max(last_seen_at) FROM hilum.page_session GROUP BY person
           ) seen GROUP BY actor"""
    )
    running = await in_force(connection)
    approval = None if running is None else await approvals.approved(connection, "Policy", estate, running.digest)
    return _Known(
        accounts,
        {row["actor"]: row["at"] for row in rows},
        await break_glass.grants(connection, limit=500),
        running,
        () if approval is None else approval.approved_by,
    )


def _document(estate: str, policies: Policies, reaches: list[Reach], found: _Known, at: datetime) -> dict[str, Any]:
    return {
        "estate": estate,
        "at": at,
        "policies": {
            "version": policies.version,
            "in_force": None if found.running is None else found.running.digest,
            "since": None if found.running is None else found.running.since,
            "approved_by": list(found.approved_by),
        },
        "holders": [
            {**asdict(reach.holder), "may": reach.may, "sees": reach.sees, "remarks": _remarks(reach, at)}
            for reach in reaches
        ],
        "break_glass": [asdict(grant) for grant in found.grants],
        "break_glass_unreviewed": [grant.id for grant in found.grants if _overdue(grant, at)],
    }


def _overdue(grant: Grant, at: datetime) -> bool:
    return grant.reviewed_at is None and not grant.in_force(at)


def _remarks(reach: Reach, at: datetime) -> list[str]:
    remarks, holder = list(reach.remarks), reach.holder
    if holder.state == "disabled":
        remarks.append("disabled")
    elif holder.kind != "group" and holder.last_seen_at is None:
        remarks.append("never used")
    elif holder.last_seen_at is not None and (at - holder.last_seen_at).days >= _UNUSED_DAYS:
        remarks.append(f"not used for {(at - holder.last_seen_at).days} days")
    return remarks


def _show(out: Console, document: dict[str, Any], reaches: list[Reach], found: _Known, at: datetime) -> None:
    out.rule(f"[bold]Access review of {document['estate']}[/], {moment(at)}", align="left", style="dim")
    _show_policies(out, document["policies"])
    table = Table("who", "roles", "facilities", "sees unmasked", "last used", "look at", box=None, pad_edge=False, padding=(0, 2, 0, 0))  # fmt: skip
    for reach in reaches:
        holder = reach.holder
        table.add_row(
            escape(f"{holder.kind} {holder.name}"), escape(", ".join(holder.roles)), escape(", ".join(holder.facilities)),
            escape("; ".join(f"{name}: {', '.join(where)}" for name, where in reach.sees.items())),
            ago(holder.last_seen_at, at), f"[yellow]{escape('; '.join(_remarks(reach, at)))}[/]",
        )  # fmt: skip
    out.print()
    out.print(table)
    for reach in reaches:
        out.print(f"\n[bold]{escape(reach.holder.kind)} {escape(reach.holder.name)}[/] may")
        by_actions: dict[tuple[str, ...], list[str]] = {}
        for resource_type, actions in reach.may.items():
            by_actions.setdefault(actions, []).append(resource_type)
        for actions, types in by_actions.items():
            out.print(f"  {', '.join(actions)}: {', '.join(types)}", highlight=False)
        if not by_actions:
            out.print("  nothing")
    unreviewed = [grant for grant in found.grants if _overdue(grant, at)]
    out.print(f"\n[bold]Broken glass[/]: {len(found.grants)} grants, {len(unreviewed)} ended and not reviewed")
    for grant in unreviewed:
        out.print(
            f"  [red]{grant.id}[/] {escape(grant.person)} for {escape(grant.facility)}, {grant.uses} uses, "
            f"{moment(grant.granted_at)}: {escape(grant.reason)}"
        )


def _show_policies(out: Console, policies: dict[str, Any]) -> None:
    if policies["in_force"] is None:
        out.print("No platform has run with any policies yet.")
    elif policies["in_force"] != policies["version"]:
        out.print(f"[yellow]The folder's policies ({policies['version'][:19]}) are not those in force.[/]")
    if policies["in_force"] is not None:
        by = ", ".join(policies["approved_by"])
        said = f"approved by {escape(by)}" if by else "[yellow]approved by nobody[/]"
        out.print(f"In force since {moment(policies['since'])}: {policies['in_force'][:19]}, {said}.")
