"""The MLLP listener: many connections, replies in order, patience with limits, and no message lost to a bad neighbour.

The handler returns a future, not a coroutine: the group commit resolves hundreds of them at once, and a task for each
message would cost more than the message.
"""

from __future__ import annotations

import asyncio
import logging
import ssl as tls
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from hilum.transports.mllp.framing import Frames, FrameTooLarge, framed

log = logging.getLogger(__name__)

MAX_STRAY_BYTES = 1024
KEPT_BYTES = 65_536
SWEEP_SECONDS = 0.5

Handler = Callable[[bytes, str], "asyncio.Future[bytes]"]
Refuse = Callable[["Violation"], "asyncio.Future[bytes]"]


@dataclass(frozen=True, slots=True)
class Violation:
    """What a peer did that is no message. ``kind``: stray, oversized, incomplete, slow, idle, crowded."""

    kind: str
    text: str
    peer: str
    data: bytes


class MllpListener:
    """One listening address.

    ``handler`` takes a message and gives the future of its acknowledgement; when that future fails, nothing was stored:
    the connection is closed without an answer and the sender sends again. ``refuse`` gives the answer to a frame that is
    too large. ``on_violation`` hears of everything else that was no message.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        refuse: Refuse,
        on_violation: Callable[[Violation], None],
        max_frame_bytes: int = 1_048_576,
        idle_timeout_seconds: float = 300.0,
        frame_timeout_seconds: float = 30.0,
        max_connections: int = 200,
        max_in_flight: int = 64,
    ) -> None:
        self.handler = handler
        self.refuse = refuse
        self.on_violation = on_violation
        self.max_frame_bytes = max_frame_bytes
        self.idle_timeout_seconds = idle_timeout_seconds
        self.frame_timeout_seconds = frame_timeout_seconds
        self.max_connections = max_connections
        self.max_in_flight = max_in_flight
        self.connections: set[_Connection] = set()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int, *, ssl: tls.SSLContext | None = None) -> int:
        """Listen; returns the port (a free one when 0 was asked for)."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, ssl=ssl, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweeper = loop.create_task(self._sweep(), name=f"mllp {self.port}")
        return self.port

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """Take nothing more in, let what is in flight be answered, close."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self.connections):
            connection.drain()
        deadline = asyncio.get_running_loop().time() + grace_seconds
        while self.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        """Close who began a frame and does not end it, and who says nothing for too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for connection in list(self.connections):
                connection.check_patience(now)


class _Connection(asyncio.Protocol):
    """One peer."""

    def __init__(self, listener: MllpListener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._frames = Frames(listener.max_frame_bytes)
        self._replies: deque[asyncio.Future[bytes]] = deque()
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._heard_at = self._loop.time()
        self._frame_began_at: float | None = None
        self._reading = True
        self._writable = True
        self._closing = False

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name = transport.get_extra_info("peername")
        self._peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
        if len(self._listener.connections) >= self._listener.max_connections:
            self._violated("crowded", f"more than {self._listener.max_connections} connections", b"")
            self._closing = True
            transport.close()
            return
        self._listener.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._heard_at = self._loop.time()
        before = self._frames.strays
        try:
            messages = self._frames.feed(data)
        except FrameTooLarge as large:
            violation = Violation("oversized", str(large), self._peer, large.start[:KEPT_BYTES])
            self._answer_with(self._listener.refuse(violation))
            self.drain()
            return
        for message in messages:
            self._take(message)
        if not self._frames.inside:
            self._frame_began_at = None
        elif self._frame_began_at is None or messages:
            self._frame_began_at = self._heard_at
        if self._frames.strays > before:
            self._violated("stray", "bytes outside a frame", self._frames.stray_bytes)
            self._frames.stray_bytes = b""
            if self._frames.strays > MAX_STRAY_BYTES:
                self.drain()

    def eof_received(self) -> bool:
        # A peer that half-closes still gets the answers to what it sent.
        self.drain()
        return bool(self._replies)

    def connection_lost(self, error: Exception | None) -> None:
        self._listener.connections.discard(self)
        self._replies.clear()
        if self._frames.inside:
            self._violated("incomplete", "the connection ended inside a frame", self._frames.partial[:KEPT_BYTES])

    def pause_writing(self) -> None:
        self._writable = False
        self._balance()

    def resume_writing(self) -> None:
        self._writable = True
        self._balance()

    # --- what the listener asks

    def check_patience(self, now: float) -> None:
        listener = self._listener
        if self._closing:
            return
        if self._frame_began_at is not None and now - self._frame_began_at > listener.frame_timeout_seconds:
            partial, self._frames = self._frames.partial, Frames(listener.max_frame_bytes)
            self._violated("slow", f"a frame did not end within {listener.frame_timeout_seconds:g} s", partial[:KEPT_BYTES])
            self.drain()
        elif not self._replies and now - self._heard_at > listener.idle_timeout_seconds:
            self._violated("idle", f"nothing was heard for {listener.idle_timeout_seconds:g} s", b"")
            self.drain()

    def drain(self) -> None:
        """Read nothing more; close when what is in flight has been answered."""
        self._closing = True
        self._flush()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- replies

    def _take(self, message: bytes) -> None:
        try:
            reply = self._listener.handler(message, self._peer)
        except Exception:
            # A defect of ours: nothing was stored, so nothing is acknowledged and the sender keeps its message.
            log.exception("a message could not be taken in")
            self.abort()
            return
        self._answer_with(reply)

    def _answer_with(self, reply: asyncio.Future[bytes]) -> None:
        self._replies.append(reply)
        reply.add_done_callback(self._replied)
        if len(self._replies) >= self._listener.max_in_flight:
            self._balance()

    def _replied(self, reply: asyncio.Future[bytes]) -> None:
        self._flush()

    def _flush(self) -> None:
        """Write every answer whose turn it is: in the order of the messages, whatever finished first."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        out: list[bytes] = []
        while self._replies and self._replies[0].done():
            reply = self._replies.popleft()
            if reply.cancelled() or reply.exception() is not None:
                if out:
                    transport.write(b"".join(out))
                log.error("a message was not stored; its sender is left to send it again")
                self._replies.clear()
                transport.close()
                return
            out.append(framed(reply.result()))
        if out:
            transport.write(b"".join(out))
        if self._closing and not self._replies:
            transport.close()
        elif not self._reading:
            self._balance()

    def _balance(self) -> None:
        """Read only while there is room for replies and the peer takes them."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._closing:
            return
        room = self._writable and len(self._replies) < self._listener.max_in_flight
        if room and not self._reading:
            self._reading = True
            transport.resume_reading()
        elif not room and self._reading:
            self._reading = False
            transport.pause_reading()

    def _violated(self, kind: str, text: str, data: bytes) -> None:
        try:
            self._listener.on_violation(Violation(kind, text, self._peer, data))
        except Exception:
            log.exception("a violation could not be recorded")
