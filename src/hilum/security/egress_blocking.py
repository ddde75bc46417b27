"""The egress guard for HTTP clients that block: judged addresses, answers read whole and within a bound, no redirect.

The same as ``egress_http`` for what runs in threads: Vault's clients and the object stores'.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2
from httpcore2._backends.sync import SyncBackend

from hilum.security.egress import Egress
from hilum.security.egress_http import Unpacking
from hilum.security.tls import client_tls


class _GuardedStream(httpcore2.NetworkStream):
    """A connection that tells of the certificate its server presents."""

    def __init__(self, stream: httpcore2.NetworkStream, egress: Egress, host: str) -> None:
        self._stream = stream
        self._egress = egress
        self._host = host

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, timeout)
        self._egress.saw(self._host, secured.get_extra_info("socket"))
        return secured

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _GuardedBackend(httpcore2.NetworkBackend):
    """Connects to addresses that the guard has judged, and to no others."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._backend = SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            addresses = self._egress.addresses_now(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        trouble: httpcore2.ConnectError | None = None
        for address in addresses:
            try:
                stream = self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.ConnectError as error:
                trouble = error
                continue
            return _GuardedStream(stream, self._egress, host)
        assert trouble is not None
        raise trouble

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        raise httpcore2.ConnectError("a service's client may not use the sockets of this machine")


class GuardedBlockingTransport(httpx2.HTTPTransport):
    """``httpx2.Client(transport=GuardedBlockingTransport(egress))``."""

    def __init__(self, egress: Egress, *, tls: ssl.SSLContext | None = None, connections: int = 16) -> None:
        context = tls if tls is not None else client_tls()
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=60.0,
            network_backend=_GuardedBackend(egress),
        )
        self._limit = egress.max_answer_bytes

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """One exchange; the answer's body is complete and unpacked."""
        answer = super().handle_request(request)
        try:
            unpacking = Unpacking(answer, request, self._limit)
            assert isinstance(answer.stream, httpx2.SyncByteStream)
            for chunk in answer.stream:
                unpacking.take(chunk)
        finally:
            answer.close()
        return unpacking.whole()
