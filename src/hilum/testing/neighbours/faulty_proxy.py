"""A network that fails on request: an HTTP proxy in front of a real neighbour, told what to do by the test.

It forwards every request on a connection of its own and can refuse, delay, answer 503, or lose the answer of a request
whose effect has been had. Everything it does is decided by ``mode`` and the planned faults, nothing by chance.
"""

from __future__ import annotations

import asyncio
import enum
import re
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_READ_BYTES = 65536


class Fault(enum.Enum):
    """What happens to a request."""

    NONE = "forwarded"
    DOWN = "refused"  # As a mode: the port is closed. As a planned fault: cut before the server saw it.
    SLOW = "delayed"
    BUSY = "answered 503"
    ANSWER_LOST = "done, but the answer was cut off"


@dataclass(frozen=True)
class Seen:
    """One request that arrived, and what became of it."""

    line: str  # "POST /erp/rest/model/account.move/7/post?f=number"
    outcome: Fault


@dataclass
class _Planned:
    pattern: re.Pattern[str]
    fault: Fault
    nth: int


class FaultyProxy:
    """``with FaultyProxy("http://127.0.0.1:8000") as proxy: connect_to(proxy.url); proxy.mode = Fault.BUSY``.

    Runs in a thread of its own, so that synchronous and asynchronous tests use it alike. ``mode`` holds for every request
    until it is changed; ``fail`` plans a fault for one request. ``delay_seconds`` is how long SLOW holds a request back.
    """

    def __init__(self, upstream: str, *, delay_seconds: float = 1.0) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname if parts.hostname is not None else "127.0.0.1", parts.port)
        self.delay_seconds = delay_seconds
        self.seen: list[Seen] = []
        self._mode = Fault.NONE
        self._planned: list[_Planned] = []
        self._port = 0
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-proxy", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def mode(self) -> Fault:
        return self._mode

    @mode.setter
    def mode(self, mode: Fault) -> None:
        """Takes effect before the assignment returns: with DOWN the port is closed, and any other mode opens it again."""
        self._mode = mode
        self._do(self._close() if mode is Fault.DOWN else self._open())

    def fail(self, pattern: str, fault: Fault, *, nth: int = 1) -> None:
        """Let the n-th request from now on whose ``METHOD path`` or body matches meet this fault, once."""
        self._planned.append(_Planned(re.compile(pattern), fault, nth))

    def count(self, pattern: str) -> int:
        """How many requests with a matching ``METHOD path`` arrived."""
        return sum(1 for seen in self.seen if re.search(pattern, seen.line))

    def start(self) -> None:
        self._thread.start()
        self._do(self._open())

    def stop(self) -> None:
        """Close the port and drop what is still held back."""
        self._do(self._close())
        self._do(self._drop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> FaultyProxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- inside the thread

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _drop(self) -> None:
        # A connection that was accepted just before the port closed becomes a task only now: look until there is none.
        while held := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_content_length(head))
            line = head.split(b" HTTP/", 1)[0].decode("latin-1")
            fault = self._fault_for(line, body)
            self.seen.append(Seen(line, fault))
            answer = await self._answer(fault, head, body)
            if answer is None:
                writer.transport.abort()
                return
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            writer.close()

    def _fault_for(self, line: str, body: bytes) -> Fault:
        text = f"{line}\n{body.decode('utf-8', 'replace')}"
        for planned in self._planned:
            if planned.pattern.search(text):
                planned.nth -= 1
                if planned.nth == 0:
                    self._planned.remove(planned)
                    return planned.fault
        return self._mode

    async def _answer(self, fault: Fault, head: bytes, body: bytes) -> bytes | None:
        """The bytes to send back; None when the connection is to be cut."""
        match fault:
            case Fault.DOWN:
                return None
            case Fault.BUSY:
                return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            case Fault.ANSWER_LOST:
                await self._forward(head, body)
                return None
            case Fault.SLOW:
                await asyncio.sleep(self.delay_seconds)
        return await self._forward(head, body)

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        """Hand the request to the server and return its whole answer: the effect is had."""
        reader, writer = await asyncio.open_connection(*self._upstream)
        try:
            # One request a connection: the end of the answer is the end of the stream.
            kept = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
            writer.write(b"\r\n".join([*kept, b"Connection: close", b"", b""]) + body)
            await writer.drain()
            parts = []
            while part := await reader.read(_READ_BYTES):
                parts.append(part)
            return b"".join(parts)
        finally:
            writer.close()


def _content_length(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length:\s*(\d+)", head, re.IGNORECASE)
    return int(found.group(1)) if found else 0
