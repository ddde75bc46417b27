"""Claims: which case runs next, where, and what became of the cases of a process that died."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.runtime.fault_points import point
from hilum.runtime.journal import QUEUE, SCHEMA, Journal

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 2.0
DEAD_AFTER_SECONDS = 10.0

# Criticality first, then age. A case waits for every older open case of its key, and for its own previous run to end.
# The table decides, not the journal: a case that is ready although a run of it ended (in a process that was thought
# dead, or by a defect) is rewound to where that run's journal ends. A journal written under another version of the
# flows speaks of steps that this one may not have: such a case begins again, and its deliveries are known by their keys.
_CLAIM = f"""
    UPDATE flow_case SET state = 'running', executor = $1, run = run + 1, updated_at = $3
     WHERE id IN (
        SELECT c.id FROM flow_case c
         WHERE c.state = 'ready'
           AND NOT EXISTS (SELECT 1 FROM flow_case p WHERE p.flow = c.flow AND p.ordering_key = c.ordering_key
                              AND p.state NOT IN ('done', 'skipped') AND p.position < c.position)
           AND NOT EXISTS (SELECT 1 FROM {SCHEMA}.workflow_status w
                            WHERE w.workflow_uuid = c.id AND w.status IN ('PENDING', 'ENQUEUED', 'DELAYED'))
         ORDER BY c.criticality, c.position LIMIT $2 FOR UPDATE OF c SKIP LOCKED)
    RETURNING id, criticality, position,
              (SELECT CASE WHEN w.application_version IS DISTINCT FROM $4 THEN 1 ELSE coalesce(rewind_to,
                      1 + (SELECT max(o.function_id) FROM {SCHEMA}.operation_outputs o WHERE o.workflow_uuid = flow_case.id), 1) END
                 FROM {SCHEMA}.workflow_status w WHERE w.workflow_uuid = flow_case.id) AS rewind_to
