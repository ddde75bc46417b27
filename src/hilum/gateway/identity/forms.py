"""Parameters of the issuer's endpoints: small, and each at most once (RFC 6749 section 3.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

MOST_BYTES = 16_384
BODY_SECONDS = 10.0
"""For how long a body is waited for: whoever sends one byte and then nothing must not keep a place for ever."""
REPEATABLE = frozenset({"resource"})


class Parameters:
    """What was sent, by name. A parameter without a value counts as not sent."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._all: dict[str, list[str]] = {}
        for name, value in pairs:
            if value:
                self._all.setdefault(name, []).append(value)
        repeated = [name for name, values in self._all.items() if len(values) > 1 and name not in REPEATABLE]
        if repeated:
            raise HTTPException(400, "A parameter was sent more than once.")

    def get(self, name: str) -> str | None:
        values = self._all.get(name)
        return None if values is None else values[0]

    def every(self, name: str) -> tuple[str, ...]:
        return tuple(self._all.get(name, ()))

    def __contains__(self, name: str) -> bool:
        return name in self._all


def query(request: Request) -> Parameters:
    """The parameters of the address."""
    if len(request.url.query) > MOST_BYTES:
        raise HTTPException(414, "The address is too long.")
    return Parameters(_pairs(request.url.query))


async def form(request: Request) -> Parameters:
    """The parameters of a URL-encoded body, and of nothing else: what stands in the address too is not looked at."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "The body has to be application/x-www-form-urlencoded.")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, "The body is too large.")
    except TimeoutError:
        raise HTTPException(408, "The body did not arrive in time.") from None
    except ClientDisconnect:
        raise HTTPException(400, "The connection ended within the body.") from None
    try:
        return Parameters(_pairs(body.decode("utf-8")))
    except UnicodeDecodeError:
        raise HTTPException(400, "The body is not UTF-8.") from None


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError:
        raise HTTPException(400, "The parameters cannot be read.") from None


def with_parameters(uri: str, parameters: Mapping[str, str | None]) -> str:
    """A redirect address with more parameters, each escaped; what it had itself stays."""
    given = {name: value for name, value in parameters.items() if value is not None}
    return uri + ("&" if "?" in uri else "?") + urlencode(given)
