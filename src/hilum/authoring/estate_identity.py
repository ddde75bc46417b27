"""What an estate declares about identity: who may vouch for people and programs, and which programs there are.

``[identity]`` of ``estate.toml`` is an ``IdentitySpec``; one file of ``services/`` is a ``ServiceSpec``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from hilum.authoring.estate_transport import ClientTls, EgressSpec

STRICT = ConfigDict(extra="forbid", frozen=True)

LOCAL = "hilum"
"""The name of the embedded issuer among the issuers of an estate."""


def _address(text: str) -> str:
    """An address whose host proves itself by TLS, or one that never leaves this machine."""
    parts = urlsplit(text)
    if parts.scheme == "https" and parts.hostname and not parts.username and not parts.fragment:
        return text
    if parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost") and not parts.username:
        return text
    raise ValueError("an address here begins with https://, or with http:// on the loopback address")


Address = Annotated[str, AfterValidator(_address)]
ServiceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")]


class Grant(BaseModel):
    """What membership in a group of the provider means here."""

    model_config = STRICT

    roles: tuple[str, ...] = ()
    facilities: tuple[str, ...] = ()


class ClaimNames(BaseModel):
    """Which claim of the provider's tokens says what. Dots lead into objects: ``realm_access.roles``."""

    model_config = STRICT

    id: str = "sub"
    groups: str = "groups"
    supplier: str = ""
    department: str = ""


class IssuerSpec(BaseModel):
    """One OpenID provider whose tokens are believed (OpenID Connect Discovery 1.0, RFC 8414)."""

    model_config = STRICT

    url: Address = Field(description="The issuer identifier: `iss` of its tokens, exactly.")
    audience: tuple[str, ...] = Field(
        default=(), description="A token's `aud` must name one of these, or of its API's."
    )
    algorithms: tuple[Literal["ES256", "PS256", "RS256", "EdDSA"], ...] = ("ES256", "PS256", "RS256", "EdDSA")
    token_types: tuple[str, ...] = Field(default=("at+jwt",), description="`typ` of access tokens (RFC 9068 sec. 2.1).")
    longest_minutes: float = Field(default=60, gt=0, le=1440, description="A token that lives longer is refused.")
    client_id: str = Field(default="", description="As what the page signs people in there; empty: it does not.")
    client_secret: str = Field(default="", description="A reference: file:PATH or env:NAME; empty for a public client.")
    scopes: tuple[str, ...] = ("openid", "profile")
    tls: ClientTls | None = Field(
        default=None, description="By whom its certificate is believed: authorities of its own."
    )
    egress: EgressSpec = Field(default=EgressSpec(), description="Hosts and networks beyond its own address.")
    claims: ClaimNames = ClaimNames()
    groups: Mapping[str, Grant] = Field(default_factory=dict)


class ClientSpec(BaseModel):
    """A program of people (portal, mobile app) that signs them in at the embedded issuer: public, with PKCE."""

    model_config = STRICT

    title: str = ""
    redirect_uris: tuple[Address, ...] = Field(min_length=1)
    audience: tuple[str, ...] = ()


class IdentitySpec(BaseModel):
    """``[identity]``: who is believed, and for how long."""

    model_config = STRICT

    local_accounts: bool = Field(default=True, description="Whether people may have accounts at the embedded issuer.")
    url: Address | None = Field(default=None, description="The embedded issuer as the world sees it, behind a proxy.")
    tower_url: Address | None = Field(default=None, description="The page as the world sees it, behind a proxy.")
    tls: ClientTls | None = Field(
        default=None, description="How the page reaches the embedded issuer: authorities of its own."
    )
    sign_in: str = Field(default=LOCAL, description="The issuer at which the page signs people in.")
    session_hours: float = Field(default=8, gt=0, le=24)
    idle_minutes: float = Field(default=30, gt=0, le=480)
    access_token_minutes: float = Field(default=5, gt=0, le=60)
    key_days: float = Field(default=30, gt=0, le=365, description="How long a signing key signs before the next does.")
    certificate_header: str = Field(
        default="", description="Where a proxy puts the client's certificate (RFC 9440 Client-Cert)."
    )
    certificate_proxies: tuple[str, ...] = Field(default=(), description="The peers whose header is believed.")
    issuers: dict[str, IssuerSpec] = Field(default_factory=dict)
    clients: dict[str, ClientSpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if LOCAL in self.issuers:
            raise ValueError(f"{LOCAL!r} is the embedded issuer; give the provider another name")
        if len({issuer.url for issuer in self.issuers.values()}) < len(self.issuers):
            raise ValueError("two issuers have one url, so a token would not say whose it is")
        if self.sign_in != LOCAL and (self.sign_in not in self.issuers or not self.issuers[self.sign_in].client_id):
            raise ValueError(f"sign_in names {self.sign_in!r}, which is no issuer with a client_id")
        if bool(self.certificate_header) != bool(self.certificate_proxies):
            raise ValueError("certificate_header and certificate_proxies belong together")
        return self


_THUMBPRINT = re.compile(r"[0-9a-f]{64}")


def _thumbprint(text: str) -> str:
    plain = text.replace(":", "").lower()
    if not _THUMBPRINT.fullmatch(plain):
        raise ValueError("a thumbprint is the SHA-256 of the DER certificate: 64 hexadecimal digits")
    return plain


class ServiceSpec(BaseModel):
    """One file of ``services/``: a program that calls, or a system's agent. It has an owner and an end.

    It proves itself by a key (``public_key``: a file of the estate with a PEM public key or a JWK Set; ``jwks_url``; or
    ``registered_key = true``: its owner registers the public half with `hilum account service-key`),
    by a client certificate (``certificates``: SHA-256 thumbprints, RFC 8705), or at another issuer (``issuer``,
    ``subject``).
    """

    model_config = STRICT

    name: str
    title: str = ""
    owner: str = ""
    roles: tuple[str, ...] = ()
    facilities: tuple[str, ...] = ()
    supplier: str | None = None
    department: str | None = None
    audience: tuple[str, ...] = Field(default=(), description="The audiences it may get tokens for.")
    expires: date | None = Field(
        default=None, description="From this day on it gets no token and none of its is taken."
    )
    public_key: str = ""
    jwks_url: Address | None = None
    tls: ClientTls | None = Field(default=None, description="Towards `jwks_url`: authorities of its own.")
    egress: EgressSpec = Field(default=EgressSpec(), description="Networks in which `jwks_url` may be.")
    registered_key: bool = False
    certificates: tuple[Annotated[str, AfterValidator(_thumbprint)], ...] = ()
    issuer: str = ""
    subject: str = ""

    @property
    def ways(self) -> int:
        """In how many ways it can prove itself."""
        ways = (self.public_key, self.jwks_url, self.registered_key, self.certificates, self.issuer)
        return sum(bool(way) for way in ways)
