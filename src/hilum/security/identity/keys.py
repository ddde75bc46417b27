"""Verification keys of issuers: fetched, bounded, cached, and kept while the provider is away.

An issuer's keys are found by discovery (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3) over HTTPS, or HTTP on
the loopback address. A key identifier that is not known leads to one new fetch, but never to more than one in
``refetch_seconds``: forged identifiers must not turn into requests to the provider.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2
import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey

from hilum.security.egress_http import why_refused
from hilum.security.identity.refusals import IdentityAway

log = logging.getLogger(__name__)

MOST_DOCUMENT_BYTES = 262_144
MOST_KEYS = 64
SHORTEST_RSA_BITS = 2048  # NIST SP 800-131A rev. 2.

Fetch = Callable[[str], Awaitable[bytes]]
"""Gets a document; OSError when it cannot be had."""


@dataclass(frozen=True)
class VerificationKey:
    """One public key and the algorithms it may verify: never those of another kind of key, never a symmetric one."""

    kid: str
    key: Key
    algorithms: frozenset[str]


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        """The key of this identifier for this algorithm. Without an identifier, the only one there is; None when there is none.

        ``IdentityAway`` when the keys were never seen and cannot be had now.
        """


class PublicKeys:
    """A set of keys that is at hand."""

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = tuple(_usable(jwks))

    def __len__(self) -> int:
        return len(self._keys)

    def at_hand(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        fitting = [key for key in self._keys if algorithm in key.algorithms and (kid is None or key.kid == kid)]
        # Two keys of one name, or two without a name to choose by, are no answer to the question which.
        return fitting[0] if len(fitting) == 1 else None

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        return self.at_hand(kid, algorithm)


def _usable(jwks: Mapping[str, Any]) -> Iterable[VerificationKey]:
    keys = jwks.get("keys")
    for document in keys[:MOST_KEYS] if isinstance(keys, list) else []:
        if not isinstance(document, dict) or document.get("use", "sig") != "sig":
            continue
        operations = document.get("key_ops")
        if operations is not None and "verify" not in operations:
            continue
        try:
            key = JWKRegistry.import_key(document)
            algorithms = _algorithms(key)
        except (JoseError, ValueError, TypeError, KeyError):
            continue  # A provider may publish keys of kinds that we do not use; they verify nothing here.
        named = document.get("alg")
        if isinstance(named, str):
            algorithms &= {named}
        if algorithms:
            kid = document.get("kid")
            yield VerificationKey(kid if isinstance(kid, str) else key.thumbprint(), key, algorithms)


def _algorithms(key: Key) -> frozenset[str]:
    """What a key may verify, by its own kind: the token's word is never asked."""
    if isinstance(key, ECKey) and key.curve_name == "P-256":
        return frozenset({"ES256"})
    if isinstance(key, OKPKey) and key.curve_name == "Ed25519":
        return frozenset({"EdDSA"})
    if isinstance(key, RSAKey) and key.public_key.key_size >= SHORTEST_RSA_BITS:
        return frozenset({"RS256", "PS256"})
    return frozenset()


class HttpKeys:
    """The keys of a provider, by its discovery document or straight from ``jwks_url``."""

    def __init__(
        self,
        issuer_url: str,
        fetch: Fetch,
        *,
        monotonic: Callable[[], float],
        jwks_url: str | None = None,
        fresh_seconds: float = 3600,
        refetch_seconds: float = 30,
        kept_seconds: float = 86_400,
    ) -> None:
        self._issuer_url = issuer_url
        self._jwks_url = jwks_url
        self._fetch = fetch
        self._monotonic = monotonic
        self._fresh_seconds = fresh_seconds
        self._refetch_seconds = refetch_seconds
        self._kept_seconds = kept_seconds
        self._keys = PublicKeys({})
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._one_at_a_time = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        if self._is_older_than(self._fresh_seconds):
            await self._refresh()
        if self._is_older_than(self._kept_seconds):
            raise IdentityAway(f"the keys of {self._issuer_url} cannot be had")
        found = self._keys.at_hand(kid, algorithm)
        if found is None:
            await self._refresh()
            found = self._keys.at_hand(kid, algorithm)
        return found

    def _is_older_than(self, seconds: float) -> bool:
        return self._fetched_at is None or self._monotonic() - self._fetched_at > seconds

    async def _refresh(self) -> None:
        """One attempt, unless there was one a moment ago. What cannot be had leaves what there is."""
        asked_at = self._monotonic()
        async with self._one_at_a_time:
            if self._tried_at is not None and asked_at - self._tried_at < self._refetch_seconds:
                return
            self._tried_at = self._monotonic()
            try:
                keys = PublicKeys(await self._document(await self._where()))
            except (OSError, ValueError) as problem:
                why = why_refused(problem)
                told = why if why is not None else type(problem).__name__
                log.warning("the keys of %s could not be fetched: %s", self._issuer_url, told)
                return
            if len(keys):
                self._keys = keys
                self._fetched_at = self._monotonic()
            else:
                log.warning("%s publishes no key that could verify anything", self._issuer_url)

    async def _where(self) -> str:
        if self._jwks_url is not None:
            return self._jwks_url
        return str((await discover(self._issuer_url, self._fetch))["jwks_uri"])

    async def _document(self, url: str) -> dict[str, Any]:
        return _object(await self._fetch(url))


async def discover(issuer_url: str, fetch: Fetch) -> dict[str, Any]:
    """A provider's discovery document, whose ``issuer`` is exactly the one asked for and whose endpoints are safe addresses.

    OSError when it cannot be had, ValueError when it is not one.
    """
    document = _object(await fetch(issuer_url.removesuffix("/") + "/.well-known/openid-configuration"))
    if document.get("issuer") != issuer_url:
        raise ValueError("the discovery document is another issuer's")
    for name in ("jwks_uri", "authorization_endpoint", "token_endpoint"):
        if name in document and not safe_address(document[name]):
            raise ValueError(f"the {name} is no https address")
    if "jwks_uri" not in document:
        raise ValueError("the discovery document has no jwks_uri")
    return document


def safe_address(url: object) -> bool:
    """Whether what is fetched there comes from whom it says: HTTPS, or this machine."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    if parts.username or parts.password or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))


def _object(data: bytes) -> dict[str, Any]:
    document = orjson.loads(data)
    if not isinstance(document, dict):
        raise ValueError("this is no JSON object")
    return document


def fetcher(client: httpx2.AsyncClient) -> Fetch:
    """Documents over HTTP: safe addresses only, no redirect followed, bounded in size. Time limits are the client's."""

    async def fetch(url: str) -> bytes:
        if not safe_address(url):
            raise ValueError("not an address that keys are fetched from")
        try:
            async with client.stream(
                "GET", url, headers={"accept": "application/json"}, follow_redirects=False
            ) as answer:
                if answer.status_code != 200:
                    raise OSError(f"answered {answer.status_code}")
                data = b""
                async for chunk in answer.aiter_bytes():
                    data += chunk
                    if len(data) > MOST_DOCUMENT_BYTES:
                        raise ValueError("the document is too large")
                return data
        except httpx2.HTTPError as failure:
            why = why_refused(failure)
            raise OSError(why if why is not None else type(failure).__name__) from failure

    return fetch
