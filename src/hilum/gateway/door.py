"""The door as an ASGI application: from the connection to the pipeline, and from whatever came of it to an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import orjson
from prometheus_client import generate_latest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hilum.audit.access import NotRecorded
from hilum.authoring.api import Problem
from hilum.authoring.caller import NOBODY
from hilum.authoring.estate import Estate
from hilum.authoring.failures import AnswerUnreadable, Rejected, Unavailable
from hilum.gateway.addresses import OpenRequests, TooManyOpen, counted_as
from hilum.gateway.admission import TooManyAtOnce
from hilum.gateway.answers import OutsideContract
from hilum.gateway.asked import Answer, Asked, Scope, asked_of, problem
from hilum.gateway.contents import Gone, Receive
from hilum.gateway.endpoints import Endpoint, routes_of
from hilum.gateway.pipeline import Pipeline
from hilum.gateway.ports import Overloaded
from hilum.gateway.problems import Refusal, of_refusal, retry_after
from hilum.gateway.running import OutOfTime
from hilum.gateway.stages import Stages
from hilum.gateway.tracing import trace_of
from hilum.gateway.usage import Usage
from hilum.gateway.writing import of_refused
from hilum.governance.api_problems import PROBLEM_TYPES
from hilum.runtime.allowances import rate_headers
from hilum.security.decisions import Decision, Resource
from hilum.security.identity import IdentityAway, Unauthenticated

log = logging.getLogger(__name__)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Admit = Callable[[Request, Resource], Awaitable[None]]
Pages = Callable[[Admit], Sequence[BaseRoute]]

STORE_AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, NotRecorded)
_RETRY_SECONDS = 5.0
_ASKED = "hilum.asked"
_CLOSE = ("connection", "close")
_UNREAD = frozenset({408, 413, 415})
"""Refused before the whole body was read: what is left of it is not waited for on a connection kept open."""


class Door:
    """Answers every request: operations by the pipeline, pages by Starlette, everything else 404.

    ``pages`` makes the routes that are no operations (documents, the embedded issuer); each asks a policy by the ``Admit``
    it is given, or is under ``open_paths``, whose applications decide for themselves (a sign-in has nobody to ask about).
    """

    def __init__(
        self,
        estate: Estate,
        stages: Stages,
        usage: Usage,
        *,
        monotonic: Callable[[], float],
        healthy: Callable[[], Awaitable[bool]],
        pages: Pages = lambda admit: (),
        open_paths: tuple[str, ...] = (),
    ) -> None:
        self.routes, self.endpoints = routes_of(estate)
        self._stages = stages
        self._pipeline = Pipeline(stages)
        self._usage = usage
        self._monotonic = monotonic
        self._healthy = healthy
        self._open_paths = open_paths
        self._open = OpenRequests()
        self._page_limits = estate.door("gateway").pages
        self._audiences = tuple(sorted({a for spec in estate.api_specs.values() for a in spec.audience}))
        own = [Route("/health", self._health), Route("/metrics", self._metrics)]
        self._pages = Starlette(routes=[*own, *pages(self._admit)], exception_handlers={HTTPException: _page_problem})
        self._pages.router.redirect_slashes = False
        self.pages: Sequence[BaseRoute] = self._pages.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        began = self._monotonic()
        fields = dict(scope["headers"])
        asked = asked_of(scope, fields, trace_of(fields.get(b"traceparent"), self._stages.token))
        found = self.routes.find(scope["raw_path"])
        if found is None:
            await self._page(asked, receive, send)
            return
        methods, asked.values = found
        try:
            answer = await self._routed(asked, methods, receive)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 - This is the one place where whatever happened becomes an answer.
            answer = await self._problem(asked, error)
        answer = self._decided(asked, answer)
        await _send(asked, answer, send)
        endpoint = asked.endpoint
        if endpoint is not None:
            operation = endpoint.operation
            consumer = asked.caller.actor if asked.caller is not NOBODY else "anonymous"
            self._usage.count(
                consumer, operation.api.name, operation.version, operation.function.__name__, answer.status,
                self._monotonic() - began,
            )  # fmt: skip

    async def _routed(self, asked: Asked, methods: dict[str, Endpoint], receive: Receive) -> Answer:
        method: str = asked.scope["method"]
        endpoint = methods.get("GET" if method == "HEAD" else method)
        any_of_them = endpoint if endpoint is not None else next(iter(methods.values()))
        today = self._stages.clock().date()
        if not any_of_them.reachable_on(today):
            raise Refusal("not-found")
        asked.headers.extend(any_of_them.headers)
        if any_of_them.retired_on(today):
            asked.endpoint = endpoint
            raise Refusal("gone")
        if endpoint is None and method != "OPTIONS":
            raise Refusal("method-not-allowed", headers=(("allow", _allowed(methods)),))
        self._stages.admission.knock(any_of_them.spec.criticality)
        if endpoint is None:
            return await self._pipeline.options(asked, any_of_them, _allowed(methods))
        asked.endpoint = endpoint
        return await self._pipeline.answer(asked, endpoint, receive)

    def _decided(self, asked: Asked, answer: Answer) -> Answer:
        """The last gate: what no policy decided about is not answered, whatever went wrong before."""
        if not answer.good or (asked.decision is not None and asked.decision.allowed):
            return answer
        self._usage.undecided()
        log.critical("an answer was withheld: no policy had decided about it (trace %s)", asked.trace.trace_id)
        return problem(500, of_refusal(Refusal("defect"), asked.trace))

    async def _problem(self, asked: Asked, error: Exception) -> Answer:
        """Whatever a stage raised, as a problem document that tells nothing of the inside."""
        trace = asked.trace
        match error:
            case Refusal() | Problem() | Rejected():
                return of_refused(error, asked)
            case Unauthenticated():
                kind = "malformed" if error.status == 400 else "unauthenticated"
                refusal = Refusal(kind, error.description, headers=(("www-authenticate", error.challenge),))
            case TooManyAtOnce():
                refusal = Refusal("too-many-requests", str(error), headers=(retry_after(error.retry_after_seconds),))
            case Overloaded():
                refusal = Refusal("overloaded", error.detail, headers=(retry_after(error.retry_after_seconds),))
            case Unavailable():
                seconds = error.retry_after_seconds if error.retry_after_seconds is not None else _RETRY_SECONDS
                refusal = Refusal("unavailable", f"{error.system} does not answer", headers=(retry_after(seconds),))
            case OutOfTime():
                refusal = Refusal("timeout")
            case IdentityAway():
                refusal = Refusal(
                    "unavailable", "who is asking cannot be found out now", headers=(retry_after(_RETRY_SECONDS),)
                )
            case AnswerUnreadable():
                log.error("%s (trace %s)", error, trace.trace_id)
                refusal = await self._outside(asked, [f"{error.system}.{error.operation}: {error.kind}"])
            case OutsideContract():
                refusal = await self._outside(asked, error.causes)
            case ValidationError():
                # A handler made its answer of what a system said, and the contract did not take it.
                places = ["/".join(str(part) for part in f["loc"] if not isinstance(part, int)) for f in error.errors(
                    include_input=False, include_url=False, include_context=False)]  # fmt: skip
                refusal = await self._outside(asked, places if places else ["its own rules"])
            case asyncpg.PostgresError() | asyncpg.InterfaceError() | OSError() | NotRecorded():
                log.error("the store failed a request: %s (trace %s)", type(error).__name__, trace.trace_id)
                refusal = Refusal("unavailable", "the store does not answer", headers=(retry_after(_RETRY_SECONDS),))
            case _:
                name = asked.endpoint.name if asked.endpoint is not None else "the door"
                log.error("defect in %s (trace %s)", name, trace.trace_id, exc_info=error)
                refusal = Refusal("defect")
        return problem(refusal.status, of_refusal(refusal, trace), tuple(refusal.headers))

    async def _outside(self, asked: Asked, causes: list[str]) -> Refusal:
        endpoint = asked.endpoint
        if endpoint is not None:
            operation = endpoint.operation
            await self._stages.incidents.outside_contract(
                operation.api.name, operation.version, operation.id, causes[0], asked.trace.trace_id
            )
        return Refusal("outside-contract")

    # --- pages ---------------------------------------------------------------------------------------------------

    async def _page(self, asked: Asked, receive: Receive, send: Send) -> None:
        """A page of the door itself. Its answer passes the same last gate."""
        scope, path = asked.scope, asked.scope["path"]
        scope[_ASKED] = asked
        if path == "/health":
            asked.decision = Decision(True, ("gateway:liveness",))  # Says that it lives, and nothing of what it holds.
        elif any(path == root or path.startswith(root + "/") for root in self._open_paths):
            await self._open_page(asked, receive, send)
            return
        await self._shown(asked, receive, send)

    async def _open_page(self, asked: Asked, receive: Receive, send: Send) -> None:
        """A page that asks nobody who they are: counted by address, in all and at once."""
        asked.decision = Decision(True, ("gateway:signs-in",))
        address = counted_as(asked.peer)
        try:
            with self._open.one(address):
                await self._spend(asked, f"open:peer:{address}")
                await self._shown(asked, receive, send)
        except TooManyOpen:
            detail = "this address has too many requests open at once"
            refusal = Refusal("too-many-requests", detail, headers=(retry_after(1), _CLOSE))
            await _send(asked, await self._problem(asked, refusal), send)
        except HTTPException as refused:
            refused.headers = dict([_CLOSE])  # Its body is not read any more.
            await _send(asked, _of_page(asked, refused), send)

    async def _shown(self, asked: Asked, receive: Receive, send: Send) -> None:
        """Starlette's answer, with the door's headers; withheld where nobody decided."""
        scope, path = asked.scope, asked.scope["path"]
        withheld = False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal withheld
            if message["type"] == "http.response.start":
                if message["status"] < 400 and (asked.decision is None or not asked.decision.allowed):
                    withheld = True
                    await _send(asked, self._decided(asked, Answer(200)), send)
                    return
                told = {name for name, _ in message["headers"]}
                more = [(n, v) for n, v in Answer(message["status"]).lines(asked) if n not in told]
                message["headers"] = [*message["headers"], *((n, v) for n, v in more if n != b"content-length")]
                if message["status"] in _UNREAD and b"connection" not in told:
                    message["headers"].append((b"connection", b"close"))
            if not withheld:
                await send(message)

        if path.startswith("/docs/static/"):
            try:
                await self._admit(Request(scope), Resource("Document", "static"))
            except HTTPException as refused:
                await _send(asked, _of_page(asked, refused), send)
                return
        try:
            await self._pages(scope, receive, sending)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 - As above: every failure becomes an answer here.
            if not withheld:
                await _send(asked, await self._problem(asked, error), send)

    async def _admit(self, request: Request, resource: Resource) -> None:
        """Ask the policies whether whoever asks may read a page; HTTPException 401, 403 or 429 when not (503: nobody can say)."""
        asked: Asked = request.scope[_ASKED]
        if asked.authorization:
            try:
                caller = await self._stages.authenticator.authenticate(
                    asked.authorization, audience=self._audiences, certificate=self._stages.certificate(asked.scope)
                )
            except Unauthenticated as error:
                await self._spend(asked, f"page:peer:{counted_as(asked.peer)}")
                raise HTTPException(
                    error.status, error.description, headers={"www-authenticate": error.challenge}
                ) from None
            asked.caller = replace(caller, trace_id=asked.trace.trace_id)
            await self._spend(asked, f"page:{caller.actor}@{caller.issuer}")
        else:
            await self._spend(asked, f"page:peer:{counted_as(asked.peer)}")
        decision = self._stages.decisions.decide(asked.caller, "read", resource.type, resource.id, ())
        asked.decision = decision
        if not decision.allowed:
            raise HTTPException(
                403 if asked.authorization else 401, headers={"www-authenticate": 'Bearer realm="hilum"'}
            )

    async def _spend(self, asked: Asked, key: str) -> None:
        """Take one request of the pages from what its reader has, counted over all processes like those of the APIs."""
        limits = self._page_limits
        taken = await self._stages.allowances.take(key, limits.requests_per_minute, limits.burst)
        asked.headers.extend((n.lower().encode(), v.encode()) for n, v in rate_headers(taken).items())
        if not taken.allowed:
            raise HTTPException(503 if taken.refused == "store" else 429)

    async def _health(self, request: Request) -> Response:
        """200 while the store answers; it says nothing else, for it asks nobody who they are."""
        up = await self._healthy()
        document = {"status": "up" if up else "the store does not answer"}
        return Response(orjson.dumps(document), 200 if up else 503, media_type="application/json")

    async def _metrics(self, request: Request) -> Response:
        await self._admit(request, Resource("Dashboard", "metrics"))
        return Response(generate_latest(self._usage.registry), media_type="text/plain; version=0.0.4; charset=utf-8")


def _allowed(methods: dict[str, Endpoint]) -> str:
    return ", ".join(sorted({*methods, "OPTIONS", *({"HEAD"} if "GET" in methods else ())}))


async def _page_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = _of_page(request.scope[_ASKED], error)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.kept}
    return Response(answer.body, answer.status, media_type=answer.content_type.decode(), headers=headers)


_KINDS = {
    401: "unauthenticated", 403: "forbidden", 404: "not-found", 405: "method-not-allowed", 429: "too-many-requests",
    503: "unavailable",
}  # fmt: skip


def _of_page(asked: Asked, error: HTTPException) -> Answer:
    kind = _KINDS.get(error.status_code, "malformed" if error.status_code < 500 else "defect")
    refusal = Refusal(kind)
    given = error.headers if error.headers is not None else {}
    return problem(PROBLEM_TYPES[kind].status, of_refusal(refusal, asked.trace), tuple(given.items()))


async def _send(asked: Asked, answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.lines(asked)})
    body = b"" if asked.scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})
