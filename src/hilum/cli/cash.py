"""`hilum cash`: which deposits and remittances have not met, for how long, and how much that is."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.audit.access import Access
from hilum.cli.accesses import record
from hilum.cli.permission import listed, terminal_caller
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
    the_estate,
    usage,
)
from hilum.runtime import cash_lists
from hilum.runtime.cash_lists import CashLine, CashSum

cash_app = typer.Typer(
    name="cash", no_args_is_help=True, help="See how the bank's deposits and payers' remittances stand to each other."
)
_SIDES = {"deposits": "deposit", "remittances": "remittance"}
FacilityOption = Annotated[str | None, typer.Option("--facility", help="Only this facility.")]


@cash_app.command("status")
def status(
    facility: FacilityOption = None,
    who: AsOption = "",
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sum deposits and remittances by facility and state: matched, open, differing, returned, none expected.

    Example: hilum cash status --facility ST-MARY
    """
    caller = terminal_caller(data, who)

    async def work(pool: asyncpg.Pool) -> list[CashSum]:
        where = await listed(pool, caller, "WorkItem", operation="cli.cash.status")
        async with pool.acquire() as connection:
            found = await cash_lists.summed(connection, facility, where)
        await record(pool, Access(caller, "read", "cli.cash.status", "WorkItem", ("cash/sums",)))
        return found

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    table = Table(
        "side", "facility", "state", "count", "amount", "oldest", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    table.columns[3].justify = table.columns[4].justify = "right"
    for each in found:
        table.add_row(
            each.side, escape(each.facility), each.state.replace("_", " "), str(each.count), dollars(each.amount), str(each.oldest)
        )  # fmt: skip
    console().print(table if found else "The bank has reported nothing, and no payer has remitted anything.")


@cash_app.command("list")
def list_cash(
    side: Annotated[str, typer.Argument(metavar="[SIDE]", help="deposits or remittances; both if absent.")] = "",
    facility: FacilityOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what is matched.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 100,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what has not met, what waits longest first: deposits without remittance, remittances without deposit, differences.

    Example: hilum cash list deposits --facility ST-MARY
    """
    if side and side not in _SIDES:
        usage(f"{side} is no side; write deposits or remittances")
    caller = terminal_caller(data, who, estate=estate)
    known = the_estate(estate, data)
    today = _today(known.time_zone if known is not None else "UTC")

    async def work(pool: asyncpg.Pool) -> list[CashLine]:
        where = await listed(pool, caller, "WorkItem", operation="cli.cash.list")
        async with pool.acquire() as connection:
            found = await cash_lists.listed(
                connection, _SIDES.get(side), facility, where, everything=everything, today=today, limit=limit
            )
        addresses = tuple(f"{each.side}/{each.number}" for each in found[:200])
        await record(pool, Access(caller, "read", "cli.cash.list", "WorkItem", addresses))
        return found

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    table = Table(
        "side", "number", "day", "days", "facility", "payer", "trace", "how", "amount", "state", "difference",
        box=None, pad_edge=False, padding=(0, 2, 0, 0),
    )  # fmt: skip
    for column in (3, 8, 10):
        table.columns[column].justify = "right"
    for each in found:
        by = f" by {'+'.join(each.met_by)}" if each.met_by else ""
        table.add_row(
            each.side, escape(each.number), str(each.on), str(each.age_days), escape(each.facility), escape(each.payer),
            escape(each.trace), each.how, dollars(each.amount), f"{each.state.replace('_', ' ')}{by}",
            dollars(each.difference) if each.difference else "",
        )  # fmt: skip
    console().print(table if found else "Every deposit has its remittance, and every remittance its deposit.")


def _today(time_zone: str) -> date:
    """The day on the estate's own calendar: an age counts its days, not those of this machine."""
    return now().astimezone(ZoneInfo(time_zone)).date()
