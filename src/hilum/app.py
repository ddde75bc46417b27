"""The composition root: the only file that knows everyone.

A platform is three kinds of process on one PostgreSQL: *intake* (doors and group commit), *worker* (dispatch, cases,
feeds, recovery, replay) and *tower* (the page). ``hilum up`` starts one of each and keeps them running.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import orjson
import typer
import uvloop
from starlette.applications import Starlette

from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.authoring.estate import Estate, MllpListen, SystemSpec, WebhookListen
from hilum.authoring.failures import Unavailable
from hilum.cli.platform import DEFAULT_DATA, DataOption, JsonOption, UrlOption, ask, the_estate, usage
from hilum.cli.reconcile import show_books
from hilum.connectors.billing_hl7v2 import BillingHl7
from hilum.connectors.http_feed import HttpFeed
from hilum.connectors.inventory_rest import InventoryRest
from hilum.connectors.tryton import TrytonErp
from hilum.governance.loader import load_estate
from hilum.governance.overlay import OverlayRefused, overlaid
from hilum.governance.problems import EstateRefused
from hilum.masterdata.crosswalks import Crosswalks
from hilum.processes.implant_books import Books, reconcile
from hilum.runtime import fault_points
from hilum.runtime.channels import Channels
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.hl7_door import Hl7Door
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.loops import standing
from hilum.runtime.rate import Pace
from hilum.runtime.reception import DUPLICATE, Problem, Reader, Reception
from hilum.security.logs import install_logging
from hilum.security.secrets import SecretUnusable, is_reference, resolve_secret
from hilum.store.migrations import MigrationRefused, migrate
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.transports.mllp import MllpClient, MllpListener, Violation
from hilum.transports.webhook import Accepted, Hook, Refusal, RefusedRequest, serve, webhook_app

log = logging.getLogger("hilum")


def now() -> datetime:
    """The platform's clock; everything below takes it as an argument."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Serve:
    """What one process of the platform is told."""

    role: str
    estate: Path
    data: Path
    database_url: str
    overlay: Path | None = None
    name: str = ""
    port: int = 0


# --- connectors: one line for each kind -------------------------------------------------------------------------

Build = Callable[[SystemSpec, Mapping[str, Any], Callable[[str], str]], Any]


def _tryton(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], str]) -> Any:
    return TrytonErp(
        connect["url"], connect["database"], secret(connect["credentials"]), timeout_seconds=spec.policy.timeout_seconds,
        system=spec.name,
    )  # fmt: skip


def _inventory(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], str]) -> Any:
    return InventoryRest(connect["url"], secret(connect["token"]), timeout_seconds=spec.policy.timeout_seconds)


def _billing(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], str]) -> Any:
    host, _, port = connect["url"].removeprefix("mllp://").partition(":")
    client = MllpClient(host, int(port), system=spec.name, ack_timeout_seconds=spec.policy.timeout_seconds)
    return BillingHl7(client.exchange, clock=now, ping=client.ping, close=client.close, system=spec.name)


def _http_feed(spec: SystemSpec, connect: Mapping[str, Any], secret: Callable[[str], str]) -> Any:
    return HttpFeed(connect["url"], connections=spec.policy.concurrency, timeout_seconds=spec.policy.timeout_seconds)


CONNECTORS: dict[str, Build] = {
    "tryton": _tryton,
    "inventory_rest": _inventory,
    "billing_hl7v2": _billing,
    "http_feed": _http_feed,
}


def connect(estate: Estate, data: Path) -> Connections:
    """Reach every system that has a ``[connect]``."""

    def secret(reference: str) -> str:
        return resolve_secret(reference, data)

    made = {}
    for name, spec in estate.systems.items():
        if spec.connect:
            connector = CONNECTORS[spec.connect["connector"]](spec, spec.connect, secret)
            pace = Pace(spec.policy.rate_per_second, monotonic=time.monotonic)
            made[name] = Connection(name, connector, spec.policy, pace.turn)
    return Connections(made)


# --- the three roles --------------------------------------------------------------------------------------------


