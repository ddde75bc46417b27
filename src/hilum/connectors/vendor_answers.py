"""What a vendor's HTTP answer says beside its content: how long to wait, and which of its doors will close.

``Retry-After`` (RFC 9110 section 10.2.3), ``RateLimit`` and its older spellings (draft-ietf-httpapi-ratelimit-headers),
``Deprecation`` (RFC 9745), ``Sunset`` (RFC 8594) and the ``Link`` that explains them (RFC 8288).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

_LIMIT = re.compile(r'"[^"]*"\s*((?:;\s*[a-z]+\s*=\s*[^,;]+)+)')
_PARAMETER = re.compile(r";\s*([a-z]+)\s*=\s*(\d+)")
_EXPLAINS = re.compile(r'<([^>]*)>[^,]*?rel="?(?:deprecation|sunset|successor-version)"?', re.IGNORECASE)
_NUMBERS = re.compile(r"/(?:\d+|[0-9a-f]{8}-[0-9a-f-]{27})(?=/|$)")
_AN_EPOCH = 1_000_000_000
"""A reset later than this is no number of seconds but a time since 1970, as several vendors send it."""


def wait_seconds(headers: Mapping[str, str]) -> float | None:
    """How long the answer asks us to wait, or None when it does not say. Names of headers in lower case, or a mapping that
    does not mind. Times are compared with the answer's own ``Date``, so that no clock but the vendor's counts."""
    after = headers.get("retry-after")
    if after is not None:
        if after.strip().isdecimal():
            return float(after)
        at, now = _moment(after), _moment(headers.get("date"))
        if at is not None and now is not None:
            return max((at - now).total_seconds(), 0.0)
    limits = [dict(_PARAMETER.findall(limit)) for limit in _LIMIT.findall(headers.get("ratelimit", ""))]
    spent = [float(limit["t"]) for limit in limits if "t" in limit and int(limit.get("r", "0")) == 0]
    if spent:
        return max(spent)
    for name in ("ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"):
        reset = headers.get(name, "").strip()
        if reset.isdecimal():
            if int(reset) < _AN_EPOCH:
                return float(reset)
            now = _moment(headers.get("date"))
            if now is not None:
                return max(int(reset) - now.timestamp(), 0.0)
    return None


@dataclass(frozen=True)
class Announcement:
    """A route that the vendor has deprecated or will switch off. Times are as the vendor wrote them, ISO 8601 where legible."""

    route: str
    deprecation: str = ""
    sunset: str = ""
    link: str = ""


class Announcements:
    """What one connector met of them, newest for each route, until the contract tests take it."""

    def __init__(self) -> None:
        self._met: dict[str, Announcement] = {}

    def met(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Look at an answer. Cheap when it announces nothing, as nearly all do."""
        deprecation, sunset = headers.get("deprecation"), headers.get("sunset")
        if deprecation is None and sunset is None:
            return
        # Without numbers: one announcement for each route, and no identifier of a person in it.
        route = f"{method} {_NUMBERS.sub('/...', path.partition('?')[0])}"
        explains = _EXPLAINS.search(headers.get("link", ""))
        self._met[route] = Announcement(
            route,
            _told(deprecation) if deprecation is not None else "",
            _told(sunset) if sunset is not None else "",
            explains[1] if explains is not None else "",
        )

    def take(self) -> list[Announcement]:
        """What was met since the last call."""
        met, self._met = self._met, {}
        return sorted(met.values(), key=lambda announcement: announcement.route)


class Listening(httpx2.AsyncBaseTransport):
    """A way to a vendor on which nothing it announces is missed."""

    def __init__(self, way: httpx2.AsyncBaseTransport, announcements: Announcements) -> None:
        self._way = way
        self._announcements = announcements

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self._way.handle_async_request(request)
        self._announcements.met(request.method, request.url.path, answer.headers)
        return answer

    async def aclose(self) -> None:
        await self._way.aclose()


def _told(value: str) -> str:
    """``@1767225600`` (a date of RFC 9651) or an HTTP date as ISO 8601; anything else as it is, cut short."""
    if value.startswith("@") and value[1:].lstrip("-").isdecimal():
        try:
            return datetime.fromtimestamp(int(value[1:]), UTC).isoformat()
        except (ValueError, OverflowError, OSError):
            return value[:40]
    moment = _moment(value)
    return moment.isoformat() if moment is not None else value[:40]


def _moment(value: str | None) -> datetime | None:
    """An HTTP date (RFC 9110 section 5.6.7), or None."""
    if value is None:
        return None
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
