"""`hilum charges`: how charges stand on their way to the ledger, and which of them a journal is made of."""

from __future__ import annotations

from typing import Annotated, Any

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.audit.access import Access
from hilum.authoring.caller import Caller
from hilum.cli.accesses import record
from hilum.cli.permission import listed, terminal_caller
from hilum.cli.platform import (
    DEFAULT_DATA,
    AsOption,
    DataOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    dollars,
    print_json,
    refused,
    usage,
)
from hilum.runtime import charge_lists
from hilum.runtime.charge_lists import STATES, ChargeStatus, DayStanding, PostedCharge, UnmetCredit

_CHARGE = "Charge"
MostOption = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")]

charges_app = typer.Typer(
    name="charges", help="See how charges stand on their way to the ledger.", no_args_is_help=True
)


@charges_app.command("status")
def status(
    who: AsOption = "", data: DataOption = DEFAULT_DATA, database_url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Count charges by facility and state: held with its cause, open, staged, posted; in dollars, credits taken off.

    Example: hilum charges status
    """
    caller = terminal_caller(data, who)

    async def work(pool: asyncpg.Pool) -> ChargeStatus:
        where = await listed(pool, caller, _CHARGE, operation="cli.charges.status")
        async with pool.acquire() as connection:
            return await charge_lists.status(connection, where)

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    out = console()
    if not found.standings:
        out.print("No charge was collected yet.")
        return
    table = _table("facility", "state", "charges", "amount", "since", "why", right=(2, 3))
    for line in found.standings:
        cause = escape(line.cause) if line.cause is not None else ""
        table.add_row(
            escape(line.facility), line.state, f"{line.charges:,}", dollars(line.amount), f"{line.oldest}", cause
        )
    out.print(table)
    if found.unmet_credits:
        out.print(
            f"\n{found.unmet_credits:,} credits of {dollars(found.unmet_usd)} take back charges that nobody told: `hilum charges credits`."
        )


@charges_app.command("list")
def list_days(
    facility: Annotated[str | None, typer.Option(help="Of this facility only.")] = None,
    state: Annotated[str | None, typer.Option(help=f"Only what is {', '.join(STATES)}.")] = None,
    limit: MostOption = 100,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List charges by facility and service day, the newest first.

    Example: hilum charges list --facility ST-MARY --state open
    """
    if state is not None and state not in STATES:
        usage(f"{state} is no state of a charge: {', '.join(STATES)}")
    caller = terminal_caller(data, who)

    async def work(pool: asyncpg.Pool) -> list[DayStanding]:
        where = await listed(pool, caller, _CHARGE, operation="cli.charges.list")
        async with pool.acquire() as connection:
            return await charge_lists.days(connection, where, facility=facility, state=state, most=limit)

    found = ask(data, database_url, work)
    if as_json:
        print_json({"days": found})
        return
    out = console()
    if not found:
        out.print("There are no such charges.")
        return
    table = _table("service day", "facility", "state", "charges", "amount", right=(3, 4))
    for line in found:
        table.add_row(
            f"{line.service_on}", escape(line.facility), line.state, f"{line.charges:,}", dollars(line.amount)
        )
    out.print(table)


@charges_app.command("credits")
def list_credits(
    limit: MostOption = 100,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List credits whose charge was never told: their amounts stand in the books, and the charge is missing."""
    caller = terminal_caller(data, who)

    async def work(pool: asyncpg.Pool) -> list[UnmetCredit]:
        where = await listed(pool, caller, _CHARGE, operation="cli.charges.credits")
        async with pool.acquire() as connection:
            found = await charge_lists.unmet_credits(connection, where, most=limit)
        await _recorded(pool, caller, "cli.charges.credits", [each.charge for each in found])
        return found

    found = ask(data, database_url, work)
    if as_json:
        print_json({"credits": found})
        return
    out = console()
    if not found:
        out.print("Every credit has its charge.")
        return
    table = _table("credit", "facility", "takes back", "amount", right=(3,))
    for line in found:
        table.add_row(escape(line.charge), escape(line.facility), escape(line.takes_back), dollars(line.amount))
    out.print(table)


@charges_app.command("journal")
def journal(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="The ledger's number of the journal: JE-2026-00042.")],
    limit: MostOption = 1000,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the charges that a journal of the ledger is made of, each with its accounts, its rule and the event that told it.

    Example: hilum charges journal JE-2026-00042
    """
    caller = terminal_caller(data, who)

    async def work(pool: asyncpg.Pool) -> list[PostedCharge]:
        where = await listed(pool, caller, _CHARGE, operation="cli.charges.journal")
        async with pool.acquire() as connection:
            found = await charge_lists.of_journal(connection, number, where, most=limit)
        await _recorded(pool, caller, "cli.charges.journal", sorted({each.source for each in found}))
        return found

    found = ask(data, database_url, work)
    if not found:
        refused(f"no charge that you may see stands in a journal {number}")
    if as_json:
        print_json({"journal": number, "charges": found})
        return
    out = console()
    out.print(f"[bold]{escape(number)}[/]  {escape(found[0].source)}")
    table = _table("charge", "code", "class", "debit", "credit", "cost centre", "rule", "amount", "event", right=(7,))
    for line in found:
        table.add_row(
            escape(line.charge), escape(line.code), escape(line.charge_class), line.debit, line.credit,
            escape(line.cost_centre), escape(line.rule), dollars(line.amount), line.event,
        )  # fmt: skip
    out.print(table)


async def _recorded(pool: asyncpg.Pool, caller: Caller, operation: str, subjects: list[str]) -> None:
    about = tuple(f"{_CHARGE}/{each}" for each in subjects)
    await record(pool, Access(caller, "read", operation, _CHARGE, about))


def _table(*columns: str, right: tuple[int, ...] = ()) -> Table:
    options: dict[str, Any] = {"box": None, "pad_edge": False, "padding": (0, 2, 0, 0)}
    table = Table(*columns, **options)
    for number in right:
        table.columns[number].justify = "right"
    return table
