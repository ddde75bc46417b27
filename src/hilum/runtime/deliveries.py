"""Deliveries: the only way a step reaches a system, and at most one effect for each key.

A command is written down before it is sent and after it was answered. What happened between the two is not known
after a crash or a cut connection: such a delivery is *in doubt*, and the system is searched for the key before the
command is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from pydantic import BaseModel

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.failures import AnswerUnreadable, Rejected, Throttled, Unavailable
from hilum.authoring.system import System
from hilum.model.identifiers import Identifier
from hilum.model.ledger import DocumentRef
from hilum.model.supply import Shelf
from hilum.runtime.breakers import Breakers
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.fault_points import point
from hilum.runtime.wire import dump_arguments, dump_result, load_arguments, load_result
from hilum.security.sealing.protected import Protection
from hilum.store import sealed_places

log = logging.getLogger(__name__)

LEASE_MARGIN_SECONDS = 5.0
PATIENT_SECONDS = 2.0
"""What a vendor asks us to wait up to this is waited for in place; longer, and the case is parked and frees its thread."""
PATIENT_TIMES = 3


class DeliveryDead(Rejected, queue="integration", due_hours=24):
    """The system did not take this for longer than its policy allows: see to the system, then release."""


class _LostLease(Exception):
    """Another runner took the delivery over while this one still worked on it; its own result counts, not ours."""


@dataclass(frozen=True)
class Command:
    """One command as a step gave it."""

    system: System
    operation: str
    arguments: Mapping[str, Any]
    key: str
    case_id: str
    step: str
    about: Any = None  # The case's event: its protected values are taken out of what the system says.

    @property
    def signature(self) -> Callable[..., Any]:
        return type(self.system).operations()[self.operation]


@dataclass
class _Turn:
    """The right to attempt a delivery, until the lease ends."""

    fence: int
    attempts: int
    in_doubt: bool
    created_at: datetime
    arguments: Mapping[str, Any]
    leased_until: datetime
    about: Any = None


@dataclass
class _Tries:
    """How often one call failed so far, and how often it was told to come back later."""

    failed: int = 0
    throttled: int = 0


class Deliveries:
    """Sends commands and asks questions, with the policy of each system. ``executor`` names this process."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        connections: Connections,
        breakers: Breakers,
        protection: Protection,
        *,
        executor: str,
        clock: Callable[[], datetime],
        rng: random.Random,
    ) -> None:
        self._pool = pool
        self._connections = connections
        self._breakers = breakers
        self._protection = protection
        self._sealer = protection.sealer
        self._executor = executor
        self._clock = clock
        self._rng = rng

    async def ask(self, system: System, operation: str, arguments: Mapping[str, Any], *, about: Any = None) -> Any:
        """Ask a question: asked again when it fails, by the policy; Unavailable when the system does not answer."""
        connection = self._connections.to(system.name)
        forbidden = connection.forbids(type(system).operations().get(operation), arguments)
        if forbidden is not None:
            raise forbidden
        call = getattr(connection.connector, operation)
        tries = _Tries()
        while True:
            await self._admitted(connection)
            try:
                return await self._call(connection, call, arguments, about=about)
            except Unavailable as away:
                await self._failed(connection, away)
                await self._pause(connection, away, tries)

    async def command(self, command: Command) -> Any:
        """Deliver a command, or learn that it was delivered before. Rejected and Unavailable as the system decides."""
        connection = self._connections.to(command.system.name)
        forbidden = connection.forbids(command.signature, command.arguments)
        if forbidden is not None:
            await self._tell_of(command, forbidden)
            raise forbidden
        await self._write_down(command)
        tries = _Tries()
        while True:
            try:
                await self._admitted(connection)
            except Unavailable as away:
                await self._give_up_when_old(command, connection, away)
                raise
            turn = await self._take_turn(command, connection)
            if isinstance(turn, bytes):
                return load_result(
                    command.signature, await self._sealer.opened(turn, sealed_places.delivery_response(command.key))
                )
            point(f"delivery.begun:{command.operation}")
            try:
                return await self._in_turn(command, connection, turn)
            except Unavailable as away:
                await self._pause(connection, away, tries)
            except _LostLease:
                log.info("delivery %s was taken over meanwhile; its new runner's result counts", command.key)

    async def _tell_of(self, command: Command, forbidden: Rejected) -> None:
        """What was kept back is in the audit log, with the rule that kept it."""
        detail = {"operation": command.operation, "system": command.system.name, "rule": forbidden.cause}
        entry = Entry(self._clock(), "system:deliveries", "delivery.forbidden", f"c/{command.case_id}", detail)
        async with self._pool.acquire() as connection, connection.transaction():
            await append(connection, [entry])

    async def _in_turn(self, command: Command, connection: Connection, turn: _Turn) -> Any:
        """One attempt, written down whatever comes of it."""
        started = self._clock()
        try:
            result, found = await self._attempt(connection, command, turn)
        except Unavailable as away:
            await self._failed(connection, away)
            await self._unavailable(command, connection, turn, away, started)
            raise
        except Rejected as rejected:
            await self._finish(command, turn, "rejected", started, error=str(rejected))
            await self._breakers.succeeded(connection.system)
            raise
        except _LostLease:
            raise
        except Exception as bug:
            await self._finish(command, turn, "in_doubt", started, error=type(bug).__name__, outcome="failed")
            raise
        point(f"delivery.sent:{command.operation}")
        await self._finish(command, turn, "done", started, result=result, found=found)
        await self._breakers.succeeded(connection.system)
        point(f"delivery.done:{command.operation}")
        return result

    async def _attempt(self, connection: Connection, command: Command, turn: _Turn) -> tuple[Any, bool]:
        connector = connection.connector
        if turn.in_doubt and command.operation not in connector.idempotent_commands:
            find = getattr(connector, f"find_{command.operation}")
            found = await self._call(connection, find, {**turn.arguments, "key": command.key}, turn)
            if found is not None:
                return found, True
        execute = getattr(connector, command.operation)
        return await self._call(connection, execute, {**turn.arguments, "key": command.key}, turn), False

    async def _call(
        self,
        connection: Connection,
        call: Callable[..., Any],
        arguments: Mapping[str, Any],
        turn: _Turn | None = None,
        *,
        about: Any = None,
    ) -> Any:
        async with connection.room:
            await connection.pace()
            if turn is not None:
                await self._keep(turn, arguments["key"], connection)
            try:
                async with asyncio.timeout(connection.policy.timeout_seconds):
                    return await call(**arguments)
            except (Rejected, Unavailable) as told:
                # In the system's own words, which may repeat the account they are about.
                self._protection.scrubber(arguments, about if turn is None else turn.about).failure(told)
                raise
            except TimeoutError:
                raise Unavailable(
                    connection.system, f"no answer within {connection.policy.timeout_seconds:g} s"
                ) from None
            except OSError as error:
                # The network, where a connector forgot to say so. Of our own store it must never be (see cases.STORE_LOST).
                raise Unavailable(connection.system, type(error).__name__) from error
            except (ValueError, KeyError, IndexError, TypeError) as error:
                # What came back is not JSON, lacks a field or has another type than the connector was written for.
                operation = getattr(call, "__name__", "a question")
                raise AnswerUnreadable(connection.system, operation, type(error).__name__) from error

    async def _keep(self, turn: _Turn, key: str, connection: Connection) -> None:
        """Waiting for room may outlast the lease: nothing is sent under a lease that could end before the answer."""
        now = self._clock()
        if now + timedelta(seconds=connection.policy.timeout_seconds) < turn.leased_until:
            return
        until = _lease_end(now, connection)
        kept = await self._pool.fetchval(
            "UPDATE delivery SET leased_until = $3 WHERE key = $1 AND fence = $2 AND state = 'attempting' RETURNING 1",
            key, turn.fence, until,
        )  # fmt: skip
        if not kept:
            raise _LostLease(f"delivery {key} was taken over while it waited for room")
        turn.leased_until = until

    async def _admitted(self, connection: Connection) -> None:
        while True:
            breaker = await self._breakers.of(connection.system)
            if not breaker.lets_through:
                why = "deliveries are held by a person" if breaker.held else f"circuit open: {breaker.last_error}"
                raise Unavailable(connection.system, why)
            wait = breaker.throttled_seconds(self._clock())
            if not wait:
                return
            if wait > PATIENT_SECONDS:
                raise Throttled(connection.system, f"it asked everybody to wait: {breaker.throttled_why}", wait)
            await asyncio.sleep(wait)

    async def _failed(self, connection: Connection, away: Unavailable) -> None:
        if isinstance(away, Throttled):
            await self._breakers.throttled(connection.system, away.reason, connection.policy, away.retry_after_seconds)
            return
        await self._breakers.failed(
            connection.system, away.reason, connection.policy, retry_after_seconds=away.retry_after_seconds
        )

    async def _pause(self, connection: Connection, away: Unavailable, tries: _Tries) -> None:
        """Wait before the next attempt, or give up: the caller is parked and frees its thread."""
        policy = connection.policy
        if isinstance(away, Throttled):
            # No failure and no attempt. How long to wait is the next admission's business, which knows what others were told.
            tries.throttled += 1
            if tries.throttled > PATIENT_TIMES:
                raise away
            return
        if tries.failed >= policy.attempts - 1 or away.retry_after_seconds is not None:
            raise away
        limit = min(policy.backoff_seconds * 2**tries.failed, policy.backoff_max_seconds)
        tries.failed += 1
        await asyncio.sleep(self._rng.uniform(limit / 2, limit))

    async def _write_down(self, command: Command) -> None:
        """The delivery exists before anything is sent; a second case that asks for the same key shares it.

        What is asked for is what its own case said last: a refusal may have been answered by correcting it.
        """
        now = self._clock()
        await self._sealer.ready("delivery", now)
        request = self._sealer.seal(
            dump_arguments(command.arguments), "delivery", sealed_places.delivery_request(command.key), now
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                """INSERT INTO delivery (key, system, operation, case_id, step, request, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
                   ON CONFLICT (key) DO UPDATE SET request = excluded.request
                    WHERE delivery.state <> 'done' AND delivery.case_id = excluded.case_id""",
                command.key, command.system.name, command.operation, command.case_id, command.step,
                request, now,
            )  # fmt: skip
            await connection.execute(
                "INSERT INTO delivery_case (key, case_id, step, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                command.key, command.case_id, command.step, now,
            )  # fmt: skip
            for kind, value in _identifiers(command.arguments):
                await connection.execute(
                    """INSERT INTO business_key (value, kind, subject, at) SELECT $1, $2, $3::text, $4
                        WHERE NOT EXISTS (SELECT 1 FROM business_key WHERE subject = $3::text AND subject LIKE 'c/%' AND value = $1)""",
                    self._protection.searched(kind, value), kind, f"c/{command.case_id}", now,
                )  # fmt: skip

    async def _take_turn(self, command: Command, to: Connection) -> _Turn | bytes:
        """Lease the delivery, or return the result it already has. Waits while another runner holds the lease."""
        while True:
            now = self._clock()
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow("SELECT * FROM delivery WHERE key = $1 FOR UPDATE", command.key)
                if row["state"] == "done":
                    response: bytes = row["response"]
                    return response
                leased_until = row["leased_until"]
                if leased_until is None or leased_until <= now:
                    until = _lease_end(now, to)
                    await connection.execute(
                        """UPDATE delivery SET state = 'attempting', attempts = attempts + 1, fence = fence + 1, owner = $2,
                                  leased_until = $3, updated_at = $4 WHERE key = $1""",
                        command.key, self._executor, until, now,
                    )  # fmt: skip
                    await connection.execute(
                        "INSERT INTO delivery_attempt (key, attempt, executor, started_at) VALUES ($1, $2, $3, $4)",
                        command.key, row["attempts"] + 1, self._executor, now,
                    )  # fmt: skip
                    # A predecessor that stopped while attempting may have reached the system: look before sending.
                    in_doubt = row["state"] in ("attempting", "in_doubt", "dead")
                    # Another case's words for the same effect may differ (a shelf is lower by now): the first asker's count.
                    ours = row["case_id"] == command.case_id
                    arguments: Mapping[str, Any] = command.arguments
                    if not ours:
                        request = await self._sealer.opened(row["request"], sealed_places.delivery_request(command.key))
                        arguments = load_arguments(command.signature, request)
                    return _Turn(
                        row["fence"] + 1,
                        row["attempts"] + 1,
                        in_doubt,
                        row["created_at"],
                        arguments,
                        until,
                        command.about,
                    )
            await asyncio.sleep(0.05)

    async def _give_up_when_old(self, command: Command, connection: Connection, away: Unavailable) -> None:
        """Behind an open circuit nothing is attempted, and yet a delivery does not wait for ever without a person."""
        now = self._clock()
        async with self._pool.acquire() as database, database.transaction():
            dead = await database.fetchval(
                """UPDATE delivery SET state = 'dead', error = $3, updated_at = $4
                    WHERE key = $1 AND created_at < $2 AND state IN ('pending', 'in_doubt', 'dead') RETURNING 1""",
                command.key, now - timedelta(hours=connection.policy.dead_after_hours), away.reason, now,
            )  # fmt: skip
            if dead:
                detail = {"operation": command.operation, "system": command.system.name}
                await append(database, [Entry(now, "system:deliveries", "delivery.dead", f"d/{command.key}", detail)])
        if dead:
            raise DeliveryDead(f"{connection.system}: {command.operation}", away.reason)

    async def _unavailable(
        self, command: Command, connection: Connection, turn: _Turn, away: Unavailable, started: datetime
    ) -> None:
        age = self._clock() - turn.created_at
        dead = age > timedelta(hours=connection.policy.dead_after_hours)
        outcome = "throttled" if isinstance(away, Throttled) else "unavailable"
        # In doubt after a 429 too: one command may be several requests, and an earlier one had its effect.
        await self._finish(command, turn, "dead" if dead else "in_doubt", started, error=away.reason, outcome=outcome)
        if dead:
            raise DeliveryDead(f"{connection.system}: {command.operation}", away.reason)

    async def _finish(
        self,
        command: Command,
        turn: _Turn,
        state: str,
        started: datetime,
        *,
        result: Any = None,
        found: bool = False,
        error: str | None = None,
        outcome: str | None = None,
    ) -> None:
        """Record what came of an attempt: state, attempt, document numbers and audit entry in one commit."""
        now = self._clock()
        done = state == "done"
        kind, number = _document(result)
        response = None
        if done:
            plain = dump_result(command.signature, result)
            response = await self._sealer.sealed(plain, "delivery", sealed_places.delivery_response(command.key), now)
        async with self._pool.acquire() as connection, connection.transaction():
            updated = await connection.fetchval(
                """UPDATE delivery SET state = $3, response = $4, document = $5, found = $6, error = $7, owner = NULL,
                          leased_until = NULL, updated_at = $8, done_at = CASE WHEN $9 THEN $8::timestamptz END
                    WHERE key = $1 AND fence = $2 RETURNING 1""",
                command.key, turn.fence, state, response,
                f"{kind} {number}" if number else None, found, error, now, done,
            )  # fmt: skip
            if not updated:
                raise _LostLease(f"delivery {command.key} was taken over")
            await connection.execute(
                "UPDATE delivery_attempt SET ended_at = $3, outcome = $4, error = $5 WHERE key = $1 AND attempt = $2",
                command.key, turn.attempts, now, outcome or ("found" if found else state), error,
            )  # fmt: skip
            if number:
                await connection.execute(
                    "INSERT INTO business_key (value, kind, subject, at) VALUES ($1, $2, $3, $4)",
                    number, kind, f"d/{command.key}", now,
                )  # fmt: skip
            detail = {"attempt": turn.attempts, "operation": command.operation, "system": command.system.name}
            if number:
                detail["document"] = f"{kind} {number}"
            if found:
                detail["found"] = True
            await append(
                connection,
                [Entry(now, "system:deliveries", f"delivery.{outcome or state}", f"d/{command.key}", detail)],
            )


def _lease_end(now: datetime, connection: Connection) -> datetime:
    return now + timedelta(seconds=2 * connection.policy.timeout_seconds + LEASE_MARGIN_SECONDS)


def _identifiers(arguments: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What people will search a case by that only its steps found out: the ERP's item number behind a charge code."""
    return {
        (value.kind, value.value)
        for argument in arguments.values()
        if isinstance(argument, BaseModel)
        for value in (getattr(argument, name) for name in type(argument).model_fields)
        if isinstance(value, Identifier) and value.searchable
    }


def _document(result: Any) -> tuple[str, str]:
    if isinstance(result, DocumentRef):
        return result.type, result.number
    if isinstance(result, Shelf):
        return "stock movement", result.movement
    return "", ""
