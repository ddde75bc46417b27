"""From the headers of a request to a caller: microseconds for a token seen before, one signature for a new one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from hilum.authoring.caller import SERVICE, Caller
from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import LOCAL
from hilum.security.identity.callers import CallerRules
from hilum.security.identity.compare import is_same
from hilum.security.identity.keys import KeySource
from hilum.security.identity.refusals import INVALID_REQUEST, Unauthenticated
from hilum.security.identity.revocations import Revocations
from hilum.security.identity.tokens import LEEWAY_SECONDS, TrustedIssuer, Verified, verified

MOST_TOKENS = 10_000


@dataclass(frozen=True)
class LocalIssuer:
    """The embedded issuer as the authenticator needs it; it signs with ES256 alone."""

    url: str
    keys: KeySource
    longest_seconds: float


@dataclass(slots=True)
class _Known:
    """A token that was verified once: what still has to be asked each time."""

    token: Verified
    caller: Caller
    subjects: tuple[str, ...]
    version: int


class Authenticator:
    """Believes the estate's issuers, and the embedded one.

    ``keys`` are the key sources of ``estate.identity.issuers`` by name. ``authenticate`` is safe to call concurrently.
    """

    def __init__(
        self,
        estate: Estate,
        keys: Mapping[str, KeySource],
        revocations: Revocations,
        *,
        clock: Callable[[], datetime],
        local: LocalIssuer | None = None,
    ) -> None:
        self._revocations = revocations
        self._clock = clock
        self._rules = CallerRules(estate, today=lambda: clock().date())
        self._expires = {name: spec.expires for name, spec in estate.services.items()}
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._issuers: dict[str, TrustedIssuer] = {
            spec.url: TrustedIssuer(
                name, spec.url, keys[name], frozenset(spec.algorithms), frozenset(t.lower() for t in spec.token_types),
                spec.longest_minutes * 60, frozenset(spec.audience),
            )
            for name, spec in estate.identity.issuers.items()
        }  # fmt: skip
        if local is not None:
            self._issuers[local.url] = TrustedIssuer(
                LOCAL, local.url, local.keys, frozenset({"ES256"}), frozenset({"at+jwt"}), local.longest_seconds,
                frozenset({LOCAL}),
            )  # fmt: skip

    async def authenticate(
        self, authorization: Sequence[str], *, audience: Collection[str], certificate: str | None = None
    ) -> Caller:
        """Who presents these ``Authorization`` headers at a door of this audience.

        A door without an audience of its own takes the issuer's. ``certificate`` is the SHA-256 of the client's certificate in base64url, as the TLS layer saw it. Raises
        ``Unauthenticated`` (401, 400) and ``IdentityAway`` (503).
        """
        token = bearer_token(authorization)
        now = self._clock().timestamp()
        await self._revocations.refuse_when_blind()
        # The digest, so that nobody finds tokens that still live in this process's memory.
        digest = sha256(token.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        if known is not None and not await known.token.is_key_believed():
            # The key was called back, or read anew: the signature has to be good by what the issuer has now.
            self._known.pop(digest, None)
            known = None
        if known is None:
            known = await self._verify(token, digest, now)
        elif now >= known.token.expires_at + LEEWAY_SECONDS:
            self._known.pop(digest, None)
            raise Unauthenticated("the token has expired")
        if known.version != self._revocations.version:
            if self._revocations.revoked(known.subjects, known.token.issued_at):
                raise Unauthenticated("the token was called back")
            known.version = self._revocations.version
        if known.caller.kind == SERVICE:
            self._refuse_expired(known.caller.id, now)
        if known.token.audience.isdisjoint(audience or known.token.issuer.audience):
            raise Unauthenticated("the token is for another audience")
        bound = known.token.certificate
        if bound is not None and not is_same(certificate, bound):
            raise Unauthenticated("the token is bound to another certificate")
        return known.caller

    async def _verify(self, token: str, digest: bytes, now: float) -> _Known:
        found = await verified(token, self._issuers, now=now)
        caller = self._rules.caller(found)
        subjects = (caller.actor, *((f"session:{caller.session}",) if caller.session else ()))
        known = _Known(found, caller, subjects, version=-1)
        self._known[digest] = known
        if len(self._known) > MOST_TOKENS:
            self._known.popitem(last=False)
        return known

    def _refuse_expired(self, service: str, now: float) -> None:
        end = self._expires.get(service)
        if end is None or self._clock().date() >= end:
            raise Unauthenticated("the service account has expired")


def bearer_token(authorization: Sequence[str]) -> str:
    """The token of exactly one ``Authorization: Bearer`` header (RFC 6750 section 2.1)."""
    if not authorization:
        raise Unauthenticated("a token is needed", error="")
    if len(authorization) > 1:
        raise Unauthenticated("there is more than one Authorization header", INVALID_REQUEST)
    scheme, _, token = authorization[0].partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("a token is needed", error="")
    token = token.strip(" ")
    if not token or " " in token or not token.isascii():
        raise Unauthenticated("the Authorization header holds no token", INVALID_REQUEST)
    return token


def in_trace(caller: Caller, trace_id: str) -> Caller:
    """The caller within one request: cached callers belong to tokens, traces to requests."""
    return replace(caller, trace_id=trace_id)
