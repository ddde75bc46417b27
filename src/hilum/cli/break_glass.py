"""`hilum break-glass`: access in an emergency, for a while, for one facility; looked at afterwards by somebody else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.authoring.caller import Caller
from hilum.authoring.estate import Estate
from hilum.cli.permission import listed, permit, policies_here, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    Answer,
    DataOption,
    EstateOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    moment,
    now,
    print_json,
    refused,
    the_estate,
    usage,
)
from hilum.runtime import break_glass
from hilum.runtime.approvals import Names
from hilum.runtime.break_glass import BreakGlassRefused, Grant
from hilum.security.decisions import Resource
from hilum.security.policies import Policies

break_glass_app = typer.Typer(
    name="break-glass",
    help="Ask for access in an emergency, end it, and review what was done under it. Every use is recorded.",
    no_args_is_help=True,
)

GrantArgument = Annotated[int, typer.Argument(metavar="GRANT", help="The grant's number.")]


@break_glass_app.command("ask")
def ask_for(
    reason: Annotated[str, typer.Option(help="Why, for whoever reviews it; no patient's name.")],
    facility: Annotated[str, typer.Option(help="The facility whose patients it is about.")],
    purpose: Annotated[str, typer.Option(help="emergency, treatment or operations.")] = "emergency",
    resource: Annotated[str | None, typer.Option(help="Only this type of record, such as PatientAccount.")] = None,
    minutes: Annotated[int | None, typer.Option(min=1, help="How long; at most what the estate allows.")] = None,
    tell: Annotated[str | None, typer.Option(help="The login of a second person, who gets the work item.")] = None,
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Break the glass: look at patient data that your policies would not show you. Exit 1 when it is refused.

    It takes effect at once, opens a work item for the privacy officer and ends by itself.

    Example: hilum break-glass ask --facility ST-MARY --reason "charges stuck before surgery" --minutes 30
    """
    known = _estate(estate, data)
    caller = terminal_caller(data, estate=estate)

    async def work(connection: asyncpg.Connection, pool: asyncpg.Pool) -> Grant:
        about = Resource("BreakGlass", "", {"facility": facility})
        policies = await permit(pool, caller, "create", [about], operation="cli.break-glass.ask")
        return await break_glass.ask(
            connection, caller, reason=reason, facility=facility, purpose=purpose, resource=resource, minutes=minutes,
            told=tell, policies=policies, estate=known, now=now(),
        )  # fmt: skip

    grant = _do(data, database_url, work)
    if as_json:
        print_json(grant)
        return
    console().print(
        f"Grant {grant.id} for {escape(grant.facility)} is in force until {moment(grant.expires_at)}. Everything you look "
        f"at under it is recorded; work item {grant.work_item} asks somebody else to review it.\n"
        f"`hilum break-glass end {grant.id}` ends it sooner."
    )


@break_glass_app.command("list")
def list_grants(
    unreviewed: Annotated[bool, typer.Option("--unreviewed", help="Only those nobody has reviewed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List grants, the newest first: who, why, for what, how often used, and what the review found."""

    caller = terminal_caller(data, purpose="audit")

    async def work(pool: asyncpg.Pool) -> list[Grant]:
        where = await listed(pool, caller, "BreakGlass", operation="cli.break-glass.list")
        async with pool.acquire() as connection:
            return await break_glass.grants(connection, unreviewed=unreviewed, limit=limit, where=where)

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("Nobody broke the glass." if not unreviewed else "Every grant was reviewed.")
        return
    table = Table("grant", "who", "facility", "purpose", "until", "uses", "review", "reason", box=None, pad_edge=False, padding=(0, 2, 0, 0))  # fmt: skip
    for grant in found:
        table.add_row(
            str(grant.id), escape(grant.person), escape(grant.facility), escape(grant.purpose),
            moment(grant.ended_at if grant.ended_at is not None else grant.expires_at), str(grant.uses), _review(grant),
            escape(grant.reason),
        )  # fmt: skip
    console().print(table)


@break_glass_app.command("end")
def end(
    grant: GrantArgument, data: DataOption = DEFAULT_DATA, database_url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """End a grant before its time. Exit 1 when it is not yours to end, or has ended."""
    caller = terminal_caller(data)

    async def work(connection: asyncpg.Connection, pool: asyncpg.Pool) -> Grant:
        policies = await _judge(connection, pool, caller, grant, "cli.break-glass.end", its_own=True)
        return await break_glass.end(connection, grant, caller=caller, policies=policies, now=now())

    ended = _do(data, database_url, work)
    if as_json:
        print_json(ended)
    else:
        console().print(f"Grant {grant} has ended after {ended.uses} uses.")


@break_glass_app.command("review")
def review(
    grant: GrantArgument,
    finding: Annotated[str, typer.Option(help="What you looked at, and whether it was right.")],
    justified: Annotated[bool, typer.Option("--justified/--not-justified", help="Your verdict.")],
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Review a grant after its end, as somebody else than whoever had it; closes its work item.

    Example: hilum break-glass review 3 --justified --finding "Three threads of one case, as the reason says"
    """
    known = _estate(estate, data)
    caller = terminal_caller(data, purpose="audit", estate=estate)

    async def work(connection: asyncpg.Connection, pool: asyncpg.Pool) -> Grant:
        policies = await _judge(connection, pool, caller, grant, "cli.break-glass.review")
        return await break_glass.review(
            connection, grant, caller=caller, finding=finding, justified=justified, policies=policies,
            names=Names(known), now=now(),
        )  # fmt: skip

    reviewed = _do(data, database_url, work)
    if as_json:
        print_json(reviewed)
    else:
        console().print(f"Grant {grant} is reviewed: {_review(reviewed)}.")


async def _judge(
    connection: asyncpg.Connection, pool: asyncpg.Pool, caller: Caller, number: int, operation: str, *,
    its_own: bool = False,
) -> Policies:  # fmt: skip
    """Go on only as somebody who may review the grant, or, with ``its_own``, who has it. Others are not even told whether
    there is one of this number."""
    try:
        grant = await break_glass.read(connection, number)
    except BreakGlassRefused:
        about = Resource("BreakGlass", str(number))
    else:
        if its_own and grant.person == caller.actor:
            return await policies_here(pool)
        about = Resource("BreakGlass", str(number), {"facility": grant.facility, "author": grant.person})
    return await permit(pool, caller, "acknowledge", [about], operation=operation)


def _review(grant: Grant) -> str:
    if grant.reviewed_at is None:
        return "[yellow]in force[/]" if grant.in_force(now()) else "[red]not reviewed[/]"
    verdict = "[green]justified[/]" if grant.justified else "[red]not justified[/]"
    return f"{verdict} ({escape(str(grant.reviewed_by))})"


def _estate(given: Path | None, data: Path) -> Estate:
    known = the_estate(given, data)
    if known is None:
        usage(f"no platform runs on {data}: give --estate, which says what facilities there are")
    return known


def _do(
    data: Path, url: str | None, work: Callable[[asyncpg.Connection, asyncpg.Pool], Coroutine[Any, Any, Answer]]
) -> Answer:
    """What is done and its audit entry, in one transaction; exit 1 with the reason when it is refused."""

    async def done(pool: asyncpg.Pool) -> Answer:
        async with pool.acquire() as connection, connection.transaction():
            return await work(connection, pool)

    try:
        return ask(data, url, done)
    except BreakGlassRefused as no:
        refused(str(no))
