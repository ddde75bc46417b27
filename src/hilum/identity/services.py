"""Programs prove themselves: by a signed assertion (``private_key_jwt``, RFC 7523) or by their certificate (RFC 8705)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import orjson
from joserfc.jwk import ECKey, OKPKey, RSAKey

from hilum.authoring.estate_identity import ServiceSpec
from hilum.identity.digests import base64url, digest, is_same
from hilum.security.identity.callers import has_expired
from hilum.security.identity.keys import Fetch, HttpKeys, KeySource, PublicKeys
from hilum.security.identity.refusals import Unauthenticated
from hilum.security.identity.tokens import LEEWAY_SECONDS, TrustedIssuer, verified

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_ASSERTION_SECONDS = 300.0
_TYPES = frozenset({"", "jwt", "client-authentication+jwt"})
_ALGORITHMS = frozenset({"ES256", "PS256", "RS256", "EdDSA"})


class KeyUnreadable(ValueError):
    """A service's key file that holds no public key; the text names the file."""


def public_keys(file: Path) -> PublicKeys:
    """The keys of a file: a PEM public key or a JWK Set. A private key is refused: it belongs to the program alone."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise KeyUnreadable(f"{file.name} cannot be read: {error.strerror}") from None
    if b"PRIVATE KEY" in data:
        raise KeyUnreadable(f"{file.name} is a private key: keep it with the program and put its public half here")
    try:
        document = orjson.loads(data) if data.lstrip().startswith(b"{") else {"keys": [_from_pem(data)]}
    except ValueError:
        raise KeyUnreadable(f"{file.name} is neither a PEM public key nor a JWK Set") from None
    if any(isinstance(key, dict) and "d" in key for key in document.get("keys", ())):
        raise KeyUnreadable(f"{file.name} holds a private key: keep it with the program and put its public half here")
    keys = PublicKeys(document)
    if not len(keys):
        raise KeyUnreadable(f"{file.name} has no EC P-256, Ed25519 or RSA key (2048 bits or more) that signs")
    return keys


def _from_pem(data: bytes) -> dict[str, object]:
    for kind in (ECKey, OKPKey, RSAKey):
        try:
            return dict(kind.import_key(data).as_dict(private=False))
        except (ValueError, TypeError, AttributeError, KeyError):
            continue
    raise ValueError("no public key")


class ServiceProof:
    """Knows the estate's services and believes what they can prove."""

    def __init__(
        self,
        root: Path,
        services: Mapping[str, ServiceSpec],
        pool: asyncpg.Pool,
        fetch: Fetch,
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
                self._keys[name] = HttpKeys(name, fetch, monotonic=monotonic, jwks_url=spec.jwks_url)

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
