"""Tryton's REST API, spoken to asynchronously, with every failure told as Unavailable or ErpRefused.

The REST API and not JSON-RPC, because its keys do not expire, are not locked out by somebody's wrong passwords, and may
post at any time: a JSON-RPC session must be five minutes fresh for ``account.move.post`` (``fresh_session``).
"""

from __future__ import annotations

import asyncio
import html
import json
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx2

from hilum.authoring.failures import ErpRefused, Throttled, Unavailable
from hilum.connectors.tryton import wire
from hilum.connectors.vendor_answers import wait_seconds
from hilum.security.egress_http import why_refused

Record = dict[str, Any]
Domain = Sequence[Any]

_LOCKED = re.compile(r"could not obtain lock|deadlock detected|could not serialize|database is locked")
_PAGE = 500
_AWAY = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class TrytonRest:
    """Models, records and buttons of one database, as the user the key belongs to.

    ``context`` is sent with every request (``company``). When another transaction holds a row (a number series, most often)
    a request is repeated up to ``lock_attempts`` times, after a random pause from ``rng``: the server has rolled it back.
    """

    def __init__(
        self,
        base_url: str,
        database: str,
        key: str,
        *,
        system: str,
        timeout_seconds: float,
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        lock_attempts: int = 6,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.context: dict[str, Any] = {}
        self._system = system
        self._database = database
        self._timeout_seconds = timeout_seconds
        self._rng = rng
        self._sleep = sleep
        self._lock_attempts = lock_attempts
        self._client = httpx2.AsyncClient(
            base_url=f"{base_url.rstrip('/')}/{database}/rest/model/",
            # Without gzip among them, trytond 8.2 says of longer answers that they are gzip when they are not.
            headers={"Authorization": f"Bearer {key}", "Accept-Encoding": "gzip", "Accept-Language": "en"},
            timeout=httpx2.Timeout(timeout_seconds, connect=min(timeout_seconds, 5.0)),
            transport=transport,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def search(
        self,
        model: str,
        domain: Domain,
        fields: Sequence[str],
        *,
        limit: int | None = None,
        **context: Any,
    ) -> list[Record]:
        """All matching records, or the first ``limit``, by ascending id."""
        found: list[Record] = []
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            parameters = [
                ("d", wire.url_safe(domain)),
                ("o", wire.url_safe([["id", "ASC"]])),
                ("s", str(size)),
                ("p", str(len(found))),
            ]
            page = await self._ask("GET", model, fields, parameters=parameters, context=context)
            found += page
            if len(page) < size:
                break
        return found

    async def create(self, model: str, values: Mapping[str, Any], fields: Sequence[str]) -> Record:
        made: Record = await self._ask("POST", model, fields, body=values)
        return made

    async def write(self, model: str, record: int, values: Mapping[str, Any], fields: Sequence[str]) -> Record:
        """Change a record; ErpRefused when it is gone."""
        after: Record = await self._ask("PUT", f"{model}/{record}", fields, body=values)
        return after

    async def press(self, model: str, record: int, button: str, fields: Sequence[str]) -> Record:
        """Press a button of a record, as a person would; warnings that only want a confirmation are confirmed."""
        after: Record = await self._ask(
            "POST", f"{model}/{record}/{button}", fields, body={}, context={"_skip_warnings": True}
        )
        return after

    async def delete(self, model: str, record: int) -> None:
        await self._ask("DELETE", f"{model}/{record}", ())

    async def definitions(self, model: str) -> dict[str, Any]:
        """The fields of a model as the ERP defines them: type, relation, selection, required. Changes nothing."""
        found: dict[str, Any] = await self._ask("POST", f"{model}/fields_get", (), body={})
        return found

    # -- inside

    async def _ask(
        self,
        method: str,
        path: str,
        fields: Sequence[str],
        *,
        parameters: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Any:
        """One request and its answer; repeated while somebody else holds a lock."""
        attempt = 1
        while True:
            answer = await self._exchange(method, path, fields, parameters, body, context)
            if answer.is_success:
                return self._content(answer)
            if not _locked(answer) or attempt >= self._lock_attempts:
                raise self._failure(answer, f"{method} {_without_numbers(path)}")
            longest = min(0.1 * 2.0**attempt, 1.5)
            await self._sleep(self._rng.uniform(longest / 4, longest))
            attempt += 1

    async def _exchange(
        self,
        method: str,
        path: str,
        fields: Sequence[str],
        parameters: Sequence[tuple[str, str]],
        body: Mapping[str, Any] | None,
        context: Mapping[str, Any] | None,
    ) -> httpx2.Response:
        headers = {"X-Tryton-Context": wire.url_safe({**self.context, **(context or {})})}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = wire.dumps(body)
        try:
            return await self._client.request(
                method,
                path,
                params=[*parameters, *(("f", field) for field in fields)],
                content=content,
                headers=headers,
            )
        except httpx2.TimeoutException:
            raise Unavailable(self._system, f"no answer within {self._timeout_seconds:g} s") from None
        except httpx2.ConnectError as error:
            raise Unavailable(self._system, why_refused(error) or "the connection was refused") from None
        except (httpx2.TransportError, httpx2.DecodingError) as broken:
            raise Unavailable(
                self._system, f"the connection broke before the answer ({type(broken).__name__})"
            ) from None

    def _content(self, answer: httpx2.Response) -> Any:
        if answer.status_code == HTTPStatus.NO_CONTENT:
            return {}
        try:
            return wire.loads(answer.content)
        except json.JSONDecodeError:
            raise Unavailable(
                self._system, "it answered with something else than JSON; is another server there?"
            ) from None

    def _failure(self, answer: httpx2.Response, asked: str) -> Exception:
        """What an unsuccessful answer means: the ERP said no, or time must pass."""
        status = answer.status_code
        if status == HTTPStatus.BAD_REQUEST:
            return ErpRefused(*_reason(answer))
        if status == HTTPStatus.FORBIDDEN:
            return ErpRefused("the platform's ERP user lacks a right, or the document's state forbids it", asked)
        if status == HTTPStatus.UNAUTHORIZED:
            return Unavailable(
                self._system,
                "the API key is not accepted: have the ERP's administrator validate a key for the platform's user and "
                "put it where the system's `credentials` point",
            )
        if status == HTTPStatus.NOT_FOUND and asked.startswith("GET"):
            return Unavailable(self._system, f"there is no database {self._database!r} at this address")
        if status in _AWAY:
            kind = Throttled if status == HTTPStatus.TOO_MANY_REQUESTS else Unavailable
            return kind(self._system, f"HTTP {status}: {_first_words(answer)}", wait_seconds(answer.headers))
        # The server broke on this one request. A person sees it, and everybody else's work goes on.
        return ErpRefused(f"the ERP failed with HTTP {status}", f"{asked}: {_first_words(answer)}")


def _locked(answer: httpx2.Response) -> bool:
    return answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and bool(_LOCKED.search(html.unescape(answer.text)))


def _reason(answer: httpx2.Response) -> tuple[str, str]:
    """The ERP's message, which is what one decision fixes, and its longer description."""
    try:
        said = wire.loads(answer.content)
        return str(said["message"]), str(said.get("description", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _first_words(answer), ""


def _first_words(answer: httpx2.Response) -> str:
    """The message inside an HTML error page, in one line."""
    paragraph = re.search(r"<p>(.*?)</p>", answer.text, re.DOTALL)
    text = html.unescape(paragraph.group(1) if paragraph else answer.reason_phrase)
    return " ".join(text.split())[:200]


def _without_numbers(path: str) -> str:
    # One cause, one work item: a record's number would make every case its own.
    return re.sub(r"/\d+", "/...", path)
