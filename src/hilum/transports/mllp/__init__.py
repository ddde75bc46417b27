"""HL7 over MLLP: the listener and the client."""

from hilum.transports.mllp.client import MllpClient
from hilum.transports.mllp.framing import framed
from hilum.transports.mllp.listener import MllpListener, Violation

__all__ = ["MllpClient", "MllpListener", "Violation", "framed"]
