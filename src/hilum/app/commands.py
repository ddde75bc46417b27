"""The `hilum` command as people have it: the terminal's commands, with this installation's connectors."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import orjson
import typer

from hilum import cli
from hilum.app.archive import AT_HOME
from hilum.app.connectors import CONNECTORS, connect
from hilum.app.contract_test_command import contract_test_command
from hilum.app.sealing import protection_of
from hilum.app.told import Serve
from hilum.authoring.failures import Unavailable
from hilum.cli.permission import permit, terminal_caller
from hilum.cli.platform import DEFAULT_DATA, DataOption, JsonOption, UrlOption, ask, the_estate, usage
from hilum.cli.reconcile import show_books
from hilum.governance.overlay import overlaid
from hilum.processes.implant_books import Books, reconcile
from hilum.security.decisions import Resource
from hilum.security.sealing.wrapping import KeysUnusable


def reconcile_command(
    data: DataOption = DEFAULT_DATA, database_url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Compare every implant usage with the shelf, the ledger and the orders in the systems' own books.

    Exit code 0 when everything agrees, 1 when a record differs, 2 when a system could not be asked.

    Example: hilum reconcile --data .hilum/demo
    """
    estate = the_estate(None, data)
    if estate is None:
        usage(f"no platform runs on {data}: start one with `hilum up --data {data}`")
    runtime = orjson.loads((data / "runtime.json").read_bytes())
    placed = overlaid(estate, Path(runtime["overlay"]) if runtime.get("overlay") else None)

    caller = terminal_caller(data)

    async def compare(pool: asyncpg.Pool) -> Books:
        # The books are compared, not shown: what comes of it are counts and the records on which two systems differ.
        await permit(pool, caller, "read", [Resource("Dashboard", "reconciliation")], operation="cli.reconcile")
        protection = await protection_of(Serve("reconcile", placed.root, data, ""), placed, pool)
        systems = connect(placed, data)
        try:
            stock, ledger = (systems.to(name).connector for name in ("stock", "erp"))
            return await reconcile(pool, protection.sealer, stock=stock, ledger=ledger)
        finally:
            await systems.close()

    try:
        books = ask(data, database_url, compare)
    except (KeysUnusable, Unavailable) as away:
        usage(str(away))
    show_books(books, as_json=as_json)
    raise typer.Exit(0 if books.reconciled else 1)


def run() -> None:
    """Every command."""
    commands = cli.application(
        known_connectors=[*CONNECTORS, *AT_HOME], reconcile=reconcile_command, contract_test=contract_test_command
    )
    commands()
