"""A system that answers outside its contract: nothing of it is shown, and a person learns of it once for each cause."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.gateway.usage import Usage
from hilum.runtime.work_items import Exceptional, join

log = logging.getLogger(__name__)

ACTOR = "system:gateway"
QUEUE = "integration"
QUIET = timedelta(minutes=1)
"""For so long the same cause is only counted: an incident must not become a second one at the database."""
MOST_CAUSES = 1000


class Incidents:
    """Records incidents. Causes are places in contracts, so that none holds a value."""

    def __init__(self, pool: asyncpg.Pool, estate: Estate, usage: Usage, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._usage = usage
        self._clock = clock
        self._told: dict[tuple[str, str], datetime] = {}

    async def outside_contract(self, api: str, version: int, operation: str, cause: str, trace_id: str) -> None:
        """Log, count, audit, and let a work item stand for it. Whatever fails here does not change the answer."""
        self._usage.outside_contract(api, version, operation)
        log.error("%s v%d answered outside its contract: %s (trace %s)", operation, version, cause, trace_id)
        now = self._clock()
        last = self._told.get((operation, cause))
        if last is not None and now - last < QUIET:
            return
        if len(self._told) >= MOST_CAUSES:
            self._told.clear()
        self._told[operation, cause] = now
        try:
            await self._record(operation, version, cause, trace_id, now)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
            del self._told[operation, cause]
            log.error("the incident of %s could not be recorded: %s", operation, type(away).__name__)

    async def _record(self, operation: str, version: int, cause: str, trace_id: str, now: datetime) -> None:
        subject = f"api/{operation}/v{version}"
        found = Exceptional(
            queue=QUEUE,
            cause=f"OutsideContract:{operation}/v{version}:{cause}",
            title=f"{operation} v{version} answers outside its contract: {cause}",
            remedy="Compare the system's answer with the contract; correct the system or its connector, or publish a new "
            "version of the API, then release.",
            due_hours=4,
            subject=subject,
            at_risk_usd=Decimal(0),
            detail=f"trace {trace_id}",
            owner=self._estate.queues.get(QUEUE, ""),
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await join(connection, found, now=now, actor=ACTOR)
            detail = {"operation": operation, "version": version, "cause": cause, "trace": trace_id}
            await append(connection, [Entry(now, ACTOR, "api.outside_contract", subject, detail)])
