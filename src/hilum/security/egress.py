"""Where the platform may connect to: the hosts an estate declares, and of their addresses only what may be reached.

Server-side request forgery (CWE-918) makes a program ask what the attacker cannot reach himself: a cloud's metadata
service, a database on loopback, a neighbour's network. So a connection is made only to a declared host and port, the name
is resolved once, every address it has is judged, and the connection is made to an address that was judged: a name
server that answers differently the second time is not asked a second time. Ranges: RFC 6890 and the IANA registries.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeVar

from hilum.security.certificates import Certificate, of_peer

log = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]
ResolveNow = Callable[[str, int], list[str]]
P = TypeVar("P", bound=asyncio.BaseProtocol)

PORTS = {"http": 80, "https": 443, "mllp": 2575, "mllps": 2575}

NEVER: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
        "::/128", "fe80::/10", "ff00::/8",
        # Instance metadata and host services of clouds that lie outside link-local ranges.
        "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::/32", "fd20:ce::254/128",
    )
)  # fmt: skip
"""Unspecified, link-local, multicast, reserved, metadata: no system is there, whatever an estate declares."""

_SPECIAL: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15",
        "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
    )
)  # fmt: skip
"""Not anybody's on the Internet, though some releases of Python call them global: shared, benchmarks, tunnels, site-local."""

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)(?:[/?#].*)?", re.IGNORECASE)
_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")


class BadAddress(ValueError):
    """An address that is not written as one host and one port, plainly; the text says what is wrong, not what it holds."""


class EgressRefused(ConnectionError):
    """A connection that must not be made; the text names the system and the rule."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL points. ``host`` is lower case, without brackets or a last dot."""

    scheme: str
    host: str
    port: int

    @property
    def secure(self) -> bool:
        return self.scheme in ("https", "mllps")


def target(url: str, schemes: Collection[str]) -> Target:
    """The host and port of an address, or ``BadAddress`` for whatever two programs could read differently.

    Refused: user information, white space, control characters, backslashes, percent signs and letters beyond ASCII in the
    authority, and numbers that are no dotted IPv4 address (``2130706433``, ``0x7f.1``, ``127.1``, ``0177.0.0.1``).
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise BadAddress("the address has characters that no plain address has")
    match = _URL.fullmatch(url)
    if match is None or match[1].lower() not in schemes:
        raise BadAddress(f"the address must begin with {' or '.join(f'{s}://' for s in schemes)}")
    scheme, authority = match[1].lower(), match[2]
    if "@" in authority or "%" in authority:
        raise BadAddress(
            "the address has user information or an escape in its authority; write only the host and the port"
        )
    host, port = _split(authority)
    if port is not None and not (port.isdigit() and 0 < int(port) < 65536):
        raise BadAddress("the port is no number from 1 to 65535")
    return Target(scheme, plain_host(host), int(port) if port is not None else PORTS[scheme])


def plain_host(host: str) -> str:
    """A host name or a canonical IP address, in lower case."""
    name = host.lower().removesuffix(".")
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    if not _NAME.fullmatch(name) or _NUMERIC.fullmatch(name.rpartition(".")[2]):
        raise BadAddress("the host is neither a plain name nor an IP address in its usual form")
    return name


def _split(authority: str) -> tuple[str, str | None]:
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise BadAddress("the brackets around an IPv6 address are wrong")
        return host, rest[1:] if rest else None
    host, colon, port = authority.partition(":")
    return host, port if colon else None


async def system_resolver(host: str, port: int) -> list[str]:
    """What the machine's resolver says, once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def system_resolver_now(host: str, port: int) -> list[str]:
    """The same for clients that block."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def forbidden(address: str, networks: Iterable[Network] = ()) -> str | None:
    """Why an address may not be connected to; None when it may. ``networks`` are private ranges that were declared."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return "it is no IP address"
    declared = tuple(networks)
    for each in (found, *_inside(found)):
        if any(each in network for network in NEVER):
            return "it is a link-local, metadata, multicast, reserved or unspecified address"
    for each in (found, *_inside(found)):
        public = each.is_global and not any(each in network for network in _SPECIAL)
        if not public and not any(each in network for network in declared):
            return "it is a private or loopback address, and the system's [egress] networks do not name it"
    return None


def _inside(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 address carries to a translator or a tunnel."""
    if isinstance(address, IPv4Address):
        return []
    carried: list[Address] = [a for a in (address.ipv4_mapped, address.sixtofour) if a is not None]
    if address.teredo is not None:
        carried += address.teredo
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        carried.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return carried


class Egress:
    """The connections one system's connector may make.

    ``targets`` are its hosts with ports; ``networks`` the private ranges it may be in. ``on_certificate`` is told each
    certificate that a peer presented, with the host it was for.
    """

    def __init__(
        self,
        system: str,
        targets: Collection[tuple[str, int]],
        *,
        networks: Collection[Network] = (),
        resolve: Resolve = system_resolver,
        resolve_now: ResolveNow = system_resolver_now,
        max_answer_bytes: int = 16 * 1024 * 1024,
        on_certificate: Callable[[str, Certificate], None] | None = None,
    ) -> None:
        self.system = system
        self.max_answer_bytes = max_answer_bytes
        self._targets = frozenset((plain_host(host), port) for host, port in targets)
        self._networks = tuple(networks)
        self._resolve = resolve
        self._resolve_now = resolve_now
        self._on_certificate = on_certificate

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a declared host, all of them judged; ``EgressRefused`` when one of them must not be reached.

        One bad address condemns the name: a resolver that mixes a public and a private one is trying something.
        """
        name = self._named(host, port)
        found = _literal(name)
        return self._judged(name, port, found if found is not None else await self._resolve(name, port))

    def addresses_now(self, host: str, port: int) -> list[str]:
        """The same for clients that block."""
        name = self._named(host, port)
        found = _literal(name)
        return self._judged(name, port, found if found is not None else self._resolve_now(name, port))

    def admits(self, host: str, port: int) -> bool:
        """Whether connections to a host and port are declared at all; where its name leads is judged when one is made."""
        return (host, port) in self._targets

    def networks_of(self, host: str, port: int) -> tuple[Network, ...]:
        """The private ranges in which a declared host may be."""
        return self._networks

    def advice(self, host: str, port: int) -> str:
        """What else is said of an address that is refused."""
        return ""

    def _named(self, host: str, port: int) -> str:
        try:
            name = plain_host(host)
        except BadAddress as bad:
            raise self._refused(str(bad)) from None
        if not self.admits(name, port):
            raise self._refused(f"{name}:{port} is not an address the estate declares for it")
        return name

    def _judged(self, name: str, port: int, found: list[str]) -> list[str]:
        if not found:
            raise OSError(f"{name} has no address")
        for address in found:
            why = forbidden(address, self.networks_of(name, port))
            if why is not None:
                raise self._refused(f"{name} is at {address}: {why}{self.advice(name, port)}")
        return found

    async def dial(
        self, make: Callable[[], P], host: str, port: int, *, tls: ssl.SSLContext | None = None, name: str | None = None
    ) -> tuple[asyncio.BaseTransport, P]:
        """Connect to a declared host at an address that was judged; the server proves the name ``name``, or the host's.

        OSError when none of its addresses answers.
        """
        loop = asyncio.get_running_loop()
        trouble: OSError | None = None
        for address in await self.addresses(host, port):
            try:
                transport, protocol = await loop.create_connection(
                    make, address, port, ssl=tls, server_hostname=(name or host) if tls is not None else None
                )
            except OSError as error:
                trouble = error
                continue
            self.saw(host, transport.get_extra_info("ssl_object"))
            return transport, protocol
        assert trouble is not None
        raise trouble

    def saw(self, host: str, ssl_object: object) -> None:
        """Tell of the certificate that the server presented."""
        if self._on_certificate is None or ssl_object is None:
            return
        certificate = of_peer(ssl_object)
        if certificate is not None:
            self._on_certificate(host, certificate)

    def _refused(self, why: str) -> EgressRefused:
        log.error("a connection for system %s was refused: %s", self.system, why)
        return EgressRefused(f"refused by the egress guard of {self.system}: {why}")


def _literal(name: str) -> list[str] | None:
    """The address that a host is written as; None when it is a name."""
    try:
        return [str(ip_address(name))]
    except ValueError:
        return None
