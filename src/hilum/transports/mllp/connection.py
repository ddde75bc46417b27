"""One MLLP connection of a listener. The hot path: no task, no timer and one write for whatever is ready together."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from hilum.transports.mllp.framing import END, START, START_BYTE
from hilum.transports.mllp.peer import Counts, Kind, Peer, Violation

if TYPE_CHECKING:
    Reply = asyncio.Future[bytes]

# Bytes before a <VT> that may pile up before the connection is given up: another protocol is knocking.
_NOISE_MAX_BYTES = 4096
# What a refused peer may go on sending while it reads the refusal.
_DISCARD_MAX_BYTES = 67_108_864

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection may take; the names of ``MllpListener``."""

    max_frame_bytes: int
    idle_timeout_seconds: float
    frame_timeout_seconds: float
    max_in_flight: int
    max_violations: int
    tolerate_missing_cr: bool
    linger_seconds: float


@dataclass(frozen=True, slots=True)
class Rules:
    """What all connections of a listener share."""

    loop: asyncio.AbstractEventLoop
    limits: Limits
    counts: Counts
    handler: Callable[[bytes, Peer], Awaitable[bytes]]
    refuse: Callable[[Violation], bytes]
    violated: Callable[[Violation], None]
    admit: Callable[[Connection], bool]
    left: Callable[[Connection], None]
    tasks: set[asyncio.Future[bytes]] = field(
        default_factory=set
    )  # Replies that a coroutine makes; the loop holds none.


