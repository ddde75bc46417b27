"""`hilum trace`: the whole thread of anything that people have a number for."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hilum.audit.lineage import THREADS_IN_FULL, search
from hilum.audit.thread import Found, Hop, Thread
from hilum.audit.thread_access import thread_access
from hilum.cli.accesses import protection_at_hand, record
from hilum.cli.permission import permit, policies_here, terminal_caller, under_grant, use_grant
from hilum.cli.platform import (
    DEFAULT_DATA,
    DataOption,
    EstateOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    moment,
    print_json,
    refused,
    the_estate,
)
from hilum.runtime.thread_places import addresses_in, facilities_of, only_readable, threads_at
from hilum.security.decisions import Resource

MARKS = {"good": "[green]●[/]", "waiting": "[yellow]◐[/]", "bad": "[red]✖[/]", "plain": "[dim]○[/]"}
STATES = {"done": "green", "accepted": "green", "delivered": "green", "waiting": "yellow", "parked": "yellow", "stopped": "red", "refused": "red", "dead": "red"}  # fmt: skip

Key = Annotated[str, typer.Argument(metavar="KEY", help="A usage, account, order, journal or charge number, a case, an address such as m/1/7.")]  # fmt: skip
Limit = Annotated[int, typer.Option(min=1, max=50, help="Tell at most so many threads in full; more are listed.")]
Purpose = Annotated[
    str, typer.Option(help="Why it is asked: treatment, payment, operations, audit or emergency; policies look at it.")
]
ShowPhi = Annotated[
    bool, typer.Option("--show-phi", help="Show protected health information, which is masked otherwise.")
]


def trace(
    key: Key,
    limit: Limit = THREADS_IN_FULL,
    show_phi: ShowPhi = False,
    purpose: Purpose = "operations",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the whole thread of a business key: source bytes, event, steps, deliveries, documents, and who acted.

    KEY may be a usage id, account number, MRN, item, device, serial, purchase order, journal or charge number, a
    message control id, a case (implant_usage/U-1) or an address: m/1/7 message, e/1/9 event, d/KEY delivery, w/3 work
    item, r/2 replay. Exit 0 found, 1 nothing is known by it.

    Example: hilum trace U-1
    """
    known = the_estate(estate, data)
    asking = terminal_caller(data, purpose=purpose, estate=estate)

    async def work(pool: asyncpg.Pool) -> Found:
        protection = await protection_at_hand(pool, data, known)
        caller = await under_grant(pool, asking)
        await permit(pool, caller, "search", [Resource("Thread")], operation="cli.trace")
        async with pool.acquire() as connection:
            found = await search(connection, key, estate=known, show_phi=False, limit=limit, protection=protection)
            places = await facilities_of(connection, addresses_in(found))
        policies = await policies_here(pool)
        readable = only_readable(found, places, lambda about: bool(policies.decide(caller, "read", about)))
        told = [thread.address for thread in readable.threads]
        if not addresses_in(readable):
            # Nothing of it may be read: that is a denial, and is recorded as one.
            await permit(pool, caller, "read", threads_at(places, *addresses_in(found)), operation="cli.trace")
        if show_phi:
            seen = [replace(a, attributes={**a.attributes, "data_class": "phi"}) for a in threads_at(places, *told)]
            await permit(pool, caller, "see", seen, operation="cli.trace")
        await use_grant(pool, caller, "cli.trace", told if told else ["Thread"])
        if show_phi:
            async with pool.acquire() as connection:
                lifted = await search(connection, key, estate=known, show_phi=True, limit=limit, protection=protection)
            readable = replace(
                lifted, threads=[thread for thread in lifted.threads if thread.address in told],
                summaries=readable.summaries, total=readable.total,
            )  # fmt: skip
        found = readable
        tokens = protection.sealer if protection is not None else None
        await record(pool, thread_access(caller, "cli.trace", key, found, tokens=tokens, phi_shown=show_phi))
        return found

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
    elif found.total:
        _show(console(), found)
    if not found.total:
        refused("nothing is known by this key. It may be spelled otherwise, or be past its retention.")


def _show(out: Console, found: Found) -> None:
    if found.summaries:
        count = f"more than {found.total}" if found.more_than_total else str(found.total)
        out.print(f"[bold]{escape(found.key)}[/] ({', '.join(found.kinds)}) leads to {count} threads; the newest:\n")
        table = Table("thread", "what", "state", "since", box=None, pad_edge=False)
        for line in found.summaries:
            table.add_row(escape(line.address), escape(line.title), _state(line.state), moment(line.at))
        out.print(table)
        out.print("\nTell one in full with `hilum trace ADDRESS`.")
        return
    for number, thread in enumerate(found.threads):
        if number:
            out.print()
        _show_thread(out, thread)


def _show_thread(out: Console, thread: Thread) -> None:
    out.rule(f"[bold]{escape(thread.title)}[/]  {_state(thread.state)}", align="left", style="dim")
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    if thread.case is not None:
        case = thread.case
        facts.add_row("[dim]case[/]", escape(f"{case.flow} v{case.flow_version}, run {case.run}, {case.facility}"))
        if case.error is not None and case.state != "done":
            facts.add_row("[dim]because[/]", escape(case.error))
    for item in thread.work_items:
        if item.state == "open":
            share = f"${item.at_risk_usd:,.2f} of ${item.item_at_risk_usd:,.2f} at risk"
            facts.add_row(
                "[dim]waits in[/]",
                escape(f"work item {item.id}, {item.queue}: {item.title} ({item.cases} waiting, {share})"),
            )
            facts.add_row("[dim]remedy[/]", escape(f"{item.remedy} Then: hilum queue release {item.id}"))
    for system, document in thread.documents:
        facts.add_row(f"[dim]{escape(system)}[/]", escape(document))
    if facts.row_count:
        out.print(facts)
    out.print()
    if not thread.hops:
        out.print("[dim]Nothing is left of it but its name: its messages are past their retention.[/]")
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True, justify="right", style="dim")
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(style="dim", overflow="fold")
    day = None
    previous: Hop | None = None
    for hop in thread.hops:
        if day != hop.at.date():
            day = hop.at.date()
            table.add_row(f"{day:%Y-%m-%d}", "", "", "", "")
        since = f"+{_span((hop.at - previous.at).total_seconds())}" if previous is not None else ""
        took = f" [dim]took {_span(hop.duration_seconds)}[/]" if hop.duration_seconds is not None else ""
        told = f"{escape(hop.title)}{took}" + (f"\n[dim]{escape(hop.detail)}[/]" if hop.detail else "")
        table.add_row(f"{hop.at:%H:%M:%S.%f}"[:12], since, MARKS[hop.state], told, escape(hop.actor))
        previous = hop
    out.print(table)


def _state(state: str) -> str:
    return f"[{STATES[state]}]{escape(state)}[/]" if state in STATES else escape(state)


def _span(seconds: float) -> str:
    """``4 ms``, ``1.2 s``, ``3 min``: short spans exactly, long ones roughly."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
