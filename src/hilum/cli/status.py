"""`hilum status`: how it stands; `hilum system`: stop and resume deliveries to one system."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hilum.cli.files import show_expected
from hilum.cli.permission import permit, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    AsOption,
    DataOption,
    EstateOption,
    JsonOption,
    UrlOption,
    ago,
    ask,
    console,
    dollars,
    moment,
    now,
    print_json,
    refused,
    the_estate,
)
from hilum.runtime.breakers import Breakers
from hilum.runtime.expected_files import ExpectedDay, open_days
from hilum.runtime.overview import Overview, read_overview
from hilum.runtime.work_queue import list_items
from hilum.security.decisions import Resource

system_app = typer.Typer(name="system", help="Stop and resume deliveries to a system.", no_args_is_help=True)

_QUEUE_LINES = 10

SystemArgument = Annotated[str, typer.Argument(metavar="NAME", help="The system, as the estate names it.")]
WORDS = {
    "answers": "[green]● answers[/]", "away": "[red]✖ away[/]", "probing": "[yellow]◐ probing[/]", "held": "[magenta]■ held[/]",
    "throttled": "[yellow]◔ throttled[/]", "unknown": "[dim]○ not spoken to[/]", "running": "[green]● running[/]", "silent": "[red]✖ silent[/]", "stopped": "[dim]○ stopped[/]",
    "dead": "[red]✖ dead[/]",
}  # fmt: skip
ONLY_SENDS = "[dim]○ only sends[/]"
VERDICTS = {
    "well": "[green]● All is well[/]", "waiting": "[yellow]◐ Something waits[/]", "broken": "[red]✖ Something is broken[/]",
}  # fmt: skip


def status(
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how it stands: systems, doors, flows, feeds, the work queue with its money at risk, workers, the audit log.

    Exit 0 when nothing is broken, 1 when a case stopped by a defect or no worker runs.

    Example: hilum status --json
    """
    known = the_estate(estate, data)
    caller = terminal_caller(data, estate=estate)

    async def work(pool: asyncpg.Pool) -> tuple[Overview, list[ExpectedDay]]:
        policies = await permit(pool, caller, "read", [Resource("Dashboard", "overview")], operation="cli.status")
        theirs = policies.where(caller, "list", "WorkItem")
        async with pool.acquire() as connection:
            seen = await read_overview(connection, known, now, queue_lines=0)
            # Who may see how it stands sees of the work queue what is theirs, here as on the page.
            lines = await list_items(connection, now=seen.at, limit=_QUEUE_LINES, where=theirs)
            expected = await open_days(connection, seen.at)
        queues = {name: totals for name, totals in seen.queues.items() if theirs.matches({"queue": name})}
        return replace(seen, queue=tuple(lines), queues=queues), expected

    seen, expected = ask(data, database_url, work)
    if as_json:
        print_json(
            {"verdict": seen.verdict, "totals": seen.totals, **{name: getattr(seen, name) for name in seen.__slots__}}
            | {"expected_files": expected}
        )
    else:
        _show(console(), seen)
        show_expected(console(), expected)
    if seen.verdict == "broken":
        raise typer.Exit(1)


