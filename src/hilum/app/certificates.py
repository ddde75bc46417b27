"""Which certificates an installation has: those of its doors and connectors, read from the files the estate names."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from hilum.authoring.estate import Estate
from hilum.authoring.estate_transport import ClientTls
from hilum.runtime.certificates import Placed
from hilum.security.certificates import CertificateUnreadable, read_file

log = logging.getLogger(__name__)


def configured_certificates(estate: Estate, data: Path) -> Sequence[Placed]:
    """Every certificate of every file that the estate names for TLS. One that cannot be read is logged and left out."""
    found: dict[str, Placed] = {}
    for place, role, reference in _files(estate):
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
        if spec.connect.get("tls") is not None:
            client = ClientTls.model_validate(spec.connect["tls"])
            if client.certificate is not None:
                yield f"{name}/connect", "own", client.certificate
            if client.authorities is not None:
                yield f"{name}/connect", "authority", client.authorities
