"""Who is at the other end, and what they did wrong."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

from hilum.security.certificates import Certificate, of_peer

Kind = Literal[
    "outside-frame", "incomplete-frame", "oversized-frame", "slow-frame", "too-many-connections", "handler-failed",
    "unknown-certificate",
]  # fmt: skip


class Peer(str):
    """The sender's address as text, ``10.1.2.3:49152``; ``certificate`` is what it proved itself by, if it was asked to.

    ``subject`` is the common name in it.
    """

    certificate: Certificate | None = None

    @property
    def subject(self) -> str | None:
        return self.certificate.common_name if self.certificate is not None else None

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> Peer:
        """Whoever is at the other end of ``transport``."""
        address: Any = transport.get_extra_info("peername")
        if isinstance(address, tuple) and len(address) >= 2:
            host = f"[{address[0]}]" if ":" in address[0] else address[0]
            text = f"{host}:{address[1]}"
        else:
            text = "unknown"
        self = cls(text)
        self.certificate = of_peer(transport.get_extra_info("ssl_object"))
        return self


@dataclass(frozen=True, slots=True)
class Violation:
    """What a peer did that MLLP does not allow, or ``handler-failed``, which is ours.

    ``data`` is what arrived, at most a frame's limit: PHI, for the store and never for a log. ``text`` is a sentence
    without any of it.
    """

    kind: Kind
    peer: Peer
    data: bytes
    text: str


@dataclass(slots=True)
class Counts:
    """What a listener saw since it was made; ``open_connections`` is of now, ``failures`` are the handler's."""

    open_connections: int = 0
    connections: int = 0
    frames: int = 0
    bytes: int = 0
    replies: int = 0
    idle_closed: int = 0
    failures: int = 0
    violations: dict[str, int] = field(default_factory=dict)
