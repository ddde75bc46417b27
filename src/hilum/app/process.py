"""One process of the platform, from its start to its end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import asyncpg
import uvloop

from hilum.app.told import Serve
from hilum.authoring.estate import Estate
from hilum.governance.loader import load_estate
from hilum.governance.overlay import overlaid
from hilum.runtime import fault_points
from hilum.security.logs import install_logging
from hilum.store.pool import open_pool

Role = Callable[[Serve, Estate, asyncpg.Pool, asyncio.Event], Awaitable[None]]


def role_of(name: str) -> Role:
    """What a process does; loaded by that process alone, for each role brings much along that the others do not need."""
    match name:
        case "intake":
            from hilum.app.intake import serve_intake

            return serve_intake
        case "worker":
            from hilum.app.worker import serve_worker

            return serve_worker
        case "tower":
            from hilum.app.tower import serve_tower

            return serve_tower
        case "gateway":
            from hilum.app.gateway import open_gateway

            return open_gateway
    raise SystemExit(f"{name} is no process of the platform: intake, worker, tower or gateway")


def run_role(told: Serve) -> None:
    """One process of the platform, until SIGTERM or the end of its parent."""
    fault_points.obey(os.environ)
    install_logging("INFO")
    serve = role_of(told.role)

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
            await serve(told, estate, pool, stop)
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
