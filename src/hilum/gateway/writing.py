"""The later life of a write: once for each ``Idempotency-Key``, on the state that ``If-Match`` names, and recorded."""

from __future__ import annotations

import inspect

from hilum.audit.access import CHANGE
from hilum.authoring.api import Problem
from hilum.authoring.failures import Rejected
from hilum.gateway.answers import Seen, told
from hilum.gateway.asked import Answer, Asked, problem
from hilum.gateway.etags import expected_state
from hilum.gateway.idempotency import Begun, Replayed, fingerprint, key_in
from hilum.gateway.parameters import DEFAULT_LIMIT
from hilum.gateway.problems import Refusal, of_problem, of_refusal, of_rejected
from hilum.gateway.running import OutOfTime
from hilum.gateway.stages import Life, Stages
from hilum.model.where import EVERYTHING
from hilum.runtime.fault_points import point


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
                sent, seen = await self._effect(life, name)
            except (Refusal, Problem, Rejected) as refused:
                return of_refused(refused, asked)
            await self._s.record(life, CHANGE, seen, asked.decision)
            return sent
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
            kept = [*begun.headers, (b"idempotency-replayed", b"true")]
            return Answer(begun.status, begun.body, begun.content_type, kept)
        return await self._once(life, begun)

    async def _once(self, life: Life, begun: Begun) -> Answer:
        keys = self._s.keys
        try:
            sent, seen = await self._effect(life, begun.name)
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
        await self._record(life, begun, sent, seen)
        return sent

    async def _record(self, life: Life, begun: Begun, sent: Answer, seen: Seen) -> None:
        """What was changed is recorded and its answer kept, both or neither."""
        try:
            kept = await self._s.keys.answered(begun, sent.status, sent.content_type, sent.kept, sent.body)
        except Exception:
            await self._s.record(life, CHANGE, seen, life.asked.decision)  # Nothing hides what was done.
            raise
        try:
            await self._s.record(life, CHANGE, seen, life.asked.decision, kept)
        except BaseException:
            await self._s.keys.give_back(begun)
            raise

    async def _effect(self, life: Life, name: str) -> tuple[Answer, Seen]:
        """Run the handler. ``name`` is the request's own, the same for each repeat: its commands' keys are made of it."""
        endpoint, operation, arguments = life.endpoint, life.endpoint.operation, life.arguments
        if operation.etag is not None or "etag" in endpoint.takes:
            expected = await self._expected(life)
            if "etag" in endpoint.takes:
                arguments["etag"] = expected
        if "key" in endpoint.takes:
            arguments["key"] = name
        returned = await self._s.run(life, operation.function, arguments, key=name)
        point(f"api.effected:{endpoint.id}")
        life.turn.answered()
        answer = told(endpoint, returned, DEFAULT_LIMIT)
        return self._s.shown.one(life.asked, endpoint, answer, life.about, EVERYTHING)

    async def _expected(self, life: Life) -> str | None:
        """The state that ``If-Match`` names, compared here unless the handler compares it. ``Refusal`` 428 and 412."""
        if_match = life.asked.text(b"if-match")
        if if_match is None:
            if life.endpoint.operation.etag is not None:
                raise Refusal("precondition-required")
            return None
        expected, sibling = expected_state(if_match), life.endpoint.sibling
        if sibling is None or expected is None:
            return expected
        available = {**life.arguments, "where": EVERYTHING, "caller": life.asked.caller, "platform": self._s.platform}
        arguments = {name: available.get(name) for name in sibling.takes}
        current = told(sibling, await self._s.run(life, sibling.operation.function, arguments, key=None), DEFAULT_LIMIT)
        if current.document is None or self._s.shown.state(sibling, current.document) != expected:
            raise Refusal("changed-meanwhile")
        return expected


def of_refused(refused: Refusal | Problem | Rejected, asked: Asked) -> Answer:
    """The problem document of a refusal in somebody's words."""
    if isinstance(refused, Refusal):
        return problem(refused.status, of_refusal(refused, asked.trace), tuple(refused.headers))
    if isinstance(refused, Problem):
        return problem(refused.status, of_problem(refused, asked.trace))
    return problem(422, of_rejected(refused, asked.trace))
