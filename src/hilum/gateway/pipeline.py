"""The life of a request: the same stages in the same order for every operation, cheap and protective ones first.

trace - route - admission - caller - allowance - purpose - contents - contract - policy - idempotency - handler - contract of the
answer - policy on what was found - masks - entity tag - record. ``docs/gateway.md`` draws it. Whatever a stage raises
becomes a problem document in one place (``door``), where an answer that no policy decided about is withheld.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from hilum.audit.access import DENIAL, READ, SEARCH
from hilum.authoring.api import PageRequest
from hilum.authoring.caller import OPERATIONS, PERSON
from hilum.authoring.classification import PROTECTED
from hilum.authoring.failures import Unavailable
from hilum.gateway.answers import Seen, Told, told
from hilum.gateway.asked import Answer, Asked
from hilum.gateway.contents import Receive, read_body, refuse_content, refuse_unacceptable, strict_json
from hilum.gateway.cursors import binding
from hilum.gateway.decisions import frozen
from hilum.gateway.endpoints import Agreement, Endpoint
from hilum.gateway.parameters import DEFAULT_LIMIT
from hilum.gateway.ports import KeptAnswer
from hilum.gateway.problems import Refusal
from hilum.gateway.purposes import GRANT_HEADER, PURPOSE_HEADER, grant_in, purpose_in, refuse_other
from hilum.gateway.running import OutOfTime
from hilum.gateway.schemas import findings_of
from hilum.gateway.stages import Life, Stages
from hilum.gateway.stale import allows_stale, question_key, stale_headers
from hilum.gateway.writing import Writing
from hilum.model.where import EVERYTHING, Nothing
from hilum.runtime.allowances import rate_headers
from hilum.security.decisions import Decision

log = logging.getLogger(__name__)

KNOWN_ATTRIBUTES = frozenset({"facility", "supplier", "department", "queue", "system"})
"""Path parameters that say to whom or where a thing belongs, when nothing else is said about it."""


class Pipeline:
    """Leads requests to published operations through their stages."""

    def __init__(self, stages: Stages) -> None:
        self._s = stages
        self._writing = Writing(stages)

    async def answer(self, asked: Asked, endpoint: Endpoint, receive: Receive) -> Answer:
        """The answer of a published operation. Raises what ``door`` turns into problem documents."""
        asked.refuse_repeated()
        refuse_unacceptable(asked.fields.get(b"accept"))
        agreed = await self._caller(asked, endpoint)
        operation = endpoint.operation
        turn = await self._s.admission.admit(
            operation.api.name, endpoint.id, asked.consumer, agreed.limits.concurrency, agreed.criticality
        )
        with turn:
            life = Life(asked, endpoint, agreed, turn)
            await self._purpose(life)
            await self._read_request(life, receive)
            await self._decide(life)
            if operation.kind == "write":
                # Before the effect: nothing is done under a grant that has ended.
                await self._s.use_grant(life, Seen())
                return await self._writing.answer(life)
            return await self._reading(life)

    async def options(self, asked: Asked, endpoint: Endpoint, allowed: str) -> Answer:
        """What may be done at an address: said to every caller, for it stands in the published contract."""
        await self._caller(asked, endpoint)
        asked.decision = Decision(True, ("gateway:published-methods",))
        return Answer(204, kept=[(b"allow", allowed.encode())])

    # --- who asks, and how much ----------------------------------------------------------------------------------

    async def _caller(self, asked: Asked, endpoint: Endpoint) -> Agreement:
        spec = endpoint.spec
        caller = await self._s.authenticator.authenticate(
            asked.authorization, audience=spec.audience, certificate=self._s.certificate(asked.scope)
        )
        asked.caller = replace(caller, trace_id=asked.trace.trace_id)
        asked.consumer = f"{caller.actor}@{caller.issuer}|{spec.name}"
        agreed = endpoint.agreed_with(caller)
        limits = agreed.limits
        taken = await self._s.allowances.take(
            asked.consumer, limits.requests_per_minute, limits.burst, limits.quota_per_day
        )
        for name, value in rate_headers(taken).items():
            asked.headers.append((name.lower().encode(), value.encode()))
        if not taken.allowed:
            if taken.refused == "store":
                raise Refusal("unavailable", "the store in which requests are counted does not answer")
            raise Refusal("too-many-requests", f"the agreed {taken.refused} is used up")
        return agreed

    async def _purpose(self, life: Life) -> None:
        """Why it is asked: as the caller states, or as their break-glass grant says. Programs keep to what was agreed."""
        asked = life.asked
        stated, number = purpose_in(asked.text(PURPOSE_HEADER)), grant_in(asked.text(GRANT_HEADER))
        if number is not None:
            under = await self._s.grants.under(asked.caller, number)
            if under is None:
                await self._deny(life, Decision(False, ("gateway:break-glass",)), "grant-not-in-force")
            else:
                refuse_other(stated, under)
                asked.caller = under
            return
        purpose = OPERATIONS if stated is None else stated
        if purpose != asked.caller.purpose:
            asked.caller = replace(asked.caller, purpose=purpose)
        if asked.caller.kind != PERSON and purpose not in life.agreed.purposes:
            agreed = ", ".join(sorted(life.agreed.purposes))
            detail = f"{asked.caller.actor} is registered at {life.endpoint.spec.name} for {agreed}, not for {purpose}"
            await self._deny(life, Decision(False, ("gateway:agreed-purposes",)), "purpose-not-agreed", detail)

    # --- what is asked -------------------------------------------------------------------------------------------

    async def _read_request(self, life: Life, receive: Receive) -> None:
        """Body, path and query, each within its contract, become the handler's arguments."""
        asked, endpoint, takes = life.asked, life.endpoint, life.endpoint.takes
        life.body = await self._body(life, receive)
        arguments = life.arguments = endpoint.path.read(asked.values)
        life.query, life.shaped = endpoint.query.read(asked.scope["query_string"])
        if endpoint.body is not None:
            arguments["body"] = _shaped(endpoint, endpoint.body, life.body, life.agreed.limits.max_depth)
        if endpoint.operation.kind == "list":
            cursor = life.query.get("cursor")
            if cursor is not None:
                cursor = self._s.cursors.opened(cursor, _bound(life))
            life.page = PageRequest(life.query.get("limit", DEFAULT_LIMIT), cursor)
        given = {"query": life.shaped, "page": life.page, "caller": asked.caller, "platform": self._s.platform}
        for name in takes:
            if name in given:
                arguments[name] = given[name]

    async def _body(self, life: Life, receive: Receive) -> bytes:
        endpoint, fields, limits = life.endpoint, life.asked.fields, life.agreed.limits
        if endpoint.body is not None:
            patch = endpoint.operation.method == "PATCH"
            refuse_content(fields.get(b"content-type"), fields.get(b"content-encoding"), patch=patch)
        length = fields.get(b"content-length")
        if (length is None or length == b"0") and b"transfer-encoding" not in fields:
            return b""
        most = limits.max_body_bytes if endpoint.body is not None else 0
        return await read_body(receive, length, max_bytes=most, timeout_seconds=limits.timeout_seconds)

    # --- policy --------------------------------------------------------------------------------------------------

    async def _decide(self, life: Life) -> None:
        """Before anything is done: which records may be acted upon at all, and where it can be known, whether this one."""
        asked, operation = life.asked, life.endpoint.operation
        if operation.kind == "write" or operation.about is not None:
            # A condition on records would say less: a limit on an amount is no condition that lists could be asked with.
            life.about = await self._about(life)
            asked.decision = await self._allowed(life)
            life.where = EVERYTHING  # Decided about this one thing already.
        else:
            life.where = where = self._s.decisions.where(asked.caller, operation.action, operation.resource)
            if isinstance(where, Nothing):
                await self._deny(life, Decision(False), "forbidden")
            asked.decision = Decision(True, ("gateway:where",))
        if "where" in life.endpoint.takes:
            life.arguments["where"] = life.where

    async def _about(self, life: Life) -> Mapping[str, Any]:
        """The attributes of what a request is about, before anything is done to it."""
        endpoint = life.endpoint
        about = endpoint.operation.about
        if about is None:
            # The last of them is the thing's id; the others may bind it, by the names that policies know.
            return {n: life.arguments[n] for n in endpoint.parameters if n in KNOWN_ATTRIBUTES}
        available = {**life.arguments, "caller": life.asked.caller, "platform": self._s.platform}
        takes = endpoint.about_takes if endpoint.about_takes is not None else frozenset(life.arguments)
        found = await self._s.run(life, about, {n: v for n, v in available.items() if n in takes}, key=None)
        if found is None:
            raise Refusal("not-found")
        return dict(found)

    async def _allowed(self, life: Life) -> Decision:
        asked, operation, about = life.asked, life.endpoint.operation, life.about
        attributes = frozen({name: value for name, value in about.items() if name not in ("id", "type")})
        id = str(about["id"]) if "id" in about else (asked.values[-1] if asked.values else "")
        # A decision about an approval is one about the thing that is to be approved, whose type `about` then says.
        kind = str(about.get("type", operation.resource))
        decision = self._s.decisions.decide(asked.caller, operation.action, kind, id, attributes)
        if not decision.allowed:
            # That a thing exists is told only to those who may read it.
            readable = not asked.values or self._s.decisions.decide(
                asked.caller, "read", operation.resource, id, attributes
            )
            await self._deny(life, decision, "forbidden" if readable else "not-found")
        return decision

    async def _deny(self, life: Life, decision: Decision, kind: str, detail: str = "") -> None:
        if decision.errors:
            log.error("%s cannot be decided: %s", life.endpoint.name, "; ".join(decision.errors))
        await self._s.record(life, DENIAL, Seen(), decision)
        raise Refusal(kind, detail)

    # --- reading -------------------------------------------------------------------------------------------------

    async def _reading(self, life: Life) -> Answer:
        asked, endpoint = life.asked, life.endpoint
        for name in ("etag", "key"):
            if name in endpoint.takes:
                life.arguments[name] = None
        answer = await self._found(life)
        if endpoint.operation.kind == "list":
            assert answer.document is not None
            sent, seen, outside = self._s.shown.page(asked, endpoint, answer.document, life.where, _bound(life))
            if outside:
                log.error(
                    "%s returned %d records outside of what its caller may see; they were left out (trace %s)",
                    endpoint.name, outside, asked.trace.trace_id,
                )  # fmt: skip
        else:
            sent, seen = self._s.shown.one(asked, endpoint, answer, life.about, life.where)
        await self._s.use_grant(life, seen)
        if seen.shown & PROTECTED or asked.caller.break_glass is not None:
            searched = endpoint.operation.kind == "list" or endpoint.operation.action == "search"
            await self._s.record(life, SEARCH if searched else READ, seen, asked.decision)
        return sent

    async def _found(self, life: Life) -> Told:
        """The handler's answer, or an earlier one where the operation allows that and a system does not answer."""
        operation, stale, asked = life.endpoint.operation, self._s.stale, life.asked
        question = ""
        if stale is not None and operation.stale_seconds:
            path = {name: life.arguments[name] for name in life.endpoint.parameters}
            question = question_key(
                operation, asked.caller, path=path, query=life.shaped, page=life.page, where=life.where,
                policy_version=self._s.decisions.version,
            )  # fmt: skip
        try:
            returned = await self._s.run(life, operation.function, life.arguments, key=None)
        except (Unavailable, OutOfTime) as away:
            kept = None
            if stale is not None and question and allows_stale(operation, away):
                kept = await stale.find(question, operation.stale_seconds)
            if kept is None:
                raise
            for name, value in stale_headers(kept, self._s.clock()).items():
                asked.headers.append((name.lower().encode(), value.encode()))
            return Told(orjson.loads(kept.body), life.endpoint.status)
        life.turn.answered()
        answer = told(life.endpoint, returned, life.page.limit if life.page is not None else DEFAULT_LIMIT)
        if stale is not None and question and answer.document is not None:
            await stale.keep(question, KeptAnswer(orjson.dumps(answer.document), self._s.clock()))
        return answer


def _shaped(endpoint: Endpoint, shape: type[BaseModel], body: bytes, max_depth: int) -> BaseModel:
    if not body:
        raise Refusal("malformed", "a body is needed")
    value = strict_json(body, max_depth=max_depth)
    assert endpoint.body_checked is not None
    if not endpoint.body_checked.is_valid(value):
        raise Refusal("invalid", "the body is against its contract", errors=endpoint.body_checked.findings(value))
    try:
        # From the bytes, not from the value above: a decimal amount keeps every digit.
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise Refusal("invalid", "the body is against its contract", errors=findings_of(error, "body")) from None


def _bound(life: Life) -> bytes:
    caller, operation = life.asked.caller, life.endpoint.operation
    return binding(life.endpoint.id, operation.version, f"{caller.actor}@{caller.issuer}", life.query)
