"""Who is at the other end, and what they did wrong."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "outside-frame", "incomplete-frame", "oversized-frame", "slow-frame", "too-many-connections", "handler-failed"
]


class Peer(str):
    """The sender's address as text, ``10.1.2.3:49152``; ``subject`` is the common name of its certificate, if it has one."""

    subject: str | None = None

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
        self.subject = _common_name(transport.get_extra_info("peercert"))
        return self


def _common_name(certificate: Any) -> str | None:
    for names in (certificate or {}).get("subject", ()):
        for name, value in names:
            if name == "commonName":
                return str(value)
    return None


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
