"""`hilum claim`: the life of one claim, and where claims stand."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hilum.audit.access import Access
from hilum.cli.accesses import protection_at_hand, record
from hilum.cli.permission import listed, permit, terminal_caller, under_grant, use_grant
from hilum.cli.platform import (
    DEFAULT_DATA,
    DataOption,
    EstateOption,
    JsonOption,
    UrlOption,
    ask,
    console,
    dollars,
    print_json,
    refused,
    the_estate,
)
from hilum.cli.trace import Purpose
from hilum.runtime import claim_story
from hilum.runtime.claim_story import ClaimStory, ClaimSum
from hilum.runtime.claims_desk import CLAIM
from hilum.security.decisions import Resource

claim_app = typer.Typer(
    name="claim", help="Follow one claim from its 837 to the payer's last word, or see where claims stand."
)

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="The claim's number, as billing gave it (CLM01).")]


@claim_app.command("show")
def show(
    number: Number,
    purpose: Purpose = "payment",
    estate: EstateOption = None,
    data: DataOption = DEFAULT_DATA,
    database_url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell a claim's life: every fact with its document, the ERP's journals, and its denials. Exit 1 when it is not known.

    The number is looked for by its token and not repeated: nothing here names a patient.

    Example: hilum claim show CLM-2044
    """
    known = the_estate(estate, data)
    asking = terminal_caller(data, purpose=purpose, estate=estate)

    async def work(pool: asyncpg.Pool) -> ClaimStory | None:
        protection = await protection_at_hand(pool, data, known)
        caller = await under_grant(pool, asking)
        await permit(pool, caller, "search", [Resource("Thread")], operation="cli.claim.show")
        if protection is None:
            refused("this terminal cannot read the platform's keys, and claims are found by them alone")
        token = protection.sealer.search_token(CLAIM, number.strip())
        async with pool.acquire() as connection:
            found = await claim_story.story(connection, token)
        address = "claim" if found is None else f"claim/{found.claim.number}"
        attributes = {"facility": found.claim.facility} if found is not None and found.claim.facility else {}
        await permit(pool, caller, "read", [Resource("Thread", address, attributes)], operation="cli.claim.show")
        await use_grant(pool, caller, "cli.claim.show", [address])
        await record(
            pool,
            Access(
                caller, "read", "cli.claim.show", "Thread", (address,) if found is not None else (),
                masked=frozenset({"phi"}), sought={CLAIM: token}, found=int(found is not None),
            ),
        )  # fmt: skip
        return found

    found = ask(data, database_url, work)
    if found is None:
        refused("nothing is known of a claim with this number; it may be written otherwise, or nobody sent it")
    if as_json:
        print_json(found)
    else:
        _show(console(), found)


@claim_app.command("summary")
def summary(data: DataOption = DEFAULT_DATA, database_url: UrlOption = None, as_json: JsonOption = False) -> None:
    """Count claims and their dollars by state, payer and facility, with the day since when the oldest stands there.

    Example: hilum claim summary
    """
    caller = terminal_caller(data)

    async def work(pool: asyncpg.Pool) -> list[ClaimSum]:
        where = await listed(pool, caller, "WorkItem", operation="cli.claim.summary")
        async with pool.acquire() as connection:
            found = await claim_story.summed(connection, where)
        await record(pool, Access(caller, "read", "cli.claim.summary", "WorkItem", ("claims/sums",)))
        return found

    found = ask(data, database_url, work)
    if as_json:
        print_json(found)
        return
    out = console()
    if not found:
        out.print("No claim is known.")
        return
    table = Table(
        "state",
        "payer",
        "facility",
        "claims",
        "charged",
        "paid",
        "denied",
        "oldest",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in range(3, 7):
        table.columns[column].justify = "right"
    for line in found:
        table.add_row(
            line.state.replace("_", " "), escape(line.payer), escape(line.facility), str(line.claims), dollars(line.charge),
            dollars(line.paid), dollars(line.denied), f"{line.oldest}" if line.oldest is not None else "",
        )  # fmt: skip
    out.print(table)


def _show(out: Console, found: ClaimStory) -> None:
    claim = found.claim
    out.print(
        f"[bold]Claim {claim.number}[/]  {claim.state.replace('_', ' ')}"
        + (f" since {claim.since}" if claim.since is not None else "")
    )
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    facts.add_row("[dim]at[/]", escape(f"{claim.facility}, to {claim.payer or 'an unnamed payer'}"))
    facts.add_row("[dim]charged[/]", dollars(claim.charge))
    if claim.adjudicated or claim.paid:
        facts.add_row(
            "[dim]decided[/]",
            f"{dollars(claim.adjudicated)} = {dollars(claim.paid)} paid + {dollars(claim.adjusted)} adjusted + "
            f"{dollars(claim.patient)} the patient's",
        )
    for reason in claim.reasons:
        facts.add_row("[dim]because[/]", escape(reason))
    if claim.awaits_original:
        facts.add_row("[dim]note[/]", "a reversal is known whose original is not")
    if claim.paid_at:
        facts.add_row("[dim]note[/]", escape(f"paid to {claim.paid_at}"))
    out.print(facts)
    out.print()
    events = Table(
        "day", "what", "charged", "paid", "denied", "document", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for event in found.events:
        events.add_row(
            str(event.on), escape(event.words), _amount(event.charge), _amount(event.paid), _amount(event.denied), escape(event.source)
        )  # fmt: skip
    out.print(events)
    if found.journals:
        out.print()
        journals = Table(
            "journal", "day", "facility", "amount", "source", box=None, pad_edge=False, padding=(0, 2, 0, 0)
        )
        for journal in found.journals:
            number = journal.number if journal.number is not None else "not posted"
            day = str(journal.posted_on) if journal.posted_on is not None else ""
            journals.add_row(number, day, escape(journal.facility), dollars(journal.amount), escape(journal.source))
        out.print(journals)
    if found.denials:
        out.print()
        denials = Table(
            "denial", "reason", "why", "amount", "due", "state", box=None, pad_edge=False, padding=(0, 2, 0, 0)
        )
        for denial in found.denials:
            denials.add_row(
                str(denial.number), f"{denial.group}-{denial.reason}", escape(denial.cause), dollars(denial.amount),
                str(denial.due_on) if denial.due_on is not None else "unknown", denial.state.replace("_", " "),
            )  # fmt: skip
        out.print(denials)


def _amount(amount: Decimal | None) -> str:
    return "" if amount is None else dollars(amount)
