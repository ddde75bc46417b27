"""The routes of the documents. Each asks a policy, like every other route: an estate may close its documents."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from hilum.authoring.estate import Estate
from hilum.gateway.documents.reading import described, example_of, kind_of, rows_of
from hilum.governance.api_problems import PROBLEM_TYPES
from hilum.governance.asyncapi import asyncapi
from hilum.governance.openapi import openapi, published_operations
from hilum.security.decisions import Resource

DOCUMENT = "Document"
"""The resource type that policies speak of: ``permit(principal, action == read, resource is Hilum::Document)``."""

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}

Admit = Callable[[Request, Resource], Awaitable[None]]
"""Asks the policies whether the caller may read a document; raises HTTPException 401 or 403 when not."""


def document_routes(estate: Estate, admit: Admit, *, server_url: str = "/") -> list[Route | Mount]:
    """Routes for ``/docs``, ``/openapi.json``, ``/asyncapi.json``, ``/<api>/v<n>/openapi.json`` and ``/problems/<kind>``.

    The documents are made once, here: an estate does not change while a process runs it.
    """
    pages = _Documents(estate, admit, server_url)
    return [
        Route("/docs", pages.index, name="docs"),
        Route("/docs/events", pages.events),
        Route("/docs/problems", pages.problems),
        Mount("/docs/static", StaticFiles(directory=Path(__file__).parent / "static")),
        Route("/docs/{api}/v{version:int}", pages.api),
        Route("/problems/{kind}", pages.problem),
        Route("/openapi.json", pages.whole),
        Route("/asyncapi.json", pages.asyncapi),
        Route("/{api}/v{version:int}/openapi.json", pages.one),
    ]


class _Documents:
    def __init__(self, estate: Estate, admit: Admit, server_url: str) -> None:
        self._estate = estate
        self._admit = admit
        self._templates = _templates()
        published = sorted({(o.api.name, o.version) for o in published_operations(estate)})
        self._versions = {
            place: openapi(estate, api=place[0], version=place[1], server_url=server_url) for place in published
        }
        self._whole = openapi(estate, server_url=server_url) if published else None
        self._asyncapi = asyncapi(estate)

    async def whole(self, request: Request) -> Response:
        await self._admit(request, Resource(DOCUMENT, "openapi"))
        if self._whole is None:
            raise HTTPException(404, "nothing is published yet")
        return _json(self._whole, "application/vnd.oai.openapi+json")

    async def one(self, request: Request) -> Response:
        return _json(await self._version(request), "application/vnd.oai.openapi+json")

    async def asyncapi(self, request: Request) -> Response:
        await self._admit(request, Resource(DOCUMENT, "asyncapi"))
        return _json(self._asyncapi, "application/vnd.aai.asyncapi+json")

    async def index(self, request: Request) -> Response:
        await self._admit(request, Resource(DOCUMENT, "docs"))
        layers: dict[str, list[Any]] = {"experience": [], "process": [], "system": []}
        for name, version in self._versions:
            spec = self._estate.api_specs[name]
            count = sum(len(path) for path in self._versions[name, version]["paths"].values())
            layers[spec.layer].append((spec, version, spec.versions[version], count))
        return self._page("index.html", here="apis", layers=layers)

    async def api(self, request: Request) -> Response:
        document = await self._version(request)
        name, version = request.path_params["api"], request.path_params["version"]
        spec = self._estate.api_specs[name]
        return self._page(
            "api.html", here="apis", spec=spec, version=version, life=spec.versions[version], document=document,
            operations=described(document),
        )  # fmt: skip

    async def events(self, request: Request) -> Response:
        await self._admit(request, Resource(DOCUMENT, "asyncapi"))
        return self._page("events.html", here="events", document=self._asyncapi)

    async def problems(self, request: Request) -> Response:
        await self._admit(request, Resource(DOCUMENT, "problems"))
        return self._page("problems.html", here="problems", problems=list(PROBLEM_TYPES.values()))

    async def problem(self, request: Request) -> Response:
        await self._admit(request, Resource(DOCUMENT, "problems"))
        found = PROBLEM_TYPES.get(request.path_params["kind"])
        if found is None:
            raise HTTPException(404, "there is no such problem")
        return self._page("problems.html", here="problems", problems=[found])

    async def _version(self, request: Request) -> dict[str, Any]:
        place = (request.path_params["api"], request.path_params["version"])
        # Asked also about what does not exist, so that the answer does not tell who is refused what there is.
        await self._admit(request, Resource(DOCUMENT, f"{place[0]}/v{place[1]}"))
        document = self._versions.get(place)
        if document is None:
            raise HTTPException(404, "nothing is published here")
        return document

    def _page(self, template: str, **values: Any) -> HTMLResponse:
        text = self._templates.get_template(template).render(estate=self._estate, **values)
        return HTMLResponse(text, headers=HEADERS)


def _json(document: Mapping[str, Any], media_type: str) -> Response:
    return Response(orjson.dumps(document, option=orjson.OPT_INDENT_2), media_type=media_type, headers=HEADERS)


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("hilum.gateway.documents", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        rows=rows_of,
        kind=kind_of,
        example=example_of,
        pretty=lambda value: orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(),
        anchor=lambda text: re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-"),
    )
    return environment
