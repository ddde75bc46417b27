"""`hilum up`: the database and one process of each kind, kept running until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from hilum.cli.account import first_sign_in
from hilum.runtime.supervisor import NotStarted, Supervisor, running_platform, wait_ready

EstateFolder = Annotated[Path, typer.Option("--estate", help="The estate's folder.", exists=True, file_okay=False)]
DataFolder = Annotated[
    Path, typer.Option("--data", help="Where the platform keeps its database, keys and logs.", envvar="HILUM_DATA")
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        help="A PostgreSQL 15 or newer to use instead of the embedded one.",
        envvar="HILUM_DATABASE_URL",
    ),
]
Overlay = Annotated[
    Path | None,
    typer.Option("--overlay", help="A TOML file with this installation's addresses.", exists=True, dir_okay=False),
]
TowerPort = Annotated[int, typer.Option("--tower-port", help="Port of the page on the loopback address.")]
WebhookPort = Annotated[int, typer.Option("--webhook-port", help="Port of the webhook door on the loopback address.")]
GatewayPort = Annotated[int, typer.Option("--gateway-port", help="Port of the APIs' door on the loopback address.")]
Workers = Annotated[
    int, typer.Option("--workers", help="Worker processes; a second one takes over when the first dies.", min=1, max=16)
]
AsJson = Annotated[bool, typer.Option("--json", help="Write the addresses as one JSON object, then run.")]


def up(
    estate: EstateFolder = Path("estates/lakeshore"),
    data: DataFolder = Path(".hilum"),
    database_url: DatabaseUrl = None,
    overlay: Overlay = None,
    tower_port: TowerPort = 8700,
    webhook_port: WebhookPort = 8701,
    gateway_port: GatewayPort = 8702,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Run the platform: database, doors, workers, the page and the APIs' gateway, until Ctrl-C.

    Everything listens on the loopback address only. Exit code 0 after a clean stop.

    Example: hilum up --estate estates/lakeshore --data /var/lib/hilum --overlay production.toml
    """
    console = Console(stderr=as_json, soft_wrap=True)
    try:
        _up(console, estate, data, database_url, overlay, (tower_port, webhook_port, gateway_port), workers, as_json)
    except NotStarted as problem:
        console.print(f"[red]{problem}[/]")
        raise typer.Exit(1) from None


def _up(
    console: Console,
    estate: Path,
    data: Path,
    database_url: str | None,
    overlay: Path | None,
    ports: tuple[int, int, int],
    workers: int,
    as_json: bool,
) -> None:
    with (
        console.status("Starting the database ...") as progress,
        running_platform(
            estate=estate,
            data=data,
            database_url=database_url,
            overlay=overlay,
            tower_port=ports[0],
            webhook_port=ports[1],
            gateway_port=ports[2],
            workers=workers,
        ) as (supervisor, _),
    ):
        progress.update("Starting the platform ...")
        ready = wait_ready(supervisor, data)
        progress.stop()
        addresses = {
            **ready["intake-1"]["addresses"],
            "page": ready["tower"]["address"],
            "APIs": ready["gateway"]["address"],
        }
        link = first_sign_in(data, database_url, estate)
        if as_json:
            says = {"ready": True, "addresses": addresses, "first_sign_in": link}
            sys.stdout.write(orjson.dumps(says).decode() + "\n")
            sys.stdout.flush()
        for place, address in addresses.items():
            console.print(f"  {place:<16} {address}")
        if link is not None:
            console.print("Nobody can sign in yet. This link makes the administrator, once, within 30 minutes:")
            console.print(f"  {link}", markup=False, highlight=False)
        console.print("Running. Ctrl-C stops everything.")
        run_until_stopped(supervisor, console)
        console.print("Stopping ...")


def run_until_stopped(supervisor: Supervisor, console: Console) -> None:
    """Watch over the children until SIGINT or SIGTERM."""
    stop = threading.Event()
    previous: Sequence[Any] = [signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)]
    supervisor.on_event = lambda text: console.print(f"[yellow]{text}[/]")
    try:
        while not stop.wait(0.2):
            supervisor.watch()
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), previous, strict=True):
            signal.signal(number, handler)
