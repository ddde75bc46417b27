"""The MLLP client: one message, its acknowledgement, and never another's."""

from __future__ import annotations

import asyncio
import ssl as tls
from types import TracebackType
from typing import Self, cast

from hilum.authoring.failures import Unavailable
from hilum.formats.hl7v2 import Code, HL7Error, HL7ParseError, Message, header_of
from hilum.security.egress import Egress
from hilum.transports.mllp.framing import END, START_BYTE, frame


class WrongAcknowledgement(Unavailable):
    """The peer answered, but not to what was sent: whether it took the message is not known."""


class MllpClient:
    """Sends HL7 messages to a listener and returns their acknowledgements.

    ``system`` names the peer in failures. Concurrent calls wait for one of ``connections`` connections in their order,
    each of which has one message under way at a time. A connection is made when it is first needed and kept.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        system: str | None = None,
        ssl: tls.SSLContext | None = None,
        server_hostname: str | None = None,
        connect_timeout_seconds: float = 5.0,
        ack_timeout_seconds: float = 30.0,
        connections: int = 1,
        max_ack_bytes: int = 1_048_576,
        egress: Egress | None = None,
    ) -> None:
        if connections < 1:
            raise ValueError("a client needs at least one connection")
        self._host = host
        self._port = port
        self._system = system if system is not None else f"{host}:{port}"
        self._ssl = ssl
        self._server_hostname = server_hostname
        self._connect_timeout_seconds = connect_timeout_seconds
        self._ack_timeout_seconds = ack_timeout_seconds
        self._max_ack_bytes = max_ack_bytes
        self._egress = egress
        self._turns = asyncio.Semaphore(connections)
        self._idle: list[_Line] = []
        self._closed = False

    async def exchange(self, message: bytes) -> bytes:
        """Send ``message`` and return the bytes of its acknowledgement, whose MSA-2 is the message's MSH-10.

        Raises Unavailable when the peer cannot be reached, is silent for ``ack_timeout_seconds`` or hangs up;
        WrongAcknowledgement when it answers to something else; in both cases the connection is closed, so that an answer
        that comes too late is never taken for the next message's, and, but for a refused connection, the peer may have
        taken the message. HL7Error when ``message`` has no MSH-10 to be acknowledged by.
        """
        control_id = header_of(message).control_id
        if control_id is None:
            raise HL7Error(
                Code.REQUIRED_FIELD_MISSING,
                "without a message control id no answer could be told to be its own",
                "MSH-10",
            )
        async with self._turns:
            line = await self._line()
            try:
                async with asyncio.timeout(self._ack_timeout_seconds):
                    answer = await line.send(frame(message))
                self._check(answer, control_id)
            except TimeoutError:
                line.abort()
                raise Unavailable(self._system, f"no acknowledgement within {self._ack_timeout_seconds:g} s") from None
            except ConnectionError as error:
                line.abort()
                raise Unavailable(
                    self._system, f"the connection was lost before the acknowledgement: {_reason(error)}"
                ) from None
            except BaseException:
                # Cancelled or answered wrongly: what may still arrive on this line must find nobody.
                line.abort()
                raise
            self._keep(line)
            return answer

    async def ping(self) -> None:
        """Return when the peer takes connections; Unavailable when it does not. Nothing is sent."""
        async with self._turns:
            self._keep(await self._line())

    async def close(self) -> None:
        """Close the connections: at once where nothing is under way, else when it is answered. No more can be sent."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _keep(self, line: _Line) -> None:
        if self._closed:
            line.close()
        else:
            self._idle.append(line)

    async def _line(self) -> _Line:
        while self._idle:
            line = self._idle.pop()
            if line.usable:
                return line
            line.abort()
        if self._closed:
            raise Unavailable(self._system, "this client has been closed")
        try:
            async with asyncio.timeout(self._connect_timeout_seconds):
                if self._egress is not None:
                    _, line = await self._egress.dial(
                        lambda: _Line(self._max_ack_bytes),
                        self._host, self._port, tls=self._ssl, name=self._server_hostname,
                    )  # fmt: skip
                else:
                    _, line = await asyncio.get_running_loop().create_connection(
                        lambda: _Line(self._max_ack_bytes),
                        self._host,
                        self._port,
                        ssl=self._ssl,
                        server_hostname=self._server_hostname if self._ssl is not None else None,
                    )
        except TimeoutError:
            raise Unavailable(self._system, f"no connection within {self._connect_timeout_seconds:g} s") from None
        except OSError as error:  # Certificate failures are OSErrors too.
            raise Unavailable(self._system, f"no connection: {_reason(error)}") from None
        return line

    def _check(self, answer: bytes, control_id: str) -> None:
        try:
            about = Message.parse(answer).get("MSA-2")
        except HL7ParseError as error:
            raise WrongAcknowledgement(self._system, f"the answer is no HL7 message: {error.text}") from None
        if about != control_id:
            raise WrongAcknowledgement(
                self._system, "the answer acknowledges another message (MSA-2 is not the MSH-10 sent)"
            )


class _Line(asyncio.Protocol):
    """One connection, with at most one message under way."""

    def __init__(self, max_ack_bytes: int) -> None:
        self._max_ack_bytes = max_ack_bytes
        self._buffer = bytearray()
        self._scanned = 0
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    @property
    def usable(self) -> bool:
        """Whether the connection stands and nothing unasked-for has arrived on it."""
        return self._transport is not None and not self._transport.is_closing() and not self._buffer

    async def send(self, framed: bytes) -> bytes:
        """Write a frame and wait for the next one; ConnectionError when the connection ends before it."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the peer closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(framed)
        try:
            return await self._answer
        finally:
            self._answer = None

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            # Nothing was asked: an answer to what we gave up waiting for, or a second one. Neither is anybody's.
            self.abort()
            return
        self._buffer += data
        end = self._buffer.find(END, self._scanned)
        if end < 0:
            self._scanned = max(len(self._buffer) - 1, 0)
            if len(self._buffer) > self._max_ack_bytes:
                self._fail(f"the answer is larger than {self._max_ack_bytes} bytes")
            return
        start = self._buffer.find(START_BYTE, 0, end)
        if start < 0 or self._buffer[:start].strip(b"\r\n"):
            self._fail("the answer is not in an MLLP frame")
            return
        answer = bytes(self._buffer[start + 1 : end])
        del self._buffer[: end + len(END)]
        self._scanned = 0
        if not self._buffer.strip(b"\r\n"):
            self._buffer.clear()
        self._answer.set_result(answer)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the peer closed the connection"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, text: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionAbortedError(text))
        self.abort()


def _reason(error: OSError) -> str:
    """A certificate failure, ``Connection refused`` ... in the system's words."""
    return getattr(error, "verify_message", "") or error.strerror or str(error) or type(error).__name__
