"""A simulated billing system, in a process of its own: ``python -m hilum.testing.neighbours.simulated_billing``.

Over MLLP it takes ADT (A01 to A08, the cancellations A11, A12, A13, A38, the merges A40 and A41; once for each sender and
control id; the coverage's state in IN1-45) and DFT^P03 (charges, once for each FT1-2) and acknowledges in original mode:

    AA  written down, and synced to disk. After MSA one ``ZCH`` segment for each FT1:
        ZCH-1 the charge number, ZCH-2 the transaction id it answers, ZCH-3 ``new`` or ``known``
    AE  with ERR: the content is wrong (table 0357: 100, 101, 102, 205)
    AR  with ERR: the type is not taken (200), or it is busy just now (207)

Over HTTP it can be read: ``GET /charges?usage_id=``, ``GET /accounts``, ``GET /coverages``, ``GET /health``. With ``--token-file`` its
REST interface is below ``/api`` (see ``simulated_billing_rest``). With ``--faults`` it can be told to have a fault at both (``POST /_faults``, see ``simulated_faults``).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hilum.testing.neighbours.simulated_billing_books import BillingBooks, Invalid
from hilum.testing.neighbours.simulated_billing_rest import BillingRest
from hilum.testing.neighbours.simulated_faults import Fault, Faults, FaultyServing
from hilum.testing.neighbours.simulated_hl7 import (
    MAX_FRAME_BYTES,
    Message,
    NotHl7,
    acknowledgement,
    error_segment,
    framed,
    read_frame,
)
from hilum.testing.neighbours.simulated_process import announce, live_with_parent, run_until_told

ADT_TRIGGERS = ("A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A11", "A12", "A13", "A38")
MERGE_TRIGGERS = ("A40", "A41")


class _Desk:
    """Takes messages and answers them."""

    def __init__(self, books: BillingBooks, faults: Faults, *, clock: Callable[[], datetime]) -> None:
        self._books = books
        self._faults = faults
        self._clock = clock
        self._numbers = count(1)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.LimitOverrunError):
            while (data := await read_frame(reader)) is not None:
                fault = self._faults.strike("mllp")
                if fault.mode == "down":
                    break
                answer = await self._answer(data, fault)
                if fault.mode == "cut":
                    break
                writer.write(framed(answer))
                await writer.drain()
        writer.transport.abort()

    async def _answer(self, data: bytes, fault: Fault) -> bytes:
        await asyncio.sleep(fault.seconds)
        try:
            message = Message(data)
        except NotHl7:
            # Nothing is known of the sender: the refusal names nobody and quotes nothing.
            return self._ack(Message(b"MSH|^~\\&|||||||||"), "AR", error_segment("100", "MSH is missing", "MSH"))
        if fault.mode == "busy":
            return self._ack(message, "AR", error_segment("207", "busy just now, send it again"))
        kind, _, trigger = message.type.partition("^")
        try:
            if kind == "ADT" and trigger in ADT_TRIGGERS:
                self._books.account(message)
                return self._ack(message, "AA")
            if kind == "ADT" and trigger in MERGE_TRIGGERS:
                self._books.merge(message)
                return self._ack(message, "AA")
            if message.type == "DFT^P03":
                charged = self._books.charge(message)
                notes = [f"ZCH|{c.number}|{c.usage_id}|{'known' if c.known else 'new'}" for c in charged]
                return self._ack(message, "AA", *notes)
        except Invalid as wrong:
            return self._ack(message, "AE", error_segment(wrong.code, wrong.text, wrong.segment, wrong.field))
        return self._ack(message, "AR", error_segment("200", "this message type is not taken", "MSH", 9))

    def _ack(self, message: Message, code: str, *more: str) -> bytes:
        return acknowledgement(message, code, control_id=f"B{next(self._numbers)}", at=self._clock(), more=more)


def _reading_side(books: BillingBooks, faults: Faults | None, token: str | None) -> Starlette:
    async def charges(request: Request) -> Response:
        return _json(books.charges(request.query_params.get("usage_id")))

    async def accounts(_: Request) -> Response:
        return _json(books.accounts())

    async def coverages(_: Request) -> Response:
        return _json(books.coverages())

    async def settlements(_: Request) -> Response:
        return _json(books.settlements())

    async def health(_: Request) -> Response:
        return _json({"simulated": "billing", "status": "ok"})

    routes = [Route("/charges", charges), Route("/accounts", accounts), Route("/coverages", coverages)]
    routes += [Route("/settlements", settlements), Route("/health", health)]
    if token is not None:
        routes += BillingRest(books, token).routes()
    if faults is not None:
        routes.append(Route("/_faults", faults.endpoint, methods=["POST"]))
    return Starlette(routes=routes)


class _FaultyApi(FaultyServing):
    """Faults meet the REST interface only: what was written down can always be read beside it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


async def _run(told: argparse.Namespace) -> None:
    def clock() -> datetime:
        return datetime.now(UTC)

    books = BillingBooks(told.state, clock=clock)
    faults = Faults()
    desk = _Desk(books, faults, clock=clock)
    mllp = await asyncio.start_server(desk.connected, told.host, told.mllp_port, limit=MAX_FRAME_BYTES)
    shared = faults if told.faults else None
    token = told.token_file.read_text().strip() if told.token_file is not None else None
    served = await _FaultyApi(_reading_side(books, shared, token), shared).serve(told.host, told.http_port)
    announce("billing", {"mllp-port": mllp.sockets[0].getsockname()[1], "http-port": served.port})
    await run_until_told()
    mllp.close()
    await served.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="A simulated billing system.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--mllp-port", type=int, default=0, help="0 takes a free port; the ready line says which")
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--state", type=Path, required=True, help="the SQLite file that survives the process")
    parser.add_argument("--token-file", type=Path, help="open the REST interface for this bearer token")
    parser.add_argument("--faults", action="store_true", help="open POST /_faults")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    told = parser.parse_args()
    if told.with_parent:
        live_with_parent()
    asyncio.run(_run(told))


if __name__ == "__main__":
    main()
