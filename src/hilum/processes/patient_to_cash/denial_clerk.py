"""Decisions to give denials up become events: people decide at the terminal and at the API, flows do what follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from hilum.authoring.estate import Estate
from hilum.model.identifiers import FacilityCode
from hilum.processes.patient_to_cash.write_offs import WriteOffDecided
from hilum.runtime import denials
from hilum.runtime.denials import Decision
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import Reception, prepare

SYSTEM = "claims"


class DenialClerk:
    """Turns write-offs into events. ``intake`` writes the events' shard."""

    def __init__(self, pool: asyncpg.Pool, estate: Estate, intake: Intake, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._zone = ZoneInfo(estate.time_zone)
        self._intake = intake
        self._clock = clock

    async def run_once(self) -> int:
        """Take up what was decided; how many decisions became events."""
        async with self._pool.acquire() as connection:
            waiting = await denials.untaken(connection)
        for decision in waiting:
            receipt: Receipt = await self._intake.submit(self._reception(decision), lambda receipt: receipt)
            # A crash between the two submits the same fact again, which then is a known one.
            async with self._pool.acquire() as connection:
                await denials.note_taken(connection, decision.decision, receipt.subject, self._clock())
        return len(waiting)

    def _reception(self, decision: Decision) -> Reception:
        event = WriteOffDecided(
            reference=decision.reference,
            denial=decision.denial,
            facility=FacilityCode(value=decision.facility),
            payer=decision.payer,
            amount=decision.amount,
            decided_on=decision.at.astimezone(self._zone).date(),
            requested_by=decision.actor,
        )
        raw = orjson.dumps({"type": "write_off.decided", "reference": decision.reference})
        prepared = prepare(event, "reference", "denial_decision@1")
        return Reception(
            SYSTEM, "decision", decision.actor, raw, sha256(raw).digest(), type="write_off.decided",
            control_id=decision.reference, events=[prepared],
        )  # fmt: skip
