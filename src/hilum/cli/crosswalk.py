"""`hilum crosswalk`: what a data steward does at the terminal, and how it goes back to Git.

Exit codes: 0 done, 1 refused, 2 it could not be asked (usage, connection).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hilum.cli.connection import NoDatabase, database
from hilum.cli.permission import listed, permit, terminal_caller
from hilum.masterdata.crosswalks import CrosswalkRefused, Crosswalks
from hilum.masterdata.entries import CrosswalkEntry, UnknownCrosswalk
from hilum.masterdata.export import export_rows
from hilum.masterdata.tables import write_table
from hilum.security.decisions import Resource
from hilum.store.where_sql import UnknownAttribute

T = TypeVar("T")

crosswalk_app = typer.Typer(no_args_is_help=True, help="Read and correct the crosswalks, as their data steward.")

Name = Annotated[str, typer.Argument(help="The crosswalk, such as charge_code_to_item.")]
Code = Annotated[str, typer.Argument(help="The code to translate.")]
Facility = Annotated[str, typer.Option(help="Only at this facility; without it, in the whole network.")]
By = Annotated[
    str, typer.Option(help="Who decides; goes into the audit log.", envvar="HILUM_ACTOR", show_default="you")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Data = Annotated[Path, typer.Option(help="The platform's data directory.", envvar="HILUM_DATA")]
Url = Annotated[str | None, typer.Option("--database-url", help="An external PostgreSQL.", envvar="HILUM_DATABASE_URL")]
DEFAULT_DATA = Path(".hilum")


@crosswalk_app.command("list")
def list_entries(
    name: Annotated[str | None, typer.Argument(help="One crosswalk; without it, all.")] = None,
    data: Data = DEFAULT_DATA,
    database_url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show the entries: the estate's tables and the stewards' decisions."""
    _show(_entries(data, database_url, name, "cli.crosswalk.list"), as_json)


@crosswalk_app.command("set")
def set_entry(
    name: Name,
    code: Code,
    target: Annotated[str, typer.Argument(help="What it means in the other system.")],
    facility: Facility = "",
    valid_from: Annotated[str, typer.Option(help="First day, YYYY-MM-DD; without it, always.")] = "",
    by: By = "",
    data: Data = DEFAULT_DATA,
    database_url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Decide what a code means. Cases that waited for it go on when their work item is released."""
    start = _day(valid_from) if valid_from else None
    entry = _change(
        data, database_url, name, facility, by,
        lambda crosswalks, actor: crosswalks.set(name, code, target, by=actor, facility=facility, valid_from=start),
    )  # fmt: skip
    _show([entry], as_json)


@crosswalk_app.command("retire")
def retire_entry(
    name: Name,
    code: Code,
    facility: Facility = "",
    last_day: Annotated[str, typer.Option(help="Last day in force, YYYY-MM-DD; without it, today (UTC).")] = "",
    by: By = "",
    data: Data = DEFAULT_DATA,
    database_url: Url = None,
    as_json: AsJson = False,
) -> None:
    """End a steward's decision; an entry of the estate's table is ended there."""
    end = _day(last_day) if last_day else datetime.now(UTC).date()
    entries = _change(
        data, database_url, name, facility, by,
        lambda crosswalks, actor: crosswalks.retire(name, code, by=actor, last_day=end, facility=facility),
    )  # fmt: skip
    _show(entries, as_json)


@crosswalk_app.command("export")
def export(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="The file to write, such as the estate's own table.")] = None,
    data: Data = DEFAULT_DATA,
    database_url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Write a crosswalk as the estate keeps it, the stewards' decisions included, so that they go back to Git."""
    entries = _entries(data, database_url, name, "cli.crosswalk.export")
    rows = export_rows(entries)
    text = write_table(rows)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    if as_json:
        shown = [{"code": r.code, "target": r.target, "facility": r.facility, **_days(r)} for r in rows]
        typer.echo(orjson.dumps({"crosswalk": name, "rows": shown, "file": str(out) if out else None}).decode())
    elif out is None:
        typer.echo(text, nl=False)
    else:
        Console(soft_wrap=True).print(f"wrote {len(rows)} rows to {out}")


def _entries(data: Path, url: str | None, name: str | None, operation: str) -> list[CrosswalkEntry]:
    """The entries that the policies show this terminal's person."""
    caller = terminal_caller(data)

    async def read(crosswalks: Crosswalks, pool: asyncpg.Pool) -> list[CrosswalkEntry]:
        where = await listed(pool, caller, "Crosswalk", operation=operation)
        return await crosswalks.entries(name, where=where)

    return _with(data, url, read)


def _change(
    data: Path, url: str | None, name: str, facility: str, by: str, work: Callable[[Crosswalks, str], Awaitable[T]]
) -> T:
    """A change of a crosswalk at a facility (empty: the network) by whoever acts, once the policies allow it."""
    caller = terminal_caller(data, by)

    async def changed(crosswalks: Crosswalks, pool: asyncpg.Pool) -> T:
        about = Resource("Crosswalk", name, {"facility": facility if facility else None})
        await permit(pool, caller, "update", [about], operation="cli.crosswalk.change")
        return await work(crosswalks, caller.actor)

    return _with(data, url, changed)


def _with(data: Path, url: str | None, work: Callable[[Crosswalks, asyncpg.Pool], Awaitable[T]]) -> T:
    async def run() -> T:
        async with database(data, url) as pool:
            return await work(Crosswalks(pool, lambda: datetime.now(UTC)), pool)

    try:
        return asyncio.run(run())
    except (CrosswalkRefused, UnknownCrosswalk, UnknownAttribute) as refused:
        Console(stderr=True, soft_wrap=True).print(f"[red]refused[/]: {escape(str(refused))}", highlight=False)
        raise typer.Exit(1) from refused
    except NoDatabase as missing:
        Console(stderr=True, soft_wrap=True).print(f"[red]no database[/]: {escape(str(missing))}", highlight=False)
        raise typer.Exit(2) from missing


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date; write YYYY-MM-DD") from None


def _days(entry: Any) -> dict[str, str | None]:
    return {
        "valid_from": None if entry.valid_from == date.min else entry.valid_from.isoformat(),
        "valid_to": None if entry.valid_to == date.max else entry.valid_to.isoformat(),
    }


def _show(entries: list[CrosswalkEntry], as_json: bool) -> None:
    if as_json:
        shown = [
            {
                "crosswalk": e.crosswalk,
                "code": e.code,
                "target": e.target,
                "facility": e.facility,
                **_days(e),
                "origin": e.origin,
                "changed_by": e.changed_by,
                "changed_at": e.changed_at,
            }
            for e in entries
        ]
        typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("crosswalk", "code", "target", "facility", "from", "to", "origin", "by")
    for entry in entries:
        days = {key: value if value is not None else "" for key, value in _days(entry).items()}
        table.add_row(
            entry.crosswalk,
            entry.code,
            entry.target,
            entry.facility if entry.facility else "(network)",
            days["valid_from"],
            days["valid_to"],
            entry.origin,
            entry.changed_by,
        )
    Console().print(table)