"""


class ExecutorLost(RuntimeError):
    """This process may no longer act under its name: a peer took its work over, or will. It must end at once."""


class Claims:
    """Keeps this process busy with at most ``slots`` cases."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        journal: Journal,
        *,
        slots: int,
        clock: Callable[[], datetime],
        lane: asyncio.AbstractEventLoop,
    ) -> None:
        self._pool = pool
        self._journal = journal
        self._slots = slots
        self._clock = clock
        self._loop = lane
        self._busy: set[str] = set()
        self.freed = asyncio.Event()

    def rested(self, case_id: str) -> None:
        """A run ended; called from the flow's thread."""
        self._loop.call_soon_threadsafe(self._free, case_id)

    def _free(self, case_id: str) -> None:
        self._busy.discard(case_id)
        self.freed.set()

    async def run_once(self) -> int:
        """Claim and start as many cases as there is room for; how many."""
        room = self._slots - len(self._busy)
        if room <= 0:
            await self._forget_what_others_run()
            return 0
        rows = await self._pool.fetch(_CLAIM, self._journal.executor, room, self._clock(), self._journal.flows_version)
        rows.sort(key=lambda r: (r["criticality"], r["position"]))
        for row in rows:
            self._busy.add(row["id"])
            point("case.claimed")
            try:
                await asyncio.to_thread(self._start, row["id"], row["rewind_to"])
            except Exception:
                # The journal refused this one; it alone goes back, and those claimed with it are started.
                log.exception("case %s could not be started, trying again", row["id"])
                await self._put_back(row["id"])
        return len(rows)

    async def _put_back(self, case_id: str) -> None:
        await self._pool.execute(
            f"""UPDATE flow_case c SET state = 'ready', executor = NULL, updated_at = $3
                 WHERE c.id = $1 AND c.state = 'running' AND c.executor = $2
                   AND NOT EXISTS (SELECT 1 FROM {SCHEMA}.workflow_status w
                                    WHERE w.workflow_uuid = c.id AND w.status IN ('PENDING', 'ENQUEUED', 'DELAYED'))""",
            case_id, self._journal.executor, self._clock(),
        )  # fmt: skip
        self._busy.discard(case_id)

    async def _forget_what_others_run(self) -> None:
        """A rewound case is run by whichever worker takes it from the journal's queue: then it keeps no slot here."""
        ours = await self._pool.fetch(
            "SELECT id FROM flow_case WHERE id = ANY($1) AND state = 'running' AND executor = $2",
            list(self._busy), self._journal.executor,
        )  # fmt: skip
        self._busy.intersection_update(r["id"] for r in ours)

    def _start(self, case_id: str, rewind_to: int | None) -> None:
        if rewind_to is None:
            self._journal.start(case_id)
        else:
            self._journal.rewind(case_id, rewind_to)

    async def reclaim(self, executors: list[str]) -> int:
        """Bring the cases of dead executors back: the journal resumes what it has, the rest is claimed anew."""
        if not executors:
            return 0
        again = await self.reset(executors)
        recovered = await asyncio.to_thread(self._journal.recover, executors)
        # Only now is it over: had this failed or died half-way, the next beat of any peer would do it again.
        await self._pool.execute(
            "UPDATE executor SET state = 'stopped' WHERE id = ANY($1) AND state = 'dead'", executors
        )
        log.warning("took over %d running and %d claimed cases of %s", recovered, again, ", ".join(executors))
        return recovered + again

    async def reset(self, executors: list[str]) -> int:
        """Free what executors that no longer run held: leases, and cases that were claimed but not started.

        Comes before the journal recovers what they had started.
        """
        if await self._pool.fetchval("SELECT to_regclass($1)", f"{SCHEMA}.workflow_status") is None:
            return 0  # The very first start: the journal's tables are made when it opens.
        # Their leases would only delay what follows; should one of them live after all, the fences keep it out.
        await self._pool.execute(
            "UPDATE delivery SET leased_until = NULL WHERE state = 'attempting' AND owner = ANY($1)", executors
        )
        await self._pool.execute("UPDATE consumer_cursor SET leased_until = NULL WHERE owner = ANY($1)", executors)
        # Through our queue the journal resumes them at once; through its own it looks once a second.
        await self._pool.execute(
            f"UPDATE {SCHEMA}.workflow_status SET queue_name = $2 WHERE status = 'PENDING' AND executor_id = ANY($1) AND queue_name IS NULL",
            executors, QUEUE,
        )  # fmt: skip
        # Runs under another version of the flows are recovered by nobody: they are given up, and begin again below.
        await self._pool.execute(
            f"""UPDATE {SCHEMA}.workflow_status w SET status = 'CANCELLED', queue_name = NULL FROM flow_case c
                 WHERE w.workflow_uuid = c.id AND c.state = 'running' AND c.executor = ANY($1)
                   AND w.status IN ('PENDING', 'ENQUEUED', 'DELAYED') AND w.application_version IS DISTINCT FROM $2""",
            executors, self._journal.flows_version,
        )  # fmt: skip
        # Claimed but never started, or claimed for a rewind that never began: nothing runs, so it is ready again.
        again = await self._pool.fetch(
            f"""UPDATE flow_case c SET state = 'ready', executor = NULL, updated_at = $2
                 WHERE c.state = 'running' AND c.executor = ANY($1)
                   AND NOT EXISTS (SELECT 1 FROM {SCHEMA}.workflow_status w
                                    WHERE w.workflow_uuid = c.id AND w.status IN ('PENDING', 'ENQUEUED', 'DELAYED'))
             RETURNING id""",
            executors, self._clock(),
        )  # fmt: skip
        return len(again)


