"""`hilum files`: what was expected from whom and by when, what came, and what is being answered."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hilum.cli.permission import permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    DataOption,
    EstateOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    moment,
    now,
    print_json,
    the_estate,
    usage,
)
from hilum.runtime.expected_files import ExpectedDay, ReceivedFiles, expected_days, received_files
from hilum.runtime.x12_answers import AnswersSent, answers_sent
from hilum.security.decisions import Resource

WORDS = {
    "expected": "[dim]○ expected[/]",
    "received": "[green]● received[/]",
    "late": "[yellow]◐ came late[/]",
    "missing": "[red]✖ missing[/]",
}
Found = tuple[list[ExpectedDay], list[ReceivedFiles], list[AnswersSent]]


def files(
    system: Annotated[str, typer.Option("--system", help="Only of this system.")] = "",
    day: Annotated[
        str | None, typer.Option("--day", help="The last day shown, as 2026-03-02; today otherwise.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=366, help="So many days back.")] = 3,
    missing: Annotated[bool, typer.Option("--missing", help="Only expected files that are missing.")] = False,
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the files of each system and day: expected, received, late or missing; what came; acknowledgements sent back.

    Exit 0 when nothing is missing, 1 when something is.

    Example: hilum files --days 7 --missing
    """
    known = the_estate(estate, data)
    zone = known.time_zone if known is not None else "UTC"
    caller = terminal_caller(data, estate=estate)
    today = now().astimezone(ZoneInfo(zone)).date()
    last = today if day is None else _day(day)
    first = last - timedelta(days=days - 1)

    async def work(pool: asyncpg.Pool) -> Found:
        await permit(pool, caller, "read", [Resource("Dashboard", "overview")], operation="cli.files")
        async with pool.acquire() as connection:
            # What is due tomorrow is foreseen already; it is shown when its day has come.
            return (
                await expected_days(connection, first=first, last=last, system=system),
                await received_files(connection, first=first, last=last, zone=zone, system=system),
                await answers_sent(connection, first=first, last=last, zone=zone, system=system),
            )

    expected, received, answered = ask(data, database_url, work)
    if missing:
        expected = [each for each in expected if each.state == "missing"]
    if as_json:
        print_json(
            {"expected": expected, "received": [] if missing else received, "answered": [] if missing else answered}
        )
    else:
        _show(console(), expected, [] if missing else received, [] if missing else answered, ZoneInfo(zone))
    if any(each.state == "missing" for each in expected):
        raise typer.Exit(1)


def _show(
    out: Console,
    expected: list[ExpectedDay],
    received: list[ReceivedFiles],
    answered: list[AnswersSent],
    zone: ZoneInfo,
) -> None:
    if expected:
        table = Table("day", "system", "file", "by", "state", "came", "message", box=None, pad_edge=False)
        for each in expected:
            table.add_row(
                str(each.day), escape(each.system), escape(each.name), f"{each.due_at.astimezone(zone):%H:%M}",
                WORDS[each.state], moment(each.received_at) if each.received_at is not None else "", each.message or "",
            )  # fmt: skip
        out.print(table)
    else:
        out.print("No file was expected on these days.")
    if received:
        table = Table("day", "system", "door", "files", "accepted", "twice", "refused", box=None, pad_edge=False)
        for came in received:
            table.add_row(
                str(came.day), escape(came.system), came.transport, str(came.files), str(came.accepted),
                str(came.duplicates), str(came.refused),
            )  # fmt: skip
        out.print("\n[bold]came[/]")
        out.print(table)
    if answered:
        table = Table(
            "day", "system", "answers", "accepted", "noted", "refused", "on the way", box=None, pad_edge=False
        )
        for sent in answered:
            table.add_row(
                str(sent.day), escape(sent.system), str(sent.sent), str(sent.accepted), str(sent.noted),
                str(sent.refused), str(sent.on_the_way),
            )  # fmt: skip
        out.print("\n[bold]answered[/]")
        out.print(table)


def show_expected(out: Console, days: list[ExpectedDay]) -> None:
    """What is missing or still to come, as `hilum status` shows it; nothing when nothing is."""
    if days:
        missing = [each for each in days if each.state == "missing"]
        said = ", ".join(f"{escape(each.system)}/{escape(each.name)} of {each.day}" for each in missing[:5])
        told = f"[red]{len(missing)} missing[/] ({said})" if missing else "[green]none missing[/]"
        out.print(f"[bold]files[/]  {told}, {len(days) - len(missing)} still to come. `hilum files` lists them.")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        usage(f"--day {text} is no day; write it as 2026-03-02")
