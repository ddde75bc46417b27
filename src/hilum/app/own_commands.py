"""The two commands by which `hilum up` starts the platform's own processes. They start often and at once, so they load none of
the people's commands, and each process loads its own role alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import asyncpg
import typer
import uvloop

from hilum.app.process import run_role
from hilum.app.told import Serve
from hilum.security.logs import install_logging

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
    from hilum.app.preparation import REFUSALS, prepare

    install_logging("WARNING")
    try:
        uvloop.run(prepare(Serve("prepare", estate, data, database_url, overlay)))
    except REFUSALS as refused:
        raise SystemExit(str(refused)) from None
    except _NO_DATABASE as away:
        raise SystemExit(
            f"The database cannot be used: {away}. Check the address, the role and its password."
        ) from None


def run() -> None:
    """The platform's own command line."""
    inner = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    inner.command("serve")(serve_command)
    inner.command("prepare")(prepare_command)
    inner()
