"""`hilum patient-account`: the life of one patient account, its merges, and what payers said of its coverage."""

from __future__ import annotations

from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hilum.audit.access import Access
from hilum.cli.accesses import protection_at_hand, record
from hilum.cli.permission import permit, terminal_caller, under_grant, use_grant
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
from hilum.cli.trace import Purpose
from hilum.model.identifiers import AccountNumber
from hilum.runtime import account_register, account_story
from hilum.runtime.account_story import AccountStory
from hilum.security.decisions import Resource
from hilum.security.sealing.sealer import Sealer

patient_account_app = typer.Typer(
    name="patient-account", help="Follow one patient account from its registration, through corrections and merges."
)

_OPERATION = "cli.patient-account.show"
Number = Annotated[str, typer.Argument(metavar="NUMBER", help="The account's number (PID-18).")]
Authority = Annotated[
    str, typer.Option(help="Who issued it, a facility as a rule; needed where two hospitals gave one number out.")
]


@patient_account_app.command("show")
def show(
    number: Number,
    authority: Authority = "",
    purpose: Purpose = "operations",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell an account's life: what happened to it by the events' own times, merges, coverage. Exit 1 when it is not known.

    The number is looked for by its token and not repeated; accounts and patients stand as handles that say nothing. What an
    event names can be read with `hilum trace e/1/9 --show-phi` by whoever may.

    Example: hilum patient-account show ACC-9011 --authority ST-MARY
    """
    known = the_estate(estate, data)
    asking = terminal_caller(data, purpose=purpose, estate=estate)

    async def work(pool: asyncpg.Pool) -> AccountStory | None:
        protection = await protection_at_hand(pool, data, known)
        caller = await under_grant(pool, asking)
        await permit(pool, caller, "search", [Resource("Thread")], operation=_OPERATION)
        if protection is None:
            refused("this terminal cannot read the platform's keys, and accounts are found by them alone")
        async with pool.acquire() as connection:
            token = await _token(connection, protection.sealer, number.strip(), authority.strip())
            found = await account_story.story(connection, token) if token is not None else None
        address = "patient-account" if found is None else f"patient-account/{found.account}"
        attributes = {"facility": found.facility} if found is not None and found.facility else {}
        await permit(pool, caller, "read", [Resource("Thread", address, attributes)], operation=_OPERATION)
        await use_grant(pool, caller, _OPERATION, [address])
        sought = account_register.number_token(protection.sealer, AccountNumber(value=number.strip()))
        await record(
            pool,
            Access(
                caller, "read", _OPERATION, "Thread", (address,) if found is not None else (), masked=frozenset({"phi"}),
                sought={AccountNumber.kind: sought}, found=int(found is not None),
            ),
        )  # fmt: skip
        return found

    found = ask(data, database_url, work)
    if found is None:
        refused("nothing is known of an account with this number; it may be written otherwise, or of another authority")
    if as_json:
        print_json(found)
    else:
        _show(console(), found)


async def _token(connection: asyncpg.Connection, sealer: Sealer, number: str, authority: str) -> str | None:
    if not number:
        return None
    if authority:
        return account_register.token(sealer, AccountNumber(value=number, authority=authority))
    named = account_register.number_token(sealer, AccountNumber(value=number))
    accounts = await account_story.accounts_of_number(connection, named)
    if len(accounts) > 1:
        refused(f"{len(accounts)} hospitals gave this number out; say whose with --authority")
    return accounts[0] if accounts else None


def _show(out: Console, found: AccountStory) -> None:
    out.rule(f"[bold]account {found.account}[/]  {found.status}", align="left", style="dim")
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_row("[dim]patient[/]", found.mrn)
    facts.add_row("[dim]at[/]", escape(" ".join(part for part in (found.facility, found.location) if part)))
    if found.asked != found.account:
        facts.add_row("[dim]merged[/]", f"{found.asked} is {found.account} now")
    for change in found.waiting:
        facts.add_row("[dim]waits[/]", f"{change}, of what nobody has told yet")
    out.print(facts)
    out.print()
    life = Table("when", "what", "account", "patient", "class", "location", "event", box=None, pad_edge=False)
    for fact in found.facts:
        life.add_row(
            moment(fact.at), fact.change, fact.account, fact.mrn, escape(fact.patient_class or ""),
            escape(fact.location or ""), fact.event,
        )  # fmt: skip
    for merge in found.merges:
        what = f"{merge.kind} merged into {merge.survivor}" + ("" if merge.stands else " (does not stand)")
        life.add_row(moment(merge.at), what, merge.merged, "", "", "", merge.event)
    out.print(life)
    if found.coverages:
        out.print()
        coverage = Table("day", "insurer", "payer", "coverage", "asked", "since", "reference", box=None, pad_edge=False)
        for each in found.coverages:
            coverage.add_row(
                f"{each.on}", escape(each.insurer), escape(each.payer), each.status, str(each.attempts), moment(each.at),
                each.reference,
            )  # fmt: skip
        out.print(coverage)
