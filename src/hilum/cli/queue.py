"""`hilum queue`: what waits for a person, and the person's decision."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from hilum.audit.thread_access import items_access
from hilum.cli.accesses import record
from hilum.cli.permission import listed, permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    Answer,
    AsOption,
    DataOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    dollars,
    moment,
    now,
    print_json,
    refused,
)
from hilum.runtime import work_items
from hilum.runtime.work_queue import QueueItem, QueueLine, list_items, read_item
from hilum.security.decisions import Resource


class ListByDefault(TyperGroup):
    """`hilum queue --json` means `hilum queue list --json`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (
            args[0].startswith("-") and args[0] not in ("--help", "--install-completion", "--show-completion")
        ):
            args = ["list", *args]
        return super().parse_args(ctx, args)


queue_app = typer.Typer(
    name="queue",
    cls=ListByDefault,
    help="See what waits for a person, decide, and let it go on. Without a command: list.",
)

ItemArgument = Annotated[int, typer.Argument(metavar="ITEM", help="The work item's number.")]
CaseOption = Annotated[
    str | None, typer.Option("--case", metavar="SUBJECT", help="Only this case of the item, such as implant_usage/U-1.")
]
QueueOption = Annotated[str | None, typer.Option("--queue", help="Only this queue.")]
MostOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")]

_MOST_WAITING_SHOWN = 50


