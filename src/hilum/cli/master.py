"""`hilum master`: the master records of an estate, where they do not fit, and what stewards decide of it.

Exit codes: 0 done, 1 refused, 2 it could not be asked (usage, connection).
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import asyncpg
import typer
from rich.markup import escape
from rich.table import Table

from hilum.authoring.caller import Caller
from hilum.authoring.estate import Estate
from hilum.cli.permission import listed, permit, terminal_caller
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
    refused,
    the_estate,
    usage,
)
from hilum.masterdata import registry
from hilum.masterdata.crosswalks import CrosswalkRefused
from hilum.masterdata.entries import UnknownCrosswalk
from hilum.masterdata.records import MasterRecord
from hilum.runtime import steward_decisions, stewardship, timekeeper
from hilum.runtime.approvals import Names
from hilum.runtime.steward_decisions import Accepted, DecisionRefused, MismatchLine
from hilum.runtime.work_items import NotOpen
from hilum.security.decisions import Resource
from hilum.security.policies import Policies
from hilum.security.policies.explaining import explain

master_app = typer.Typer(
    name="master",
    help="Read master records as their owners have them, and decide what does not fit.",
    no_args_is_help=True,
)
ItemArgument = Annotated[
    int, typer.Argument(metavar="ITEM", help="The work item, as `hilum master mismatches` shows it.")
]
SYNC_EVENT = "MasterSyncDue"
_CROSSWALK = "Crosswalk"
"""Master records are looked at and decided by whom the policies let do the same with crosswalks."""


@master_app.command("list")
def list_records(
    object: Annotated[str, typer.Argument(help="The kind of record, such as cost_centre.")],
    at: Annotated[str | None, typer.Option(help="As of a day, YYYY-MM-DD; now if absent.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those out of use too.")] = False,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the records of one kind, as their owner has them.

    Example: hilum master list cost_centre --all
    """
    caller, known = terminal_caller(data, who, estate=estate), _estate(estate, data)
    zone = ZoneInfo(known.time_zone)
    moment = now() if at is None else datetime.combine(_day(at), datetime.max.time(), zone)

    async def work(pool: asyncpg.Pool) -> list[MasterRecord]:
        where = await listed(pool, caller, _CROSSWALK, operation="cli.master.list")
        async with pool.acquire() as connection:
            records = await registry.read_records(connection, known.master, zone, object=object)
        found = records.at(object, moment)
        seen = [r for r in found if where.matches({"facility": r.facility if r.facility else None, "id": r.code})]
        return [r for r in seen if everything or r.in_force(records.day_of(moment))]

    found = ask(data, database_url, work)
    if as_json:
        print_json([_shown(record) for record in found])
        return
    table = Table(
        "code", "name", "facility", "by", "from", "to", "in use", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for record in found:
        shown = _shown(record)
        table.add_row(
            escape(record.code), escape(record.name), record.facility if record.facility else "[dim](network)[/]", record.system,
            shown["valid_from"] or "", shown["valid_to"] or "",
            "yes" if record.active else f"[yellow]until {record.ended_at:%Y-%m-%d}[/]",
        )  # fmt: skip
    console().print(table if found else f"No {escape(object)} is known. `hilum master sync` reads the ERP's.")


@master_app.command("show")
def show(
    object: Annotated[str, typer.Argument(help="The kind of record, such as cost_centre.")],
    code: Annotated[str, typer.Argument(help="Its code.")],
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything that was said of one record: who said what, and from when it counts. Exit 1 when nothing was.

    Example: hilum master show ledger_account 1050
    """
    caller = terminal_caller(data, who, estate=estate)

    async def work(pool: asyncpg.Pool) -> list[dict[str, Any]]:
        where = await listed(pool, caller, _CROSSWALK, operation="cli.master.show")
        async with pool.acquire() as connection:
            found = await registry.history(connection, object, code)
        return [
            said
            for said in found
            if where.matches({"facility": said["facility"] if said["facility"] else None, "id": code})
        ]

    found = ask(data, database_url, work)
    if not found:
        refused(f"nobody said anything of the {object} {code}")
    if as_json:
        print_json(found)
        return
    table = Table("counts from", "said", "last said", "by", "what", "name", "facility", box=None, padding=(0, 2, 0, 0))
    for said in found:
        table.add_row(
            f"{said['effective_at']:%Y-%m-%d %H:%M}", f"{said['said_at']:%Y-%m-%d %H:%M}", f"{said['again_at']:%Y-%m-%d}",
            said["system"], said["action"], escape(said["name"] if said["name"] is not None else ""), said["facility"],
        )  # fmt: skip
    console().print(table)


@master_app.command("sync")
def sync(
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the master data of systems that are asked (the ERP) read now, as every night. Exit 1 when none is.

    Example: hilum master sync
    """
    caller, known = terminal_caller(data, who, estate=estate), _estate(estate, data)
    names = [s.name for s in known.schedules.values() if SYNC_EVENT in {event.type_name() for event in s.events}]

    async def work(pool: asyncpg.Pool) -> list[str]:
        await permit(pool, caller, "update", [Resource(_CROSSWALK, "master")], operation="cli.master.sync")
        async with pool.acquire() as connection:
            for name in names:
                await timekeeper.ask(connection, known, name, now(), actor=caller.actor, now=now())
        return names

    asked = ask(data, database_url, work)
    if not asked:
        refused(f"no schedule of {known.name} states {SYNC_EVENT}, so no system is asked for its master data")
    if as_json:
        print_json({"asked": asked})
    else:
        console().print("Asked; `hilum master mismatches` shows within seconds what does not fit.")


@master_app.command("mismatches")
def mismatches(
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what does not fit: what stops work first first, with the match that is proposed.

    Example: hilum master mismatches
    """
    caller = terminal_caller(data, who, estate=estate)

    async def work(pool: asyncpg.Pool) -> list[MismatchLine]:
        where = await listed(pool, caller, _CROSSWALK, operation="cli.master.mismatches")
        async with pool.acquire() as connection:
            return await steward_decisions.open_mismatches(connection, where=where)

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("All master data fits.")
        return
    table = Table("item", "from", "at risk", "why", "proposed", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for line in found:
        proposed = f"{escape(line.proposed)} ({line.score:.0%})" if line.proposed is not None else "[dim]nothing[/]"
        table.add_row(str(line.item), line.from_day.isoformat(), dollars(line.at_risk_usd), escape(line.why), proposed)
    console().print(table)
    console().print("\n`hilum master accept ITEM` takes a proposal, `hilum master reject ITEM` refuses it.")


@master_app.command("accept")
def accept(
    item: ItemArgument,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a proposal: it becomes an entry of the crosswalk under your name, and what waited for it goes on.

    A list that waits because it lacks much is applied by this. Example: hilum master accept 12
    """
    caller, known = terminal_caller(data, who, estate=estate), _estate(estate, data)

    async def work(pool: asyncpg.Pool) -> Accepted:
        async with pool.acquire() as connection:
            number = await steward_decisions.too_short(connection, item)
            line = await steward_decisions.of_item(connection, item)
        policies = await _permit(pool, caller, line, "accept")
        if line is None and number is None:
            raise DecisionRefused(f"the work item {item} is no mismatch of master data")
        async with pool.acquire() as connection, connection.transaction():
            if line is None:
                assert number is not None
                return await steward_decisions.accept_list(connection, item, number, by=caller.actor, now=now())
            behind = Names(known).behind_caller(caller)
            waiting = await steward_decisions.waiting_for(connection, line, known.crosswalks)
            release = [
                number
                for number, queue in waiting
                if explain(policies, caller, "release", Resource("WorkItem", str(number), {"queue": queue})).decision
            ]
            made = await steward_decisions.accept(
                connection, line, known.crosswalks, by=caller.actor, behind=behind, release=release, now=now()
            )
            await stewardship.look_over(connection, known, now=now())
            return made

    done = _decided(data, database_url, work)
    if as_json:
        print_json(done)
    elif done.code and done.target is None:
        console().print(f"You agreed to {escape(done.code)}; it counts when a second person accepts it too.")
    else:
        what = f"{done.code} is {done.target} in {done.subject}." if done.target is not None else "The list is applied."
        more = f" {len(done.released)} that waited go on." if done.released else ""
        console().print(escape(f"{what}{more}"))


@master_app.command("reject")
def reject(
    item: ItemArgument,
    reason: Annotated[str, typer.Option(help="Why it is not that: what the next steward reads.")],
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse a proposal, which is not made again. The item stays until it is mapped by hand or mended at its owner.

    Example: hilum master reject 12 --reason "Another plan of the same name"
    """
    caller, known = terminal_caller(data, who, estate=estate), _estate(estate, data)

    async def work(pool: asyncpg.Pool) -> str:
        async with pool.acquire() as connection:
            line = await steward_decisions.of_item(connection, item)
        await _permit(pool, caller, line, "reject")
        if line is None:
            raise DecisionRefused(f"the work item {item} is no mismatch of master data")
        async with pool.acquire() as connection, connection.transaction():
            target = await steward_decisions.reject(connection, line, by=caller.actor, reason=reason, now=now())
            await stewardship.look_over(connection, known, now=now())
            return target

    target = _decided(data, database_url, work)
    if as_json:
        print_json({"item": item, "rejected": target, "actor": caller.actor, "reason": reason})
    else:
        console().print(f"{escape(target)} is not proposed again.")


async def _permit(pool: asyncpg.Pool, caller: Caller, line: MismatchLine | None, what: str) -> Policies:
    about = Resource(_CROSSWALK, "master")
    if line is not None:
        about = Resource(_CROSSWALK, line.subject, {"facility": line.facility if line.facility else None})
    return await permit(pool, caller, "update", [about], operation=f"cli.master.{what}")


def _decided(data: Path, url: str | None, work: Any) -> Any:
    try:
        return ask(data, url, work)
    except (DecisionRefused, CrosswalkRefused, UnknownCrosswalk, NotOpen) as no:
        refused(str(no))


def _estate(given: Path | None, data: Path) -> Estate:
    known = the_estate(given, data)
    if known is None:
        usage("the estate is needed to know its master data: give --estate")
    return known


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        usage(f"{text} is no day; write YYYY-MM-DD")


def _shown(record: MasterRecord) -> dict[str, Any]:
    return {
        "object": record.object,
        "code": record.code,
        "facility": record.facility,
        "system": record.system,
        "name": record.name,
        "attributes": dict(record.attributes),
        "valid_from": None if record.valid_from == date.min else record.valid_from.isoformat(),
        "valid_to": None if record.valid_to == date.max else record.valid_to.isoformat(),
        "ended_at": record.ended_at,
    }
