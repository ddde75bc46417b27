"""The MLLP listener: takes frames, keeps replies in order, and outlives whatever a connection does to it."""

from __future__ import annotations

import asyncio
import logging
import ssl as tls
from collections.abc import Awaitable, Callable

from hilum.security.tls import HANDSHAKE_SECONDS
from hilum.transports.mllp.connection import Connection, Limits, Rules
from hilum.transports.mllp.peer import Counts, Peer, Violation

__all__ = ["Counts", "Handler", "MllpListener", "Peer", "Violation"]

Handler = Callable[[bytes, Peer], Awaitable[bytes]]

log = logging.getLogger(__name__)


def _everyone(peer: Peer) -> bool:
    return True


class MllpListener:
    """Listens for HL7 messages in MLLP frames.

    ``handler(data, peer)`` gets the bytes of a frame and returns an awaitable of the reply's bytes. A future is best: it
    costs no task, and those that one commit resolves are written together. Replies leave in the order of the requests
    of their connection; an empty one is not sent. When the handler fails, ``refuse`` makes the reply.

    ``refuse(violation)`` returns the bytes of the refusal for what is no message or failed here; without it the
    connection is closed silently. ``on_violation(violation)`` is told of everything a peer did wrong, with the bytes.

    Reading stops while ``max_in_flight_per_connection`` replies are open or the peer does not read its replies.
    ``frame_timeout_seconds`` runs from <VT> to <FS><CR>, however busily bytes trickle; ``idle_timeout_seconds`` while
    nothing at all arrives. ``tolerate_missing_cr`` takes <FS> alone for a frame's end. ``admits`` says of a peer, once its
    certificate is verified, whether this port is its own; a peer that is not admitted is cut off unheard.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        refuse: Callable[[Violation], bytes] | None = None,
        on_violation: Callable[[Violation], None] | None = None,
        max_frame_bytes: int = 1_048_576,
        idle_timeout_seconds: float = 300.0,
        frame_timeout_seconds: float = 30.0,
        max_connections: int = 200,
        max_in_flight_per_connection: int = 64,
        max_violations_per_connection: int = 8,
        tolerate_missing_cr: bool = False,
        linger_seconds: float = 2.0,
        admits: Callable[[Peer], bool] = _everyone,
    ) -> None:
        self._admits = admits
        self.counts = Counts()
        self._limits = Limits(
            max_frame_bytes=max_frame_bytes,
            idle_timeout_seconds=idle_timeout_seconds,
            frame_timeout_seconds=frame_timeout_seconds,
            max_in_flight=max_in_flight_per_connection,
            max_violations=max_violations_per_connection,
            tolerate_missing_cr=tolerate_missing_cr,
            linger_seconds=linger_seconds,
        )
        self._max_connections = max_connections
        self._handler = handler
        self._refuse = refuse
        self._on_violation = on_violation
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._stopping = False

    async def start(self, host: str, port: int, ssl: tls.SSLContext | None = None) -> int:
        """Listen on ``host`` and ``port`` (0: any free one) and return the port; OSError when it cannot be had."""
        if self._server is not None or self._stopping:
            raise RuntimeError("this listener has been started already; make another one for another port")
        loop = asyncio.get_running_loop()
        rules = Rules(
            loop, self._limits, self.counts, self._handler, self._refused, self._violated, self._admit, self._left
        )
        handshake = min(self._limits.frame_timeout_seconds, HANDSHAKE_SECONDS) if ssl is not None else None
        self._server = await loop.create_server(
            lambda: Connection(rules), host, port, ssl=ssl, ssl_handshake_timeout=handshake, backlog=1024
        )
        self._sweep(loop)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace_seconds: float = 10.0) -> None:
        """Take no more connections and frames, send the replies that are being made, then close.

        What is not answered after ``grace_seconds`` is cut off: its sender will send again.
        """
        if self._server is None:
            return
        self._stopping = True
        server, self._server = self._server, None
        server.close()
        for connection in list(self._connections):
            connection.finish()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_seconds
        while self._connections and (left := deadline - loop.time()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                break
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self._connections):
            connection.abort()
        while self._connections:
            self._changed.clear()
            await self._changed.wait()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look for connections out of time; one timer for all, because a timer for each frame costs more than the frame."""
        now = loop.time()
        for connection in list(self._connections):
            connection.check_time(now)
        shortest = min(
            self._limits.idle_timeout_seconds, self._limits.frame_timeout_seconds, self._limits.linger_seconds
        )
        self._sweeping = loop.call_later(min(max(shortest / 4, 0.02), 1.0), self._sweep, loop)

    def _admit(self, connection: Connection) -> bool:
        if self._stopping:
            return False
        if len(self._connections) >= self._max_connections:
            text = f"there are {self._max_connections} connections already"
            self._violated(Violation("too-many-connections", connection.peer, b"", text))
            return False
        if not self._admits(connection.peer):
            text = "the certificate is verified, but not one of those that may send here"
            self._violated(Violation("unknown-certificate", connection.peer, b"", text))
            return False
        self._connections.add(connection)
        self.counts.open_connections = len(self._connections)
        self.counts.connections += 1
        return True

    def _left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self.counts.open_connections = len(self._connections)
        self._changed.set()

    def _violated(self, violation: Violation) -> None:
        self.counts.violations[violation.kind] = self.counts.violations.get(violation.kind, 0) + 1
        if self._on_violation is None:
            return
        try:
            self._on_violation(violation)
        except Exception as error:  # noqa: BLE001 - Whatever the callback does, the listener must not stop.
            log.error(
                "a violation (%s) of %s could not be reported: %s", violation.kind, violation.peer, type(error).__name__
            )

    def _refused(self, violation: Violation) -> bytes:
        if self._refuse is None:
            return b""
        try:
            return self._refuse(violation)
        except Exception as error:  # noqa: BLE001 - As above; the peer is closed on without an answer.
            log.error(
                "a refusal (%s) to %s could not be made: %s", violation.kind, violation.peer, type(error).__name__
            )
            return b""
