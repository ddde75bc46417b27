"""The systems as they are reached: connector, policy, pace and room for so many calls at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hilum.authoring.estate import Policy
from hilum.runtime.residency import ResidencyForbids, ResidencyGuard


@dataclass
class Connection:
    """One system: what to call, and how politely."""

    system: str
    connector: Any  # A Connector and the operations of its role; names are checked against the role by `hilum check`.
    policy: Policy
    pace: Callable[[], Any]
    announcements: Any = None  # What the system announced on its answers; see connectors.vendor_answers.
    residency: ResidencyGuard | None = None
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    def __post_init__(self) -> None:
        self.room = asyncio.Semaphore(self.policy.concurrency)

    def forbids(self, signature: Callable[..., Any] | None, arguments: Mapping[str, Any]) -> ResidencyForbids | None:
        """Why a question or command must not go to this system's region; None when it may."""
        return self.residency.of_call(signature, arguments) if self.residency is not None else None


class NotConnected(LookupError):
    """A flow speaks to a system for which the estate has no ``[connect]``."""


class Connections:
    """All systems of the estate that Hilum speaks to."""

    def __init__(self, connections: Mapping[str, Connection]) -> None:
        self._connections = dict(connections)

    def to(self, system: str) -> Connection:
        try:
            return self._connections[system]
        except KeyError:
            raise NotConnected(f"system {system!r} is not connected: add [connect] to systems/{system}.toml") from None

    def __iter__(self) -> Any:
        return iter(self._connections.values())

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.connector.close()
