"""The close at the page: a line for each thing that keeps a period open, a number for each facility, and the list behind each number."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hilum.audit.access import SEARCH, Access
from hilum.authoring.estate import Estate
from hilum.runtime import closing
from hilum.runtime.closing import LINES, Checklist, NoSuchPeriod, Period
from hilum.security.decisions import Resource
from hilum.tower.people import People, Visitor, peer
from hilum.tower.purposes import Page

PLACE = "/close"
_MOST_RECORDS = 500


class ClosePages:
    """The handlers of ``/close``."""

    def __init__(
        self, pool: asyncpg.Pool, estate: Estate, people: People, page: Page, *, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._people = people
        self._page = page
        self._clock = clock
        self.routes = (
            Route(PLACE, self.checklists),
            Route(PLACE + "/{facility}/{line}", self.records),
        )

    async def checklists(self, request: Request) -> Response:
        """Every facility that one may look at, beside each other."""
        visitor = await self._people.visitor(request)
        period = self._period(request)
        facilities = [code for code in self._estate.facilities if self._people.may(visitor, "read", _standing(code))]
        if not facilities:
            await self._people.allow(request, "read", Resource("Dashboard", "close"), visitor=visitor)
        async with self._pool.acquire() as connection:
            found = [await closing.checklist(connection, code, period, now=self._clock()) for code in facilities]
        await self._looked(
            request, visitor, "tower.close", tuple(f"close/{each.facility}" for each in found), len(found)
        )
        rows = [(LINES[name], _of_line(found, name)) for name in LINES]
        return self._page(
            "close.html",
            "close",
            visitor,
            found=found,
            rows=rows,
            period=period,
            before=_before(period),
            after=_after(period),
        )

    async def records(self, request: Request) -> Response:
        """The records behind one number."""
        facility, name = request.path_params["facility"], request.path_params["line"]
        line = LINES.get(name)
        if facility not in self._estate.facilities or line is None:
            raise HTTPException(404, "The close has no such list.")
        visitor = await self._people.allow(request, "list", _about(facility))
        period = self._period(request)
        async with self._pool.acquire() as connection:
            found = await closing.records(
                connection, name, facility, period, now=self._clock(), limit=_MOST_RECORDS + 1
            )
        shown = list(found[:_MOST_RECORDS])
        await self._looked(request, visitor, "tower.close_list", (f"close/{facility}/{name}",), len(shown))
        return self._page(
            "close_list.html", "close", visitor, facility=facility, line=line, period=period, records=shown,
            more=len(found) > _MOST_RECORDS,
        )  # fmt: skip

    def _period(self, request: Request) -> Period:
        named = request.query_params.get("period")
        try:
            if named is not None:
                return Period.named(named)
        except NoSuchPeriod as unclear:
            raise HTTPException(400, f"{unclear}.") from None
        return Period.of(self._clock().astimezone(ZoneInfo(self._estate.time_zone)).date())

    async def _looked(
        self, request: Request, visitor: Visitor, operation: str, subjects: tuple[str, ...], found: int
    ) -> None:
        await self._people.use_grant(visitor, operation, subjects[0] if subjects else "close")
        await self._people.access.record(
            Access(visitor.caller, SEARCH, operation, "Posting", subjects, found=found, peer=peer(request))
        )


def _standing(facility: str) -> Resource:
    """Numbers are for whoever sees how things stand, records for whoever sees postings."""
    return Resource("Dashboard", "close", {"facility": facility})


def _about(facility: str) -> Resource:
    return Resource("Posting", "close", {"facility": facility})


def _of_line(found: list[Checklist], name: str) -> list[closing.LineStanding]:
    return [line for each in found for line in each.lines if line.name == name]


def _before(period: Period) -> str:
    return Period.of(period.first - timedelta(days=1)).name


def _after(period: Period) -> str:
    return Period.of(period.last + timedelta(days=1)).name
