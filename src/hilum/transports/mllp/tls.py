"""TLS for MLLP, with certificates on one side or both (IHE ITI ATNA asks for both)."""

from __future__ import annotations

import ssl
from os import PathLike
from pathlib import Path

from hilum.security.tls import TlsFiles, client_tls, server_tls

File = str | PathLike[str]


def server_context(certificate: File, key: File, *, clients: File | None = None) -> ssl.SSLContext:
    """For a listener. With ``clients``, the authorities of client certificates, a sender without one is turned away."""
    files = TlsFiles(Path(certificate), Path(key), authorities=Path(clients) if clients is not None else None)
    return server_tls(files, require_client_certificate=clients is not None)


def client_context(
    *, authorities: File | None = None, certificate: File | None = None, key: File | None = None
) -> ssl.SSLContext:
    """For a client: the listener is verified by ``authorities``, or the machine's; ``certificate`` is our own, if asked for."""
    return client_tls(
        TlsFiles(
            Path(certificate) if certificate is not None else None,
            Path(key) if key is not None else None,
            authorities=Path(authorities) if authorities is not None else None,
        )
    )
