"""The page as an ASGI application: overview, work queue, trace, health and metrics. It only reads.

Search terms may be protected (an account number), so they travel in the body of a POST and never in an address; what
is addressed is a case, an event or a message by our own number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import asyncpg
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hilum.audit.lineage import search
from hilum.audit.thread import Found
from hilum.audit.unsealing import Opens
from hilum.authoring.estate import Estate
from hilum.runtime.overview import Overview, read_overview
from hilum.runtime.work_queue import list_items, read_item
from hilum.tower.metrics import exposition
from hilum.tower.picture import picture_of
from hilum.tower.showing import since, templates, until

log = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
REFRESH_SECONDS = 5

_MOST_FORM_BYTES = 4096
_FRESH_SECONDS = 0.5
_SHARE = 20  # A reading is used for twenty times as long as it took, so that watching costs a twentieth at most.

_EMPTY_HINT = "Try a usage id, an account, order, journal or charge number, a device, or an address such as m/1/7."


def tower_app(
    pool: asyncpg.Pool,
    estate: Estate,
    clock: Callable[[], datetime],
    registry: CollectorRegistry | None = None,
    *,
    protection: Opens | None = None,
) -> Starlette:
    """The application. ``registry`` holds what its process counts itself; it is added to ``/metrics``.

    Without ``protection`` what is sealed is shown as sealed, and nothing is found by an account.
    """
    tower = _Tower(pool, estate, clock, registry, protection)
    static = StaticFiles(directory=Path(__file__).parent / "static")
    return Starlette(
        routes=[
            Route("/", tower.overview),
            Route("/queue", tower.queue),
            Route("/queue/{item:int}", tower.item),
            Route("/trace", tower.ask, methods=["GET"]),
            Route("/trace", tower.search, methods=["POST"]),
            Route("/trace/{address:path}", tower.thread),
            Route("/health", tower.health),
            Route("/metrics", tower.metrics),
            Mount("/static", static),
        ],
        middleware=[Middleware(_Headers)],
        exception_handlers={
            HTTPException: tower.problem,
            asyncpg.PostgresError: tower.away,
            asyncpg.InterfaceError: tower.away,
            OSError: tower.away,
            500: tower.broken,
        },
    )


class _Headers:
    """Adds the headers that keep a page from loading, sending or being framed by anything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if not scope["path"].startswith("/static/"):
                    headers["cache-control"] = "no-store"
            await send(message)

        await self._app(scope, receive, sending if scope["type"] == "http" else send)


