"""What verified claims mean in this estate: a ``Caller``. Nothing of the request goes into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, overload

from hilum.authoring.caller import PERSON, SERVICE, Caller
from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import LOCAL, IdentitySpec, IssuerSpec, ServiceSpec
from hilum.security.identity.refusals import Unauthenticated
from hilum.security.identity.tokens import Verified

_ID = re.compile(r"[^\s\x00-\x1f\x7f]{1,190}")
MOST_GROUPS = 1000


class CallerRules:
    """The estate's ``[identity]`` and ``services/`` as a function from claims to callers."""

    def __init__(self, estate: Estate, *, today: Callable[[], date]) -> None:
        self._identity = estate.identity
        self._services = estate.services
        self._today = today
        self._elsewhere = {(s.issuer, s.subject): s for s in estate.services.values() if s.issuer}

    def caller(self, token: Verified) -> Caller:
        """Whom the token speaks for; ``Unauthenticated`` when the estate does not know it, or no longer."""
        session = _text(token.claims, "sid", "")
        if token.issuer.name == LOCAL:
            kind, _, name = token.subject.partition(":")
            if kind == SERVICE:
                return self._service(self._services.get(name), session)
            if kind == PERSON and _ID.fullmatch(name):
                return self._local_person(name, token.claims, session)
            raise Unauthenticated("the subject of the token is not known here")
        if (token.issuer.name, token.subject) in self._elsewhere:
            return self._service(self._elsewhere[token.issuer.name, token.subject], session)
        return self.person(token.issuer.name, self._identity.issuers[token.issuer.name], token.claims, session)

    def signed_in(self, issuer: str, claims: Mapping[str, Any]) -> Caller:
        """Who an ID token of this issuer is about. Programs do not sign in."""
        session = _text(claims, "sid", "")
        if issuer != LOCAL:
            return self.person(issuer, self._identity.issuers[issuer], claims, session)
        kind, _, name = str(claims["sub"]).partition(":")
        if kind != PERSON or not _ID.fullmatch(name):
            raise Unauthenticated("the subject of the token is not known here")
        return self._local_person(name, claims, session)

    def person(self, issuer: str, spec: IssuerSpec, claims: Mapping[str, Any], session: str = "") -> Caller:
        """A person of another provider, by the estate's mapping of its groups."""
        said = _text(claims, spec.claims.id)
        if said is None or not _ID.fullmatch(said):
            raise Unauthenticated("the token does not say who this is")
        grants = [spec.groups[group] for group in _groups(claims, spec.claims.groups) if group in spec.groups]
        return Caller(
            PERSON,
            self._named(issuer, said),
            issuer=spec.url,
            roles=frozenset(role for grant in grants for role in grant.roles),
            facilities=frozenset(facility for grant in grants for facility in grant.facilities),
            supplier=_text(claims, spec.claims.supplier),
            department=_text(claims, spec.claims.department),
            session=session,
        )

    def _named(self, issuer: str, said: str) -> str:
        """One name for one person: people of the issuer where the page signs in go by their own, others bring theirs along."""
        if issuer != self._identity.sign_in:
            return f"{said}@{issuer}"
        others = (LOCAL, *self._identity.issuers)
        if any(said.endswith(f"@{other}") for other in others if other != issuer):
            raise Unauthenticated("the token does not say who this is")
        return said

    def _local_person(self, name: str, claims: Mapping[str, Any], session: str) -> Caller:
        if not self._identity.local_accounts:
            raise Unauthenticated("accounts of this issuer are not taken here")
        return Caller(
            PERSON,
            self._named(LOCAL, name),
            issuer=_text(claims, "iss", ""),
            roles=frozenset(_texts(claims.get("roles"))),
            facilities=frozenset(_texts(claims.get("facilities"))),
            supplier=_text(claims, "supplier"),
            department=_text(claims, "department"),
            session=session,
        )

    def _service(self, spec: ServiceSpec | None, session: str) -> Caller:
        if spec is None:
            raise Unauthenticated("the estate knows no such service")
        if has_expired(spec, self._today()):
            raise Unauthenticated("the service account has expired")
        return Caller(
            SERVICE, spec.name, issuer="services", roles=frozenset(spec.roles), facilities=frozenset(spec.facilities),
            supplier=spec.supplier, department=spec.department, session=session,
        )  # fmt: skip


def account_of(identity: IdentitySpec, person: str) -> str | None:
    """The account of the embedded issuer that a person of this name would have; None for one of another provider's names."""
    if identity.sign_in == LOCAL:
        return person
    return person.removesuffix(f"@{LOCAL}") if person.endswith(f"@{LOCAL}") else None


def has_expired(spec: ServiceSpec, today: date) -> bool:
    """A service account without an end is refused by the check; until somebody corrects it, it has ended."""
    return spec.expires is None or today >= spec.expires


@overload
def _text(claims: Mapping[str, Any], path: str) -> str | None: ...
@overload
def _text(claims: Mapping[str, Any], path: str, otherwise: str) -> str: ...
def _text(claims: Mapping[str, Any], path: str, otherwise: str | None = None) -> str | None:
    value = _at(claims, path) if path else None
    return value if isinstance(value, str) and value else otherwise


def _groups(claims: Mapping[str, Any], path: str) -> list[str]:
    return _texts(_at(claims, path))[:MOST_GROUPS]


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """By the claim's whole name first: names with dots in them are URLs, and providers use those."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _texts(value: Any) -> list[str]:
    given = value if isinstance(value, list) else [value]
    return [text for text in given if isinstance(text, str) and text]
