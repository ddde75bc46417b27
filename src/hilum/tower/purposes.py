"""Why somebody looks at the page: the purpose they choose, and the glass they break when no purpose of theirs is enough.

A grant is asked for, ended and reviewed as oneself, never by what a grant opens. Whoever had it does not review it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import asyncpg
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hilum.audit.access import SEARCH, Access
from hilum.authoring.caller import STATED_PURPOSES
from hilum.authoring.estate import Estate
from hilum.runtime import break_glass
from hilum.runtime.approvals import Names
from hilum.runtime.break_glass import BreakGlassRefused, Grant
from hilum.security.decisions import Resource
from hilum.tower.forms import MOST_OF_PROSE_BYTES, needed, read_form
from hilum.tower.people import People, Visitor, peer, within

PLACE = "/break-glass"
_MOST_WAITING = 500


class Page(Protocol):
    """Makes a page of a template (``tower.app``)."""

    def __call__(self, template: str, here: str, visitor: Visitor | None = None, **values: Any) -> Response: ...


class PurposePages:
    """The handlers of ``/purpose`` and ``/break-glass``."""

    def __init__(
        self, pool: asyncpg.Pool, estate: Estate, people: People, page: Page, *, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._people = people
        self._page = page
        self._clock = clock
        self._names = Names(estate)
        self.routes = (
            Route("/purpose", self.choose, methods=["POST"]),
            Route(PLACE, self.glass, methods=["GET"]),
            Route(PLACE, self.ask, methods=["POST"]),
            Route(PLACE + "/{grant:int}/end", self.end, methods=["POST"]),
            Route(PLACE + "/{grant:int}/review", self.review, methods=["POST"]),
        )

    async def choose(self, request: Request) -> Response:
        """Take down why somebody looks, and go on where they were."""
        _, sent = await self._sent(request)
        known = f"Choose one of {', '.join(STATED_PURPOSES)}. An emergency is not chosen: break the glass for it."
        try:
            await self._people.choose_purpose(request, needed(sent, "purpose", known))
        except ValueError:
            raise HTTPException(400, known) from None
        return RedirectResponse(within(sent.get("to")), 303)

    async def glass(self, request: Request) -> Response:
        """One's grants in force, the form for another, and what waits for one's review."""
        visitor = await self._people.visitor(request)
        oneself = visitor.themselves
        async with self._pool.acquire() as connection:
            held = await break_glass.of_person(connection, oneself.caller.actor, now=self._clock())
            unreviewed = await break_glass.grants(connection, unreviewed=True, limit=_MOST_WAITING)
        waiting = [grant for grant in unreviewed if self._may_review(oneself, grant)]
        facilities = [name for name in self._estate.facilities if self._people.may(oneself, "create", _about(name))]
        if not (held or waiting or facilities):
            await self._people.allow(request, "list", Resource("BreakGlass"), visitor=oneself)
        if waiting:
            subjects = tuple(break_glass.address(grant.id) for grant in waiting)
            looked = Access(
                oneself.caller, SEARCH, "tower.break_glass", "BreakGlass", subjects, found=len(waiting), peer=peer(request)
            )  # fmt: skip
            await self._people.access.record(looked)
        return self._page(
            "glass.html", "glass", visitor, held=held, waiting=waiting, facilities=facilities,
            spec=self._estate.break_glass,
        )  # fmt: skip

    async def ask(self, request: Request) -> Response:
        """Break the glass, where a policy lets this person."""
        oneself, sent = await self._sent(request)
        facility = needed(sent, "facility", "Say for which facility.")
        await self._people.allow(request, "create", _about(facility), visitor=oneself)
        minutes = sent.get("minutes")
        if minutes is not None and not (minutes.isascii() and minutes.isdigit() and len(minutes) < 5):
            raise HTTPException(400, "Minutes are a whole number.")
        async with self._pool.acquire() as connection, connection.transaction():
            await break_glass.ask(
                connection, oneself.caller, facility=facility, policies=self._people.policy, estate=self._estate,
                reason=needed(sent, "reason", "A reason is needed: it is what whoever reviews the grant reads."),
                purpose=needed(sent, "purpose", "Say for which purpose."),
                minutes=None if minutes is None else int(minutes), now=self._clock(),
            )  # fmt: skip
        return RedirectResponse(PLACE, 303)

    async def end(self, request: Request) -> Response:
        """End a grant before its time: one's own, or one that one may review."""
        oneself, _ = await self._sent(request)
        grant = await self._grant(request)
        if grant.person != oneself.caller.actor:
            await self._people.allow(request, "acknowledge", _of(grant), visitor=oneself)
        async with self._pool.acquire() as connection, connection.transaction():
            await break_glass.end(
                connection, grant.id, caller=oneself.caller, policies=self._people.policy, now=self._clock()
            )
        return RedirectResponse(PLACE, 303)

    async def review(self, request: Request) -> Response:
        """Say whether a grant was justified; somebody else than whoever had it."""
        oneself, sent = await self._sent(request)
        grant = await self._grant(request)
        await self._people.allow(request, "acknowledge", _of(grant), visitor=oneself)
        verdict = needed(sent, "verdict", "Say whether it was justified.")
        if verdict not in ("justified", "not-justified"):
            raise HTTPException(400, "It was justified, or it was not.")
        async with self._pool.acquire() as connection, connection.transaction():
            await break_glass.review(
                connection, grant.id, caller=oneself.caller, justified=verdict == "justified",
                finding=needed(sent, "finding", "A review needs a finding: what was looked at, and whether that was right."),
                policies=self._people.policy, names=self._names, now=self._clock(),
            )  # fmt: skip
        return RedirectResponse(PLACE, 303)

    async def _sent(self, request: Request) -> tuple[Visitor, dict[str, str]]:
        """Who sends a form of ours, as themselves, and what it says."""
        visitor = await self._people.visitor(request)
        sent = await read_form(request, most_bytes=MOST_OF_PROSE_BYTES)
        self._people.refuse_foreign_form(request, visitor, sent.get("form"))
        return visitor.themselves, sent

    async def _grant(self, request: Request) -> Grant:
        number = request.path_params["grant"]
        try:
            async with self._pool.acquire() as connection:
                return await break_glass.read(connection, number if number < 2**63 else 0)
        except BreakGlassRefused:
            raise HTTPException(404, f"There is no grant {number}.") from None

    def _may_review(self, oneself: Visitor, grant: Grant) -> bool:
        """Whether to offer it; doing it asks again."""
        had_it = self._names.behind(grant.person) | frozenset(grant.behind)
        return not self._names.behind(oneself.caller.actor) & had_it and self._people.may(
            oneself, "acknowledge", _of(grant)
        )


def _about(facility: str) -> Resource:
    return Resource("BreakGlass", "", {"facility": facility})


def _of(grant: Grant) -> Resource:
    return Resource("BreakGlass", str(grant.id), {"facility": grant.facility, "author": grant.person})
