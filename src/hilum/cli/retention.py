"""`hilum hold` and `hilum retention`: what must stay, what left, under which rule."""

from __future__ import annotations

from base64 import b64encode
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import orjson
import typer
from rich.markup import escape
from rich.table import Table

from hilum.audit.evidence.scope import NoPeriod, period_bounds
from hilum.audit.signing import PUBLIC_KEY, KeyProblem, read_public_key
from hilum.audit.veil import PROTECTED_KINDS
from hilum.authoring.estate import Estate
from hilum.cli.accesses import keys_at_hand
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
    moment,
    now,
    print_json,
    refused,
    the_estate,
    usage,
)
from hilum.runtime import legal_holds
from hilum.runtime.approvals import Names
from hilum.runtime.legal_holds import HoldRefused, LegalHold
from hilum.runtime.purge_certificates import PurgeCertificate, certificates
from hilum.security.decisions import Resource
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import default_days, partitions

hold_app = typer.Typer(name="hold", help="Keep from being purged what a dispute may need.", no_args_is_help=True)
retention_app = typer.Typer(
    name="retention", help="See what leaves when, and the proof of what left.", no_args_is_help=True
)

HoldArgument = Annotated[int, typer.Argument(metavar="HOLD", help="The hold's number.")]
ReasonOption = Annotated[str, typer.Option(help="Why: what an auditor and a court read.")]


