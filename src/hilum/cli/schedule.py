"""`hilum schedule`: what the clock starts, when it did last and does next, and having it done now."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.authoring.estate import Estate
from hilum.cli.permission import permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    AsOption,
    DataOption,
    EstateOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    now,
    print_json,
    refused,
    the_estate,
    usage,
)
from hilum.runtime import timekeeper
from hilum.runtime.timekeeper import NoSuchSchedule, Standing, standings
from hilum.security.decisions import Resource

schedule_app = typer.Typer(
    name="schedule",
    help="See what the clock starts, and have it done for a moment of your choice.",
    no_args_is_help=True,
)
_CLOCK = Resource("System", timekeeper.SOURCE)


@schedule_app.command("list")
def list_schedules(
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every schedule: when it is due next, when it was taken in last, and moments that wait.

    Example: hilum schedule list
    """
    known = _estate(the_estate(estate, data))
    caller = terminal_caller(data, who, estate=estate)

    async def work(pool: asyncpg.Pool) -> list[Standing]:
        await permit(pool, caller, "read", [_CLOCK], operation="cli.schedule.list")
        async with pool.acquire() as connection:
            return await standings(connection, known, now=now())

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("schedule", "when", "next", "last", "facts", "waiting", "owner"):
        table.add_column(name, justify="right" if name in ("facts", "waiting") else "left")
    for each in found:
        table.add_row(
            escape(each.name), each.cron, f"{each.next:%Y-%m-%d %H:%M}",
            f"{each.last:%Y-%m-%d %H:%M}" if each.last is not None else "[dim]never yet[/]",
            str(each.facts) if each.facts is not None else "",
            f"[red]{each.waiting}[/]" if each.waiting else "[dim]0[/]", escape(each.owner),
        )  # fmt: skip
    console().print(table if found else f"{known.name} has no schedules.")


@schedule_app.command("run")
def run(
    name: Annotated[str, typer.Argument(metavar="SCHEDULE", help="Its name, as `hilum schedule list` shows it.")],
    at: Annotated[
        str | None,
        typer.Option(help="The moment it is done for, such as 2026-03-01T02:30 in the estate's time; now if absent."),
    ] = None,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a schedule's facts taken in for a moment. A moment that was done before is not done twice. Exit 1 when there is none of this name.

    Example: hilum schedule run charges_due --at 2026-03-01T02:30
    """
    known = _estate(the_estate(estate, data))
    caller = terminal_caller(data, who, estate=estate)
    zone = ZoneInfo(known.time_zone)
    try:
        moment = datetime.fromisoformat(at) if at is not None else now()
    except ValueError:
        usage(f"{at} is no moment; write it like 2026-03-01T02:30")
    moment = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)

    async def work(pool: asyncpg.Pool) -> bool:
        await permit(pool, caller, "administer", [_CLOCK], operation="cli.schedule.run")
        async with pool.acquire() as connection:
            return await timekeeper.ask(connection, known, name, moment, actor=caller.actor, now=now())

    try:
        new = ask(data, database_url, work)
    except NoSuchSchedule as unknown:
        refused(str(unknown))
    if as_json:
        print_json({"schedule": name, "at": moment, "asked": new})
        return
    console().print(
        f"{escape(name)} is done for {moment:%Y-%m-%d %H:%M} within seconds; `hilum schedule list` shows it."
        if new
        else f"{escape(name)} was done, or asked for, at {moment:%Y-%m-%d %H:%M} before."
    )


def _estate(known: Estate | None) -> Estate:
    if known is None:
        usage("the estate is needed to know its schedules: give --estate")
    return known