def _show(out: Console, seen: Overview) -> None:
    out.print(f"{VERDICTS[seen.verdict]}  [dim]{moment(seen.at)}[/]\n")
    systems = _table(
        "system",
        "state",
        ("received", True),
        ("refused", True),
        ("twice", True),
        "last message",
        ("open", True),
        ("done", True),
        ("parked", True),
    )
    for system in seen.systems:
        why = system.last_error if system.state != "answers" else None
        if system.state == "throttled":
            why = f"{system.throttled_why}; everybody waits until {moment(system.throttled_until)}"
        problem = f" [dim]{escape(why)}[/]" if why is not None else ""
        last = ago(system.last_at, seen.at) if system.channels else "–"
        systems.add_row(
            escape(system.name), (ONLY_SENDS if system.state == "unknown" and system.channels else WORDS[system.state]) + problem, *(_number(n) for n in (system.received, system.refused, system.duplicates)), last,
            _number(system.deliveries_open), _number(system.deliveries_done), _number(system.cases_parked),
        )  # fmt: skip
    _section(out, systems, "No system is known yet.")
    flows = _table(
        "flow", *((state, True) for state in ("ready", "running", "waiting", "parked", "stopped", "done", "skipped"))
    )
    for flow in seen.flows:
        flows.add_row(escape(flow.name), *(_number(n) for n in flow.cases.values()))
    _section(out, flows, "No case was opened yet.")
    feeds = _table("feed", "to", ("read", True), ("behind", True), ("refused", True), ("waiting", True))
    for feed in seen.feeds:
        feeds.add_row(
            escape(feed.name),
            escape(feed.system),
            *(_number(n) for n in (feed.read, feed.behind, feed.dead, feed.waiting_behind_dead)),
        )
    if seen.feeds:
        _section(out, feeds, "")
    _show_queue(out, seen)
    workers = _table("process", "state", "role", "heartbeat", "flows", "where")
    for executor in seen.executors:
        workers.add_row(
            escape(executor.id), WORDS.get(executor.state, executor.state), executor.role, ago(executor.heartbeat_at, seen.at), executor.flows_version,
            escape(f"{executor.host}, pid {executor.pid}"),
        )  # fmt: skip
    _section(out, workers, "No worker has run within the last hour: start the platform with `hilum up`.")
    if seen.certificates:
        certificates = _table("certificate", "ends", ("days left", True))
        for certificate in seen.certificates:
            left = certificate.days_left
            colour = "red" if left < 7 else "yellow" if left < 30 else "green"
            certificates.add_row(escape(certificate.slot), moment(certificate.not_after), f"[{colour}]{left}[/]")
        _section(out, certificates, "")
    audit = seen.audit
    head = f"under the head of {moment(audit.head_at)}" if audit.head_at is not None else "no head signed yet"
    out.print(
        f"[bold]audit[/]  {audit.size:,} entries {head}, {audit.pending:,} pending. `hilum audit verify` proves it whole."
    )
    for known in audit.published:
        lag = f"[yellow]{known.unpublished:,} entries not there yet[/]" if known.unpublished else "[green]up to date[/]"
        newest = f"newest head {ago(known.head_at, seen.at)}" if known.head_at is not None else "no head there yet"
        why = f" [red]{escape(known.alarm)}[/]" if known.alarm else f" [dim]{escape(known.problem or '')}[/]"
        out.print(f"[bold]published[/]  {escape(known.place)}: {newest}, {lag}{why}")


def _show_queue(out: Console, seen: Overview) -> None:
    if not seen.queue:
        out.print("[bold]work queue[/]  Nothing waits for a person.\n")
        return
    totals = seen.totals
    out.print(
        f"[bold]work queue[/]  {totals.items} open, {totals.cases} waiting, {dollars(totals.at_risk_usd)} at risk, oldest due {moment(totals.oldest_due)}"
    )
    queue = _table(("item", True), "queue", "what", ("waiting", True), ("at risk", True), "due")
    for line in seen.queue:
        due = moment(line.due_at) + (" [red]overdue[/]" if line.overdue else "")
        queue.add_row(
            str(line.id), escape(line.queue), escape(line.title), str(line.cases), dollars(line.at_risk_usd), due
        )
    _section(out, queue, "")


def _table(*columns: str | tuple[str, bool]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        name, right = column if isinstance(column, tuple) else (column, False)
        table.add_column(name, justify="right" if right else "left")
    return table


def _section(out: Console, table: Table, empty: str) -> None:
    out.print(table if table.row_count else empty)
    out.print()


def _number(count: int) -> str:
    return f"{count:,}" if count else "[dim]0[/]"


@system_app.command("hold")
def hold(
    name: SystemArgument,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop deliveries to a system, whatever its state: what is due to it waits. Exit 1 when there is no such system.

    Example: hilum system hold erp
    """
    _hold(name, who, estate, data, database_url, as_json, held=True)


@system_app.command("resume")
def resume(
    name: SystemArgument,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let deliveries to a held system go on; what waited goes first. Exit 1 when there is no such system.

    Example: hilum system resume erp
    """
    _hold(name, who, estate, data, database_url, as_json, held=False)


def _hold(
    name: str, who: str, estate: EstateOption, data: DataOption, database_url: UrlOption, as_json: bool, *, held: bool
) -> None:
    known = the_estate(estate, data)
    caller = terminal_caller(data, who, estate=estate)
    actor = caller.actor

    async def work(pool: asyncpg.Pool) -> list[str]:
        await permit(pool, caller, "administer", [Resource("System", name)], operation="cli.system.hold")
        async with pool.acquire() as connection:
            seen = await read_overview(connection, known, now, queue_lines=1)
        names = [s.name for s in seen.systems]
        if name in names:
            await Breakers(pool, clock=now, rng=random.Random(0)).hold(name, held, actor=actor)
        return names

    names = ask(data, database_url, work)
    if name not in names:
        refused(f"there is no system {name}; there are {', '.join(names) if names else 'none yet'}")
    if as_json:
        print_json({"system": name, "held": held, "actor": actor})
    else:
        console().print(
            f"Deliveries to {escape(name)} are held; `hilum system resume {escape(name)}` lets them go on."
            if held
            else f"Deliveries to {escape(name)} go on."
        )
