"""One request on its way through the door, and the answer it gets."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

from hilum.authoring.caller import NOBODY, Caller
from hilum.gateway.endpoints import Endpoint
from hilum.gateway.problems import CONTENT_TYPE, Headers, Refusal
from hilum.gateway.tracing import Trace
from hilum.security.decisions import Decision

Scope = MutableMapping[str, Any]

_ONCE = frozenset(
    {
        b"content-type", b"content-length", b"content-encoding", b"idempotency-key", b"if-match", b"if-none-match",
        b"purpose-of-use", b"break-glass",
    }
)  # fmt: skip
JSON = b"application/json"
NO_STORE = (b"cache-control", b"no-store")
_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""No CORS header is among them: a browser's page of another origin reads nothing here."""


@dataclass(slots=True)
class Asked:
    """What is known of a request so far. ``decision`` is the policies' word; without one nothing good is answered."""

    scope: Scope
    trace: Trace
    fields: dict[bytes, bytes]
    authorization: list[str]
    repeated: bool
    endpoint: Endpoint | None = None
    values: tuple[str, ...] = ()
    caller: Caller = NOBODY
    consumer: str = ""  # The caller, its issuer and the API: what limits are counted by.
    decision: Decision | None = None
    headers: Headers = field(default_factory=list)

    def text(self, name: bytes) -> str | None:
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def peer(self) -> str:
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    def refuse_repeated(self) -> None:
        """A header that counts once and comes twice is read differently by different programs: by none here."""
        if self.repeated:
            raise Refusal("malformed", "a header that may come once came twice")


def asked_of(scope: Scope, fields: dict[bytes, bytes], trace: Trace) -> Asked:
    authorization: list[str] = []
    once: set[bytes] = set()
    repeated = False
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization.append(value.decode("latin-1"))
        elif name in _ONCE:
            repeated = repeated or name in once
            once.add(name)
    return Asked(scope, trace, fields, authorization, repeated)


@dataclass(slots=True)
class Answer:
    """What is sent. ``kept`` are the headers that a repeat with the same ``Idempotency-Key`` gets too."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    kept: Headers = field(default_factory=list)
    cache: tuple[bytes, bytes] = NO_STORE

    @property
    def good(self) -> bool:
        return self.status < 400

    def lines(self, asked: Asked) -> Headers:
        """Every header of the answer."""
        headers: Headers = [
            (b"traceresponse", asked.trace.response), self.cache, *_ALWAYS, *self.kept, *asked.headers,
        ]  # fmt: skip
        if self.body:
            headers.append((b"content-type", self.content_type))
        if self.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(self.body)))
        return headers


def problem(status: int, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    kept = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return Answer(status, body, CONTENT_TYPE, kept)
