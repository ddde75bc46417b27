"""The worker process: dispatch, cases, feeds, recovery, replay, the audit sequencer."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket

import asyncpg

from hilum.app.connectors import connect
from hilum.app.sealing import protection_of
from hilum.app.told import Serve, now, ready
from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.authoring.estate import Estate
from hilum.store.partitions import ensure_partitions

log = logging.getLogger(__name__)


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
    protection = await protection_of(told, estate, pool)
    worker = Worker(
        pool, estate, protection, connect(estate, told.data), settings, clock=now, rng=random.Random(), sequence=sequencer.run_once,
        end=_end_at_once,
    )  # fmt: skip
    await worker.start()
    ready(told, {})
    await stop.wait()
    await worker.stop()
    await sequencer.run_once()


def _end_at_once(why: str) -> None:
    """As if killed, but with a word: nothing more is written or sent by this process."""
    log.critical("%s; this process ends", why)
    os._exit(70)
