"""Replay: what was received is read again, or what happened is acted upon again, as a durable job.

Facts keep their identities, so a replay has an effect only where the first time had none: a message that was
refused and whose mapping has been corrected, an event for which a flow was added. A dry run says what would change.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
from pydantic import ValidationError

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.authoring.flow import criticality_rank
from hilum.runtime.dispatch import required
from hilum.runtime.fault_points import point
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import ACCEPTED, Reader
from hilum.security.sealing.protected import Protection
from hilum.store import sealed_places
from hilum.store.sealed import NotOurs, Shredded

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
REPLAYED = "replay"  # The transport of the copies that a replay takes in.
_Result = tuple[str, str | None, str]  # What changed, the copy, and a sentence.
SELECTION_FIELDS = frozenset({"subject", "system", "type", "status", "since", "until"})


@dataclass(frozen=True)
class Selection:
    """Which messages or events: one address (``m/1/7``, ``e/1/9``), or messages by system, type, status and time."""

    subject: str | None = None
    system: str | None = None
    type: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def to_json(self) -> str:
        return orjson.dumps({k: v for k, v in vars(self).items() if v is not None}).decode()

    @classmethod
    def from_json(cls, text: str) -> Selection:
        given = orjson.loads(text)
        for name in ("since", "until"):
            if name in given:
                given[name] = datetime.fromisoformat(given[name])
        return cls(**given)


_ADDRESS = re.compile(r"(?P<kind>[me])/(?P<shard>[0-9]{1,9})/(?P<seq>[0-9]{1,18})")


class EmptySelection(ValueError):
    """A selection that names nothing: everything would be replayed."""


async def request(
    connection: asyncpg.Connection,
    selection: Selection,
    *,
    dry_run: bool,
    rate_per_second: float,
    actor: str,
    reason: str,
    now: datetime,
) -> int:
    """Ask for a replay; the platform runs it. Returns the job's number.

    What arrives after ``now`` is not part of it. ValueError for a rate that is not above zero.
    """
    if not any(vars(selection).values()):
        raise EmptySelection(
            "Say what to replay: an address such as m/1/7 or e/1/9, or --system, --type, --status, --since."
        )
    if not rate_per_second > 0:
        raise ValueError("The rate of a replay is a number of messages a second above zero.")
    async with connection.transaction():
        job: int = await connection.fetchval(
            """INSERT INTO replay_job (selection, dry_run, rate_per_second, actor, reason, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id""",
            selection.to_json(), dry_run, rate_per_second, actor, reason, now,
        )  # fmt: skip
        detail = {"dry_run": dry_run, "selection": selection.to_json(), "reason": reason}
        await append(connection, [Entry(now, actor, "replay.requested", f"r/{job}", detail)])
        await connection.execute("SELECT pg_notify('hilum_replay', $1)", str(job))
    return job


async def cancel(connection: asyncpg.Connection, job: int, *, actor: str, now: datetime) -> bool:
    """Stop a job that has not ended; what it did stays done. False when it had ended."""
    async with connection.transaction():
        cancelled = await connection.fetchval(
            "UPDATE replay_job SET state = 'cancelled', updated_at = $2 WHERE id = $1 AND state IN ('queued', 'running') RETURNING 1",
            job, now,
        )  # fmt: skip
        if cancelled:
            await append(connection, [Entry(now, actor, "replay.cancelled", f"r/{job}", {})])
        return bool(cancelled)


@dataclass
class _Run:
    """One job in this process's hands. The end of its lease is also its fence: no two runs have the same."""

    job: Mapping[str, Any]
    leased_until: datetime

    @property
    def pause_seconds(self) -> float:
        return 1 / float(self.job["rate_per_second"])


class Replayer:
    """Runs replay jobs, one at a time, taking up after a crash where the last one was."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        estate: Estate,
        protection: Protection,
        intake: Intake,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._protection = protection
        self._estate = estate
        self._reader = Reader(estate)
        self._intake = intake
        self._clock = clock

    async def run_once(self) -> int:
        """Run the oldest job that nobody runs, to its end; how many subjects were handled."""
        now = self._clock()
        job = await self._pool.fetchrow(
            """UPDATE replay_job SET state = 'running', leased_until = $2, updated_at = $1
                WHERE id = (SELECT id FROM replay_job WHERE state = 'queued' OR (state = 'running' AND leased_until < $1)
                             ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING *""",
            now, now + timedelta(seconds=LEASE_SECONDS),
        )  # fmt: skip
        if job is None:
            return 0
        run = _Run(job, job["leased_until"])
        subjects = await self._subjects(Selection.from_json(job["selection"]), job["created_at"])
        await self._pool.execute("UPDATE replay_job SET total = $2 WHERE id = $1", job["id"], len(subjects))
        handled = 0
        for ordinal, subject in enumerate(subjects[job["cursor_at"] :], start=job["cursor_at"] + 1):
            if not await self._going(run):
                return handled
            # A run that died between an effect and its record left the effect behind for its successor's first subject.
            taken = await self._taken_before(run, subject) if not handled and subject.startswith("m/") else None
            change, copy, detail = taken if taken is not None else await self._one(subject, job)
            point("replay.taken")
            await self._record(run, ordinal, subject, copy, change, detail)
            handled += 1
            await asyncio.sleep(run.pause_seconds)
        await self._end(run)
        return handled

    async def _going(self, run: _Run) -> bool:
        """Renew the lease over the next subject and the pause after it; False when cancelled, or another process's."""
        until = self._clock() + timedelta(seconds=LEASE_SECONDS + run.pause_seconds)
        going = await self._pool.fetchval(
            "UPDATE replay_job SET leased_until = $3 WHERE id = $1 AND leased_until = $2 AND state = 'running' RETURNING 1",
            run.job["id"], run.leased_until, until,
        )  # fmt: skip
        if going:
            run.leased_until = until
        return bool(going)

    async def _subjects(self, selection: Selection, asked_at: datetime) -> list[str]:
        """The selection as addresses, in a stable order: a resumed job continues by position."""
        if selection.subject is not None:
            return [selection.subject]
        rows = await self._pool.fetch(
            """SELECT shard, seq FROM message
                WHERE transport <> 'replay' AND ($1::text IS NULL OR system = $1) AND ($2::text IS NULL OR type = $2)
                  AND ($3::text IS NULL OR status = $3) AND ($4::timestamptz IS NULL OR received_at >= $4)
                  AND ($5::timestamptz IS NULL OR received_at < $5) AND received_at <= $6
                ORDER BY received_at, shard, seq""",
            selection.system, selection.type, selection.status, selection.since, selection.until, asked_at,
        )  # fmt: skip
        return [f"m/{r['shard']}/{r['seq']}" for r in rows]

    async def _one(self, subject: str, job: Mapping[str, Any]) -> _Result:
        address = _ADDRESS.fullmatch(subject)
        if address is None:
            why = "only messages (m/...) and events (e/...) are replayed; cases are released from their work item"
            return "refused", None, why
        shard, seq = int(address["shard"]), int(address["seq"])
        if address["kind"] == "m":
            return await self._message(shard, seq, subject, dry_run=job["dry_run"])
        return await self._event(shard, seq, dry_run=job["dry_run"])

    async def _taken_before(self, run: _Run, subject: str) -> _Result | None:
        row = await self._pool.fetchrow(
            """SELECT shard, seq, status FROM message
                WHERE transport = 'replay' AND copy_of = $1 AND received_at >= $2 AND NOT EXISTS (
                      SELECT 1 FROM replay_result r WHERE r.copy = 'm/' || message.shard || '/' || message.seq)
                LIMIT 1""",
            subject, run.job["created_at"],
        )  # fmt: skip
        if row is None:
            return None
        change = "new_event" if row["status"] == ACCEPTED else "none"
        return change, f"m/{row['shard']}/{row['seq']}", "taken in before this job was interrupted"

    async def _message(self, shard: int, seq: int, subject: str, *, dry_run: bool) -> _Result:
        row = await self._pool.fetchrow(
            "SELECT system, type, raw, transport, copy_of FROM message WHERE shard = $1 AND seq = $2", shard, seq
        )
        if row is None:
            return "refused", None, "there is no such message, or it is past its retention; its facts remain known"
        try:
            raw = await self._protection.sealer.opened(row["raw"], sealed_places.message_raw(shard, seq))
        except (Shredded, NotOurs) as closed:
            return "refused", None, str(closed)
        first = await self._first_came_by(row["transport"], row["copy_of"])
        reception = self._reader.again(row["system"], row["type"], raw, REPLAYED, "", first=first)
        reception.copy_of = subject
        if reception.problem is not None:
            return "refused", None, str(reception.problem)
        facts = {i: self._protection.sealer.fact(i) for e in reception.events for i in e.identities}
        known = {
            r["identity"]
            for r in await self._pool.fetch("SELECT identity FROM fact WHERE identity = ANY($1)", list(facts.values()))
        }
        fresh = [e for e in reception.events if not any(facts[i] in known for i in e.identities)]
        words = ", ".join(sorted({e.type for e in fresh}))
        if dry_run:
            return ("new_event", None, f"would make {words}") if fresh else ("none", None, "every fact is known")
        receipt: Receipt = await self._intake.submit(reception, lambda r: r)
        if not fresh:
            return "none", receipt.subject, "every fact is known"
        return "new_event", receipt.subject, f"made {words}"

    async def _first_came_by(self, transport: str, copy_of: str | None) -> str:
        """The transport that brought the bytes at first, however often they were replayed; empty when that is forgotten."""
        while transport == REPLAYED:
            address = _ADDRESS.fullmatch(copy_of) if copy_of is not None else None
            row = None
            if address is not None:
                row = await self._pool.fetchrow(
                    "SELECT transport, copy_of FROM message WHERE shard = $1 AND seq = $2",
                    int(address["shard"]), int(address["seq"]),
                )  # fmt: skip
            if row is None:
                return ""
            transport, copy_of = row
        return transport

    async def _event(self, shard: int, seq: int, *, dry_run: bool) -> _Result:
        row = await self._pool.fetchrow("SELECT * FROM event WHERE shard = $1 AND seq = $2", shard, seq)
        if row is None:
            return "refused", None, "there is no such event, or it is past its retention"
        opened = []
        now = self._clock()
        try:
            payload = await self._protection.sealer.opened(row["payload"], sealed_places.event_payload(shard, seq))
        except (Shredded, NotOurs) as closed:
            return "refused", None, str(closed)
        for flow in self._estate.flows_on(row["type"]):
            try:
                event = flow.on.model_validate_json(payload)
                key, ordering = (required(event, path, flow, self._protection) for path in (flow.key, flow.ordering))
            except (ValidationError, LookupError) as error:
                return "refused", None, f"flow {flow.name} cannot read the event ({type(error).__name__})"
            case_id = f"{flow.name}/{key}"
            if await self._pool.fetchval("SELECT 1 FROM flow_case WHERE id = $1", case_id):
                continue
            opened.append(case_id)
            if not dry_run:
                async with self._pool.acquire() as connection, connection.transaction():
                    await connection.execute(
                        """INSERT INTO flow_case (id, flow, flow_version, ordering_key, criticality, facility,
                                                  event_shard, event_seq, event_at, created_at, updated_at)
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) ON CONFLICT DO NOTHING""",
                        case_id, flow.name, flow.version, ordering, criticality_rank(flow.criticality),
                        row["facility"], shard, seq, row["at"], now,
                    )  # fmt: skip
                    await append(
                        connection,
                        [Entry(now, "system:replay", "case.opened", f"c/{case_id}", {"event": f"e/{shard}/{seq}"})],
                    )
                    await connection.execute("SELECT pg_notify('hilum_cases', '')")
        if not opened:
            return "none", None, "every flow on this event has its case"
        return "new_case", None, ("would open " if dry_run else "opened ") + ", ".join(opened)

    async def _record(self, run: _Run, ordinal: int, original: str, copy: str | None, change: str, detail: str) -> None:
        """Write one result and the position after it; also of a job that was cancelled meanwhile, for it was done."""
        async with self._pool.acquire() as connection, connection.transaction():
            ours = await connection.fetchval(
                """UPDATE replay_job SET done = done + 1, cursor_at = $3, updated_at = $4
                    WHERE id = $1 AND leased_until = $2 RETURNING 1""",
                run.job["id"], run.leased_until, ordinal, self._clock(),
            )  # fmt: skip
            if not ours:
                log.warning("replay %d was taken over; its new process goes on from the last result", run.job["id"])
                return
            await connection.execute(
                "INSERT INTO replay_result (job, ordinal, original, copy, change, detail) VALUES ($1, $2, $3, $4, $5, $6)",
                run.job["id"], ordinal, original, copy, change, detail,
            )  # fmt: skip

    async def _end(self, run: _Run) -> None:
        now, job = self._clock(), run.job["id"]
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "SELECT change, count(*) AS n FROM replay_result WHERE job = $1 GROUP BY change ORDER BY change", job
            )
            summary = ", ".join(f"{r['n']} {r['change']}" for r in rows) or "nothing selected"
            ended = await connection.fetchval(
                """UPDATE replay_job SET state = 'done', summary = $3, updated_at = $4
                    WHERE id = $1 AND leased_until = $2 AND state = 'running' RETURNING 1""",
                job, run.leased_until, summary, now,
            )  # fmt: skip
            if ended:
                await append(connection, [Entry(now, "system:replay", "replay.done", f"r/{job}", {"summary": summary})])
