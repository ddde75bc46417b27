"""The webhook door: a POST becomes a stored message, or a stored refusal and an RFC 9457 problem document.

Bodies are JSON, and X12 where a hook takes it (``application/edi-x12``, RFC 1767), which is answered by its acknowledgement.

The answer is sent after ``accept`` returned, which it does after the durable commit: 202 for a message taken in, 200
for one that was there already, with the same body. Whatever is refused (oversized, slow, unsigned, not JSON) is
handed to ``refuse`` to be stored, or counted when there is too much of it, before the sender is told. No answer holds a stack trace or a word of the body.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from hilum.transports.webhook.signature import HEADERS, BadSignature, verify

log = logging.getLogger(__name__)

KEPT_HEADERS = (*HEADERS, "content-type", "user-agent")
KEPT_REFUSED_BYTES = 65_536
"""Of a refused body no more is kept: whoever cannot sign must not be able to fill the store."""

RETRY_AFTER_SECONDS = 5

X12 = "application/edi-x12"
_ISA = re.compile(rb"\s{0,16}ISA[^A-Za-z0-9 \r\n]")


def is_x12(headers: Mapping[str, str]) -> bool:
    """Whether a body is announced as an X12 interchange."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == X12


@dataclass(frozen=True)
class Hook:
    """One system's webhook. ``secret`` as Standard Webhooks write it (``whsec_`` and base64); limits per request.

    ``previous_secret`` is taken too: while a sender changes its secret, what it signed before is still on its way.
    """

    system: str
    secret: str = field(repr=False)
    max_body_bytes: int = 1_048_576
    body_timeout_seconds: float = 10.0
    tolerance_seconds: float = 300.0
    previous_secret: str | None = field(default=None, repr=False)
    x12: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.secret,) if self.previous_secret is None else (self.secret, self.previous_secret)


@dataclass(frozen=True)
class Accepted:
    """Stored. ``reference`` is what the sender may quote; ``duplicate``: it was there before."""

    reference: str
    duplicate: bool = False
    acknowledgement: bytes | None = None
    """X12 that answers X12: the body of the answer, whether the interchange was accepted or rejected."""


@dataclass(frozen=True)
class Refusal:
    """Stored, and its content refused: ``detail`` says why without PHI. ``status`` is 400 or 422."""

    detail: str
    reference: str = ""
    status: int = 422


@dataclass(frozen=True)
class RefusedRequest:
    """A request that never became a message. ``reason``: signature, size, slow, cut, encoding, type, x12 or json."""

    hook: Hook
    reason: str
    detail: str
    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str]
    peer: str


Accept = Callable[[Hook, bytes, Mapping[str, str], str], Awaitable[Accepted | Refusal]]
Refuse = Callable[[RefusedRequest], Awaitable[str]]
"""Takes note of a refused request; the reference under which it is found, empty where it was only counted."""

_TITLES = {
    "signature": "The signature is not valid",
    "size": "The body is too large",
    "slow": "The body did not arrive in time",
    "cut": "The connection ended within the body",
    "encoding": "A compressed body is not taken",
    "type": "The type of the body is not taken here",
    "x12": "The body is not an X12 interchange",
    "json": "The body is not JSON",
    "content": "The content is refused",
    "unavailable": "The message could not be stored; send it again",
}


class _Refused(Exception):
    """Where reading or verifying a request ends."""

    def __init__(self, status: int, reason: str, detail: str, body: bytes) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.body = body[:KEPT_REFUSED_BYTES]


def webhook_app(
    hooks: Mapping[str, Hook],
    *,
    accept: Accept,
    refuse: Refuse,
    clock: Callable[[], datetime],
) -> Starlette:
    """An application with one POST route for each path. ``app.state.counts`` counts (system, outcome)."""
    counts: Counter[tuple[str, str]] = Counter()

    def route(path: str, hook: Hook) -> Route:
        async def take(request: Request) -> Response:
            outcome, response = await _take(request, hook, accept, refuse, clock)
            counts[hook.system, outcome] += 1
            return response

        return Route(path, take, methods=["POST"])

    app = Starlette(
        routes=[route(path, hook) for path, hook in hooks.items()],
        exception_handlers={HTTPException: _http_problem},
    )
    app.state.counts = counts
    return app


