"""What the door needs of others, each as narrow as it is used: who asks, what they may use, and what is written down."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hilum.audit.access import Access, Beside
from hilum.authoring.caller import Caller
from hilum.runtime.allowances import Taken


class Authenticator(Protocol):
    """Tells who asks, from the token of a request and the certificate of its connection."""

    async def authenticate(
        self, authorization: Sequence[str], *, audience: Collection[str], certificate: str | None = None
    ) -> Caller:
        """The caller; what was presented must be meant for one of ``audience``.

        ``hilum.security.identity.Unauthenticated`` when it is not good enough, ``IdentityAway`` when nobody can say.
        """


class Allowances(Protocol):
    """Rates and quotas, counted over all processes."""

    async def take(self, key: str, requests_per_minute: float, burst: int, quota_per_day: int | None = None) -> Taken:
        """Take one request. ``key`` names caller and API."""


class Overloaded(Exception):
    """There is more to do than can be done: this request is not begun."""

    def __init__(self, detail: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True)
class KeptAnswer:
    """An answer as it was given earlier: the handler's own, before masking, as JSON."""

    body: bytes
    at: datetime


class StaleAnswers(Protocol):
    """Earlier answers, for when a system does not answer. They may hold protected data and are kept as such."""

    async def keep(self, key: str, answer: KeptAnswer) -> None:
        """Remember the newest answer to a question; ``key`` is a digest of it."""

    async def find(self, key: str, max_age_seconds: float) -> KeptAnswer | None:
        """The newest answer, unless it is older than that."""


class AccessLog(Protocol):
    """The record of who saw and did what."""

    async def record(self, access: Access, *, beside: Beside | None = None) -> None:
        """Durable when it returns, with what is ``beside`` it; it raises when it could not be recorded, and then nothing may be answered."""


class Grants(Protocol):
    """Break-glass grants of people."""

    async def under(self, caller: Caller, number: int) -> Caller | None:
        """The caller under a grant of their own that is in force; None when it is neither."""

    async def used(self, caller: Caller, *, operation: str, subject: str) -> bool:
        """Record one use of the grant that the caller is under; False when it has ended, and then nothing may be answered."""


class Sealer(Protocol):
    """Encrypts what is kept for a while: answers behind idempotency keys."""

    async def sealed(self, plain: bytes, data_class: str, place: str, at: datetime) -> bytes:
        """``place`` is authenticated with the data: sealed in one place, it cannot be opened in another."""

    async def opened(self, value: bytes, place: str) -> bytes: ...
