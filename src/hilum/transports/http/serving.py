"""An ASGI application on the platform's own event loop: bound before it is announced, stopped when asked.

uvicorn does the serving. Two things it leaves to others are added: a limit on how long a request's head may take
(a slow-loris connection otherwise stays open for ever), and no grip on the process's signals, which belong to the
composition root. With TLS, a request's scope says by which certificate its client proved itself.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from asyncio import Transport
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hilum.security.certificates import SCOPE_EXTENSION, tls_extension
from hilum.security.tls import HANDSHAKE_SECONDS

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class HeadTimeout(HttpToolsProtocol):
    """uvicorn's protocol, with so many seconds for the head of each request."""

    def __init__(self, *args: Any, head_timeout_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timeout_seconds = head_timeout_seconds
        self._head_timer: asyncio.TimerHandle | None = None
        self._tls: dict[str, Any] | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            self._tls = tls_extension(secured)
        self._expect_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._tls is not None:
            self.scope["extensions"] = {SCOPE_EXTENSION: dict(self._tls)}  # type: ignore[dict-item]
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._have_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_timeout_seconds, self._too_slow)

    def _have_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_head()  # An earlier request of this connection is still being answered.
            return
        self.transport.write(_TOO_SLOW)
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: ``_serve`` is what ``serve`` does around them."""

    async def run_quietly(self, listening: socket.socket) -> None:
        await self._serve([listening])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with a limit on how long a handshake may take: its minute is a slow-loris' too."""
        await super().startup([])
        loop = asyncio.get_running_loop()
        config = self.config

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        for listening in sockets or []:
            server = await loop.create_server(
                protocol, sock=listening, ssl=config.ssl, backlog=config.backlog,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if config.ssl is not None else None,
            )  # fmt: skip
            self.servers.append(server)


class Served:
    """An application that is being served; ``port`` is the one that was bound."""

    def __init__(self, server: _Server, task: asyncio.Task[None], host: str, port: int, scheme: str) -> None:
        self._server = server
        self._scheme = scheme
        self._task = task
        self.host = host
        self.port = port

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self._scheme}://{host}:{self.port}"

    async def stop(self) -> None:
        """Take no more connections, answer what is being answered, and end."""
        self._server.should_exit = True
        await asyncio.wait([self._task])


async def serve(
    app: Any,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    head_timeout_seconds: float = 10.0,
    max_connections: int = 500,
    stop_timeout_seconds: int = 5,
    protocol: Callable[..., HttpToolsProtocol] = HeadTimeout,
    tls: ssl.SSLContext | None = None,
) -> Served:
    """Serve ``app``; returns once connections are accepted. ``port`` 0 takes a free one.

    With ``tls`` (see ``security.tls``) only TLS is spoken; ``scope["extensions"]["tls"]`` then has the members of the ASGI
    TLS extension and ``x5t#S256`` (see ``security.certificates.client_thumbprint``). Beyond ``max_connections`` a request is answered 503. Raises ``OSError`` when the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=512)
    listening.setblocking(False)
    config = uvicorn.Config(
        app,
        http=functools.partial(protocol, head_timeout_seconds=head_timeout_seconds),  # type: ignore[arg-type]
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=max_connections,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=stop_timeout_seconds,
        ssl_context_factory=(lambda config, default: tls) if tls is not None else None,
    )
    server = _Server(config)
    task = asyncio.create_task(server.run_quietly(listening), name=f"serve {host}:{port}")
    while not server.started:
        if task.done():
            listening.close()
            task.result()
            raise RuntimeError(f"the application for {host}:{port} ended while it started; its log says why")
        await asyncio.sleep(0.002)
    return Served(server, task, host, listening.getsockname()[1], "http" if tls is None else "https")