class _Tower:
    """The handlers and what they share."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        estate: Estate,
        clock: Callable[[], datetime],
        registry: CollectorRegistry | None,
        protection: Opens | None,
    ) -> None:
        self._protection = protection
        self._pool = pool
        self._estate = estate
        self._clock = clock
        self._registry = registry
        self._templates = templates(estate.time_zone)
        self._names = {name: spec.title if spec.title else name for name, spec in estate.systems.items()}
        self._reading = asyncio.Lock()
        self._seen: Overview | None = None
        self._good_until = 0.0

    async def overview(self, request: Request) -> Response:
        return self._page("overview.html", "overview", seen=await self._overview(), refresh=REFRESH_SECONDS)

    async def queue(self, request: Request) -> Response:
        closed = request.query_params.get("show") == "all"
        async with self._pool.acquire() as connection:
            lines = await list_items(connection, now=self._clock(), closed=closed, limit=500)
        return self._page("queue.html", "queue", lines=lines, closed=closed, totals=(await self._overview()).totals)

    async def item(self, request: Request) -> Response:
        number: int = request.path_params["item"]
        found = None
        if number < 2**63:
            async with self._pool.acquire() as connection:
                found = await read_item(connection, number, now=self._clock(), most_waiting=200)
        if found is None:
            raise HTTPException(404, f"There is no work item {number}.")
        return self._page("item.html", "queue", item=found, line=found.line)

    async def ask(self, request: Request) -> Response:
        return self._page("search.html", "trace", found=None, hint=_EMPTY_HINT)

    async def search(self, request: Request) -> Response:
        key = await _form_field(request, "key")
        if key is None:
            raise HTTPException(400, "Say what to look for.")
        found = await self._search(key)
        if len(found.threads) == 1:
            return RedirectResponse(f"/trace/{quote(found.threads[0].address)}", status_code=303)
        return self._page("search.html", "trace", found=found, hint=_EMPTY_HINT)

    async def thread(self, request: Request) -> Response:
        address: str = request.path_params["address"]
        if not address.startswith(("c/", "e/", "m/", "d/", "w/", "r/", "f/")):
            raise HTTPException(
                404, "This is no address. Use the search: what you look for then stays out of the address line."
            )
        found = await self._search(address)
        if not found.total:
            raise HTTPException(404, "Nothing is known at this address, or it is past its retention.")
        if len(found.threads) != 1:
            return self._page("search.html", "trace", found=found, hint=_EMPTY_HINT)
        thread = found.threads[0]
        return self._page("thread.html", "trace", thread=thread, picture=picture_of(thread))

    async def health(self, request: Request) -> Response:
        """200 while the database answers and a worker runs; 503 otherwise."""
        seen = await self._overview()
        running = sum(e.state == "running" for e in seen.executors)
        document = {
            "verdict": seen.verdict,
            "database": True,
            "executors_running": running,
            "audit_pending": seen.audit.pending,
        }
        return JSONResponse(document, 200 if running else 503)

    async def metrics(self, request: Request) -> Response:
        text = exposition(await self._overview(), self._registry)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def problem(self, request: Request, error: Exception) -> Response:
        """What was asked for cannot be shown; the sentence says why."""
        assert isinstance(error, HTTPException)
        if request.url.path in ("/health", "/metrics"):
            return JSONResponse({"problem": error.detail}, error.status_code, headers=error.headers)
        title = {404: "Not here", 400: "Not understood"}.get(error.status_code, "Not possible")
        sentence = error.detail if error.detail != "Not Found" else "There is no page at this address."
        return self._page(
            "problem.html", "", status=error.status_code, title=title, sentence=sentence, headers=error.headers
        )

    async def away(self, request: Request, error: Exception) -> Response:
        """The database does not answer: nothing is lost, but nothing can be shown."""
        log.warning("the page could not be read from the database: %s", type(error).__name__)
        self._seen = None
        if request.url.path == "/health":
            return JSONResponse({"verdict": "broken", "database": False}, 503)
        sentence = "The database does not answer. What arrives meanwhile is not acknowledged, so its senders keep it."
        return self._page("problem.html", "", status=503, title="No answer", sentence=sentence)

    async def broken(self, request: Request, error: Exception) -> Response:
        sentence = "The page has a defect. It is in the log; the platform itself goes on."
        return self._page("problem.html", "", status=500, title="A defect", sentence=sentence)

    async def _search(self, key: str) -> Found:
        async with self._pool.acquire() as connection:
            return await search(connection, key, estate=self._estate, protection=self._protection)

    async def _overview(self) -> Overview:
        """The newest reading, shared by everyone who looks at the same moment."""
        loop = asyncio.get_running_loop()
        async with self._reading:
            if self._seen is None or loop.time() >= self._good_until:
                begun = loop.time()
                async with self._pool.acquire() as connection:
                    self._seen = await read_overview(connection, self._estate, self._clock)
                self._good_until = loop.time() + max(_FRESH_SECONDS, _SHARE * (loop.time() - begun))
            return self._seen

    def _page(
        self, template: str, here: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> HTMLResponse:
        now = self._clock()
        text = self._templates.get_template(template).render(
            here=here, estate=self._estate, names=self._names, now=now, since=lambda at: since(at, now), until=lambda at: until(at, now),
            **({"refresh": None} | values),
        )  # fmt: skip
        return HTMLResponse(text, status, headers=headers)


async def _form_field(request: Request, name: str) -> str | None:
    """One field of a small URL-encoded form; None when it is missing or blank. Larger bodies are refused."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_FORM_BYTES:
            raise HTTPException(413, "That is too long for anything that could be found.")
    values = parse_qs(body.decode(errors="replace")).get(name, [])
    return values[0].strip() if values and values[0].strip() else None