async def serve_intake(told: Serve, estate: Estate, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Open every door of the estate."""
    async with pool.acquire() as connection:
        await ensure_partitions(connection, now().date())
    intake = Intake(pool, name=told.name, clock=now)
    await intake.start()
    reader = Reader(estate)
    channels = Channels(pool, intake, clock=now)
    closing: list[Callable[[], Awaitable[None]]] = []
    addresses: dict[str, str] = {}
    for system, spec in estate.systems.items():
        if spec.listen.mllp is not None:
            listener = _mllp_listener(system, spec.listen.mllp, intake, reader, channels)
            port = await listener.start(spec.listen.mllp.host, spec.listen.mllp.port)
            addresses[f"{system}/mllp"] = f"mllp://{spec.listen.mllp.host}:{port}"
            closing.append(listener.stop)
    hooks = {name: spec.listen.webhook for name, spec in estate.systems.items() if spec.listen.webhook is not None}
    if hooks:
        door = await serve(_webhook_app(told, hooks, intake, reader, channels), "127.0.0.1", told.port)
        for system, hook in hooks.items():
            addresses[f"{system}/webhook"] = f"http://127.0.0.1:{door.port}{hook.path}"
        closing.append(door.stop)
    for place, address in addresses.items():
        system, _, transport = place.partition("/")
        await channels.declare(system, transport, address)
    counting = asyncio.create_task(standing("channel counts", channels.run_once, every_seconds=1.0))
    _ready(told, {"shard": intake.shard, "addresses": addresses})
    await stop.wait()
    for close in closing:
        await close()
    await intake.stop()
    counting.cancel()
    await channels.run_once()


def _mllp_listener(system: str, listen: MllpListen, intake: Intake, reader: Reader, channels: Channels) -> MllpListener:
    door = Hl7Door(intake, reader, system, clock=now)

    def refuse(violation: Violation) -> bytes:
        # What could not be stored gets no answer at all: its sender waits in vain and sends it again.
        return b"" if violation.kind == "handler-failed" else door.refusal(violation.data, violation.text)

    def on_violation(violation: Violation) -> None:
        channels.violation(system, "mllp")
        if violation.data and violation.kind != "handler-failed":
            door.keep_refused(violation.data, violation.peer, violation.text).add_done_callback(_seen)

    return MllpListener(
        door.take,
        refuse=refuse,
        on_violation=on_violation,
        max_frame_bytes=listen.max_frame_bytes,
        idle_timeout_seconds=listen.idle_timeout_seconds,
        frame_timeout_seconds=listen.frame_timeout_seconds,
        max_connections=listen.max_connections,
    )


def _webhook_app(
    told: Serve, hooks: Mapping[str, WebhookListen], intake: Intake, reader: Reader, channels: Channels
) -> Starlette:
    async def accept(hook: Hook, body: bytes, headers: Mapping[str, str], peer: str) -> Accepted | Refusal:
        reception = reader.json(hook.system, "webhook", peer, body, hooks[hook.system].type_field)
        receipt: Receipt = await intake.submit(reception, lambda receipt: receipt)
        if reception.problem is not None:
            return Refusal(str(reception.problem), receipt.subject)
        return Accepted(receipt.subject, receipt.status == DUPLICATE)

    async def refuse(request: RefusedRequest) -> str:
        channels.violation(request.hook.system, "webhook")
        problem = Problem(request.reason, request.detail, unsupported=True)
        reception = Reception.refused(request.hook.system, "webhook", request.peer, request.body, problem)
        receipt: Receipt = await intake.submit(reception, lambda receipt: receipt)
        return receipt.subject

    doors = {
        hook.path: Hook(system, resolve_secret(hook.secret, told.data), max_body_bytes=hook.max_body_bytes)
        for system, hook in hooks.items()
    }
    return webhook_app(doors, accept=accept, refuse=refuse, clock=now)


async def serve_worker(told: Serve, estate: Estate, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Do everything that follows a commit."""
    # Imported where it is used: the journal's library costs a second that no other process should pay.
    from hilum.runtime.worker import Worker, WorkerSettings

    async with pool.acquire() as connection:
        await ensure_partitions(connection, now().date())
    audit = told.data / "audit"
    sequencer = Sequencer(pool, Signer.open(audit), now, heads_file=audit / "heads.jsonl")
    settings = WorkerSettings(
        executor=told.name, pid=os.getpid(), host=socket.gethostname(), database_url=told.database_url
    )
    worker = Worker(
        pool, estate, connect(estate, told.data), settings, clock=now, rng=random.Random(), sequence=sequencer.run_once,
        end=_end_at_once,
    )  # fmt: skip
    await worker.start()
    _ready(told, {})
    await stop.wait()
    await worker.stop()
    await sequencer.run_once()


def _end_at_once(why: str) -> None:
    """As if killed, but with a word: nothing more is written or sent by this process."""
    log.critical("%s; this process ends", why)
    os._exit(70)


async def serve_tower(told: Serve, estate: Estate, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Show people what is going on."""
    from hilum.tower.app import tower_app

    door = await serve(tower_app(pool, estate, now), "127.0.0.1", told.port)
    _ready(told, {"address": f"http://127.0.0.1:{door.port}/"})
    await stop.wait()
    await door.stop()


ROLES = {"intake": serve_intake, "worker": serve_worker, "tower": serve_tower}


def _ready(told: Serve, says: Mapping[str, Any]) -> None:
    place = told.data / f"ready-{told.name}.json"
    part = place.with_suffix(".part")
    part.write_bytes(orjson.dumps({"pid": os.getpid(), **says}))
    part.rename(place)


def run_role(told: Serve) -> None:
    """One process of the platform, until SIGTERM or the end of its parent."""
    fault_points.obey(os.environ)
    install_logging("INFO")

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        _end_with_parent(stop, loop)
        estate = overlaid(load_estate(told.estate), told.overlay)
        pool = await open_pool(
            told.database_url,
            min_size=2,
            max_size=24,
            application_name=f"hilum {told.name}",
            idle_transaction_timeout_seconds=5.0,  # Less than a peer waits before it takes over.
        )
        try:
            await ROLES[told.role](told, estate, pool, stop)
        finally:
            await pool.close()

    # What start-up made stays for ever, and a message's objects die young without cycles: look for cycles rarely.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    uvloop.run(main())


def _end_with_parent(stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    """Standard input is a pipe from the supervisor: when it closes, the supervisor is gone and so are we."""

    def closed() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    if not sys.stdin.closed and not sys.stdin.isatty():
        os.set_blocking(sys.stdin.fileno(), False)
        loop.add_reader(sys.stdin.fileno(), closed)


async def prepare(told: Serve) -> None:
    """Refuse what cannot run, migrate the database and bring the estate's tables into it."""
    estate = overlaid(load_estate(told.estate), told.overlay)
    _need_secrets(estate, told.data)
    await migrate(told.database_url)
    pool = await open_pool(told.database_url, min_size=1, max_size=2, application_name="hilum prepare")
    try:
        await Crosswalks(pool, now).sync_tables(estate)
    finally:
        await pool.close()


def _need_secrets(estate: Estate, data: Path) -> None:
    """All secrets that are missing, at once and before anything starts."""
    problems = []
    for name, spec in estate.systems.items():
        hook = [spec.listen.webhook.secret] if spec.listen.webhook is not None else []
        for reference in (*hook, *(v for v in spec.connect.values() if isinstance(v, str) and is_reference(v))):
            try:
                resolve_secret(reference, data)
            except SecretUnusable as unusable:
                problems.append(f"  system {name}: {unusable}")
    if problems:
        raise SecretUnusable("These secrets are needed before the platform can start:\n" + "\n".join(problems))


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and future.exception() is not None:
        log.warning("what was refused could not be stored: %s", type(future.exception()).__name__)


# --- the command line --------------------------------------------------------------------------------------------

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
    except (EstateRefused, MigrationRefused, OverlayRefused, SecretUnusable) as refused:
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
        systems = connect(placed, data)
        try:
            return await reconcile(pool, stock=systems.to("stock").connector, ledger=systems.to("erp").connector)
        finally:
            await systems.close()

    try:
        books = ask(data, database_url, compare)
    except Unavailable as away:
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

    commands = cli.application(known_connectors=CONNECTORS, reconcile=reconcile_command)
    commands()


if __name__ == "__main__":
    main()
