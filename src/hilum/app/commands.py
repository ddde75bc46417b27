"""The `hilum` command: the terminal's commands, and the two by which `hilum up` starts the platform's processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import asyncpg
import orjson
import typer
import uvloop

from hilum.app.archive import AT_HOME
from hilum.app.connectors import CONNECTORS, connect
from hilum.app.preparation import prepare
from hilum.app.process import run_role
from hilum.app.sealing import protection_of
from hilum.app.told import Serve
from hilum.authoring.failures import Unavailable
from hilum.cli.platform import DEFAULT_DATA, DataOption, JsonOption, UrlOption, ask, the_estate, usage
from hilum.cli.reconcile import show_books
from hilum.governance.overlay import OverlayRefused, overlaid
from hilum.governance.problems import EstateRefused
from hilum.processes.implant_books import Books, reconcile
from hilum.security.logs import install_logging
from hilum.security.sealing.wrapping import KeysUnusable
from hilum.security.secrets import SecretUnusable
from hilum.store.migrations import MigrationRefused

Estate_ = Annotated[Path, typer.Option("--estate")]
Data_ = Annotated[Path, typer.Option("--data")]
Url_ = Annotated[str, typer.Option("--database-url", envvar="HILUM_DATABASE_URL")]
Overlay_ = Annotated[Path | None, typer.Option("--overlay")]

_NO_DATABASE = (
    OSError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)


def serve_command(
    role: str, estate: Estate_, data: Data_, database_url: Url_, name: Annotated[str, typer.Option("--name")],
    overlay: Overlay_ = None, port: Annotated[int, typer.Option("--port")] = 0,
) -> None:  # fmt: skip
    """Run one process of the platform (started by `hilum up`)."""
    run_role(Serve(role, estate, data, database_url, overlay, name, port))


def prepare_command(estate: Estate_, data: Data_, database_url: Url_, overlay: Overlay_ = None) -> None:
    """Migrate the database and load the estate's tables (started by `hilum up`)."""
    install_logging("WARNING")
    try:
        uvloop.run(prepare(Serve("prepare", estate, data, database_url, overlay)))
    except (EstateRefused, KeysUnusable, MigrationRefused, OverlayRefused, SecretUnusable) as refused:
        raise SystemExit(str(refused)) from None
    except _NO_DATABASE as away:
        raise SystemExit(
            f"The database cannot be used: {away}. Check the address, the role and its password."
        ) from None


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

    async def compare(pool: asyncpg.Pool) -> Books:
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


def main() -> None:
    """The `hilum` command."""
    if sys.argv[1:2] in (["serve"], ["prepare"]):
        # The platform's own processes start often and at once; they need none of the people's commands.
        inner = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        inner.command("serve")(serve_command)
        inner.command("prepare")(prepare_command)
        inner()
        return
    from hilum import cli
    from hilum.app.contract_tests import contract_test_command

    commands = cli.application(
        known_connectors=[*CONNECTORS, *AT_HOME], reconcile=reconcile_command, contract_test=contract_test_command
    )
    commands()
