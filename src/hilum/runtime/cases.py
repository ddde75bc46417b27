"""Cases: one durable run of a flow for each business case, journaled step by step by DBOS.

Our table says what state a case is in and whose turn it is (criticality first, order within a key); DBOS keeps the
journal of its steps. A case that waits for a person or a system holds no thread: its run ends, and when it is let go
the journal is rewound to the failed step and the run goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import asyncpg
import orjson
from dbos import DBOS

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.contract import AtRisk, marked
from hilum.authoring.estate import Estate
from hilum.authoring.failures import Rejected, Unavailable
from hilum.authoring.flow import Flow, Step
from hilum.authoring.running import running_in
from hilum.authoring.system import System
from hilum.masterdata.book import CrosswalkBook
from hilum.runtime import work_items
from hilum.runtime.deliveries import Command, Deliveries
from hilum.runtime.fault_points import point
from hilum.runtime.wire import dump_as, load_as
from hilum.security.sealing.protected import Protection, Scrubber
from hilum.store import sealed_places
from hilum.store.sealed import KeyNotAtHand

log = logging.getLogger(__name__)
T = TypeVar("T")

# The database is away, not the statement wrong. That is no outcome of a step and must never be journaled as one.
STORE_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)


class StoreLost(BaseException):
    """On its way out of a flow whose process is ending: neither a step nor the journal may take it for an outcome."""


@dataclass(frozen=True)
class Surroundings:
    """What every case of this process uses. ``end`` ends the process at once, with a reason."""

    pool: asyncpg.Pool
    loop: asyncio.AbstractEventLoop
    estate: Estate
    protection: Protection
    deliveries: Deliveries
    book: CrosswalkBook
    clock: Callable[[], datetime]
    executor: str
    end: Callable[[str], None]

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Work on the platform's event loop while the flow's thread waits.

        When the database goes away in the middle of it, nobody knows what was written: the process ends as if killed,
        and whoever takes the case up looks before acting.
        """
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop).result()
        except (*STORE_LOST, asyncpg.InterfaceError) as error:
            if isinstance(error, ValueError):
                raise  # asyncpg's word for a value that no column takes: the case's own defect.
            self.end(f"the database was lost in the middle of a case: {type(error).__name__}")
            raise StoreLost from error


class StepFailed(Exception):
    """A step's journaled failure, on its way out of the flow."""

    def __init__(self, function_id: int, step: str, envelope: Mapping[str, Any]) -> None:
        super().__init__(f"step {step} failed")
        self.function_id = function_id
        self.step = step
        self.envelope = envelope


