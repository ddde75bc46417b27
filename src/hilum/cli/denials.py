"""`hilum denials`: what payers did not pay, by whom and why, and what is decided about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.audit.access import Access
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
    dollars,
    now,
    print_json,
    refused,
)
from hilum.cli.queue import ListByDefault
from hilum.runtime import denials
from hilum.runtime.denials import DenialLine, DenialSum, NotDecided, Selection
from hilum.security.decisions import Resource

QUEUE = "denials"
"""Denials are decided about like what waits in a queue: by whoever may work it, at the facilities where they work."""

denials_app = typer.Typer(
    name="denials", cls=ListByDefault, help="See what payers denied, and decide about it. Without a command: list."
)

GroupOption = Annotated[str | None, typer.Option("--group", help="Only this claim adjustment group: CO, PR, OA, PI.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only this reason code (CARC).")]
PayerOption = Annotated[str | None, typer.Option("--payer", help="Only this payer.")]
FacilityOption = Annotated[str | None, typer.Option("--facility", help="Only this facility.")]
DueOption = Annotated[
    datetime | None, typer.Option("--due-by", formats=["%Y-%m-%d"], help="Only what the payer takes until this day.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Also what is settled.")]
MostOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")]


@denials_app.command("list")
def list_denials(
    group: GroupOption = None,
    reason: ReasonOption = None,
    payer: PayerOption = None,
    facility: FacilityOption = None,
    due_by: DueOption = None,
    everything: AllOption = False,
    limit: MostOption = 100,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List denials, those first that the payer takes the shortest time.

    Example: hilum denials list --payer HHP01 --due-by 2026-06-30
    """
    caller = terminal_caller(data)
    chosen = Selection(group, reason, payer, facility, None if due_by is None else due_by.date(), not everything)

    async def work(pool: asyncpg.Pool) -> list[DenialLine]:
        where = await listed(pool, caller, "WorkItem", operation="cli.denials.list")
        async with pool.acquire() as connection:
            found = await denials.listed(connection, chosen, where, limit=limit)
        await record(pool, Access(caller, "read", "cli.denials.list", "WorkItem", _addresses(found)))
        return found

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    out = console()
    if not found:
        out.print("No denial waits for anybody." if not everything else "There was never such a denial.")
        return
    table = Table(
        "denial",
        "due",
        "payer",
        "facility",
        "reason",
        "why",
        "amount",
        "state",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.columns[0].justify = table.columns[6].justify = "right"
    for line in found:
        remarks = f" {' '.join(line.remarks)}" if line.remarks else ""
        table.add_row(
            str(line.number), f"{line.due_on}" if line.due_on is not None else "unknown", escape(line.payer), escape(line.facility),
            f"{line.group}-{line.reason}{escape(remarks)}", escape(line.cause), dollars(line.amount), line.state.replace("_", " "),
        )  # fmt: skip
    out.print(table)
    out.print("\n`hilum denials decide DENIAL` says what becomes of one.")


@denials_app.command("summary")
def summary(
    group: GroupOption = None,
    payer: PayerOption = None,
    facility: FacilityOption = None,
    everything: AllOption = False,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sum denials by group and reason, payer and facility, the largest first."""
    caller = terminal_caller(data)
    chosen = Selection(group=group, payer=payer, facility=facility, open_only=not everything)

    async def work(pool: asyncpg.Pool) -> list[DenialSum]:
        where = await listed(pool, caller, "WorkItem", operation="cli.denials.summary")
        async with pool.acquire() as connection:
            found = await denials.summed(connection, chosen, where)
        await record(pool, Access(caller, "read", "cli.denials.summary", "WorkItem", ("denials/sums",)))
        return found

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    table = Table(
        "reason",
        "why",
        "payer",
        "facility",
        "state",
        "denials",
        "amount",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.columns[5].justify = table.columns[6].justify = "right"
    for line in found:
        table.add_row(
            f"{line.group}-{line.reason}", escape(line.cause), escape(line.payer), escape(line.facility),
            line.state.replace("_", " "), str(line.denials), dollars(line.amount),
        )  # fmt: skip
    console().print(table if found else "No denial waits for anybody.")


@denials_app.command("decide")
def decide(
    denial: Annotated[int, typer.Argument(metavar="DENIAL", help="The denial's number.")],
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="resubmit or write-off.")],
    reason: Annotated[str, typer.Option(help="Why: what an auditor will read. No names or numbers of patients.")],
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide about a denial: it is sent again, or given up. Above the estate's limit somebody else has to agree.

    Example: hilum denials decide 12 write-off --reason "Filed too late, no appeal possible"
    """
    caller = terminal_caller(data, who)
    kinds: dict[str, Literal["resubmit", "write_off"]] = {"resubmit": "resubmit", "write-off": "write_off"}
    if decision not in kinds:
        refused(f"a denial is decided with resubmit or write-off, not with {decision}")

    async def work(pool: asyncpg.Pool) -> denials.Decision:
        async with pool.acquire() as connection:
            found = await denials.read(connection, denial)
        await permit(pool, caller, "release", [about(denial, found)], operation="cli.denials.decide")
        async with pool.acquire() as connection, connection.transaction():
            return await denials.decide(
                connection, denial, kinds[decision], reason=reason, actor=caller.actor, now=now()
            )

    try:
        made = ask(data, database_url, work)
    except NotDecided as closed:
        refused(str(closed))
    if as_json:
        print_json({"denial": made.denial, "decision": decision, "reference": made.reference, "actor": made.actor})
        return
    then = (
        "is posted when nobody else has to agree, or has agreed"
        if made.kind == "write_off"
        else "closes when the claim is sent again"
    )
    console().print(f"Denial {made.denial} ({dollars(made.amount)}): {decision}, decision {made.reference}. It {then}.")


def about(number: int, found: DenialLine | None) -> Resource:
    """A denial as policies see it; of one that there is not, only its number."""
    attributes = {"queue": QUEUE}
    if found is not None and found.facility:
        attributes["facility"] = found.facility
    return Resource("WorkItem", f"denial/{number}", attributes)


def _addresses(found: list[DenialLine]) -> tuple[str, ...]:
    return tuple(f"denial/{line.number}" for line in found[:200])
