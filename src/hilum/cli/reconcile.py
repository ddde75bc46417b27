"""How a reconciliation is shown."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from hilum.cli.platform import console, print_json
from hilum.processes.implant_books import Books

MOST_DIFFERENCES = 30


def show_books(books: Books, *, as_json: bool = False, on: Console | None = None) -> None:
    """The totals, and every record on which two books disagree."""
    if as_json:
        print_json({**asdict(books), "reconciled": books.reconciled})
        return
    shown = on if on is not None else console()
    shown.print(
        f"{books.facts} usages: {books.units_taken} units taken, {books.journals} journals over ${books.cost_usd:,.2f}, "
        f"{books.orders} orders, {books.charges} charges; ${books.waiting_at_risk_usd:,.2f} waits for people."
    )
    if books.reconciled:
        shown.print("[green]The books reconcile.[/] Usage, shelf, ledger and orders agree, record by record.")
        return
    table = Table(
        "Record", "What", "Expected", "Found", title=f"{len(books.differences)} differences", title_style="bold red"
    )
    for difference in books.differences[:MOST_DIFFERENCES]:
        table.add_row(difference.record, difference.what, difference.expected, difference.found)
    shown.print(table)
