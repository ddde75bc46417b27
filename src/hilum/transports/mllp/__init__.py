"""HL7 over MLLP (MLLP Release 1): the listener, the client, and TLS for both."""

from hilum.transports.mllp.client import MllpClient, WrongAcknowledgement
from hilum.transports.mllp.framing import frame
from hilum.transports.mllp.listener import Counts, MllpListener, Peer, Violation
from hilum.transports.mllp.tls import client_context, server_context

__all__ = [
    "Counts",
    "MllpClient",
    "MllpListener",
    "Peer",
    "Violation",
    "WrongAcknowledgement",
    "client_context",
    "frame",
    "server_context",
]
