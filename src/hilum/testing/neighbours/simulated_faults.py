"""Faults a simulated neighbour can be told to have, at its own network door: nothing inside is replaced.

=========  ==========================================================================================
ok         none
down       the connection is cut before anything is done
slow       ``seconds`` pass, then it is done and answered
busy       refused for now: 503 (with ``Retry-After`` when ``seconds`` is above zero), or AR over MLLP
throttled  too many requests: 429 (with ``Retry-After`` when ``seconds`` is above zero); over HTTP only
cut        it is done, and the connection is cut before the answer
=========  ==========================================================================================

``requests`` limits a fault to so many requests (then it is ok again), ``path`` to the paths that begin so.
"""

from __future__ import annotations

import asyncio
from asyncio import Transport
from typing import Any, Literal, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum.transports.http import HeadTimeout, Served, serve

_TRANSPORT = "simulated.transport"


class Fault(BaseModel):
    """What goes wrong, how long and how often."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["ok", "down", "slow", "busy", "throttled", "cut"]
    seconds: float = Field(default=0.0, ge=0)
    requests: int | None = Field(default=None, gt=0)
    path: str = ""


class Faults:
    """The fault in force."""

    def __init__(self) -> None:
        self._fault = Fault(mode="ok")
        self._left: int | None = None

    def set(self, fault: Fault) -> None:
        self._fault = fault
        self._left = fault.requests

    def strike(self, path: str) -> Fault:
        """The fault that meets this request; counts it."""
        fault = self._fault
        if fault.mode == "ok" or not path.startswith(fault.path):
            return Fault(mode="ok")
        if self._left is not None:
            if not self._left:
                return Fault(mode="ok")
            self._left -= 1
        return fault

    async def endpoint(self, request: Request) -> Response:
        """``POST /_faults``."""
        try:
            self.set(Fault.model_validate_json(await request.body()))
        except ValidationError as error:
            return Response(orjson.dumps({"title": str(error)}), 422, media_type="application/problem+json")
        return Response(status_code=204)


class _WithTransport(HeadTimeout):
    """Puts the connection within reach of the application: a cut is not something HTTP can say."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(dict[str, Any], self.scope)[_TRANSPORT] = self.transport


class FaultyServing:
    """An application behind its faults; without ``faults`` just the application."""

    def __init__(self, app: ASGIApp, faults: Faults | None) -> None:
        self._app = app
        self._faults = faults

    async def serve(self, host: str, port: int) -> Served:
        return await serve(self, host, port, protocol=_WithTransport)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._faults is None or scope["type"] != "http" or scope["path"] == "/_faults":
            await self._app(scope, receive, send)
            return
        transport: Transport = scope.pop(_TRANSPORT)
        fault = self._faults.strike(scope["path"])
        if fault.mode == "down":
            await _cut(transport)
        elif fault.mode in ("busy", "throttled"):
            status, title = (503, b"Busy") if fault.mode == "busy" else (429, b"Too many requests")
            headers = {"retry-after": f"{fault.seconds:g}"} if fault.seconds else {}
            answer = Response(b'{"title": "%b"}' % title, status, headers, "application/problem+json")
            await answer(scope, receive, send)
        elif fault.mode == "cut":
            await self._app(scope, receive, _unheard)
            await _cut(transport)
        else:
            await asyncio.sleep(fault.seconds)
            await self._app(scope, receive, send)


async def _cut(transport: Transport) -> None:
    transport.abort()
    await asyncio.sleep(0)  # The server learns that nobody is there before it wonders why nothing was answered.


async def _unheard(message: Message) -> None:
    """An answer that nobody gets."""
