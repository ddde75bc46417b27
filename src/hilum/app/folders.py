"""Watching the folders of an estate: each system's drop, wired to the same intake as every other door."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg

from hilum.app.told import Serve, now
from hilum.authoring.estate import Estate
from hilum.authoring.estate_transport import FolderListen
from hilum.runtime.channels import Channels
from hilum.runtime.fault_points import point
from hilum.runtime.folder_door import TRANSPORT, FolderDoor
from hilum.runtime.intake import Intake
from hilum.runtime.loops import standing
from hilum.runtime.reception import Reader
from hilum.transports.folder import FolderDrop, Part, Taken, open_folder
from hilum.transports.folder.messages import Bounds


def watch_folders(
    told: Serve, estate: Estate, pool: asyncpg.Pool, intake: Intake, reader: Reader, channels: Channels
) -> tuple[dict[str, str], list[Callable[[], Awaitable[None]]]]:
    """Start a watch for every ``[listen.folder]``: their addresses by ``system/folder``, and how each is closed."""
    addresses: dict[str, str] = {}
    closing: list[Callable[[], Awaitable[None]]] = []
    for system, spec in estate.systems.items():
        if spec.listen.folder is None:
            continue
        door = FolderDoor(pool, intake, reader, system, type_field=spec.listen.folder.type_field)
        drop = dropped(told, estate, system, spec.listen.folder, door, channels, pool)
        closing.append(watching(f"folder of {system}", drop, spec.listen.folder.poll_seconds))
        addresses[f"{system}/{TRANSPORT}"] = f"folder:{spec.listen.folder.path}"
    return addresses, closing


def watching(name: str, drop: FolderDrop, poll_seconds: float) -> Callable[[], Awaitable[None]]:
    """Watch a folder from now on; how it is closed."""
    return _closer(asyncio.create_task(standing(name, drop.run_once, every_seconds=poll_seconds)), drop)


async def _nobody(name: str, problem: str, counts: Mapping[str, int]) -> None:
    """Where nobody waits for a file's end."""


def dropped(
    told: Serve,
    estate: Estate,
    system: str,
    listen: FolderListen,
    door: FolderDoor,
    channels: Channels,
    pool: asyncpg.Pool,
    *,
    transport: str = TRANSPORT,
    ended: Callable[[str, str, Mapping[str, int]], Awaitable[None]] = _nobody,
) -> FolderDrop:
    """The watch over one folder, not begun yet. ``ended`` is told of each file before it is put away."""

    async def take(part: Part, peer: str) -> Taken:
        return Taken(*await door.take(part.kind, part.data, peer))

    async def stored(peers: Sequence[str], since: datetime) -> Mapping[str, Taken]:
        return {peer: Taken(*outcome) for peer, outcome in (await door.stored(peers, since)).items()}

    async def keeps_since() -> datetime | None:
        # A file that no door could read stands nowhere else: while any hold stands, none leaves.
        if await pool.fetchval("SELECT 1 FROM legal_hold WHERE lifted_at IS NULL LIMIT 1"):
            return None
        return now() - timedelta(days=estate.keeps().messages)

    return FolderDrop(
        open_folder(listen.path, told.data, estate.folder_roots, done=listen.done, refused=listen.refused),
        Bounds(
            listen.max_file_bytes,
            listen.max_message_bytes,
            listen.max_messages,
            listen.archives,
            tables=estate.takes_tables(system),
        ),
        take=take,
        stored=stored,
        refused=lambda why: channels.violation(system, transport),
        clock=now,
        moment=time.monotonic,
        pattern=listen.pattern,
        settle_seconds=listen.settle_seconds,
        point=point,
        keeps_since=keeps_since,
        ended=ended,
    )


def _closer(watching: asyncio.Task[None], drop: FolderDrop) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        drop.close()

    return close
