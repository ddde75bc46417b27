"""Programs prove themselves: by a signed assertion (``private_key_jwt``, RFC 7523) or by their certificate (RFC 8705)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg

from hilum.authoring.estate_identity import ServiceSpec
from hilum.identity.digests import base64url, digest, is_same
from hilum.identity.key_documents import public_keys
from hilum.identity.service_keys import RegisteredKeys
from hilum.security.identity.callers import has_expired
from hilum.security.identity.keys import Fetch, HttpKeys, KeySource
from hilum.security.identity.refusals import Unauthenticated
from hilum.security.identity.tokens import LEEWAY_SECONDS, TrustedIssuer, verified

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_ASSERTION_SECONDS = 300.0
_TYPES = frozenset({"", "jwt", "client-authentication+jwt"})
_ALGORITHMS = frozenset({"ES256", "PS256", "RS256", "EdDSA"})


class ServiceProof:
    """Knows the estate's services and believes what they can prove."""

    def __init__(
        self,
        root: Path,
        services: Mapping[str, ServiceSpec],
        pool: asyncpg.Pool,
        fetch_of: Callable[[ServiceSpec], Fetch],
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._services = services
        self._pool = pool
        self._clock = clock
        self._keys: dict[str, KeySource] = {}
        for name, spec in services.items():
            if spec.public_key:
                self._keys[name] = public_keys(root / spec.public_key)
            elif spec.jwks_url is not None:
                self._keys[name] = HttpKeys(name, fetch_of(spec), monotonic=monotonic, jwks_url=spec.jwks_url)
            elif spec.registered_key:
                self._keys[name] = RegisteredKeys(pool, name, monotonic=monotonic)

    def _today(self) -> date:
        return self._clock().date()

    async def by_assertion(self, assertion: str, audience: Collection[str]) -> ServiceSpec:
        """The service that signed this for one of these audiences, just now and only once; ``Unauthenticated`` otherwise."""
        issuers = {
            name: TrustedIssuer(
                name, name, keys, _ALGORITHMS, _TYPES, LONGEST_ASSERTION_SECONDS + LEEWAY_SECONDS, says_when=False
            )
            for name, keys in self._keys.items()
        }
        found = await verified(assertion, issuers, now=self._clock().timestamp())
        spec = self._services[found.issuer.name]
        if not is_same(found.subject, spec.name):
            raise Unauthenticated("the assertion speaks for somebody else")
        if found.audience.isdisjoint(audience) or len(found.audience) > 1:
            raise Unauthenticated("the assertion is for another audience")
        jti = found.claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= 255:
            raise Unauthenticated("the assertion has no jti")
        self._refuse_expired(spec)
        if not await self._is_first(spec.name, jti, found.expires_at):
            raise Unauthenticated("the assertion was used before")
        return spec

    def by_certificate(self, client_id: str, thumbprint: str) -> ServiceSpec:
        """The service of this name, when the certificate (``x5t#S256``) is one of its own."""
        spec = self._services.get(client_id)
        own = () if spec is None else tuple(base64url(bytes.fromhex(certificate)) for certificate in spec.certificates)
        if spec is None or not any([is_same(thumbprint, certificate) for certificate in own]):
            raise Unauthenticated("the certificate belongs to no such service")
        self._refuse_expired(spec)
        return spec

    def _refuse_expired(self, spec: ServiceSpec) -> None:
        if has_expired(spec, self._today()):
            raise Unauthenticated("the service account has expired")

    async def _is_first(self, service: str, jti: str, expires_at: float) -> bool:
        """Committed at once, so that of two processes that are shown one assertion only one believes it."""
        until = datetime.fromtimestamp(expires_at + LEEWAY_SECONDS + 60, UTC)
        return bool(
            await self._pool.fetchval(
                """INSERT INTO hilum.assertion_seen (service, jti, expires_at) VALUES ($1, $2, $3)
                   ON CONFLICT DO NOTHING RETURNING true""",
                service, digest(jti), until,
            )
        )  # fmt: skip
