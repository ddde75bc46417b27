"""`hilum replay`: read again what was received, or act again upon what happened; dry run first."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.audit.access import REPLAY, Access
from hilum.cli.accesses import record
from hilum.cli.permission import listed, permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    AsOption,
    DataOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    instant,
    moment,
    now,
    print_json,
    refused,
    usage,
)
from hilum.runtime import replay
from hilum.runtime.replay_jobs import JobDetail, ReplayJob, list_jobs, read_job
from hilum.security.decisions import Resource

replay_app = typer.Typer(
    name="replay",
    help="Replay messages or events as a durable job; a dry run says what would change.",
    no_args_is_help=True,
)

JobArgument = Annotated[int, typer.Argument(metavar="JOB", help="The replay's number.")]

_ADDRESS = re.compile(r"[me]/\d{1,9}/\d{1,18}")
_MOST_RESULTS_SHOWN = 50
_COLOURS = {"queued": "yellow", "running": "cyan", "done": "green", "cancelled": "magenta", "failed": "red"}


@replay_app.command("request")
def request(
    reason: Annotated[str, typer.Option(help="Why: what an auditor will read.")],
    subject: Annotated[
        str | None, typer.Argument(help="A message m/1/7 or an event e/1/9; otherwise select messages below.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Messages of this system.")] = None,
    type: Annotated[str | None, typer.Option(help="Messages of this type, such as DFT^P03.")] = None,
    status: Annotated[str | None, typer.Option(help="Messages of this status: accepted, duplicate or refused.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Received from this time on (ISO 8601; local time without a zone).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Received before this time.")] = None,
    go: Annotated[bool, typer.Option("--go/--dry-run", help="Really replay, or only say what would change.")] = False,
    rate: Annotated[float, typer.Option(min=0.01, max=10_000, help="At most so many a second.")] = 50.0,
    wait: Annotated[float, typer.Option(min=0, help="Wait so many seconds for the platform to finish it.")] = 0.0,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the platform for a replay: of one message or event, or of a selection of messages. Dry run unless --go.

    Facts keep their identities: a replay has an effect only where the first time had none.

    Example: hilum replay request --system ehr --status refused --since 2026-11-21 --reason "mapping corrected"
    """
    filters = (system, type, status, since, until)
    if subject is not None and not _ADDRESS.fullmatch(subject):
        usage(f"{subject} is no address of a message (m/1/7) or an event (e/1/9); `hilum trace {subject}` shows them")
    if subject is not None and any(f is not None for f in filters):
        usage("give an address, or a selection of messages, not both")
    if not reason.strip():
        usage("--reason says nothing: it is what an auditor reads")
    selection = replay.Selection(subject, system, type, status, instant(since, "--since"), instant(until, "--until"))
    caller = terminal_caller(data, who)

    async def work(pool: asyncpg.Pool) -> JobDetail | None:
        await permit(pool, caller, "create", [Resource("Replay")], operation="cli.replay.request")
        async with pool.acquire() as connection:
            job = await replay.request(
                connection,
                selection,
                dry_run=not go,
                rate_per_second=rate,
                actor=caller.actor,
                reason=reason,
                now=now(),
            )
        accessed = Access(caller, REPLAY, "cli.replay.request", "Replay", (f"r/{job}",), detail={"dry_run": not go})
        await record(pool, accessed)
        async with pool.acquire() as connection:
            return await _awaited(connection, job, wait)

    try:
        found = ask(data, database_url, work)
    except replay.EmptySelection as empty:
        usage(str(empty))
    assert found is not None
    if as_json:
        print_json(found)
        return
    job = found.job
    _show_job(found)
    if job.state in ("queued", "running"):
        console().print(
            f"The platform runs it. `hilum replay show {job.id}` follows it, `hilum replay cancel {job.id}` stops it."
        )
    elif job.dry_run:
        console().print("Nothing was changed. The same command with --go replays.")