async def _take(
    request: Request, hook: Hook, accept: Accept, refuse: Refuse, clock: Callable[[], datetime]
) -> tuple[str, Response]:
    headers = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
    peer = f"{request.client.host}:{request.client.port}" if request.client is not None else ""
    try:
        try:
            body = await _read(request, hook)
            _check(body, headers, hook, clock())
        except _Refused as no:
            reference = await refuse(RefusedRequest(hook, no.reason, no.detail, no.status, no.body, headers, peer))
            return no.reason, _problem(no.status, no.reason, no.detail, reference)
        outcome = await accept(hook, body, headers, peer)
    except Exception as error:  # noqa: BLE001 - whatever kept it from being stored, the sender must send it again.
        log.error("a webhook of %s could not be stored: %s", hook.system, type(error).__name__)
        return "unavailable", _problem(503, "unavailable", "", "")
    if isinstance(outcome, Refusal):
        return "content", _problem(outcome.status, "content", outcome.detail, outcome.reference)
    if outcome.acknowledgement is not None:
        # The acknowledgement says what became of it; a status that is no success would make senders send it for ever.
        told = {"hilum-message": outcome.reference}
        return "acknowledged", Response(outcome.acknowledgement, 200, told, media_type=X12)
    answer = orjson.dumps({"message": outcome.reference})
    status = 200 if outcome.duplicate else 202
    return "duplicate" if outcome.duplicate else "accepted", Response(answer, status, media_type="application/json")


async def _read(request: Request, hook: Hook) -> bytes:
    """The body, never more of it in memory than the limit and one chunk."""
    limit = hook.max_body_bytes
    if is_x12(request.headers) and not hook.x12:
        raise _Refused(415, "type", "X12 is not taken by this webhook; send JSON", b"")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        # Nothing is unpacked for whoever has not signed yet, and what was signed are the bytes as they are sent.
        raise _Refused(415, "encoding", "send the body as it was signed, without Content-Encoding", b"")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _Refused(413, "size", f"at most {limit} bytes are taken", b"")
    body = bytearray()
    try:
        async with asyncio.timeout(hook.body_timeout_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _Refused(413, "size", f"at most {limit} bytes are taken", bytes(body[:limit]))
    except TimeoutError:
        detail = f"the body must arrive within {hook.body_timeout_seconds:g} s"
        raise _Refused(408, "slow", detail, bytes(body)) from None
    except ClientDisconnect:
        raise _Refused(400, "cut", "", bytes(body)) from None
    return bytes(body)


def _check(body: bytes, headers: Mapping[str, str], hook: Hook, now: datetime) -> None:
    try:
        verify(hook.secrets, body, headers, now=now, tolerance_seconds=hook.tolerance_seconds)
    except BadSignature as error:
        raise _Refused(401, "signature", str(error), body) from None
    if is_x12(headers):
        if not _ISA.match(body):
            raise _Refused(400, "x12", "an interchange begins with an ISA segment", body)
        return
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _Refused(400, "json", "", body) from None


def _problem(status: int, reason: str, detail: str, reference: str) -> Response:
    """An RFC 9457 problem document; after 408, 413 and 415 what is left of the request is not read."""
    document: dict[str, object] = {"type": f"urn:hilum:problem:{reason}", "title": _TITLES[reason], "status": status}
    if detail:
        document["detail"] = detail
    if reference:
        document["instance"] = f"urn:hilum:message:{reference}"
    headers = {}
    if status in (408, 413, 415):
        headers["connection"] = "close"
    if status == 503:
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    return Response(orjson.dumps(document), status, headers, media_type="application/problem+json")


async def _http_problem(request: Request, error: Exception) -> Response:
    """What routing refuses (404, 405) in the same form."""
    assert isinstance(error, HTTPException)
    document = {"type": "about:blank", "title": error.detail, "status": error.status_code}
    headers = error.headers
    return Response(orjson.dumps(document), error.status_code, headers, media_type="application/problem+json")
