"""The tower process: the page."""

from __future__ import annotations

import asyncio

import asyncpg

from hilum.app.doors import http_door
from hilum.app.sealing import protection_of
from hilum.app.told import Serve, now, ready
from hilum.authoring.estate import Estate
from hilum.runtime.certificates import CertificateWatch
from hilum.runtime.loops import standing
from hilum.security.policies import Policies
from hilum.transports.http import serve


async def serve_tower(told: Serve, estate: Estate, pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Show people what is going on."""
    from hilum.app.people import open_people
    from hilum.tower.app import tower_app

    protection = await protection_of(told, estate, pool)
    host, tls = http_door(estate, "tower", told.data)
    certificates = CertificateWatch(pool, clock=now)
    opened = open_people(
        estate, pool, told.data, Policies(estate.policies), process=told.name, saw=certificates.presented
    )
    noting = asyncio.create_task(standing("providers' certificates", certificates.keep_seen, every_seconds=10.0))
    app = tower_app(pool, estate, now, people=opened.people, tokens=protection.sealer, protection=protection)
    door = await serve(app, host, told.port, tls=tls)
    await opened.people.reached_at(door.url)
    ready(told, {"address": f"{door.url}/"})
    await stop.wait()
    await door.stop()
    noting.cancel()
    await opened.close()