class Heartbeat:
    """Says that this process lives, and notices which of its peers do not.

    A session-level advisory lock is held while the process lives; PostgreSQL gives it up the moment the process dies.
    The heartbeat covers what the lock cannot see: a process that hangs. ``lost`` is called with the reason, in the
    event loop, the moment the connection that holds the lock is gone; it must end the process.
    """

    def __init__(
        self, pool: asyncpg.Pool, *, executor: str, role: str, pid: int, host: str, flows_version: str,
        clock: Callable[[], datetime], lost: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._pool = pool
        self.executor = executor
        self._row = (executor, role, pid, host, flows_version)
        self._clock = clock
        self._lost = lost
        self._lock: asyncpg.Connection | None = None
        self._started_at: datetime | None = None

    async def start(self) -> None:
        """Take this executor's name; waits while a predecessor with the same name is still alive, for a minute at most."""
        lock = await self._pool.acquire()
        try:
            await lock.fetchval("SELECT pg_advisory_lock(hashtext('hilum'), hashtext($1))", self.executor, timeout=60)
        except BaseException:
            # Kept, it would keep the pool from closing, and a process that could not start from ending.
            await self._pool.release(lock)
            raise
        lock.add_termination_listener(self._cut)
        self._lock = lock
        now = self._started_at = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                """INSERT INTO executor (id, role, pid, host, flows_version, started_at, heartbeat_at, state)
                   VALUES ($1, $2, $3, $4, $5, $6, $6, 'running')
                   ON CONFLICT (id) DO UPDATE SET role = $2, pid = $3, host = $4, flows_version = $5,
                          started_at = $6, heartbeat_at = $6, state = 'running'""",
                *self._row, now,
            )  # fmt: skip
            await append(
                connection,
                [Entry(now, "system:executor", "executor.started", f"p/{self.executor}", {"version": self._row[4]})],
            )

    def _cut(self, _: object) -> None:
        self._lost("the connection that holds this executor's lock is lost")

    async def beat(self) -> list[str]:
        """Renew the heartbeat; returns the executors whose work is to be taken over (see ``Claims.reclaim``).

        Raises ExecutorLost when this process was declared dead itself.
        """
        now = self._clock()
        assert self._lock is not None
        try:
            # Over the connection that holds the lock: what cannot be said over it is not believed of the lock either.
            mine = await self._lock.fetchval(
                "UPDATE executor SET heartbeat_at = $2 WHERE id = $1 AND state = 'running' AND started_at = $3 RETURNING 1",
                self.executor, now, self._started_at, timeout=DEAD_AFTER_SECONDS / 2,
            )  # fmt: skip
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise ExecutorLost(f"the heartbeat of {self.executor} failed: {type(error).__name__}") from error
        if not mine:
            raise ExecutorLost(f"{self.executor} was silent for too long and a peer took its work over")
        peers = await self._pool.fetch(
            "SELECT id, state, heartbeat_at FROM executor WHERE state IN ('running', 'dead') AND role = 'worker' AND id <> $1",
            self.executor,
        )
        return [p["id"] for p in peers if p["state"] == "dead" or await self._declared_dead(p, now)]

    async def _declared_dead(self, peer: asyncpg.Record, now: datetime) -> bool:
        silence = now - peer["heartbeat_at"]
        gone = silence > 2 * timedelta(seconds=HEARTBEAT_SECONDS) and await self._lock_is_free(peer["id"])
        if not gone and silence <= timedelta(seconds=DEAD_AFTER_SECONDS):
            return False
        async with self._pool.acquire() as connection, connection.transaction():
            declared = await connection.fetchval(
                "UPDATE executor SET state = 'dead' WHERE id = $1 AND state = 'running' AND heartbeat_at = $2 RETURNING 1",
                peer["id"], peer["heartbeat_at"],
            )  # fmt: skip
            if declared:
                await append(
                    connection, [Entry(now, f"system:{self.executor}", "executor.dead", f"p/{peer['id']}", {})]
                )
        return bool(declared)

    async def _lock_is_free(self, executor: str) -> bool:
        async with self._pool.acquire() as connection, connection.transaction():
            free: bool = await connection.fetchval(
                "SELECT pg_try_advisory_xact_lock(hashtext('hilum'), hashtext($1))", executor
            )
            return free

    async def stop(self) -> None:
        """Say goodbye; with cases still running here the peers are left to find this executor dead and take them over."""
        await self._pool.execute(
            """UPDATE executor e SET state = 'stopped' WHERE id = $1
                  AND NOT EXISTS (SELECT 1 FROM flow_case c WHERE c.state = 'running' AND c.executor = e.id)""",
            self.executor,
        )
        if self._lock is not None:
            self._lock.remove_termination_listener(self._cut)
            await self._lock.execute("SELECT pg_advisory_unlock_all()")
            await self._pool.release(self._lock)
            self._lock = None
