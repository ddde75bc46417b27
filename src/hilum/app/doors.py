"""Where the platform listens, and that no door opens to other machines unencrypted without a reason."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from pathlib import Path

from hilum.authoring.estate import Estate
from hilum.authoring.estate_transport import ClientTls, exposure
from hilum.security.secrets import SecretUnusable
from hilum.security.tls import TlsUnusable, client_context, server_context


class DoorRefused(ValueError):
    """A door would be open to other machines without TLS; the text says which, and what to write."""


def refuse_exposed(estate: Estate, doors: Collection[str] = ()) -> None:
    """Raise ``DoorRefused`` for every exposed door: the systems' ports when ``doors`` is empty, else those HTTP doors.

    ``hilum check`` says the same of the estate; this one also holds what an installation's overlay changed.
    """
    problems = []
    for name in doors:
        door = estate.door(name)
        problems.append((f"The {name} door", exposure(door.host, door.tls, door.insecure), f"[doors.{name}]"))
    if not doors:
        for name, spec in estate.systems.items():
            if spec.listen.mllp is not None:
                mllp = spec.listen.mllp
                found = exposure(mllp.host, mllp.tls, mllp.insecure)
                problems.append((f"The MLLP door of {name}", found, "[listen.mllp]"))
    said = [
        f"{what} {why}; add a tls table to {where}, or `insecure` with the reason"
        for what, why, where in problems
        if why
    ]
    if said:
        raise DoorRefused("\n".join(said))


def unready_doors(estate: Estate, data: Path) -> list[str]:
    """Why doors could not open: exposed ones, and TLS files that are missing or cannot be used. Empty when all is well."""
    problems: list[str] = []
    for doors in dict.fromkeys(((), tuple(estate.doors))):
        try:
            refuse_exposed(estate, doors)
        except DoorRefused as refused:
            problems += str(refused).splitlines()
    declared = [(f"door {name}", door.tls) for name, door in estate.doors.items()]
    declared += [
        (f"MLLP door of {n}", s.listen.mllp.tls) for n, s in estate.systems.items() if s.listen.mllp is not None
    ]
    for what, tls in declared:
        if tls is None:
            continue
        try:
            server_context(tls, data)
        except (TlsUnusable, SecretUnusable) as unusable:
            problems.append(f"{what}: {unusable}")
    for name, spec in estate.systems.items():
        if spec.connect.get("tls") is not None:
            try:
                client_context(ClientTls.model_validate(spec.connect["tls"]), data)
            except (TlsUnusable, SecretUnusable) as unusable:
                problems.append(f"system {name}: {unusable}")
    services = {f"identity provider {name}": issuer.tls for name, issuer in estate.identity.issuers.items()}
    services |= {f"service {name}": service.tls for name, service in estate.services.items()}
    services["the embedded issuer"] = estate.identity.tls
    for name, client in services.items():
        if client is not None:
            try:
                client_context(client, data)
            except (TlsUnusable, SecretUnusable) as unusable:
                problems.append(f"{name}: {unusable}")
    return problems


def http_door(estate: Estate, name: str, data: Path) -> tuple[str, ssl.SSLContext | None]:
    """The address and the TLS of one HTTP door (``webhook``, ``tower``, ``gateway``), for ``transports.http.serve``."""
    refuse_exposed(estate, (name,))
    door = estate.door(name)
    return door.host, server_context(door.tls, data) if door.tls is not None else None
