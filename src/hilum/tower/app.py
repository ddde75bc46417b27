"""The page as an ASGI application: overview, work queue, trace, sign-in, health and metrics.

Every page asks who is looking and what the policies let them see. ``/health`` and ``/metrics`` are for programs of this
machine: they ask nobody, hold counts and names of systems only, and are not there for anyone beyond the loopback address.

Search terms may be protected (an account number), so they travel in the body of a POST and never in an address; what
is addressed is a case, an event or a message by our own number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

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

from hilum.audit.access import Tokens
from hilum.audit.lineage import search
from hilum.audit.thread import Found
from hilum.audit.thread_access import items_access, thread_access
from hilum.audit.unsealing import Opens
from hilum.authoring.caller import STATED_PURPOSES
from hilum.authoring.estate import Estate
from hilum.model.where import NOTHING
from hilum.runtime import work_items
from hilum.runtime.break_glass import BreakGlassRefused
from hilum.runtime.overview import Overview, read_overview
from hilum.runtime.thread_places import addresses_in, facilities_of, only_readable, threads_at
from hilum.runtime.work_queue import QueueItem, QueueLine, QueueTotals, list_items, read_item
from hilum.security.decisions import Resource
from hilum.security.identity.refusals import IdentityAway
from hilum.security.identity.relying_party import SignInFailed
from hilum.tower.close_pages import ClosePages
from hilum.tower.forms import needed, read_form
from hilum.tower.metrics import exposition
from hilum.tower.people import CALLBACK, FormRefused, NotAllowed, NotSignedIn, People, Visitor, peer
from hilum.tower.picture import picture_of
from hilum.tower.purposes import PurposePages
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

_FRESH_SECONDS = 0.5
_SHARE = 20  # A reading is used for twenty times as long as it took, so that watching costs a twentieth at most.

_EMPTY_HINT = "Try a usage id, an account, order, journal or charge number, a device, or an address such as m/1/7."


def tower_app(
    pool: asyncpg.Pool,
    estate: Estate,
    clock: Callable[[], datetime],
    registry: CollectorRegistry | None = None,
    *,
    people: People,
    tokens: Tokens | None = None,
    protection: Opens | None = None,
) -> Starlette:
    """The application. ``people`` says who looks and what they may; ``registry`` holds what its process counts itself; it is added to ``/metrics``.

    Without ``protection`` what is sealed is shown as sealed, and nothing is found by an account.
    """
    tower = _Tower(pool, estate, clock, registry, people, tokens, protection)
    static = StaticFiles(directory=Path(__file__).parent / "static")
    return Starlette(
        routes=[
            Route("/", tower.overview),
            Route("/queue", tower.queue),
            Route("/queue/{item:int}", tower.item),
            Route("/queue/{item:int}/release", tower.release, methods=["POST"]),
            Route("/queue/{item:int}/skip", tower.skip, methods=["POST"]),
            Route("/trace", tower.ask, methods=["GET"]),
            Route("/trace", tower.search, methods=["POST"]),
            Route("/trace/{address:path}", tower.thread),
            *ClosePages(pool, estate, people, tower.page, clock=clock).routes,
            *PurposePages(pool, estate, people, tower.page, clock=clock).routes,
            Route("/sign-in", tower.sign_in),
            Route(CALLBACK, tower.arrive),
            Route("/sign-out", tower.sign_out, methods=["POST"]),
            Route("/signed-out", tower.signed_out),
            Route("/health", tower.health),
            Route("/metrics", tower.metrics),
            Mount("/static", static),
        ],
        middleware=[Middleware(_Headers)],
        exception_handlers={
            HTTPException: tower.problem,
            NotSignedIn: tower.to_sign_in,
            NotAllowed: tower.not_allowed,
            FormRefused: tower.foreign_form,
            SignInFailed: tower.sign_in_failed,
            IdentityAway: tower.provider_away,
            work_items.NotOpen: tower.not_open,
            BreakGlassRefused: tower.glass_refused,
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
        people: People,
        tokens: Tokens | None,
        protection: Opens | None,
    ) -> None:
        self._people = people
        self._protection = protection
        self._tokens = tokens
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
        visitor = await self._people.allow(request, "read", Resource("Dashboard", "overview"))
        seen = await self._overview()
        # The reading is one for all who look at this moment; of its work items each sees those of their queues.
        shown = self._people.policy.where(visitor.caller, "list", "WorkItem")
        queue = [line for line in seen.queue if shown.matches({"queue": line.queue})]
        return self.page("overview.html", "overview", visitor, seen=seen, queue=queue, refresh=REFRESH_SECONDS)

    async def queue(self, request: Request) -> Response:
        visitor = await self._people.visitor(request)
        where = self._people.policy.where(visitor.caller, "list", "WorkItem")
        if where == NOTHING:
            await self._people.allow(request, "list", Resource("WorkItem"), visitor=visitor)
        closed = request.query_params.get("show") == "all"
        async with self._pool.acquire() as connection:
            lines = await list_items(connection, now=self._clock(), closed=closed, limit=500, where=where)
        await self._people.use_grant(visitor, "tower.queue", "WorkItem")
        shown = [line.id for line in lines]
        await self._people.access.record(items_access(visitor.caller, "tower.queue", shown, peer=peer(request)))
        totals = QueueTotals.of_lines(line for line in lines if line.state == work_items.OPEN)
        return self.page("queue.html", "queue", visitor, lines=lines, closed=closed, totals=totals)

    async def item(self, request: Request) -> Response:
        visitor = await self._people.visitor(request)
        found = await self._item(request.path_params["item"])
        about = _work_item(found.line)
        await self._people.allow(request, "read", about, visitor=visitor)
        await self._people.use_grant(visitor, "tower.item", f"w/{found.line.id}")
        await self._people.access.record(
            items_access(visitor.caller, "tower.item", [found.line.id], peer=peer(request))
        )
        may_release = found.line.state == work_items.OPEN and self._people.may(visitor, "release", about)
        return self.page("item.html", "queue", visitor, item=found, line=found.line, may_release=may_release)

    async def release(self, request: Request) -> Response:
        """Let all that waits in an item go on, or one case of it."""
        visitor, number, sent = await self._decision(request)
        async with self._pool.acquire() as connection, connection.transaction():
            await work_items.release(
                connection, number, now=self._clock(), actor=visitor.caller.actor, subject=sent.get("case")
            )
        return RedirectResponse(f"/queue/{number}", 303)

    async def skip(self, request: Request) -> Response:
        """Decide that what waits shall have no effect."""
        visitor, number, sent = await self._decision(request)
        reason = sent.get("reason")
        if reason is None:
            raise HTTPException(400, "A skip needs a reason: it is what an auditor reads.")
        async with self._pool.acquire() as connection, connection.transaction():
            await work_items.skip(
                connection,
                number,
                now=self._clock(),
                actor=visitor.caller.actor,
                reason=reason,
                subject=sent.get("case"),
            )
        return RedirectResponse(f"/queue/{number}", 303)

    async def _decision(self, request: Request) -> tuple[Visitor, int, dict[str, str]]:
        """Who decides about which item, with what the form says: our form, and allowed by the policies."""
        visitor = await self._people.visitor(request)
        sent = await read_form(request)
        self._people.refuse_foreign_form(request, visitor, sent.get("form"))
        found = await self._item(request.path_params["item"])
        await self._people.allow(request, "release", _work_item(found.line), visitor=visitor)
        return visitor, found.line.id, sent

    async def _item(self, number: int) -> QueueItem:
        found = None
        if number < 2**63:
            async with self._pool.acquire() as connection:
                found = await read_item(connection, number, now=self._clock(), most_waiting=200)
        if found is None:
            raise HTTPException(404, f"There is no work item {number}.")
        return found

    async def ask(self, request: Request) -> Response:
        visitor = await self._people.visitor(request)
        return self.page("search.html", "trace", visitor, found=None, hint=_EMPTY_HINT)

    async def search(self, request: Request) -> Response:
        visitor = await self._people.visitor(request)
        await self._allow_search(request, visitor)
        key = needed(await read_form(request), "key", "Say what to look for.")
        found = await self._only_readable(visitor, await self._search(key))
        await self._record(request, visitor, "tower.search", key, found)
        if len(found.threads) == 1:
            return RedirectResponse(f"/trace/{quote(found.threads[0].address)}", status_code=303)
        return self.page("search.html", "trace", visitor, found=found, hint=_EMPTY_HINT)

    async def thread(self, request: Request) -> Response:
        visitor = await self._people.visitor(request)
        address: str = request.path_params["address"]
        if not address.startswith(("c/", "e/", "m/", "d/", "w/", "r/", "f/")):
            raise HTTPException(
                404, "This is no address. Use the search: what you look for then stays out of the address line."
            )
        found = await self._search(address)
        if len(found.threads) != 1:
            await self._allow_search(request, visitor)
            if not found.total:
                raise HTTPException(404, "Nothing is known at this address, or it is past its retention.")
            found = await self._only_readable(visitor, found)
            await self._record(request, visitor, "tower.search", address, found)
            return self.page("search.html", "trace", visitor, found=found, hint=_EMPTY_HINT)
        async with self._pool.acquire() as connection:
            about = threads_at(await facilities_of(connection, addresses_in(found)), found.threads[0].address)
        for thread_there in about:
            await self._people.allow(request, "read", thread_there, visitor=visitor)
        shows_phi = all(self._people.sees_phi(visitor, thread_there) for thread_there in about)
        if shows_phi:
            found = await self._search(address, show_phi=True)
        await self._record(request, visitor, "tower.thread", address, found, phi_shown=shows_phi)
        thread = found.threads[0]
        return self.page(
            "thread.html", "trace", visitor, thread=thread, picture=picture_of(thread), shows_phi=shows_phi
        )

    async def _allow_search(self, request: Request, visitor: Visitor) -> None:
        """Whether they may search at all, if only at the facility that their grant is for; what is found is asked about anew."""
        about = Resource("Thread")
        if visitor.grant is not None and not self._people.may(visitor, "search", about):
            about = Resource("Thread", "", {"facility": visitor.grant.facility})
        await self._people.allow(request, "search", about, visitor=visitor)

    async def _only_readable(self, visitor: Visitor, found: Found) -> Found:
        async with self._pool.acquire() as connection:
            places = await facilities_of(connection, addresses_in(found))
        return only_readable(found, places, lambda about: self._people.may(visitor, "read", about))

    async def _record(
        self, request: Request, visitor: Visitor, operation: str, key: str, found: Found, *, phi_shown: bool = False
    ) -> None:
        looked_at = found.threads[0].address if len(found.threads) == 1 else "Thread"
        await self._people.use_grant(visitor, operation, looked_at)
        access = thread_access(
            visitor.caller, operation, key, found, tokens=self._tokens, phi_shown=phi_shown, peer=peer(request)
        )
        await self._people.access.record(access)

    # --- signing in and out

    async def sign_in(self, request: Request) -> Response:
        return await self._people.sign_in(request)

    async def arrive(self, request: Request) -> Response:
        to, cookie = await self._people.arrive(request)
        return self._people.welcome(self.page("signed_in.html", "", refresh=0, to=to), cookie)

    async def sign_out(self, request: Request) -> Response:
        visitor = await self._people.visitor(request)
        self._people.refuse_foreign_form(request, visitor, (await read_form(request)).get("form"))
        elsewhere = await self._people.sign_out(request)
        return self._people.forget(self.page("signed_out.html", "", elsewhere=elsewhere))

    async def signed_out(self, request: Request) -> Response:
        return self.page("signed_out.html", "", elsewhere=None)

    async def to_sign_in(self, request: Request, error: Exception) -> Response:
        """A page leads to the sign-in and back; anything else is told that nobody is signed in."""
        if request.method in ("GET", "HEAD"):
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/sign-in?{urlencode({'to': here})}", 303)
        return self._problem_page(401, "Nobody is signed in", "Your session is over. Sign in and do it again.")

    async def not_allowed(self, request: Request, error: Exception) -> Response:
        sentence = "The policies do not let you see or do this. Whoever gives you your roles can change that; the refusal is recorded."
        return await self._told(request, 403, "Not for you", sentence)

    async def foreign_form(self, request: Request, error: Exception) -> Response:
        sentence = "This form was not of this session. Open the page again and repeat it."
        return await self._told(request, 403, "Not done", sentence)

    async def sign_in_failed(self, request: Request, error: Exception) -> Response:
        log.warning("a sign-in failed: %s", error)
        return self._problem_page(400, "Not signed in", str(error))

    async def provider_away(self, request: Request, error: Exception) -> Response:
        log.warning("nobody can sign in: %s", error)
        return self._problem_page(503, "No answer", "Where people sign in does not answer now. Try again in a moment.")

    async def not_open(self, request: Request, error: Exception) -> Response:
        return await self._told(request, 409, "Decided already", str(error))

    async def glass_refused(self, request: Request, error: Exception) -> Response:
        return await self._told(request, 409, "Not done", f"{str(error)[:1].upper()}{str(error)[1:]}.")

    async def health(self, request: Request) -> Response:
        """200 while the database answers and a worker runs; 503 otherwise."""
        _refuse_beyond_loopback(request)
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
        _refuse_beyond_loopback(request)
        text = exposition(await self._overview(), self._registry)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def problem(self, request: Request, error: Exception) -> Response:
        """What was asked for cannot be shown; the sentence says why."""
        assert isinstance(error, HTTPException)
        if request.url.path in ("/health", "/metrics"):
            return JSONResponse({"problem": error.detail}, error.status_code, headers=error.headers)
        title = {404: "Not here", 400: "Not understood"}.get(error.status_code, "Not possible")
        sentence = error.detail if error.detail != "Not Found" else "There is no page at this address."
        return await self._told(request, error.status_code, title, sentence, headers=error.headers)

    async def away(self, request: Request, error: Exception) -> Response:
        """The database does not answer: nothing is lost, but nothing can be shown."""
        log.warning("the page could not be read from the database: %s", type(error).__name__)
        self._seen = None
        if request.url.path == "/health":
            return JSONResponse({"verdict": "broken", "database": False}, 503)
        sentence = "The database does not answer. What arrives meanwhile is not acknowledged, so its senders keep it."
        return self._problem_page(503, "No answer", sentence)

    async def broken(self, request: Request, error: Exception) -> Response:
        sentence = "The page has a defect. It is in the log; the platform itself goes on."
        return self._problem_page(500, "A defect", sentence)

    async def _told(
        self, request: Request, status: int, title: str, sentence: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        """A sentence, on a page that still shows who is signed in."""
        try:
            visitor: Visitor | None = await self._people.visitor(request)
        except NotSignedIn:
            visitor = None
        return self.page("problem.html", "", visitor, status=status, title=title, sentence=sentence, headers=headers)

    def _problem_page(self, status: int, title: str, sentence: str) -> Response:
        return self.page("problem.html", "", status=status, title=title, sentence=sentence)

    async def _search(self, key: str, *, show_phi: bool = False) -> Found:
        async with self._pool.acquire() as connection:
            return await search(connection, key, estate=self._estate, protection=self._protection, show_phi=show_phi)

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

    def page(
        self,
        template: str,
        here: str,
        visitor: Visitor | None = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        now = self._clock()
        text = self._templates.get_template(template).render(
            here=here, estate=self._estate, names=self._names, now=now, since=lambda at: since(at, now), until=lambda at: until(at, now),
            visitor=visitor, purposes=STATED_PURPOSES, **({"refresh": None, "to": None} | values),
        )  # fmt: skip
        return HTMLResponse(text, status, headers=headers)


def _work_item(line: QueueLine) -> Resource:
    """An item as policies see it."""
    return Resource("WorkItem", str(line.id), {"queue": line.queue})


def _refuse_beyond_loopback(request: Request) -> None:
    """404 for another machine: what is for programs here is not there for others."""
    host = request.client.host if request.client is not None else ""
    try:
        inside = ip_address(host).is_loopback
    except ValueError:
        inside = False
    if not inside:
        raise HTTPException(404, "Not Found")