@replay_app.command("list")
def list_all(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 20,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List replays, the newest first.

    Example: hilum replay list --limit 5
    """

    caller = terminal_caller(data)

    async def work(pool: asyncpg.Pool) -> list[ReplayJob]:
        where = await listed(pool, caller, "Replay", operation="cli.replay.list")
        async with pool.acquire() as connection:
            return await list_jobs(connection, limit=limit, where=where)

    jobs = ask(data, database_url, work)
    if as_json:
        print_json(jobs)
        return
    if not jobs:
        console().print("There was never a replay.")
        return
    table = Table(
        "job",
        "what",
        "kind",
        "state",
        "done",
        "result",
        "asked by",
        "at",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for job in jobs:
        table.add_row(
            str(job.id), escape(_selected(job)), _kind(job), f"[{_COLOURS[job.state]}]{job.state}[/]", _progress(job),
            escape(job.summary) if job.summary is not None else "–", escape(job.actor), moment(job.created_at),
        )  # fmt: skip
    console().print(table)


@replay_app.command("show")
def show(
    job: JobArgument, data: DataOption = DEFAULT_DATA, database_url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Show one replay and what it did, or would do. Exit 1 when there is none.

    Example: hilum replay show 2
    """

    caller = terminal_caller(data)

    async def work(pool: asyncpg.Pool) -> JobDetail | None:
        async with pool.acquire() as connection:
            found = await read_job(connection, job, most_results=_MOST_RESULTS_SHOWN)
        asked_by = {} if found is None else {"author": found.job.actor, "owner": found.job.actor}
        await permit(pool, caller, "read", [Resource("Replay", str(job), asked_by)], operation="cli.replay.show")
        return found

    found = ask(data, database_url, work)
    if found is None:
        refused(f"there is no replay {job}; `hilum replay list` lists them")
    if as_json:
        print_json(found)
    else:
        _show_job(found)


@replay_app.command("cancel")
def cancel(
    job: JobArgument,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop a replay that has not ended; what it did stays done. Exit 1 when it had ended or never was.

    Example: hilum replay cancel 2
    """

    caller = terminal_caller(data, who)

    async def work(pool: asyncpg.Pool) -> bool:
        await permit(pool, caller, "update", [Resource("Replay", str(job))], operation="cli.replay.cancel")
        async with pool.acquire() as connection:
            return await replay.cancel(connection, job, actor=caller.actor, now=now())

    if not ask(data, database_url, work):
        refused(f"replay {job} does not run: it has ended, or there is none of this number; see `hilum replay list`")
    if as_json:
        print_json({"job": job, "state": "cancelled"})
    else:
        console().print(f"Replay {job} is cancelled; what it did stays done.")


async def _awaited(connection: asyncpg.Connection, job: int, seconds: float) -> JobDetail | None:
    """The job once it has ended, or as it stands when the time is over."""
    pause = 0.1
    while True:
        found = await read_job(connection, job, most_results=_MOST_RESULTS_SHOWN)
        if found is None or found.job.state not in ("queued", "running") or seconds <= 0:
            return found
        await asyncio.sleep(pause)
        seconds -= pause


def _show_job(found: JobDetail) -> None:
    out, job = console(), found.job
    out.print(f"[bold]Replay {job.id}[/]  {_kind(job)}  [{_COLOURS[job.state]}]{job.state}[/]  {_progress(job)}")
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_row("[dim]what[/]", escape(_selected(job)))
    facts.add_row("[dim]asked by[/]", escape(f"{job.actor} at {moment(job.created_at)}: {job.reason}"))
    facts.add_row("[dim]rate[/]", f"at most {job.rate_per_second:g} a second")
    if job.summary is not None:
        facts.add_row("[dim]result[/]", escape(job.summary))
    out.print(facts)
    if found.results:
        table = Table("original", "copy", "change", "detail", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for result in found.results:
            table.add_row(
                result.original, result.copy if result.copy is not None else "–", result.change, escape(result.detail)
            )
        out.print()
        out.print(table)
        if job.done > len(found.results):
            out.print(f"[dim]and {job.done - len(found.results)} more[/]")


def _kind(job: ReplayJob) -> str:
    return "dry run" if job.dry_run else "for real"


def _progress(job: ReplayJob) -> str:
    return (
        f"{job.done} of {job.total}"
        if job.total is not None
        else "not begun"
        if job.state == "queued"
        else f"{job.done}"
    )


def _selected(job: ReplayJob) -> str:
    """The selection in words."""
    if "subject" in job.selection:
        return str(job.selection["subject"])
    return "messages with " + ", ".join(f"{name} {value}" for name, value in job.selection.items())
