"""What an estate declares about its wires: TLS on both sides, where we may connect to, watched folders, residency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

STRICT = ConfigDict(extra="forbid", frozen=True)
FILE = r"^file:\S.*$"

DOORS = ("webhook", "tower", "gateway")
"""The HTTP doors: each is one listening socket of the platform, whatever it serves."""


class ServerTls(BaseModel):
    """TLS of a listening socket (RFC 8446, RFC 5246; NIST SP 800-52r2). Files are read anew when they change.

    ``peers`` binds the door to certificates: a client must present one that matches any of them, written as
    ``cn:NAME``, ``dns:NAME``, ``uri:URI``, ``subject:RFC 4514 NAME`` or ``sha256:HEX`` (the thumbprint).
    """

    model_config = STRICT

    certificate: str = Field(pattern=FILE, description="PEM, leaf first, then its issuers: file:PATH.")
    key: str = Field(pattern=FILE, description="PEM, readable by the platform's user alone: file:PATH.")
    passphrase: str | None = Field(default=None, description="Of the key: file:PATH, env:NAME or vault:PATH#FIELD.")
    client_ca: str | None = Field(default=None, pattern=FILE, description="Authorities of client certificates.")
    revoked: str | None = Field(default=None, pattern=FILE, description="A CRL (RFC 5280 section 5) of the client CA.")
    require_client_certificate: bool = False
    peers: tuple[str, ...] = ()

    @field_validator("peers")
    @classmethod
    def _readable(cls, peers: tuple[str, ...]) -> tuple[str, ...]:
        for peer in peers:
            kind, _, name = peer.partition(":")
            if kind not in ("cn", "dns", "uri", "subject", "sha256") or not name:
                raise ValueError("a peer is written cn:NAME, dns:NAME, uri:URI, subject:NAME or sha256:HEX")
        return peers

    @model_validator(mode="after")
    def _verifiable(self) -> ServerTls:
        if (self.require_client_certificate or self.peers or self.revoked) and self.client_ca is None:
            raise ValueError("client certificates can only be asked for with `client_ca`, the authorities to verify by")
        if self.peers and not self.require_client_certificate:
            raise ValueError("`peers` needs `require_client_certificate = true`: who presents none would be let in")
        return self


class ClientTls(BaseModel):
    """TLS towards a system. The server's name is always verified; by ``authorities``, or the machine's when left out."""

    model_config = STRICT

    authorities: str | None = Field(default=None, pattern=FILE)
    certificate: str | None = Field(default=None, pattern=FILE, description="Our own, where the system asks for one.")
    key: str | None = Field(default=None, pattern=FILE)
    passphrase: str | None = None
    server_name: str | None = Field(default=None, description="The name in the certificate when it is not the host's.")

    @model_validator(mode="after")
    def _whole(self) -> ClientTls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate needs its key, and a key its certificate")
        return self


class PageLimits(BaseModel):
    """What one reader may ask of a door's own pages (documents, metrics): a person or program, or an address that says not who."""

    model_config = STRICT

    requests_per_minute: float = Field(default=600, gt=0)
    burst: int = Field(default=120, gt=0)


class HttpDoor(BaseModel):
    """Where an HTTP door listens. Its port is given when the platform is started. ``pages`` counts at the gateway alone."""

    model_config = STRICT

    host: str = "127.0.0.1"
    tls: ServerTls | None = None
    insecure: str = Field(default="", description="Why other machines may reach this door without TLS.")
    pages: PageLimits = PageLimits()


def exposure(host: str, tls: ServerTls | None, insecure: str) -> str | None:
    """Why a door must not open: other machines reach it, nothing encrypts it and nobody said why. None when it may."""
    if tls is not None or insecure.strip() or is_loopback(host):
        return None
    return f"listens on {host}, where other machines reach it, without TLS"


def is_loopback(host: str) -> bool:
    """Whether a listening address is reached from this machine alone. The empty host is every address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class EgressSpec(BaseModel):
    """What a system's connector may connect to beyond public addresses of the host in its ``url``.

    ``networks`` admits private or loopback ranges for this system: without it a name that resolves to one is refused.
    """

    model_config = STRICT

    networks: tuple[str, ...] = ()
    hosts: tuple[str, ...] = Field(default=(), description="More addresses, as HOST:PORT.")
    max_answer_bytes: int = Field(default=16 * 1024 * 1024, gt=0)

    @field_validator("networks")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ip_network(network)
        return networks

    def ranges(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(network) for network in self.networks)


class FolderListen(BaseModel):
    """A folder into which a system drops files. ``path`` is inside the platform's data, or inside a declared root.

    A file is taken when its size and time have not changed for ``settle_seconds``. Each message is taken in once.
    """

    model_config = STRICT

    path: str = Field(min_length=1)
    pattern: str = Field(default="*", min_length=1, description="Shell pattern of names, without folders.")
    settle_seconds: float = Field(default=2.0, ge=0)
    poll_seconds: float = Field(default=1.0, gt=0)
    done: str = ""
    refused: str = ""
    max_file_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    max_message_bytes: int = Field(default=1_048_576, gt=0)
    max_messages: int = Field(default=100_000, gt=0)
    archives: bool = Field(default=False, description="Whether ZIP archives are taken, within the bounds of one file.")
    type_field: str = "type"


@dataclass(frozen=True)
class Residency:
    """In which regions data of a class may be: ``regions`` by class, ``facilities`` overrides by facility and class.

    A class that is not named may go anywhere.
    """

    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    facilities: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def allowed(self, data_class: str, facility: str) -> tuple[str, ...] | None:
        """The regions; None when there is no rule."""
        own = self.facilities.get(facility, {}).get(data_class)
        return own if own is not None else self.regions.get(data_class)

    def refusal(self, data_class: str, facility: str, region: str) -> str | None:
        """The rule by which this class of data of this facility must not go to this region; None when it may.

        A system whose region nobody wrote down is in none that is allowed.
        """
        allowed = self.allowed(data_class, facility)
        if allowed is None or region in allowed:
            return None
        whose = f" of {facility}" if data_class in self.facilities.get(facility, {}) else ""
        return f"{data_class}{whose} stays in {', '.join(allowed) or 'no region'}"