@hold_app.command("place")
def place(
    reason: ReasonOption,
    key: Annotated[
        str | None, typer.Option(help="A business key; of an account or MRN only its token is stored.")
    ] = None,
    facility: Annotated[str | None, typer.Option(help="A facility, such as ST-MARY.")] = None,
    period: Annotated[str | None, typer.Option(help="2026, 2026-11 or 2026-11-21, in the estate's time.")] = None,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold what a key, a facility and a period have in common; nothing of it is purged until two people lift the hold.

    Example: hilum hold place --key ACC-100100 --reason "Rivera v. Lakeshore"
    """
    known = the_estate(estate, data)
    if known is None:
        usage("the estate is needed to know what is protected: give --estate")
    if facility is not None and facility not in known.facilities:
        usage(f"{facility} is no facility of {known.name}: {', '.join(known.facilities)}")
    from zoneinfo import ZoneInfo

    try:
        begin, end = (None, None) if period is None else period_bounds(period, ZoneInfo(known.time_zone))
    except NoPeriod as unclear:
        usage(str(unclear))
    caller = terminal_caller(data, who, purpose="audit", estate=estate)

    async def work(pool: asyncpg.Pool) -> int:
        await permit(pool, caller, "administer", [Resource("AuditLog")], operation="cli.hold.place")
        values: list[str] = []
        shown: str | None = None
        if key is not None:
            sealer = await keys_at_hand(pool, data, known)
            if sealer is None:
                refused("the keys are not at hand, so a protected key could not be recognised: run this where they are")
            values, shown = await _stored(pool, key, Protection(sealer, known))
        async with pool.acquire() as connection:
            return await legal_holds.place(
                connection, reason=reason, actor=caller.actor, now=now(), key_values=values, key_shown=shown,
                facility=facility, from_at=begin, until_at=end,
            )  # fmt: skip

    number = _held(data, database_url, work)
    if as_json:
        print_json({"hold": number})
    else:
        console().print(f"Hold {number} is in force.")


async def _stored(pool: asyncpg.Pool, key: str, protection: Protection) -> tuple[list[str], str]:
    """The key as it is stored, and as it may be shown: a protected value, or one that nothing is known by, as tokens only."""
    kinds = PROTECTED_KINDS | protection.kinds
    found = await pool.fetch("SELECT DISTINCT kind FROM hilum.business_key WHERE value = $1", key)
    if found and not any(row["kind"] in kinds for row in found):
        return [key], key
    tokens = protection.search_values(key)
    return tokens, tokens[0]


@hold_app.command("list")
def list_holds(
    lifted: Annotated[bool, typer.Option("--all", help="Lifted ones too.")] = False,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List holds, the oldest first."""

    caller = terminal_caller(data, purpose="audit")

    async def work(pool: asyncpg.Pool) -> list[LegalHold]:
        where = await listed(pool, caller, "AuditLog", operation="cli.hold.list")
        async with pool.acquire() as connection:
            return await legal_holds.holds(connection, lifted=lifted, where=where)

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    if not found:
        console().print("Nothing is held.")
        return
    table = Table(
        "hold", "covers", "state", "placed by", "at", "reason", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for hold in found:
        state = f"{hold.state} by {hold.lift_asked_by}" if hold.state == "lift asked" else hold.state
        table.add_row(
            str(hold.id), escape(hold.covers), escape(state), escape(hold.placed_by), moment(hold.placed_at),
            escape(hold.reason),
        )  # fmt: skip
    console().print(table)


@hold_app.command("lift")
def lift(
    hold: HoldArgument,
    reason: ReasonOption,
    who: AsOption = "",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for a hold to be lifted; a second person who gives the same command, at a login of their own, lifts it.

    Example: hilum hold lift 3 --reason settled
    """
    caller = terminal_caller(data, who, purpose="audit", estate=estate)
    known = the_estate(estate, data)
    behind = Names(known if known is not None else Estate(data, "unknown")).behind_caller(caller)

    async def work(pool: asyncpg.Pool) -> LegalHold:
        await permit(pool, caller, "administer", [Resource("AuditLog")], operation="cli.hold.lift")
        async with pool.acquire() as connection:
            return await legal_holds.lift(connection, hold, reason=reason, actor=caller.actor, now=now(), behind=behind)

    changed = _held(data, database_url, work)
    if as_json:
        print_json({"hold": hold, "state": changed.state})
    elif changed.lifted_at is not None:
        console().print(f"Hold {hold} is lifted. What is past its retention leaves with the next purge.")
    else:
        console().print(f"Asked for. Hold {hold} stays in force until another person confirms it.")


def _held(data: Path, url: str | None, work: Any) -> Any:
    try:
        return ask(data, url, work)
    except HoldRefused as no:
        refused(str(no))


@retention_app.command("status")
def status(
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how long what is kept, the oldest day there is, and what holds keep."""
    known = the_estate(estate, data)
    if known is None:
        usage("give --estate: it says how long what is kept")
    rules = known.keeps().model_dump()
    caller = terminal_caller(data, purpose="audit", estate=estate)

    async def work(pool: asyncpg.Pool) -> dict[str, Any]:
        await permit(pool, caller, "read", [Resource("AuditLog")], operation="cli.retention.status")
        async with pool.acquire() as connection:
            standing = [*await partitions(connection), *await default_days(connection, date.max)]
            days = [day for _, _, day in standing]
            held = await legal_holds.holds(connection)
            last = await certificates(connection, limit=1)
        return {
            "rules_days": rules,
            "messages_kept_from": (now() - timedelta(days=rules["messages"])).date(),
            "oldest_day": min(days, default=None),
            "holds_in_force": len(held),
            "last_certificate": last[0].id if last else None,
            "last_purge_at": last[0].at if last else None,
        }

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    out = console()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, days in rules.items():
        table.add_row(f"[dim]{name.replace('_', ' ')}[/]", f"{days} days")
    out.print(table)
    out.print(f"\nThe oldest day there is: {found['oldest_day']}. Holds in force: {found['holds_in_force']}.")
    if found["last_certificate"] is not None:
        out.print(f"Purged last at {moment(found['last_purge_at'])}, certificate {found['last_certificate']}.")


@retention_app.command("certificates")
def list_certificates(
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 50,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List purge certificates, the newest first, each with whether the log's key signed it. --json exports them whole.

    Exit 1 when one is not signed by the log's key.
    """
    try:
        key = read_public_key(data / "audit" / PUBLIC_KEY)
    except KeyProblem as problem:
        usage(str(problem))

    caller = terminal_caller(data, purpose="audit")

    async def work(pool: asyncpg.Pool) -> list[PurgeCertificate]:
        await permit(pool, caller, "list", [Resource("AuditLog")], operation="cli.retention.certificates")
        async with pool.acquire() as connection:
            return await certificates(connection, limit=limit)

    found = ask(data, database_url, work)
    signed = {certificate.id: certificate.is_signed_by(key) for certificate in found}
    if as_json:
        print_json(
            [
                {
                    "certificate": orjson.loads(c.statement), "statement": c.statement.decode(), "key_id": c.key_id,
                    "signature": b64encode(c.signature).decode(), "signed": signed[c.id],
                }
                for c in found
            ]
        )  # fmt: skip
    else:
        table = Table(
            "nr", "at", "rule", "what", "rows", "held", "signed", box=None, pad_edge=False, padding=(0, 2, 0, 0)
        )
        for c in found:
            what = f"{c.table_name} of {c.fields['day']}" if "day" in c.fields else c.table_name
            table.add_row(
                str(c.id), moment(c.at), c.rule, escape(what), f"{c.rows:,}", f"{c.held_rows:,}",
                "yes" if signed[c.id] else "[bold red]NO[/]",
            )  # fmt: skip
        console().print(table)
    raise typer.Exit(0 if all(signed.values()) else 1)
