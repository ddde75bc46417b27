"""The REST interface of the simulated billing system, below ``/api``, for whoever shows the bearer token.

POST /api/accounts/lookup          {number, authority} -> the account: handle, facility, status; never a number in a URL
POST /api/accounts/search          {filter, limit, after} -> {accounts, next} (see ``simulated_search``)
GET  /api/accounts/{handle}        the account, with an ETag
GET  /api/accounts/{handle}/balance   charges, payments, balance, with an ETag
POST /api/accounts/{handle}/payments  {amount}: somebody paid
GET  /api/charge-totals?day=2026-03-02   charges less credits of a service day by facility and plan
POST /api/charges/search           {day, facility, after} -> {charges: [{number, payer, amount}], next}
POST /api/settlements              news of a posting, kept once under its Idempotency-Key -> {number}
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hilum.testing.neighbours.simulated_billing_books import BillingBooks
from hilum.testing.neighbours.simulated_search import BadFilter, Search

_PAGE = 1000


class _Lookup(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: str = Field(min_length=1)
    authority: str


class _Payment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: Decimal = Field(gt=0, decimal_places=2)


class _ChargesAsked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    day: date
    facility: str
    after: str | None = None


class _Settlement(BaseModel):
    source: str
    facility: str
    state: str = Field(pattern="^(posted|refused)$")
    said: str
    amount_usd: Decimal


class BillingRest:
    """The endpoints."""

    def __init__(self, books: BillingBooks, token: str) -> None:
        self._books = books
        self._token = token

    def routes(self) -> list[Route]:
        doors: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("POST", "/api/accounts/lookup", self._lookup),
            ("POST", "/api/accounts/search", self._search),
            ("GET", "/api/accounts/{handle}", self._account),
            ("GET", "/api/accounts/{handle}/balance", self._balance),
            ("POST", "/api/accounts/{handle}/payments", self._pay),
            ("GET", "/api/charge-totals", self._charge_totals),
            ("POST", "/api/charges/search", self._charges_on),
            ("POST", "/api/settlements", self._settle),
        ]
        return [Route(path, self._guarded(door), methods=[method]) for method, path, door in doors]

    def _guarded(self, door: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                return _problem(401, "token", "A valid bearer token is needed")
            try:
                return await door(request)
            except (ValueError, BadFilter):
                return _problem(422, "invalid", "The request does not have the agreed form")

        return guarded

    async def _lookup(self, request: Request) -> Response:
        asked = _Lookup.model_validate_json(await request.body())
        return _one(request, self._books.lookup(asked.number, asked.authority))

    async def _search(self, request: Request) -> Response:
        return _json(self._books.search(Search.model_validate_json(await request.body())))

    async def _account(self, request: Request) -> Response:
        return _one(request, self._books.by_handle(request.path_params["handle"]))

    async def _charge_totals(self, request: Request) -> Response:
        day = date.fromisoformat(request.query_params.get("day", ""))
        return _json({"totals": self._books.charge_totals(f"{day:%Y%m%d}")})

    async def _balance(self, request: Request) -> Response:
        return _one(request, self._books.balance(request.path_params["handle"]))

    async def _pay(self, request: Request) -> Response:
        payment = _Payment.model_validate_json(await request.body())
        if not self._books.pay(request.path_params["handle"], payment.amount):
            return _problem(404, "no-such-account", "There is no such account")
        return Response(status_code=204)

    async def _charges_on(self, request: Request) -> Response:
        asked = _ChargesAsked.model_validate_json(await request.body())
        after = int(asked.after) if asked.after is not None else 0
        rows = self._books.charges_on(f"{asked.day:%Y%m%d}", asked.facility, after, _PAGE + 1)
        told = [{"number": r["usage_id"], "payer": r["payer"], "amount": r["amount"]} for r in rows[:_PAGE]]
        return _json({"charges": told, "next": str(rows[_PAGE - 1]["number"]) if len(rows) > _PAGE else None})

    async def _settle(self, request: Request) -> Response:
        note = _Settlement.model_validate_json(await request.body())
        key = request.headers.get("idempotency-key", "")
        if not key:
            return _problem(400, "key", "An Idempotency-Key is needed")
        return _json({"number": self._books.settle(key, note.model_dump())})


def _one(request: Request, found: dict[str, Any] | None) -> Response:
    if found is None:
        return _problem(404, "no-such-account", "There is no such account")
    answer = _json(found)
    tag = f'"{hashlib.sha256(bytes(answer.body)).hexdigest()[:16]}"'
    if request.method == "GET" and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    answer.headers["etag"] = tag
    return answer


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _problem(status: int, name: str, title: str) -> Response:
    document = {"type": f"urn:simulated:billing:{name}", "title": title, "status": status}
    return Response(orjson.dumps(document), status, media_type="application/problem+json")
