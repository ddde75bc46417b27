"""The tower process: the page."""

from __future__ import annotations

import asyncio

import asyncpg

from hilum.app.told import Serve, now, ready
from hilum.authoring.estate import Estate
from hilum.transports.http import serve


async def serve_tower(told: Serve, estate: Estate, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Show people what is going on."""
    from hilum.tower.app import tower_app

    door = await serve(tower_app(pool, estate, now), "127.0.0.1", told.port)
    ready(told, {"address": f"http://127.0.0.1:{door.port}/"})
    await stop.wait()
    await door.stop()