class CaseRun:
    """The surroundings of one run of one case; its methods are called in the flow's thread."""

    def __init__(self, around: Surroundings, case_id: str) -> None:
        self._around = around
        self._case_id = case_id
        self._occurrences: Counter[str] = Counter()
        self._commands = 0
        self._in_step = ""
        self._scrub = Scrubber(())
        self._event: Any = None

    def about(self, event: Any) -> None:
        """What the case is about: its protected values stand in no key, cause or reason that the case gives."""
        self._event = event
        self._scrub = self._around.protection.scrubber(event)

    def step(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run a step once, or take its journaled result."""
        self._occurrences[step.name] += 1
        occurrence = self._occurrences[step.name]
        name = step.name if occurrence == 1 else f"{step.name}#{occurrence}"
        point(f"step.before:{step.name}")
        envelope = DBOS.run_step({"name": name}, self._attempt, step, name, args, kwargs)
        point(f"step.after:{step.name}")
        if "sealed" in envelope:
            return load_as(step.returns, orjson.loads(self._opened(envelope["sealed"], name)))
        if "ok" in envelope:  # As an earlier release journaled it.
            return load_as(step.returns, envelope["ok"])
        raise StepFailed(envelope["function_id"], name, envelope)

    def _attempt(
        self, step: Step[Any, Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The step itself. Every outcome is a value, so that the journal holds our words and not a pickled exception."""
        self._in_step, self._commands = name, 0
        try:
            result = step.function(*args, **kwargs)
            return {"sealed": self._sealed(orjson.dumps(dump_as(step.returns, result)).decode(), name)}
        except Rejected as rejected:
            self._scrub.failure(rejected)
            kind = type(rejected)
            outcome: dict[str, Any] = {
                "kind": "rejected",
                "class": kind.__name__,
                "queue": kind.queue,
                "title": kind.title(),
                "remedy": kind.remedy(),
                "due_hours": kind.due_hours,
                "cause": rejected.cause,
                "detail": rejected.detail,
                "at_risk_usd": str(rejected.at_risk_usd) if rejected.at_risk_usd is not None else None,
            }
        except Unavailable as away:
            self._scrub.failure(away)
            outcome = {"kind": "unavailable", "system": away.system, "reason": away.reason}
        except Exception as bug:
            log.exception("bug in step %s of %s", name, self._case_id)
            outcome = {"kind": "bug", "class": type(bug).__name__, "step": name}
        outcome["function_id"] = DBOS.step_id
        return outcome

    def _sealed(self, plain: str, step: str) -> str:
        """Bound to case and step: no result can be put in another's place behind the flow's back."""
        sealer, now, place = (
            self._around.protection.sealer,
            self._around.clock(),
            sealed_places.step_result(self._case_id, step),
        )
        try:
            return sealer.seal_text(plain, "journal", place, now)
        except KeyNotAtHand:
            self._around.wait_for(sealer.ready("journal", now))
            return sealer.seal_text(plain, "journal", place, now)

    def _opened(self, sealed: str, step: str) -> str:
        sealer, place = self._around.protection.sealer, sealed_places.step_result(self._case_id, step)
        try:
            return sealer.read_text(sealed, place)
        except KeyNotAtHand:
            self._around.wait_for(sealer.load(sealed))
            return sealer.read_text(sealed, place)

    def ask(self, system: System, operation: str, arguments: Mapping[str, Any]) -> Any:
        return self._around.wait_for(self._around.deliveries.ask(system, operation, arguments, about=self._event))

    def command(self, system: System, operation: str, arguments: Mapping[str, Any], key: str | None) -> Any:
        self._commands += 1
        if key is None:
            key = f"{self._case_id}/{self._in_step}" + (f":{self._commands}" if self._commands > 1 else "")
        else:
            # An author's key may be made of the account: what it tells apart it still does, without saying whose it is.
            key = self._scrub.tokened(key, self._around.protection.sealer.order_token)
        command = Command(system, operation, arguments, key, self._case_id, self._in_step, self._event)
        return self._around.wait_for(self._around.deliveries.command(command))

    def lookup(self, crosswalk: str, value: str, facility: str, on: datetime | None) -> str | None:
        """Nothing is unknown before the database was asked: a steward's entry of a moment ago may not be here yet."""
        book = self._around.book
        found = book.lookup(crosswalk, value, facility, on)
        if found is None:
            self._around.wait_for(book.refresh())
            found = book.lookup(
                crosswalk, value, facility, on
            )  # Whoever refreshed it: another case may have been first.
        return found


class CaseRunner:
    """Runs one case to its next rest: done, waiting, parked or stopped."""

    def __init__(self, around: Surroundings, on_rest: Callable[[str], None]) -> None:
        self._around = around
        self._on_rest = on_rest
        self._gate = threading.Lock()
        self._closed = False
        self.running: set[str] = set()

    def close(self) -> None:
        """Begin no more cases. Whoever waits until nothing is ``running`` then waits for all that were begun."""
        with self._gate:
            self._closed = True

    def run(self, case_id: str) -> str:
        """The body of the one DBOS workflow. Returns the state in which the case came to rest.

        ``StoreLost`` after ``close``: the case was taken up in the last moment, and its journal may be gone before its first
        step. It stays as it is for the next process, where it is no defect of its flow.
        """
        with self._gate:
            if self._closed:
                raise StoreLost(f"{case_id} is left to the next process")
            self.running.add(case_id)
        try:
            return self._run(case_id)
        finally:
            self.running.discard(case_id)
            self._on_rest(case_id)

    def _run(self, case_id: str) -> str:
        around = self._around
        started = around.wait_for(self._begin(case_id))
        if started is None:
            return "gone"
        flow, payload = started
        event = None
        run = CaseRun(around, case_id)
        leave = running_in(run)
        try:
            # Inside: an event that this release can read no more stops its case and is a person's, like any defect.
            event = flow.on.model_validate_json(payload)
            run.about(event)
            flow.function(event)
            failure: StepFailed | None = None
            state = "done"
        except StepFailed as failed:
            failure = failed
            state = {"rejected": "waiting", "unavailable": "parked", "bug": "stopped"}[failed.envelope["kind"]]
        except Exception as bug:
            log.exception("bug in flow of %s", case_id)
            state = "stopped"
            failure = StepFailed(1, "", {"kind": "bug", "class": type(bug).__name__, "step": ""})
        finally:
            leave()
        point("case.finishing")
        around.wait_for(self._rest(case_id, flow, event, state, failure))
        point("case.finished")
        return state

    async def _begin(self, case_id: str) -> tuple[Flow, bytes] | None:
        around = self._around
        async with around.pool.acquire() as connection:
            row = await connection.fetchrow(
                """UPDATE flow_case SET executor = $2, updated_at = $3
                    WHERE id = $1 AND state = 'running' RETURNING flow, event_shard, event_seq, event_at""",
                case_id, around.executor, around.clock(),
            )  # fmt: skip
            if row is None:
                return None
            payload = await connection.fetchval(
                "SELECT payload FROM event WHERE shard = $1 AND seq = $2 AND at = $3",
                row["event_shard"], row["event_seq"], row["event_at"],
            )  # fmt: skip
        place = sealed_places.event_payload(row["event_shard"], row["event_seq"])
        return around.estate.flows[row["flow"]], await around.protection.sealer.opened(payload, place)

    async def _rest(self, case_id: str, flow: Flow, event: Any, state: str, failure: StepFailed | None) -> None:
        around, now = self._around, self._around.clock()
        envelope = dict(failure.envelope) if failure is not None else {}
        error = _sentence(envelope)
        async with around.pool.acquire() as connection, connection.transaction():
            changed = await connection.fetchval(
                """UPDATE flow_case SET state = $2, step = $3, rewind_to = $4, parked_on = $5, error = $6, updated_at = $7,
                          executor = NULL, done_at = CASE WHEN $2 = 'done' THEN $7::timestamptz END
                    WHERE id = $1 AND state = 'running' AND executor = $8 RETURNING 1""",
                case_id, state, failure.step if failure is not None else None,
                failure.function_id if failure is not None else None, envelope.get("system"), error, now, around.executor,
            )  # fmt: skip
            if not changed:
                return
            await append(connection, [Entry(now, "system:flows", f"case.{state}", f"c/{case_id}", _detail(envelope))])
            if state in ("waiting", "stopped"):
                found = _exceptional(case_id, flow, event, envelope, around.estate)
                await work_items.join(connection, found, now=now, actor="system:flows")


def _sentence(envelope: Mapping[str, Any]) -> str | None:
    match envelope.get("kind"):
        case "rejected":
            return f"{envelope['title']}: {envelope['cause']}"
        case "unavailable":
            return f"{envelope['system']}: {envelope['reason']}"
        case "bug":
            return f"defect in step {envelope['step'] or '(flow)'}: {envelope['class']}"
    return None


def _detail(envelope: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: v
        for k, v in envelope.items()
        if k in ("kind", "class", "queue", "cause", "system", "step") and v is not None
    }


def _exceptional(
    case_id: str, flow: Flow, event: Any, envelope: Mapping[str, Any], estate: Estate
) -> work_items.Exceptional:
    at_risk = envelope.get("at_risk_usd") or _at_risk(event)
    subject = f"c/{case_id}"
    if envelope["kind"] == "bug":
        queue = "integration"
        return work_items.Exceptional(
            queue=queue,
            cause=f"Defect:{flow.name}/{envelope['step']}/{envelope['class']}",
            title=f"Defect in {flow.name}, step {envelope['step'] or '(flow)'}: {envelope['class']}",
            remedy="Correct the flow, deploy it, then release. Other keys are not affected.",
            due_hours=2,
            subject=subject,
            at_risk_usd=Decimal(at_risk),
            owner=estate.queues.get(queue, flow.owner),
        )
    return work_items.Exceptional(
        queue=envelope["queue"],
        cause=f"{envelope['class']}:{envelope['cause']}",
        title=f"{envelope['title']}: {envelope['cause']}",
        remedy=envelope["remedy"],
        due_hours=envelope["due_hours"],
        subject=subject,
        at_risk_usd=Decimal(at_risk),
        detail=envelope["detail"],
        owner=estate.queues.get(envelope["queue"], flow.owner),
    )


def _at_risk(event: Any) -> Decimal:
    """The money that waits with the case, from the field the contract marks; zero when the sender gave none."""
    if event is None:
        return Decimal(0)
    for name in marked(type(event), AtRisk):
        value = getattr(event, name)
        if value is not None:
            return Decimal(value)
    return Decimal(0)
