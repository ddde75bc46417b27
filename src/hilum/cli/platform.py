"""What every command that speaks to a platform shares: where the platform is, who is asking, and how answers look.

Exit codes: 0 done or found, 1 not found or refused by the business, 2 it could not be asked (usage, connection).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import asyncpg
import orjson
import typer
from rich.console import Console
from rich.markup import escape

from hilum.audit.access import NotRecorded
from hilum.authoring.estate import Estate
from hilum.cli.connection import NoDatabase, database
from hilum.governance.loader import load_estate
from hilum.governance.problems import EstateRefused
from hilum.store.where_sql import UnknownAttribute

DEFAULT_DATA = Path(".hilum")

DataOption = Annotated[Path, typer.Option("--data", envvar="HILUM_DATA", help="The platform's data directory.")]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--database-url", envvar="HILUM_DATABASE_URL", help="A PostgreSQL URL instead of the data directory's own."
    ),
]
EstateOption = Annotated[
    Path | None,
    typer.Option(
        "--estate", envvar="HILUM_ESTATE", help="The estate's folder; otherwise that of the running platform."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
AsOption = Annotated[
    str, typer.Option("--as", envvar="HILUM_ACTOR", help="Who acts; goes into the audit log.", show_default="you")
]

Answer = TypeVar("Answer")


def now() -> datetime:
    """A command is its own composition root, so it brings the clock."""
    return datetime.now(UTC)


def ask(data: Path, url: str | None, work: Callable[[asyncpg.Pool], Coroutine[Any, Any, Answer]]) -> Answer:
    """Do ``work`` with the platform's database; exit 2 with a sentence when there is none or it does not answer."""

    async def connected() -> Answer:
        async with database(data, url) as pool:
            return await work(pool)

    try:
        return asyncio.run(connected())
    except asyncpg.UndefinedTableError:
        usage("the database has no Hilum tables, or older ones: start the platform once with `hilum up`")
    except UnknownAttribute as unknown:
        # A condition that the records cannot be asked about hides them: nothing is shown that it may be about.
        refused(f"the policies leave a condition on this list that it cannot be filtered by: {unknown}")
    except (NoDatabase, NotRecorded) as failure:
        usage(str(failure))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as failure:
        usage(f"the database could not be asked: {type(failure).__name__}")


def the_estate(given: Path | None, data: Path) -> Estate | None:
    """The estate named or run here; None when there is none, or it cannot be read: protected data then stays withheld."""
    folder = given
    if folder is None:
        try:
            folder = Path(orjson.loads((data / "runtime.json").read_bytes())["estate"])
        except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
            return None
    if not folder.is_dir():
        if given is not None:
            usage(f"{given} is not a folder")
        return None
    try:
        return load_estate(folder)
    except EstateRefused as refused:
        Console(stderr=True).print(
            f"[yellow]The estate cannot be read, so payloads are withheld:[/] {escape(str(refused.problems[0]))}"
        )
        return None


def refused(problem: str) -> NoReturn:
    """What was asked for does not exist or may not be done: exit 1."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]No:[/] {escape(problem)}")
    raise typer.Exit(1)


def usage(problem: str) -> NoReturn:
    """It could not be asked: exit 2."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]Error:[/] {escape(problem)}")
    raise typer.Exit(2)


def print_json(document: object) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z, default=_plain).decode())


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def console() -> Console:
    """Standard output; wide when it is no terminal, so that what is piped is not folded."""
    shown = Console(highlight=False)
    if not shown.is_terminal and "COLUMNS" not in os.environ:
        return Console(highlight=False, width=160)
    return shown


def moment(at: datetime | None) -> str:
    """``2026-11-21 08:00:00Z``; a dash where there is none."""
    return "–" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def dollars(amount: Decimal) -> str:
    return f"${amount:,.2f}"


def instant(text: str | None, option: str) -> datetime | None:
    """An ISO 8601 time from a command line; local time without a zone."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        usage(f"{option} {text} is not an ISO 8601 time such as 2026-11-21 or 2026-11-21T08:00:00Z")


def ago(at: datetime | None, since: datetime) -> str:
    """``12 s``, ``3 min``, ``5 h``, ``2 d``: how long before ``since``."""
    if at is None:
        return "never"
    seconds = max(0.0, (since - at).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"
