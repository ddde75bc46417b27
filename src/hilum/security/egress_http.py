"""The egress guard for HTTP clients: judged addresses, bounded answers, and never a redirect.

``httpx2`` follows no redirect unless it is asked to, and a request to another host would be refused all the same,
because each connection is judged by itself. An answer is read whole and within a bound, before and after decompression:
what unpacks to more than the bound is cut off while it unpacks (CWE-409).
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2
from httpcore2._backends.anyio import AnyIOBackend

from hilum.security.egress import Egress, EgressRefused
from hilum.security.tls import client_tls


class AnswerTooLarge(httpx2.ReadError):
    """An answer beyond the bound, or packed in a way that is not taken."""


class _GuardedStream(httpcore2.AsyncNetworkStream):
    """A connection that tells of the certificate its server presents."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, egress: Egress, host: str, name: str | None) -> None:
        self._stream = stream
        self._egress = egress
        self._host = host
        self._name = name

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        name = self._name if self._name is not None else server_hostname
        secured = await self._stream.start_tls(ssl_context, name, timeout)
        self._egress.saw(self._host, secured.get_extra_info("ssl_object"))
        return secured

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that the guard has judged, and to no others."""

    def __init__(self, egress: Egress, name: str | None) -> None:
        self._egress = egress
        self._name = name
        self._backend = AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            addresses = await self._egress.addresses(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        trouble: httpcore2.ConnectError | None = None
        for address in addresses:
            try:
                stream = await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.ConnectError as error:
                trouble = error
                continue
            return _GuardedStream(stream, self._egress, host, self._name)
        assert trouble is not None
        raise trouble

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("a connector may not use the sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """``httpx2.AsyncClient(transport=GuardedTransport(egress))``. ``name`` is what the server's certificate must name."""

    def __init__(
        self, egress: Egress, *, tls: ssl.SSLContext | None = None, name: str | None = None, connections: int = 16
    ) -> None:
        context = tls if tls is not None else client_tls()
        # No environment: a proxy named there would connect for us, past the guard.
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=60.0,
            network_backend=_GuardedBackend(egress, name),
        )
        self._limit = egress.max_answer_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One exchange; the answer's body is complete and unpacked."""
        answer = await super().handle_async_request(request)
        try:
            unpacking = Unpacking(answer, request, self._limit)
            assert isinstance(answer.stream, httpx2.AsyncByteStream)
            async for chunk in answer.stream:
                unpacking.take(chunk)
        finally:
            await answer.aclose()
        return unpacking.whole()


class Unpacking:
    """An answer's body as it comes in: unpacked at once, and cut off beyond ``limit`` bytes."""

    def __init__(self, answer: httpx2.Response, request: httpx2.Request, limit: int) -> None:
        self._answer = answer
        self._request = request
        self._limit = limit
        self._body = bytearray()
        self._raw = 0
        announced = answer.headers.get("content-length", "")
        # A HEAD announces what a GET would bring, and brings nothing.
        if request.method != "HEAD" and announced.isdigit() and int(announced) > limit:
            raise self._too_large()
        self._unpack = self._unpacker()

    def take(self, chunk: bytes) -> None:
        self._raw += len(chunk)
        self._body += self._unpack(chunk, self._limit + 1 - len(self._body))
        if self._raw > self._limit or len(self._body) > self._limit:
            raise self._too_large()

    def whole(self) -> httpx2.Response:
        """The answer with its body, as if it had come unpacked."""
        answer = self._answer
        headers = [(k, v) for k, v in answer.headers.raw if k.lower() not in (b"content-encoding", b"content-length")]
        return httpx2.Response(
            answer.status_code, headers=headers, content=bytes(self._body), extensions=answer.extensions
        )

    def _unpacker(self) -> Any:
        coding = self._answer.headers.get("content-encoding", "identity").strip().lower()
        if coding in ("identity", ""):
            return lambda chunk, room: chunk
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise AnswerTooLarge("the answer is packed in a way that was not asked for", request=self._request)
        packed = zlib.decompressobj(zlib.MAX_WBITS | 32)

        def unpack(chunk: bytes, room: int) -> bytes:
            try:
                return packed.decompress(chunk, room)
            except zlib.error:
                raise AnswerTooLarge("the answer is not packed as it says", request=self._request) from None

        return unpack

    def _too_large(self) -> AnswerTooLarge:
        return AnswerTooLarge(f"the answer is larger than {self._limit} bytes", request=self._request)


def why_refused(error: BaseException | None) -> str | None:
    """The guard's words when it was the guard that kept a request from being sent; None otherwise."""
    while error is not None:
        if isinstance(error, EgressRefused):
            return str(error)
        error = error.__cause__ if error.__cause__ is not None else error.__context__
    return None
