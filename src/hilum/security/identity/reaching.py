"""The ways to identity providers and to the programs that publish keys: each has a guard and authorities of its own.

A provider's discovery document says where its keys and its token endpoint are. It is believed in that only as far as the
guard goes: its own address as the estate names it, the hosts named beside it, and public ones over HTTPS. The document
of one provider opens no way to another's address, nor to anything else inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import httpx2

from hilum.authoring.estate_identity import LOCAL, IdentitySpec, ServiceSpec
from hilum.authoring.estate_transport import ClientTls, EgressSpec
from hilum.security.certificates import Certificate
from hilum.security.egress import Network, Resolve, system_resolver, target
from hilum.security.egress_services import LOOPBACK, ServiceEgress, guarded_client
from hilum.security.identity.keys import Fetch, fetcher
from hilum.security.tls import client_context

Saw = Callable[[str, str, Certificate], None]
"""Told of whom we asked, the host and the certificate by which it proved to be that."""

_OWN = EgressSpec()


class Providers:
    """Clients for each provider and each program with keys of its own, made when they are first needed.

    ``base`` is where files of TLS are relative to. ``saw`` is told of the certificates that are presented.
    """

    def __init__(
        self,
        spec: IdentitySpec,
        base: Path,
        *,
        saw: Saw | None = None,
        resolve: Resolve = system_resolver,
        timeout_seconds: float = 5.0,
    ) -> None:
        self._spec = spec
        self._base = base
        self._saw = saw
        self._resolve = resolve
        self._timeout_seconds = timeout_seconds
        self._clients: dict[tuple[str, str], httpx2.AsyncClient] = {}

    def client(self, issuer: str, url: str) -> httpx2.AsyncClient:
        """For the provider called ``issuer`` in the estate, at ``url``; the embedded issuer is wherever it says it is."""
        name = f"identity provider {issuer}"
        if issuer == LOCAL:
            # Our own gateway: on this machine, or behind a proxy whose name may lead back to this machine.
            return self._made(name, url, self._spec.tls, _OWN, elsewhere=False, networks=LOOPBACK)
        spec = self._spec.issuers[issuer]
        return self._made(name, url, spec.tls, spec.egress, elsewhere=True)

    def fetch(self, issuer: str, url: str) -> Fetch:
        """Gets documents of a provider; OSError when the guard refuses, with its words."""
        return fetcher(self.client(issuer, url))

    def fetch_of(self, service: ServiceSpec) -> Fetch:
        """Gets the keys that a program publishes at its ``jwks_url``, and nothing else."""
        assert service.jwks_url is not None, "only a program with a jwks_url is asked for its keys"
        name = f"service {service.name}"
        return fetcher(self._made(name, service.jwks_url, service.tls, service.egress, elsewhere=False))

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    def _made(
        self,
        name: str,
        url: str,
        tls: ClientTls | None,
        egress: EgressSpec,
        *,
        elsewhere: bool,
        networks: Sequence[Network] = (),
    ) -> httpx2.AsyncClient:
        found = self._clients.get((name, url))
        if found is None:
            saw = self._saw
            guard = ServiceEgress(
                name, [target(url, ("https", "http"))], hosts=egress.hosts, networks=(*networks, *egress.ranges()),
                elsewhere=elsewhere, resolve=self._resolve,
                on_certificate=(lambda host, certificate: saw(name, host, certificate)) if saw is not None else None,
            )  # fmt: skip
            found = self._clients[name, url] = guarded_client(
                guard, tls=client_context(tls, self._base), name=tls.server_name if tls is not None else None,
                timeout_seconds=self._timeout_seconds,
            )  # fmt: skip
        return found
