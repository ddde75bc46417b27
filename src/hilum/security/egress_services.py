"""The guard before the services that the platform itself relies on: identity providers, Vault, object stores.

An address that the configuration names is allowed because it is configured: also a private one, for that is where such
services stand. On loopback only what is written as a loopback address, or is in a range that is named. What a service
names itself (the endpoints of a discovery document, an object store's other hosts) is another matter: it may be anywhere
in public, over HTTPS, and at no address inside, for there it would be the service that chooses what we ask (CWE-918).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Iterable
from ipaddress import ip_network

import httpx2

from hilum.authoring.estate_transport import is_loopback
from hilum.security.certificates import Certificate
from hilum.security.egress import (
    Egress,
    Network,
    Resolve,
    ResolveNow,
    Target,
    plain_host,
    system_resolver,
    system_resolver_now,
    target,
)
from hilum.security.egress_http import GuardedTransport

INSIDE: tuple[Network, ...] = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
"""Where a configured name may lead besides public addresses (RFC 1918, RFC 6598, RFC 4193)."""
LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
HTTPS = 443
MAX_ANSWER_BYTES = 1_048_576


class ServiceEgress(Egress):
    """The connections to one service. ``service`` is what its refusals call it: ``identity provider sso``.

    ``configured`` are its addresses, ``hosts`` more of them as HOST:PORT, ``networks`` ranges in which all of those may be.
    With ``elsewhere`` other hosts may be asked too, over HTTPS at public addresses.
    """

    def __init__(
        self,
        service: str,
        configured: Collection[Target],
        *,
        hosts: Iterable[str] = (),
        networks: Collection[Network] = (),
        elsewhere: bool = False,
        resolve: Resolve = system_resolver,
        resolve_now: ResolveNow = system_resolver_now,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        on_certificate: Callable[[str, Certificate], None] | None = None,
    ) -> None:
        more = [target(f"https://{address}", ("https",)) for address in hosts]
        super().__init__(
            service, [(t.host, t.port) for t in (*configured, *more)], networks=networks, resolve=resolve,
            resolve_now=resolve_now, max_answer_bytes=max_answer_bytes, on_certificate=on_certificate,
        )  # fmt: skip
        self._elsewhere = elsewhere

    def admits(self, host: str, port: int) -> bool:
        return super().admits(host, port) or (self._elsewhere and port == HTTPS)

    def networks_of(self, host: str, port: int) -> tuple[Network, ...]:
        if not super().admits(host, port):
            return ()
        return (*INSIDE, *super().networks_of(host, port), *(LOOPBACK if is_loopback(plain_host(host)) else ()))

    def advice(self, host: str, port: int) -> str:
        if super().admits(host, port):
            return ""
        return f"; it is not configured but named by the service: if it is meant, write {host}:{port} into its egress.hosts"


def guarded_client(egress: Egress, *, tls: ssl.SSLContext | None = None, name: str | None = None,
                   timeout_seconds: float = 5.0) -> httpx2.AsyncClient:  # fmt: skip
    """A client that reaches what the guard lets it, follows no redirect and asks no proxy of the environment."""
    return httpx2.AsyncClient(
        timeout=timeout_seconds, trust_env=False, transport=GuardedTransport(egress, tls=tls, name=name)
    )
