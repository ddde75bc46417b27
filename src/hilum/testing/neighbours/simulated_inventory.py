"""A simulated inventory platform, in a process of its own: ``python -m hilum.testing.neighbours.simulated_inventory``.

What it does as the real ones do: keeps positions and movements durably, takes movements over REST under idempotency
keys, refuses to go below zero, and reports scans at the point of use by signed webhook (Standard Webhooks) until
they are taken. A scan is a report, not a movement: the shelf is lighter only after ``POST /movements``, so that one
usage is taken from the shelf once, whoever reported it.

    POST /movements   take: {location, item, quantity, reference, reason}, header Idempotency-Key -> the shelf after it
    POST /positions/search   {filter, limit, after} -> {positions, next}, with facilities (see ``simulated_search``)
    POST /locations   at which facility each location is: {location: facility}
    GET  /positions   ?location= &item=        GET /movements ?reference=
    POST /positions   set shelves up           POST /counts   a physical count: {location, item, on_hand}
    POST /receipts    stock received: {location, item, quantity, receipt}
    POST /scan        a scan: the consumption report as it is to be sent   GET /reports   what became of each
    GET  /health      no token is asked for
    POST /_faults     only with --faults: {"mode": ok|down|slow|busy|cut, "seconds": 1, "requests": 3, "path": "/movements"}
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import uuid
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hilum.testing.neighbours.simulated_faults import Faults, FaultyServing
from hilum.testing.neighbours.simulated_inventory_books import InventoryBooks, Problem
from hilum.testing.neighbours.simulated_process import announce, live_with_parent, run_until_told
from hilum.testing.neighbours.simulated_search import BadFilter, Search


class Position(BaseModel):
    """A shelf as it is set up."""

    model_config = ConfigDict(extra="forbid")

    location: str
    item: str
    on_hand: int = Field(ge=0)
    reorder_point: int = Field(ge=0)
    par: int = Field(ge=0)
    last_receipt: str = "RC-0"


class _Take(BaseModel):
    model_config = ConfigDict(extra="forbid")

    location: str
    item: str
    quantity: int = Field(gt=0)
    reference: str = Field(min_length=1)
    reason: str = "consumption"


class _Count(BaseModel):
    model_config = ConfigDict(extra="forbid")

    location: str
    item: str
    on_hand: int = Field(ge=0)


class _Receipt(BaseModel):
    model_config = ConfigDict(extra="forbid")

    location: str
    item: str
    quantity: int = Field(gt=0)
    receipt: str = Field(min_length=1)


_positions = TypeAdapter(list[Position])
_locations = TypeAdapter(dict[str, str])


class Reporter:
    """Sends consumption reports until they are taken, oldest first, with a growing pause while nobody takes them."""

    def __init__(
        self,
        books: InventoryBooks,
        url: str,
        secret: str,
        *,
        clock: Callable[[], datetime],
        retry_seconds: float,
        retry_max_seconds: float,
    ) -> None:
        self._books = books
        self._url = url
        self._signer = Webhook(secret)
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._retry_max_seconds = retry_max_seconds
        self._bell = asyncio.Event()

    def wake(self) -> None:
        self._bell.set()

    async def run(self) -> None:
        pause = self._retry_seconds
        async with httpx2.AsyncClient(timeout=10.0, trust_env=False) as http:
            while True:
                self._bell.clear()
                taken = [await self._send(http, *report) for report in self._books.undelivered()]
                pause = self._retry_seconds if all(taken) else min(pause * 2, self._retry_max_seconds)
                with suppress(TimeoutError):
                    # A refused report waits its pause even when a new scan rings; an empty list waits for the bell.
                    await asyncio.wait_for(self._bell.wait() if all(taken) else asyncio.sleep(pause), timeout=60)

    async def _send(self, http: httpx2.AsyncClient, webhook_id: str, body: bytes) -> bool:
        now = self._clock()
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(webhook_id, now, body.decode()),
        }
        status = None
        with suppress(httpx2.TransportError):
            status = (await http.post(self._url, content=body, headers=headers)).status_code
        self._books.attempted(webhook_id, status)
        return status is not None and 200 <= status < 300


class _Desk:
    """The endpoints."""

    def __init__(self, books: InventoryBooks, token: str, reporter: Reporter | None, faults: Faults | None) -> None:
        self._books = books
        self._token = token
        self._reporter = reporter
        self._faults = faults

    def app(self) -> Starlette:
        @asynccontextmanager
        async def lifespan(_: Starlette) -> Any:
            task = asyncio.create_task(self._reporter.run()) if self._reporter is not None else None
            yield
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

        doors: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("POST", "/movements", self._take),
            ("GET", "/movements", self._movements),
            ("GET", "/positions", self._positions),
            ("POST", "/positions", self._stock),
            ("POST", "/positions/search", self._search),
            ("POST", "/locations", self._locate),
            ("POST", "/counts", self._count),
            ("POST", "/receipts", self._receive),
            ("POST", "/scan", self._scan),
            ("GET", "/reports", self._reports),
        ]
        routes = [Route(path, self._guarded(door), methods=[method]) for method, path, door in doors]
        routes.append(Route("/health", self._health, methods=["GET"]))
        if self._faults is not None:
            routes.append(Route("/_faults", self._faults.endpoint, methods=["POST"]))
        return Starlette(routes=routes, lifespan=lifespan)

    def _guarded(self, door: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                return _problem(Problem(401, "token", "A valid bearer token is needed"))
            try:
                return await door(request)
            except Problem as problem:
                return _problem(problem)
            except (ValidationError, orjson.JSONDecodeError, BadFilter):
                return _problem(Problem(422, "invalid", "The request does not have the agreed form"))

        return guarded

    async def _take(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        if not key:
            raise Problem(400, "key-missing", "A movement needs an Idempotency-Key")
        given = _Take.model_validate_json(await request.body())
        body, known = self._books.take(given.model_dump(), key)
        return Response(body, 200 if known else 201, media_type="application/json")

    async def _movements(self, request: Request) -> Response:
        return _json(self._books.movements(request.query_params.get("reference")))

    async def _positions(self, request: Request) -> Response:
        query = request.query_params
        return _json(self._books.positions(query.get("location"), query.get("item")))

    async def _search(self, request: Request) -> Response:
        return _json(self._books.search(Search.model_validate_json(await request.body())))

    async def _locate(self, request: Request) -> Response:
        self._books.locate(_locations.validate_json(await request.body()))
        return Response(status_code=204)

    async def _stock(self, request: Request) -> Response:
        given = _positions.validate_json(await request.body())
        self._books.stock(position.model_dump() for position in given)
        return _json({"positions": len(given)}, 201)

    async def _count(self, request: Request) -> Response:
        return _json(self._books.count(_Count.model_validate_json(await request.body()).model_dump()))

    async def _receive(self, request: Request) -> Response:
        return _json(self._books.receive(_Receipt.model_validate_json(await request.body()).model_dump()), 201)

    async def _scan(self, request: Request) -> Response:
        if self._reporter is None:
            raise Problem(409, "no-webhook", "No webhook address was given when the platform was started")
        body = await request.body()
        orjson.loads(body)
        webhook_id = self._books.report(body)
        self._reporter.wake()
        return _json({"webhook_id": webhook_id}, 202)

    async def _reports(self, _: Request) -> Response:
        return _json(self._books.reports())

    async def _health(self, _: Request) -> Response:
        return _json({"simulated": "inventory", "status": "ok"})


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _problem(problem: Problem) -> Response:
    document = {"type": f"urn:simulated:inventory:{problem.name}", "title": problem.title, "status": problem.status}
    return Response(
        orjson.dumps({**document, **problem.members}), problem.status, media_type="application/problem+json"
    )


async def _run(told: argparse.Namespace) -> None:
    def clock() -> datetime:
        return datetime.now(UTC)

    books = InventoryBooks(told.state, clock=clock, new_id=lambda: uuid.uuid4().hex)
    if told.positions is not None and books.is_empty:
        books.stock(position.model_dump() for position in _positions.validate_json(told.positions.read_bytes()))
    if told.locations is not None:
        books.locate(_locations.validate_json(told.locations.read_bytes()))
    reporter = None
    if told.webhook_url:
        secret = told.webhook_secret_file.read_text().strip()
        reporter = Reporter(
            books,
            told.webhook_url,
            secret,
            clock=clock,
            retry_seconds=told.retry_seconds,
            retry_max_seconds=told.retry_max_seconds,
        )
    faults = Faults() if told.faults else None
    app = _Desk(books, told.token_file.read_text().strip(), reporter, faults).app()
    served = await FaultyServing(app, faults).serve(told.host, told.port)
    announce("inventory", {"port": served.port})
    await run_until_told()
    await served.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="A simulated inventory platform.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port; the ready line says which")
    parser.add_argument("--state", type=Path, required=True, help="the SQLite file that survives the process")
    parser.add_argument("--positions", type=Path, help="shelves to set up when the state is empty (JSON list)")
    parser.add_argument("--locations", type=Path, help="at which facility each location is (JSON object)")
    parser.add_argument("--token-file", type=Path, required=True, help="the bearer token callers must show")
    parser.add_argument("--webhook-url", default="", help="where scans are reported to")
    parser.add_argument("--webhook-secret-file", type=Path, help="the signing secret (whsec_...)")
    parser.add_argument("--retry-seconds", type=float, default=0.2)
    parser.add_argument("--retry-max-seconds", type=float, default=5.0)
    parser.add_argument("--faults", action="store_true", help="open POST /_faults")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    told = parser.parse_args()
    if told.webhook_url and told.webhook_secret_file is None:
        parser.error("--webhook-url needs --webhook-secret-file")
    if told.with_parent:
        live_with_parent()
    asyncio.run(_run(told))


if __name__ == "__main__":
    main()
