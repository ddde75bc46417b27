"""The later life of a write: once for each ``Idempotency-Key``, on the state that ``If-Match`` names, and recorded."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import orjson

from hilum.audit.access import CHANGE, READ
from hilum.authoring.api import Problem
from hilum.authoring.failures import Rejected
from hilum.gateway.answers import Seen, Told, told, written
from hilum.gateway.asked import JSON, Answer, Asked, problem
from hilum.gateway.etags import expected_state
from hilum.gateway.idempotency import Begun, Replayed, fingerprint, key_in
from hilum.gateway.parameters import DEFAULT_LIMIT
from hilum.gateway.problems import Refusal, of_problem, of_refusal, of_rejected
from hilum.gateway.running import OutOfTime
from hilum.gateway.stages import Life, Stages
from hilum.model.where import EVERYTHING
from hilum.runtime.fault_points import point

_LOCATION = b"location"


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of a write: the answer for whoever asked, and the handler's own, which is what a repeat is made of."""

    sent: Answer
    seen: Seen
    unmasked: bytes
    location: str


class Writing:
    """Answers writes that the policies have allowed."""

    def __init__(self, stages: Stages) -> None:
        self._s = stages

    async def answer(self, life: Life) -> Answer:
        """The answer to a write, or the earlier answer to the same write."""
        asked, operation = life.asked, life.endpoint.operation
        key = key_in(asked.text(b"idempotency-key"), required=operation.method == "POST")
        if key is None:
            name = f"api/{life.endpoint.name}/{self._s.token(16).hex()}"
            try:
                done = await self._effect(life, name)
            except (Refusal, Problem, Rejected) as refused:
                return of_refused(refused, asked)
            await self._s.record(life, CHANGE, done.seen, asked.decision)
            return done.sent
        scope = asked.scope
        print_ = fingerprint(
            scope["method"], scope["raw_path"], scope["query_string"], life.body, asked.text(b"if-match"),
            purpose=asked.caller.purpose, break_glass=asked.caller.break_glass,
        )  # fmt: skip
        calls = 2 if life.endpoint.sibling is not None else 1  # Each within its own time.
        begun = await self._s.keys.begin(
            f"{asked.caller.actor}@{asked.caller.issuer}", life.endpoint.name, key, print_,
            timeout_seconds=calls * life.agreed.limits.timeout_seconds,
        )  # fmt: skip
        if isinstance(begun, Replayed):
            return await self._again(life, begun)
        return await self._once(life, begun)

    async def _again(self, life: Life, kept: Replayed) -> Answer:
        """The earlier answer, as whoever asks now may see it, and on record like any other look at it."""
        if kept.unmasked:
            document = orjson.loads(kept.body) if kept.body else None
            answer = Told(document, kept.status, dict(kept.headers).get(_LOCATION, b"").decode())
            sent, seen = self._s.shown.one(life.asked, life.endpoint, answer, life.about, EVERYTHING)
        else:
            sent, seen = Answer(kept.status, kept.body, kept.content_type, [*kept.headers]), Seen()
        sent.kept.append((b"idempotency-replayed", b"true"))
        await self._s.record(life, READ, seen, life.asked.decision, replayed=True)
        return sent

    async def _once(self, life: Life, begun: Begun) -> Answer:
        keys = self._s.keys
        try:
            done = await self._effect(life, begun.name, begun)
        except OutOfTime:
            if inspect.iscoroutinefunction(life.endpoint.operation.function):
                await keys.give_back(begun)
            raise  # A thread goes on: its lease keeps repeats away until it must have come to its end.
        except (Refusal, Problem, Rejected) as refused:
            sent = of_refused(refused, life.asked)
            if sent.status >= 500:
                await keys.give_back(begun)
                return sent
            await keys.finish(begun, sent.status, sent.content_type, sent.kept, sent.body)
            return sent
        except BaseException:
            await keys.give_back(begun)
            raise
        point(f"api.handled:{life.endpoint.id}")
        await self._record(life, begun, done)
        return done.sent

    async def _record(self, life: Life, begun: Begun, done: _Done) -> None:
        """What was changed is recorded and its answer kept, both or neither."""
        location = [(_LOCATION, done.location.encode())] if done.location else []
        try:
            kept = await self._s.keys.answered(begun, done.sent.status, JSON, location, done.unmasked, unmasked=True)
        except Exception:
            await self._s.record(life, CHANGE, done.seen, life.asked.decision)  # Nothing hides what was done.
            raise
        try:
            await self._s.record(life, CHANGE, done.seen, life.asked.decision, kept)
        except BaseException:
            await self._s.keys.give_back(begun)
            raise

    async def _effect(self, life: Life, name: str, begun: Begun | None = None) -> _Done:
        """Run the handler. ``name`` is the request's own, the same for each repeat: its commands' keys are made of it."""
        endpoint, operation, arguments = life.endpoint, life.endpoint.operation, life.arguments
        if operation.etag is not None or "etag" in endpoint.takes:
            expected = await self._expected(life, begun)
            if "etag" in endpoint.takes:
                arguments["etag"] = expected
        if "key" in endpoint.takes:
            arguments["key"] = name
        returned = await self._s.run(life, operation.function, arguments, key=name)
        point(f"api.effected:{endpoint.id}")
        life.turn.answered()
        answer = told(endpoint, returned, DEFAULT_LIMIT)
        unmasked = written(answer.document) if answer.document is not None else b""  # Masks are put on in place.
        sent, seen = self._s.shown.one(life.asked, endpoint, answer, life.about, EVERYTHING)
        return _Done(sent, seen, unmasked, answer.location)

    async def _expected(self, life: Life, begun: Begun | None) -> str | None:
        """The state that ``If-Match`` names, compared here unless the handler compares it. ``Refusal`` 428 and 412.

        Not compared again when a repeat takes over from a request that had found it: what that one changed is no reason to
        refuse this one. Its commands have the keys of the first, so that they are not done a second time.
        """
        if_match = life.asked.text(b"if-match")
        if if_match is None:
            if life.endpoint.operation.etag is not None:
                raise Refusal("precondition-required")
            return None
        expected, sibling = expected_state(if_match), life.endpoint.sibling
        if expected is None:
            return None
        if sibling is None:
            # Whether the handler found the state is its own knowledge; that it went on to command something shows it.
            if begun is not None:
                if begun.confirmed and await self._s.keys.has_commanded(begun):
                    return None
                await self._s.keys.confirm(begun)
            return expected
        if begun is not None and begun.confirmed:
            return expected
        available = {**life.arguments, "where": EVERYTHING, "caller": life.asked.caller, "platform": self._s.platform}
        arguments = {name: available.get(name) for name in sibling.takes}
        current = told(sibling, await self._s.run(life, sibling.operation.function, arguments, key=None), DEFAULT_LIMIT)
        if current.document is None or self._s.shown.state(sibling, current.document) != expected:
            raise Refusal("changed-meanwhile")
        if begun is not None:
            await self._s.keys.confirm(begun)
        return expected


def of_refused(refused: Refusal | Problem | Rejected, asked: Asked) -> Answer:
    """The problem document of a refusal in somebody's words."""
    if isinstance(refused, Refusal):
        return problem(refused.status, of_refusal(refused, asked.trace), tuple(refused.headers))
    if isinstance(refused, Problem):
        return problem(refused.status, of_problem(refused, asked.trace))
    return problem(422, of_rejected(refused, asked.trace))
