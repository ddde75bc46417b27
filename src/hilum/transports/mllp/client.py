"""The MLLP client: one message, one acknowledgement, and never another message's acknowledgement."""

from __future__ import annotations

import asyncio
import ssl as tls
from types import TracebackType
from typing import Self

from hilum.authoring.failures import Unavailable
from hilum.formats import hl7v2
from hilum.transports.mllp.framing import Frames, FrameTooLarge, framed

MAX_ACK_BYTES = 1_048_576


class MllpClient:
    """A connection to one receiver, opened when needed. Calls queue up: MLLP has one message in flight.

    After a time-out the connection is closed: an acknowledgement that comes late would otherwise be taken for that of
    the next message. MSA-2 must be the MSH-10 that was sent, for the same reason.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        system: str = "",
        ssl: tls.SSLContext | None = None,
        connect_timeout_seconds: float = 5.0,
        ack_timeout_seconds: float = 10.0,
    ) -> None:
        self._host = host
        self._port = port
        self._system = system or f"{host}:{port}"
        self._ssl = ssl
        self._connect_timeout_seconds = connect_timeout_seconds
        self._ack_timeout_seconds = ack_timeout_seconds
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, message: bytes) -> bytes:
        """Send a message and return its acknowledgement; Unavailable when none comes that is its own."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._connect_timeout_seconds):
                    reader, writer = await self._open()
                writer.write(framed(message))
                async with asyncio.timeout(self._ack_timeout_seconds):
                    await writer.drain()
                    answer = await self._read(reader)
            except TimeoutError:
                await self.close()
                raise Unavailable(self._system, f"no acknowledgement within {self._ack_timeout_seconds:g} s") from None
            except (OSError, EOFError, FrameTooLarge) as error:
                await self.close()
                raise Unavailable(self._system, f"the connection failed ({type(error).__name__})") from None
            except BaseException:
                # Cancelled half-way: what was sent may still be answered, so this connection is not used again.
                await self.close()
                raise
            sent, about = hl7v2.header_of(message).control_id, hl7v2.Message.parse(answer).get("MSA-2")
            if sent != about:
                await self.close()
                raise Unavailable(self._system, "the acknowledgement is of another message")
            return answer

    async def ping(self) -> None:
        """Return when the receiver takes connections."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._connect_timeout_seconds):
                    await self._open()
            except (OSError, TimeoutError) as error:
                raise Unavailable(self._system, f"no connection ({type(error).__name__})") from None

    async def close(self) -> None:
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None:
            reader, writer = self._streams
            if not reader.at_eof() and not writer.is_closing():
                return self._streams
            await self.close()
        self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._ssl)
        return self._streams

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        frames = Frames(MAX_ACK_BYTES)
        while True:
            data = await reader.read(65_536)
            if not data:
                raise EOFError
            answers = frames.feed(data)
            if answers:
                return answers[0]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
