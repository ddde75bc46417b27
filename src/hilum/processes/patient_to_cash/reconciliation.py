"""Continuous reconciliation: billing has the charges that were collected, the ledger has what was staged, and nothing on these accounts
that we did not post.

One case for each comparison, started by a schedule. Every difference is a work item that names the record and closes by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from hilum.authoring import Billing, Contract, Erp, PageRequest, flow, step
from hilum.authoring.control import Compared, Comparison, RevenueControl, Watched
from hilum.authoring.paging import MAX_PAGE
from hilum.model.book_control import Disagreement, charge_disagreements, ledger_disagreements
from hilum.model.ledger import LedgerPosting
from hilum.model.where import Equals, OneOf, Where

erp = Erp("erp")
billing = Billing("billing")
control = RevenueControl("control")

LOOKED_BACK = timedelta(days=70)
"""Two fiscal periods and some days: what is older was closed."""
RECENT_DAYS = 10
"""Service days that billing is asked about although nothing is known of them here."""
_ENTRIES_ASKED = 50


class ComparisonDue(Contract, version=1, identities=["run"], owner="revenue-cycle"):
    """The books are to be compared for all days from ``since`` to ``until``."""

    raised_by_platform = True

    run: str
    since: date
    until: date


@flow(
    on=ComparisonDue,
    key="run",
    criticality="low",
    owner="revenue-cycle",
    recovery="A comparison changes no books. One that stopped is made up for by the next.",
)
def compare_books(due: ComparisonDue) -> None:
    compare_ledger(due)
    look_for_foreign_entries(due)
    compare_billing(due)


@step
def compare_ledger(due: ComparisonDue) -> Compared:
    """Every journal that was posted since that day, line by line as the ledger has it now."""
    compared, found = 0, list[Disagreement]()
    after: str | None = None
    while True:
        page = control.posted_since(due.since, after)
        for at in range(0, len(page.journals), _ENTRIES_ASKED):
            journals = page.journals[at : at + _ENTRIES_ASKED]
            lines = list(_postings(OneOf("entry", frozenset(journal.number for journal in journals))))
            found += ledger_disagreements(journals, lines)
            compared += len(journals)
        after = page.after
        if after is None:
            break
    return control.compared(
        Comparison(run=due.run, books="staged-ledger", since=due.since, compared=compared, disagreements=tuple(found))
    )


@step
def look_for_foreign_entries(due: ComparisonDue) -> Compared:
    """New lines of the ledger on accounts that are ours alone, and those found before: whose journal do they belong to?"""
    compared, suspects, watched = 0, list[Disagreement](control.open_disagreements("ledger-foreign")), list[Watched]()
    for account in control.watched_accounts():
        cursor = account.cursor
        while True:
            page = erp.postings(Equals("account", account.account), PageRequest(limit=MAX_PAGE, cursor=cursor))
            compared += len(page.items)
            suspects += [_foreign(line, account.account) for line in page.items if line.date >= account.since]
            if page.next is None:
                break
            cursor = page.next
        watched.append(account.model_copy(update={"cursor": cursor}))
    numbers = sorted({_entry_of(each) for each in suspects})
    unknown: set[str] = set()
    for at in range(0, len(numbers), MAX_PAGE):
        unknown |= set(control.unknown_entries(tuple(numbers[at : at + MAX_PAGE])))
    foreign = {each.record: each for each in suspects if _entry_of(each) in unknown}
    return control.compared(
        Comparison(
            run=due.run, books="ledger-foreign", since=date.min, compared=compared,
            disagreements=tuple(foreign.values()), watched=tuple(watched),
        )
    )  # fmt: skip


@step
def compare_billing(due: ComparisonDue) -> Compared:
    """The charges of each service day by facility and plan, here and at billing; where the totals differ, charge by charge."""
    here: dict[date, dict[tuple[str, str], tuple[int, Decimal]]] = {}
    for total in control.charged_since(due.since):
        here.setdefault(total.day, {})[total.facility, total.payer] = total.charges, total.amount
    compared, found = 0, list[Disagreement]()
    recent = {due.until - timedelta(days=back) for back in range(RECENT_DAYS)}
    for day in sorted(recent | here.keys()):
        ours = here.get(day, {})
        theirs = {(each.facility, each.payer): (each.charges, each.amount) for each in billing.charge_totals(day)}
        compared += len(ours.keys() | theirs.keys())
        differ = {
            facility
            for facility, plan in ours.keys() | theirs.keys()
            if ours.get((facility, plan)) != theirs.get((facility, plan))
        }
        for facility in sorted(differ):
            found += charge_disagreements(
                facility, day, control.charges_on(day, facility), billing.charges_on(day, facility)
            )
    return control.compared(
        Comparison(run=due.run, books="billing-staged", since=due.since, compared=compared, disagreements=tuple(found))
    )


def _postings(where: Where) -> Iterator[LedgerPosting]:
    cursor: str | None = None
    while True:
        page = erp.postings(where, PageRequest(limit=MAX_PAGE, cursor=cursor))
        yield from page.items
        cursor = page.next
        if cursor is None:
            return


def _foreign(line: LedgerPosting, account: str) -> Disagreement:
    return Disagreement(
        record=f"ledger/{line.entry}/{line.id}", facility="", day=line.date, account=account,
        what=f"entry {line.entry} of journal {line.journal}", expected=line.debit.amount * 0,
        found=line.debit.amount - line.credit.amount,
    )  # fmt: skip


def _entry_of(found: Disagreement) -> str:
    return found.record.removeprefix("ledger/").rpartition("/")[0]