class Connection(asyncio.Protocol):
    """Cuts the stream into frames, hands them on, and writes the replies in the order of their frames."""

    __slots__ = (
        "_begun", "_buffer", "_choked", "_counts", "_discarded", "_end", "_ending", "_handler", "_heard_all", "_last", "_limits", "_linger",
        "_paused", "_pending", "_rules", "_scanned", "_secure", "_strikes", "_time", "_transport", "_woken_by", "peer",
    )  # fmt: skip

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._limits = rules.limits
        self._counts = rules.counts
        self._handler = rules.handler
        self._time = rules.loop.time
        self._end = END[:1] if rules.limits.tolerate_missing_cr else END
        self._buffer = bytearray()  # What is not handed on yet; while reading is paused it may hold whole frames.
        self._scanned = 0  # Up to where the buffer holds no end of a frame.
        self._pending: deque[tuple[Reply, bytes]] = deque()
        self._woken_by: Reply | None = None  # The first pending reply, once it has been told to wake us.
        self._paused = False  # Reading is paused.
        self._choked = False  # The peer does not read its replies.
        self._ending = False  # No more frames are taken; the connection closes when all replies are written.
        self._heard_all = False  # The peer has closed its side.
        self._begun: float | None = None  # When the frame (or noise) in the buffer began.
        self._linger: float | None = None  # When a refused peer is cut off.
        self._last = 0.0
        self._strikes = 0
        self._discarded = 0
        self._secure = False
        self.peer = Peer("unknown")

    # --- what the event loop calls ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._secure = transport.get_extra_info("ssl_object") is not None
        self.peer = Peer.of(transport)
        self._last = self._time()
        if not self._rules.admit(self):
            self._ending = True
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._last = self._time()
        if self._ending:
            self._discarded += len(data)
            if self._discarded > _DISCARD_MAX_BYTES:
                self._transport.abort()
            return
        self._counts.bytes += len(data)
        if self._buffer or self._paused:
            self._buffer += data
            if not self._paused:
                self._take_frames(self._buffer)
        else:
            self._take_frames(data)

    def eof_received(self) -> bool:
        """The peer sends no more; it may still be reading, so its replies are written before the connection closes."""
        self._heard_all = True
        if not self._ending:
            self._incomplete("the connection was closed in the middle of a frame")
            self._ending = True
        if self._pending and not self._secure:
            return True
        self._linger = self._linger or self._time() + self._limits.linger_seconds
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ending:
            self._ending = True
            self._incomplete("the connection was lost in the middle of a frame")
        # Replies that are still being made belong to stored messages; nobody is there to read them any more.
        for reply, _ in self._pending:
            reply.add_done_callback(_seen)
        self._pending.clear()
        self._buffer.clear()
        self._rules.left(self)

    def pause_writing(self) -> None:
        self._choked = True
        self._pause()

    def resume_writing(self) -> None:
        self._choked = False
        self._last = self._time()
        self._resume()

    # --- what the listener calls ------------------------------------------------------------------------------------

    def check_time(self, now: float) -> None:
        """Close what is out of time."""
        if self._linger is not None:
            if now >= self._linger:
                self._transport.abort()
            return
        limits = self._limits
        if self._choked:
            if now - self._last > limits.idle_timeout_seconds:
                self._transport.abort()  # It has not read a reply for so long that nothing more can be told to it.
        elif self._ending or self._paused:
            return
        elif self._begun is not None:
            if now - self._begun > limits.frame_timeout_seconds:
                self._too_slow()
        elif not self._pending and now - self._last > limits.idle_timeout_seconds:
            self._counts.idle_closed += 1
            self._ending = True
            self._close()

    def finish(self) -> None:
        """Take no more; close as soon as the replies that are being made are written."""
        if not self._ending:
            self._ending = True
            self._buffer.clear()
            if self._pending:
                self._flush()
            else:
                self._close()

    def abort(self) -> None:
        """Close at once."""
        self._ending = True
        self._transport.abort()

    # --- frames -----------------------------------------------------------------------------------------------------

    def _take_frames(self, source: bytes | bytearray) -> None:
        """Hand on every whole frame of ``source``, which is the buffer or what just arrived while that was empty."""
        limits, end_mark = self._limits, self._end
        position, size, scanned = 0, len(source), self._scanned
        begun_here = 0  # Where the frame that is still open when we leave begins.
        while position < size and not (self._ending or self._paused):
            if len(self._pending) >= limits.max_in_flight:
                self._write_ready()
                if len(self._pending) >= limits.max_in_flight:
                    self._pause()
                    break
            if source[position] != START_BYTE:
                position, waiting = self._skip_noise(source, position)
                if waiting:
                    break
                continue
            end = source.find(end_mark, max(position + 1, scanned))
            length = (end if end >= 0 else size) - position - 1
            if length > limits.max_frame_bytes:
                self._too_large(bytes(source[position + 1 : position + 1 + limits.max_frame_bytes]))
                return
            if end < 0:
                begun_here = position
                scanned = max(size - len(end_mark) + 1, position + 1)
                break
            self._take(bytes(source[position + 1 : end]))
            position = end + len(end_mark)
            scanned = 0
            self._begun = None
        if self._ending:
            self._buffer.clear()
        elif source is self._buffer:
            del self._buffer[:position]
        elif position < size:
            self._buffer += memoryview(source)[position:]
        self._scanned = max(scanned - begun_here, 0) if self._buffer else 0
        if not self._buffer:
            self._begun = None
        elif self._begun is None:
            self._begun = self._last
        if self._pending:
            self._flush()

    def _take(self, data: bytes) -> None:
        self._counts.frames += 1
        restart = data.rfind(b"\x0bMSH")
        if restart >= 0:
            # The sender broke off and began anew. Read as one, the two would be a message that nobody sent.
            self._strike("incomplete-frame", data[:restart], "a new frame began in the middle of a frame")
            if self._ending:
                return
            data = data[restart + 1 :]
        reply: Reply
        try:
            awaitable = self._handler(data, self.peer)
            if asyncio.isfuture(awaitable):
                reply = awaitable
            else:
                reply = asyncio.ensure_future(awaitable)
                self._rules.tasks.add(reply)
                reply.add_done_callback(self._rules.tasks.discard)
        except Exception as error:  # noqa: BLE001 - A listener never stops, nor tells a peer of our insides.
            reply = self._rules.loop.create_future()
            reply.set_exception(error)
        self._pending.append((reply, data))

    def _skip_noise(self, source: bytes | bytearray, position: int) -> tuple[int, bool]:
        """Pass over what stands before the next <VT>: where to go on, and whether more bytes must arrive first."""
        while position < len(source) and source[position] in b"\r\n":
            position += 1  # Line ends between frames are a common habit and harm nobody.
        start = source.find(START, position)
        if start == position or position == len(source):
            return position, False
        noise = bytes(source[position : start if start >= 0 else position + _NOISE_MAX_BYTES])
        if start >= 0:
            self._begun = None
            self._strike(
                "outside-frame", noise[: self._limits.max_frame_bytes], "there were bytes outside of any frame"
            )
            return start, False
        if len(source) - position >= _NOISE_MAX_BYTES:
            self._give_up("outside-frame", noise, "there were only bytes outside of any frame; this port speaks MLLP")
        return position, True

    # --- replies ----------------------------------------------------------------------------------------------------

    def _ready(self, _: Reply) -> None:
        self._flush()

    def _write_ready(self) -> None:
        """Write the replies that are ready, up to the first that is not."""
        pending = self._pending
        written: list[bytes] = []
        while pending and pending[0][0].done():
            reply, data = pending.popleft()
            answer = self._answer(reply, data)
            if answer:
                written.append(b"\x0b%b\x1c\r" % answer)
        if pending and (first := pending[0][0]) is not self._woken_by:
            # Only the first one wakes us: nothing can be written before it.
            self._woken_by = first
            first.add_done_callback(self._ready)
        if written:
            self._counts.replies += len(written)
            if not self._transport.is_closing():
                self._transport.write(b"".join(written))

    def _answer(self, reply: Reply, data: bytes) -> bytes:
        error: BaseException | None
        if reply.cancelled():
            error = asyncio.CancelledError()
        else:
            error = reply.exception()
            if error is None:
                return reply.result()
        # Only the kind of the error: its text may hold what the message said.
        log.error("a message of %s could not be handled: %s", self.peer, type(error).__name__)
        self._counts.failures += 1
        return self._rules.refuse(
            Violation("handler-failed", self.peer, data, "the message could not be taken; send it again later")
        )

    def _flush(self) -> None:
        self._write_ready()
        if self._ending:
            if not self._pending and self._linger is None:
                if self._heard_all:
                    self._close()
                else:
                    self._close_gently()
        elif self._paused:
            self._resume()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        """Read again, unless the peer does not read or too much is still in flight."""
        if not self._paused or self._choked or len(self._pending) > self._limits.max_in_flight // 2:
            return
        self._paused = False
        if self._ending:
            return
        self._last = self._time()
        if self._buffer:
            self._begun = self._last  # It was we who made it wait.
            self._take_frames(self._buffer)
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()

    # --- what goes wrong --------------------------------------------------------------------------------------------

    def _strike(self, kind: Kind, data: bytes, text: str) -> None:
        """Report what can be borne a few times."""
        self._rules.violated(Violation(kind, self.peer, data, text))
        self._strikes += 1
        if self._strikes >= self._limits.max_violations:
            self._part(Violation(kind, self.peer, b"", f"{text}, {self._strikes} times on this connection"))

    def _give_up(self, kind: Kind, data: bytes, text: str) -> None:
        """Report what cannot be borne, refuse and close."""
        violation = Violation(kind, self.peer, data, text)
        self._rules.violated(violation)
        self._part(violation)

    def _part(self, violation: Violation) -> None:
        """Refuse in turn, behind the replies that are still to come, and take no more."""
        self._ending = True
        refusal: Reply = self._rules.loop.create_future()
        refusal.set_result(self._rules.refuse(violation))
        self._pending.append((refusal, b""))
        self._buffer.clear()
        self._flush()

    def _too_large(self, data: bytes) -> None:
        self._give_up("oversized-frame", data, f"the frame is larger than {self._limits.max_frame_bytes} bytes")

    def _too_slow(self) -> None:
        data, seconds = bytes(self._buffer), self._limits.frame_timeout_seconds
        if data[:1] == START:
            self._give_up("slow-frame", data[1:], f"the frame was not complete {seconds:g} seconds after its start")
        else:
            self._give_up("outside-frame", data, f"no frame began within {seconds:g} seconds of the first byte")

    def _incomplete(self, text: str) -> None:
        data = bytes(self._buffer[: self._limits.max_frame_bytes + 1])
        self._buffer.clear()
        if data[:1] == START:
            self._rules.violated(Violation("incomplete-frame", self.peer, data[1:], text))
        elif data.strip(b"\r\n"):
            self._rules.violated(Violation("outside-frame", self.peer, data, "there were bytes outside of any frame"))

    def _close_gently(self) -> None:
        """Close so that the last reply arrives: bytes of the peer that nobody read would reset the connection under it."""
        transport = self._transport
        if self._secure or not transport.can_write_eof() or transport.is_closing():
            self._close()
            return
        self._linger = self._time() + self._limits.linger_seconds
        transport.write_eof()
        if self._paused:
            self._paused = False
            transport.resume_reading()

    def _close(self) -> None:
        """Close when all is written, or when the peer has had time enough to read it."""
        self._linger = self._time() + self._limits.linger_seconds
        self._transport.close()


def _seen(reply: Reply) -> None:
    """Take note of a failure, so that the event loop does not report one that nobody is left to hear of."""
    if not reply.cancelled():
        reply.exception()
