"""Which certificates an installation has: those of its doors, of its connectors and of the services it relies on.

Read from the files that the estate names, and from the one that ``VAULT_CACERT`` names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hilum.audit.places import BucketAddress
from hilum.authoring.estate import Estate
from hilum.authoring.estate_transport import ClientTls
from hilum.runtime.certificates import Placed
from hilum.security.certificates import CertificateUnreadable, read_file

log = logging.getLogger(__name__)


def configured_certificates(
    estate: Estate, data: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> Sequence[Placed]:
    """Every certificate of every file that is named for TLS. One that cannot be read is logged and left out."""
    found: dict[str, Placed] = {}
    files = [*_files(estate), *_services(estate)]
    if environment.get("VAULT_CACERT"):
        files.append(("vault/connect", "authority", environment["VAULT_CACERT"]))
    for place, role, reference in files:
        try:
            certificates = read_file(data / reference.removeprefix("file:"))
        except CertificateUnreadable as unreadable:
            log.error("a certificate cannot be watched: %s", unreadable)
            continue
        for n, certificate in enumerate(certificates):
            # Of a chain the first is the place's own; the others, like authorities, are told apart by their names.
            own = role == "own" and n == 0
            slot = f"own:{place}" if own else f"authority:{place}:{certificate.subject}"
            found[slot] = Placed(slot, "own" if own else "authority", certificate)
    return list(found.values())


def _files(estate: Estate) -> Iterator[tuple[str, str, str]]:
    """Place, role and file of everything configured."""
    for name, door in estate.doors.items():
        if door.tls is not None:
            yield name, "own", door.tls.certificate
            if door.tls.client_ca is not None:
                yield name, "authority", door.tls.client_ca
    for name, spec in estate.systems.items():
        listen = spec.listen.mllp.tls if spec.listen.mllp is not None else None
        if listen is not None:
            yield f"{name}/mllp", "own", listen.certificate
            if listen.client_ca is not None:
                yield f"{name}/mllp", "authority", listen.client_ca
        yield from _client(f"{name}/connect", spec.connect.get("tls"))
        if spec.sandbox is not None:
            yield from _client(f"{name}/sandbox", spec.sandbox.connect.get("tls"))
        if spec.connect.get("connector") == "archive_s3":
            yield from _store(f"{name}/connect", spec.connect["bucket"])


def _services(estate: Estate) -> Iterator[tuple[str, str, str]]:
    """The same for identity providers, programs that publish keys, Vault's transit engine and places of published heads."""
    yield from _client("identity/connect", estate.identity.tls)
    for name, issuer in estate.identity.issuers.items():
        yield from _client(f"identity/{name}/connect", issuer.tls)
    for name, service in estate.services.items():
        yield from _client(f"services/{name}/connect", service.tls)
    authorities = estate.protection.settings.get("authorities")
    if estate.protection.keys == "vault" and isinstance(authorities, str):
        yield "protection/connect", "authority", authorities
    for place in estate.evidence.publish_to:
        if place.startswith("s3:"):
            yield from _store("evidence/connect", place)


def _client(place: str, given: ClientTls | Mapping[str, Any] | None) -> Iterator[tuple[str, str, str]]:
    if given is None:
        return
    tls = ClientTls.model_validate(given)
    if tls.certificate is not None:
        yield place, "own", tls.certificate
    if tls.authorities is not None:
        yield place, "authority", tls.authorities


def _store(place: str, address: str) -> Iterator[tuple[str, str, str]]:
    authorities = BucketAddress.parse(address).authorities
    if authorities is not None:
        yield place, "authority", authorities
