"""The feed connector: bytes to an HTTP endpoint, one request for each event.

Each request carries ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header): the endpoint drops what it has
under that key. 2xx is a receipt; 408, 425, 429 and 5xx mean time must pass; every other status is a refusal.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlsplit

import orjson

from hilum.authoring.failures import Refused, Rejected, Throttled, Unavailable
from hilum.connectors.http_feed.pool import Answer, Job, Pool
from hilum.security.egress import Egress

RECEIPT_CHARACTERS = 200
_LATER = frozenset({408, 425, 429})


@dataclass(slots=True)
class GroupOutcome:
    """How far a group came: one receipt for each item that was taken, and what stopped the next one.

    Fewer receipts than items and no failure: the batch ended first, because the system was unavailable to another.
    """

    receipts: list[str] = field(default_factory=list)
    failure: Rejected | Unavailable | None = None


class HttpFeed:
    """One endpoint. ``url`` is the full address to post to; ``connections`` is how many requests may be in flight."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        url: str,
        *,
        connections: int = 8,
        timeout_seconds: float = 10.0,
        token: str | None = None,
        system: str = "",
        tls: ssl.SSLContext | None = None,
        egress: Egress | None = None,
        server_name: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise ValueError(f"the feed's address must be http://HOST or https://HOST, not {url!r}")
        secure = parts.scheme == "https"
        if secure and tls is None:
            tls = ssl.create_default_context()
        self._system = system or parts.netloc
        port = parts.port or (443 if secure else 80)
        self._connections = connections
        self._pool = Pool(
            parts.hostname,
            port,
            size=connections,
            timeout_seconds=timeout_seconds,
            tls=tls if secure else None,
            system=self._system,
            egress=egress,
            server_name=server_name,
        )
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        authority = parts.netloc.rpartition("@")[2]
        authorization = f"Authorization: Bearer {_header_value(token)}\r\n" if token is not None else ""
        self._post = f"POST {_header_value(target)} HTTP/1.1\r\nHost: {authority}\r\n{authorization}"
        head = f"OPTIONS {_header_value(target)} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n"
        self._options = head.encode("ascii")
        self._prefixes: dict[str, bytes] = {}

    async def send(self, body: bytes, *, key: str, content_type: str) -> str:
        """Post one event; returns the endpoint's receipt (the start of its answer, or the status)."""
        job = Job(self._request(body, _header_value(key), content_type), asyncio.get_running_loop().create_future())
        self._pool.submit(job)
        return self._receipt(await job.future)

    async def send_many(
        self, groups: Sequence[Sequence[tuple[bytes, str]]], *, content_type: str = ""
    ) -> list[GroupOutcome]:
        """Post ``(body, key)`` items: in order within a group, groups at once on all connections.

        A refusal ends its group; an unavailability ends the batch once what is in flight was answered.
        """
        outcomes = [GroupOutcome() for _ in groups]
        queue = iter(list(zip(groups, outcomes, strict=True)))
        stopped = False

        async def runner() -> None:
            nonlocal stopped
            for group, outcome in queue:
                for body, key in group:
                    if stopped:
                        return
                    try:
                        outcome.receipts.append(await self.send(body, key=key, content_type=content_type))
                    except Rejected as refused:
                        outcome.failure = refused
                        break
                    except Unavailable as away:
                        outcome.failure = away
                        stopped = True
                        return

        await asyncio.gather(*(runner() for _ in range(min(self._connections, len(groups)))))
        return outcomes

    async def ping(self) -> None:
        """Any answer below 500 shows that the endpoint is there; ``Unavailable`` otherwise."""
        job = Job(self._options, asyncio.get_running_loop().create_future())
        self._pool.submit(job)
        outcome = await job.future
        if isinstance(outcome, Unavailable):
            raise outcome
        if outcome.status >= 500:
            raise Unavailable(self._system, f"answered {outcome.status}", outcome.retry_after_seconds)

    async def close(self) -> None:
        await self._pool.close()

    def _request(self, body: bytes, key: str, content_type: str) -> bytes:
        prefix = self._prefixes.get(content_type)
        if prefix is None:
            kind = _header_value(content_type or "application/octet-stream")
            prefix = f"{self._post}Content-Type: {kind}\r\nIdempotency-Key: ".encode("ascii")
            self._prefixes[content_type] = prefix
        return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (prefix, key.encode("ascii"), len(body), body)

    def _receipt(self, outcome: Answer | Unavailable) -> str:
        """The receipt of an answer, or the failure it stands for."""
        if isinstance(outcome, Unavailable):
            raise outcome
        status = outcome.status
        if 200 <= status < 300:
            return outcome.body[:RECEIPT_CHARACTERS].decode("utf-8", "replace") if outcome.body else str(status)
        if status >= 500 or status in _LATER:
            kind = Throttled if status == 429 else Unavailable
            raise kind(self._system, f"answered {status}", outcome.retry_after_seconds)
        raise Refused(f"{self._system} answered {status}", _problem_title(outcome))


def _problem_title(answer: Answer) -> str:
    """The title of an RFC 9457 document: by its definition the same for every occurrence, so without PHI."""
    if not answer.is_problem:
        return ""
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return ""
    title = document.get("title") if isinstance(document, dict) else None
    return title[:RECEIPT_CHARACTERS] if isinstance(title, str) else ""


def _header_value(text: str) -> str:
    """Refuse what would end the header line: a key may be made of business data."""
    if not (text.isascii() and text.isprintable()):
        raise ValueError("a header's value must be printable ASCII")
    return text