@queue_app.command("list")
def list_open(
    queue: QueueOption = None,
    limit: MostOption = 100,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List open work items: overdue first, then by money at risk.

    Example: hilum queue list --queue item-master
    """
    _list(data, database_url, as_json, queue, limit, closed=False)


@queue_app.command("all")
def list_all(
    queue: QueueOption = None,
    limit: MostOption = 100,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List work items, the closed ones too, with who closed them."""
    _list(data, database_url, as_json, queue, limit, closed=True)


@queue_app.command("show")
def show(
    item: ItemArgument, data: DataOption = DEFAULT_DATA, database_url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show one work item: cause, remedy, and the cases that wait. Exit 1 when there is none.

    Example: hilum queue show 3
    """
    caller = terminal_caller(data)

    async def work(pool: asyncpg.Pool) -> QueueItem | None:
        async with pool.acquire() as connection:
            found = await read_item(connection, item, now=now(), most_waiting=_MOST_WAITING_SHOWN)
        await permit(pool, caller, "read", [_about(item, found)], operation="cli.queue.show")
        await record(pool, items_access(caller, "cli.queue.show", [item] if found is not None else []))
        return found

    found = ask(data, database_url, work)
    if found is None:
        refused(f"there is no work item {item}; `hilum queue` lists the open ones")
    if as_json:
        print_json(found)
        return
    out, line = console(), found.line
    out.print(f"[bold]Work item {item}[/]  {escape(line.title)}  [{_colour(line.state)}]{line.state}[/]")
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_row("[dim]queue[/]", escape(f"{line.queue}, worked by {line.owner if line.owner else 'nobody named'}"))
    facts.add_row("[dim]assigned to[/]", escape(line.assignee) if line.assignee is not None else "nobody")
    facts.add_row("[dim]at risk[/]", f"{dollars(line.at_risk_usd)} in {line.cases} waiting")
    facts.add_row("[dim]due[/]", moment(line.due_at) + (" [red]overdue[/]" if line.overdue else ""))
    facts.add_row("[dim]remedy[/]", escape(line.remedy))
    if line.closed_by is not None:
        why = f": {line.reason}" if line.reason is not None else ""
        facts.add_row("[dim]closed[/]", escape(f"{moment(line.closed_at)} by {line.closed_by}{why}"))
    out.print(facts)
    table = Table("waiting", "at risk", "since", "detail", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.columns[1].justify = "right"
    for case in found.waiting:
        table.add_row(escape(case.subject), dollars(case.at_risk_usd), moment(case.at), escape(case.detail))
    out.print()
    out.print(table)
    if line.cases > len(found.waiting):
        out.print(f"[dim]and {line.cases - len(found.waiting)} more[/]")


@queue_app.command("assign")
def assign(
    item: ItemArgument,
    to: Annotated[str, typer.Argument(metavar="LOGIN", help="Who works on it.")],
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say who works on a work item.

    Example: hilum queue assign 3 maria
    """
    actor = terminal_caller(data, who).actor

    async def work(connection: asyncpg.Connection) -> None:
        await work_items.assign(connection, item, assignee=to, now=now(), actor=actor)

    _decide(data, database_url, work, item, "update", who)
    _said(as_json, {"item": item, "assignee": to, "actor": actor}, f"Work item {item} is with {to}.")


@queue_app.command("release")
def release(
    item: ItemArgument,
    case: CaseOption = None,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let all that waits in a work item go on, or one case of it: after its cause was put right.

    Example: hilum queue release 3
    """
    actor = terminal_caller(data, who).actor

    async def work(connection: asyncpg.Connection) -> list[str]:
        return await work_items.release(connection, item, now=now(), actor=actor, subject=_subject(case))

    released = _decide(data, database_url, work, item, "release", who)
    _said(
        as_json,
        {"item": item, "state": "released", "subjects": released, "actor": actor},
        f"Released {_counted(released)} from work item {item}.",
    )


@queue_app.command("skip")
def skip(
    item: ItemArgument,
    reason: Annotated[str, typer.Option(help="Why it shall have no effect: what an auditor will read.")],
    case: CaseOption = None,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide that what waits shall have no effect after all; the reason is kept for ever.

    Example: hilum queue skip 3 --reason "Test patient, entered in production by mistake"
    """
    actor = terminal_caller(data, who).actor
    if not reason.strip():
        refused("a skip needs a reason: it is what an auditor reads")

    async def work(connection: asyncpg.Connection) -> list[str]:
        return await work_items.skip(connection, item, now=now(), actor=actor, reason=reason, subject=_subject(case))

    skipped = _decide(data, database_url, work, item, "release", who)
    _said(
        as_json,
        {"item": item, "state": "skipped", "subjects": skipped, "actor": actor, "reason": reason},
        f"Skipped {_counted(skipped)} of work item {item}.",
    )


def _list(data: Path, url: str | None, as_json: bool, queue: str | None, limit: int, *, closed: bool) -> None:
    caller = terminal_caller(data)

    async def work(pool: asyncpg.Pool) -> list[QueueLine]:
        where = await listed(pool, caller, "WorkItem", operation="cli.queue.list")
        async with pool.acquire() as connection:
            lines = await list_items(connection, queue=queue, closed=closed, limit=limit, now=now(), where=where)
        await record(pool, items_access(caller, "cli.queue.list", [line.id for line in lines]))
        return lines

    items = ask(data, url, work)
    if as_json:
        print_json(items)
        return
    out = console()
    if not items:
        where = f" in {escape(queue)}" if queue is not None else ""
        out.print(f"There was never a work item{where}." if closed else f"Nothing waits for a person{where}.")
        return
    table = Table(
        "item",
        "queue",
        "what",
        "waiting",
        "at risk",
        "due",
        "state" if closed else "with",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in (0, 3, 4):
        table.columns[column].justify = "right"
    for item in items:
        due = moment(item.due_at) + (" [red]overdue[/]" if item.overdue else "")
        table.add_row(
            str(item.id), escape(item.queue), escape(item.title), str(item.cases), dollars(item.at_risk_usd), due,
            _closing(item) if closed else (escape(item.assignee) if item.assignee is not None else "[dim]nobody[/]"),
        )  # fmt: skip
    out.print(table)
    if not closed:
        out.print("\n`hilum queue show ITEM` says what to do, `hilum queue release ITEM` lets it go on.")


def _closing(item: QueueLine) -> str:
    return f"[{_colour(item.state)}]{item.state}[/]" + (
        f" by {escape(item.closed_by)}" if item.closed_by is not None else ""
    )


def _decide(
    data: Path,
    url: str | None,
    work: Callable[[asyncpg.Connection], Coroutine[Any, Any, Answer]],
    item: int,
    action: str,
    who: str,
) -> Answer:
    """A decision and its audit entry in one transaction; exit 1 when the policies deny it or the item is not open."""
    caller = terminal_caller(data, who)

    async def decided(pool: asyncpg.Pool) -> Answer:
        async with pool.acquire() as connection:
            found = await read_item(connection, item, now=now(), most_waiting=1)
        await permit(pool, caller, action, [_about(item, found)], operation=f"cli.queue.{action}")
        async with pool.acquire() as connection, connection.transaction():
            return await work(connection)

    try:
        return ask(data, url, decided)
    except work_items.NotOpen as closed:
        refused(str(closed))


def _about(item: int, found: QueueItem | None) -> Resource:
    """A work item as policies see it; of one that there is not, only its number."""
    return Resource("WorkItem", str(item), {} if found is None else {"queue": found.line.queue})


def _subject(case: str | None) -> str | None:
    """A case may be given without its ``c/``."""
    if case is None or case.startswith(("c/", "f/", "h/", "m/")):
        return case
    return f"c/{case}"


def _said(as_json: bool, document: dict[str, Any], sentence: str) -> None:
    if as_json:
        print_json(document)
    else:
        console().print(escape(sentence))


def _counted(subjects: list[str]) -> str:
    return subjects[0] if len(subjects) == 1 else f"{len(subjects)} cases"


def _colour(state: str) -> str:
    return {"open": "yellow", "released": "green", "skipped": "magenta"}.get(state, "white")
