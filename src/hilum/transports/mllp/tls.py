"""TLS for MLLP, with certificates on one side or both (IHE ITI ATNA asks for both)."""

from __future__ import annotations

import ssl
from os import PathLike

File = str | PathLike[str]


def server_context(certificate: File, key: File, *, clients: File | None = None) -> ssl.SSLContext:
    """For a listener. With ``clients``, the authorities of client certificates, a sender without one is turned away."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    *, authorities: File | None = None, certificate: File | None = None, key: File | None = None
) -> ssl.SSLContext:
    """For a client: the listener is verified by ``authorities``, or the machine's; ``certificate`` is our own, if asked for."""
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
