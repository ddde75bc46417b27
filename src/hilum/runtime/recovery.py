"""Recovery: when a system answers again, what waited for it goes on, the most critical first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import asyncpg

from hilum.authoring.failures import Rejected, Throttled, Unavailable
from hilum.runtime.breakers import Breakers
from hilum.runtime.connections import Connection, Connections

log = logging.getLogger(__name__)

RETRY_PARKED_SECONDS = 2.0


class Recovery:
    """Probes open circuits and lets parked cases go."""

    def __init__(
        self, pool: asyncpg.Pool, connections: Connections, breakers: Breakers, *, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._connections = connections
        self._breakers = breakers
        self._clock = clock

    async def run_once(self) -> int:
        """Probe what is due, release what may go; how many cases went."""
        states = await self._breakers.refresh()
        released = 0
        for connection in self._connections:
            breaker = states.get(connection.system)
            if breaker is not None and breaker.held:
                continue
            if breaker is None or breaker.state == "closed":
                # While a vendor has us wait, a case that went on would only be parked again.
                if breaker is None or not breaker.throttled_seconds(self._clock()):
                    released += await self._release(connection.system)
                else:
                    released += await self._release_old(connection)
                continue
            released += await self._release_old(connection)
            if await self._breakers.half_open(connection.system):
                await self._probe(connection)
            elif breaker.state == "half_open":
                await self._unstick(connection.system)
        return released

    async def _probe(self, connection: Connection) -> None:
        """One question decides: the circuit closes, or stays open for longer."""
        try:
            async with asyncio.timeout(connection.policy.timeout_seconds):
                await connection.connector.ping()
        except Throttled as patience:
            await self._breakers.throttled(
                connection.system, patience.reason, connection.policy, patience.retry_after_seconds
            )
            await self._breakers.close(connection.system)
        except (Unavailable, Rejected, TimeoutError) as still:
            await self._breakers.failed(connection.system, str(still) or "no answer to the probe", connection.policy)
        else:
            log.info("%s answers again", connection.system)
            await self._breakers.close(connection.system)
            await self._release(connection.system, at_once=True)

    async def _release_old(self, connection: Connection) -> int:
        """A case whose delivery waited longer than the policy allows runs once more, to give up and be a person's."""
        now = self._clock()
        released = await self._pool.fetch(
            """UPDATE flow_case SET state = 'ready', updated_at = $3, parked_on = NULL
                WHERE state = 'parked' AND parked_on = $1 AND id IN (
                    SELECT case_id FROM delivery WHERE system = $1 AND state IN ('pending', 'in_doubt') AND created_at < $2)
             RETURNING 1""",
            connection.system, now - timedelta(hours=connection.policy.dead_after_hours), now,
        )  # fmt: skip
        return len(released)

    async def _unstick(self, system: str) -> None:
        """A process that died while probing left the circuit half open; after a while the next one may probe."""
        await self._pool.execute(
            """UPDATE breaker SET state = 'open', retry_at = $2 WHERE system = $1 AND state = 'half_open' AND updated_at < $3""",
            system, self._clock(), self._clock() - timedelta(seconds=30),
        )  # fmt: skip

    async def _release(self, system: str, *, at_once: bool = False) -> int:
        now = self._clock()
        before = now if at_once else now - timedelta(seconds=RETRY_PARKED_SECONDS)
        released = await self._pool.fetch(
            """UPDATE flow_case SET state = 'ready', updated_at = $3, parked_on = NULL
                WHERE state = 'parked' AND parked_on = $1 AND updated_at <= $2 RETURNING 1""",
            system, before, now,
        )  # fmt: skip
        if released:
            await self._pool.execute("SELECT pg_notify('hilum_cases', '')")
        return len(released)
