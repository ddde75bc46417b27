"""`hilum close`: what keeps a period from being final, each number with the list behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.authoring.caller import Caller
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
    dollars,
    now,
    print_json,
    refused,
    the_estate,
    usage,
)
from hilum.runtime import closing
from hilum.runtime.closing import Checklist, NoSuchLine, NoSuchPeriod, Period, Record
from hilum.security.decisions import Resource

close_app = typer.Typer(
    name="close", help="See what keeps a facility's fiscal period from being final.", no_args_is_help=True
)
FacilityOption = Annotated[str | None, typer.Option("--facility", help="One facility; all of the estate if absent.")]
PeriodOption = Annotated[str | None, typer.Option("--period", help="A month, such as 2026-03; this one if absent.")]


@close_app.command("status")
def status(
    facility: FacilityOption = None,
    period: PeriodOption = None,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the close checklist of each facility: unposted charges, failed claims, delayed journals, unmatched cash, exceptions.

    Exit 0 when nothing keeps the period from being final, 1 when something does.

    Example: hilum close status --facility ST-MARY --period 2026-03
    """
    facilities, month, caller = _asked(facility, period, who, estate, data)

    async def work(pool: asyncpg.Pool) -> list[Checklist]:
        await _permit(pool, caller, "read", "Dashboard", facilities, "cli.close.status")
        async with pool.acquire() as connection:
            return [await closing.checklist(connection, code, month, now=now()) for code in facilities]

    found = ask(data, database_url, work)
    if as_json:
        print_json([{**vars(each), "final": each.final} for each in found])
    else:
        for each in found:
            _show(each)
    if not all(each.final for each in found):
        raise typer.Exit(1)


@close_app.command("list")
def list_records(
    line: Annotated[str, typer.Argument(metavar="LINE", help="A line's name, as `hilum close status` shows it.")],
    facility: FacilityOption = None,
    period: PeriodOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many of each facility.")] = 50,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the records behind one number of the checklist, oldest first. Exit 1 when there is no such line.

    Example: hilum close list journals-delayed --facility ST-MARY
    """
    facilities, month, caller = _asked(facility, period, who, estate, data)

    async def work(pool: asyncpg.Pool) -> list[Record]:
        await _permit(pool, caller, "list", "Posting", facilities, "cli.close.list")
        found: dict[tuple[str, str, str], Record] = {}  # What belongs to the network stands in every facility's list.
        async with pool.acquire() as connection:
            for code in facilities:
                for each in await closing.records(connection, line, code, month, now=now(), limit=limit):
                    found.setdefault((each.facility, each.record, each.detail), each)
        return list(found.values())

    try:
        found = ask(data, database_url, work)
    except NoSuchLine as unknown:
        refused(str(unknown))
    if as_json:
        print_json(found)
        return
    table = Table("day", "facility", "record", "amount", "what", box=None, pad_edge=False)
    for each in found:
        table.add_row(
            str(each.day) if each.day is not None else "", escape(each.facility), escape(each.record),
            dollars(each.amount_usd), escape(each.detail),
        )  # fmt: skip
    console().print(table if found else f"Nothing stands in {escape(line)} for {month.name}.")


def _asked(
    facility: str | None, period: str | None, who: str, estate: Path | None, data: Path
) -> tuple[list[str], Period, Caller]:
    known = the_estate(estate, data)
    if known is None:
        usage("the estate is needed to know its facilities: give --estate")
    if facility is not None and facility not in known.facilities:
        usage(f"{facility} is no facility of {known.name}: {', '.join(known.facilities)}")
    try:
        month = (
            Period.of(now().astimezone(ZoneInfo(known.time_zone)).date()) if period is None else Period.named(period)
        )
    except NoSuchPeriod as unclear:
        usage(str(unclear))
    return (
        [facility] if facility is not None else list(known.facilities),
        month,
        terminal_caller(data, who, estate=estate),
    )


async def _permit(
    pool: asyncpg.Pool, caller: Caller, action: str, of_type: str, facilities: list[str], operation: str
) -> None:
    about = [Resource(of_type, "close", {"facility": code}) for code in facilities]
    await permit(pool, caller, action, about, operation=operation)


def _show(found: Checklist) -> None:
    out = console()
    verdict = "[green]nothing keeps it from being final[/]" if found.final else "[red]not final[/]"
    out.print(f"[bold]{escape(found.facility)}[/]  {found.period}: {verdict}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for line in found.lines:
        mark = "[green]●[/]" if line.clear else "[red]✖[/]" if line.blocks else "[yellow]◐[/]"
        since = f"since {line.oldest}" if line.oldest is not None else ""
        number = (f"{line.count:,}", dollars(line.amount_usd), since) if line.count else ("[dim]0[/]", "", "")
        table.add_row(mark, escape(line.title), *number, f"[dim]{line.name}[/]")
    out.print(table)
    for line in found.lines:
        if not line.clear and line.blocks:
            out.print(f"  [bold]{line.name}[/]: {escape(line.remedy)}")
    out.print()
