"""The worker process: dispatch, cases, feeds, recovery, replay, the audit sequencer."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time

import asyncpg

from hilum.app.connectors import connect
from hilum.app.contract_tests import EVERY_SECONDS, scheduled
from hilum.app.sealing import protection_of
from hilum.app.told import Serve, now, ready
from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.authoring.estate import Estate
from hilum.runtime.allowances import Leases
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
    leases = Leases(pool, time_zone=estate.time_zone, monotonic=time.monotonic)
    connections = connect(estate, told.data, leases=leases)
    contract_tests = scheduled(pool, estate, told.data, connections)
    worker = Worker(
        pool, estate, protection, connections, settings, clock=now, rng=random.Random(), sequence=sequencer.run_once,
        end=_end_at_once,
        duties={
            "contract tests": (contract_tests.run_due, EVERY_SECONDS),
            "idle allowances": (leases.forget_idle, 3600.0),
        },
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
