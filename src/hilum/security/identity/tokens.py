"""Access tokens in the JWT profile (RFC 9068, RFC 8725): what has to be true of one before a claim of it is believed.

The token never chooses how it is verified. Its issuer must be one of the estate's, its algorithm one that is allowed
there and that fits the issuer's own key, and headers that bring a key along (``jwk``, ``jku``, ``x5u``, ``x5c``) refuse it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError

from hilum.security.identity.keys import KeySource, VerificationKey
from hilum.security.identity.refusals import Unauthenticated

MOST_TOKEN_CHARACTERS = 8192
LEEWAY_SECONDS = 30.0

_BRINGS_ITS_OWN_KEY = ("jku", "x5u", "jwk", "x5c")
_CHANGES_THE_RULES = ("crit", "b64", "zip", "enc")


@dataclass(frozen=True)
class TrustedIssuer:
    """One issuer as tokens are held against it. A token without ``typ`` is of the type ``""``."""

    name: str
    url: str
    keys: KeySource
    algorithms: frozenset[str]
    token_types: frozenset[str]
    longest_seconds: float
    audience: frozenset[str] = frozenset()
    says_when: bool = True
    """Whether ``iat`` is needed: RFC 9068 and OpenID Connect ask for it, RFC 7523 does not."""


@dataclass(frozen=True)
class Verified:
    """A token whose signature, issuer and times are good. Its audience is for the door to check."""

    issuer: TrustedIssuer
    claims: Mapping[str, Any]
    subject: str
    audience: frozenset[str]
    issued_at: float
    expires_at: float
    key: VerificationKey
    algorithm: str

    async def is_key_believed(self) -> bool:
        """Whether its issuer still has the very key that verified it; ``IdentityAway`` as ``KeySource.find``."""
        return await self.issuer.keys.find(self.key.kid, self.algorithm) is self.key

    @property
    def certificate(self) -> str | None:
        """The certificate it is bound to (RFC 8705 section 3.1): SHA-256 of the DER, base64url."""
        confirmation = self.claims.get("cnf")
        found: str | None = confirmation["x5t#S256"] if isinstance(confirmation, dict) else None
        return found


def _registry(algorithms: Collection[str]) -> jws.JWSRegistry:
    registry = jws.JWSRegistry(algorithms=algorithms, strict_check_header=False)
    registry.max_header_length = 2048
    return registry


async def verified(token: str, issuers: Mapping[str, TrustedIssuer], *, now: float) -> Verified:
    """The token's claims, or ``Unauthenticated``; ``issuers`` by URL, ``now`` in seconds since 1970."""
    if len(token) > MOST_TOKEN_CHARACTERS:
        raise Unauthenticated("the token is too large")
    try:
        parsed = jws.extract_compact(token.encode("ascii"))
        header = parsed.headers()
        claims = orjson.loads(parsed.payload)
    except (JoseError, ValueError, TypeError, KeyError):
        raise Unauthenticated("the token is no signed JSON Web Token") from None
    if not isinstance(claims, dict):
        raise Unauthenticated("the token is no signed JSON Web Token")
    issuer = _issuer(claims, issuers)
    algorithm = _checked_header(header, issuer)
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise Unauthenticated("the token names no key")
    found = await issuer.keys.find(kid, algorithm)
    if found is None:
        raise Unauthenticated("the token is signed with a key that its issuer does not have")
    try:
        good = jws.validate_compact(parsed, found.key, registry=_registry({algorithm}))
    except (JoseError, ValueError, TypeError):
        good = False
    if not good:
        raise Unauthenticated("the signature of the token is not valid")
    return _timely(claims, issuer, now, found, algorithm)


def _issuer(claims: Mapping[str, Any], issuers: Mapping[str, TrustedIssuer]) -> TrustedIssuer:
    url = claims.get("iss")
    issuer = issuers.get(url) if isinstance(url, str) else None
    if issuer is None:
        raise Unauthenticated("the token comes from an issuer that is not believed here")
    return issuer


def _checked_header(header: Mapping[str, Any], issuer: TrustedIssuer) -> str:
    """The algorithm, of a header that brings no key and no rules of its own."""
    if any(name in header for name in (*_BRINGS_ITS_OWN_KEY, *_CHANGES_THE_RULES)):
        raise Unauthenticated("the header of the token holds what is not taken")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
        raise Unauthenticated("the algorithm of the token is not allowed")
    kind = header.get("typ", "")
    # RFC 9068 section 4: a token of another kind (an ID token, an assertion) must not pass for an access token.
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in issuer.token_types:
        raise Unauthenticated("the token is of another kind")
    return algorithm


def _timely(
    claims: Mapping[str, Any], issuer: TrustedIssuer, now: float, key: VerificationKey, algorithm: str
) -> Verified:
    expires_at = _instant(claims, "exp")
    issued_at = _instant(claims, "iat") if issuer.says_when or "iat" in claims else now
    if now >= expires_at + LEEWAY_SECONDS:
        raise Unauthenticated("the token has expired")
    not_before = _instant(claims, "nbf") if "nbf" in claims else issued_at
    if now < max(not_before, issued_at) - LEEWAY_SECONDS:
        raise Unauthenticated("the token is not valid yet")
    if not 0 < expires_at - issued_at <= issuer.longest_seconds:
        raise Unauthenticated("the token lives longer than is allowed")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise Unauthenticated("the token has no subject")
    confirmation = claims.get("cnf")
    if "cnf" in claims and not (
        isinstance(confirmation, dict)
        and set(confirmation) == {"x5t#S256"}
        and isinstance(confirmation["x5t#S256"], str)
    ):
        # A token bound to something we cannot check is not a bearer token.
        raise Unauthenticated("the token is bound to what cannot be checked here")
    return Verified(issuer, claims, subject, _audience(claims), issued_at, expires_at, key, algorithm)


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unauthenticated(f"the token has no usable {name}")
    return float(value)


def _audience(claims: Mapping[str, Any]) -> frozenset[str]:
    given = claims.get("aud")
    names = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise Unauthenticated("the token has no audience")
    return frozenset(names)
