"""Requests for evidence become events, and the calendar asks for the months that ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from hilum.audit.evidence.scope import Scope, month_before, period_bounds
from hilum.audit.evidence.shelf import Request, ask_for, open_requests
from hilum.authoring.estate import Estate
from hilum.processes.evidence import EvidenceRequested
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import Reception, prepare

SYSTEM = "evidence"
_ACTOR = "system:evidence"


class EvidenceClerk:
    """Turns requests into events, and asks for what the calendar says. ``intake`` writes the events' shard."""

    def __init__(self, pool: asyncpg.Pool, estate: Estate, intake: Intake, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._intake = intake
        self._clock = clock

    async def run_once(self) -> int:
        """Take up what was asked for; how many requests became events."""
        async with self._pool.acquire() as connection:
            waiting = await open_requests(connection)
        for request in waiting:
            receipt: Receipt = await self._intake.submit(_reception(request), lambda receipt: receipt)
            # A crash between the two submits the same fact again, which then is a known one.
            await self._pool.execute(
                "UPDATE hilum.evidence_request SET taken_at = $2, event = $3 WHERE id = $1 AND taken_at IS NULL",
                request.id, self._clock(), receipt.subject,
            )  # fmt: skip
        return len(waiting)

    async def ask_by_calendar(self) -> int:
        """Ask for the month that ended, of each facility that had a case in it, once; returns 0, for loops."""
        if self._estate.evidence.archive != "monthly":
            return 0
        now = self._clock()
        zone = ZoneInfo(self._estate.time_zone)
        month = month_before(now, zone)
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(
                "SELECT DISTINCT facility FROM hilum.flow_case WHERE created_at >= $1 AND created_at < $2",
                *period_bounds(month, zone),
            )
            for facility in sorted(row["facility"] for row in rows if row["facility"] in self._estate.facilities):
                scope = Scope.of_period(month, facility)
                reason = f"the month {month} has ended"
                await ask_for(connection, scope, actor=_ACTOR, reason=reason, now=now, scheduled=True)
        return 0


def _reception(request: Request) -> Reception:
    event = EvidenceRequested(
        number=request.number,
        request=request.id,
        subject=request.scope.subject,
        reason=request.reason,
        requested_by=request.actor,
        requested_at=request.requested_at,
    )
    raw = orjson.dumps({"type": "evidence.requested", "request": request.id, "subject": request.scope.subject})
    prepared = prepare(event, "number", "evidence_request@1")
    return Reception(
        SYSTEM, "request", request.actor, raw, sha256(raw).digest(), type="evidence.requested",
        control_id=request.number, events=[prepared],
    )  # fmt: skip
