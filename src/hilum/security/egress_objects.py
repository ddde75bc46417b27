"""The egress guard before object stores: boto3's requests are sent by a client that connects to judged addresses only.

botocore asks whoever listens to ``before-send`` whether they send a request themselves; here the guarded client does, so
that names are resolved once, no proxy of the environment is asked, and a redirect to another region's host is judged
like any other address. What boto3 does to find credentials by itself is not seen here: give a store its ``credentials``.
"""

from __future__ import annotations

import ssl
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import httpx2

from hilum.security.certificates import Certificate
from hilum.security.egress import BadAddress, Egress, Network, Target, plain_host, target
from hilum.security.egress_blocking import GuardedBlockingTransport
from hilum.security.egress_http import why_refused
from hilum.security.egress_services import ServiceEgress

Saw = Callable[[str, Certificate], None]
"""Told of the host and the certificate by which a store proved to be that."""

_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
_NOT_OURS = frozenset({"transfer-encoding", "expect", "content-length"})
"""Of how a request travels; the client says that itself. None of them is signed (SigV4)."""


def guard_store(client: Any, egress: Egress, *, tls: ssl.SSLContext | None = None) -> Any:
    """Let a client of boto3 (S3) send what it asks through the guard alone; the same client, with its time limits."""
    config = client.meta.config
    timeout = httpx2.Timeout(config.read_timeout, connect=config.connect_timeout)
    http = httpx2.Client(transport=GuardedBlockingTransport(egress, tls=tls), timeout=timeout, trust_env=False)

    def send(request: Any, **_: Any) -> Any:
        return _sent(http, request)

    client.meta.events.register("before-send.s3", send)
    weakref.finalize(client, http.close)
    return client


def store_egress(client: Any, bucket: str, *, service: str, hosts: Iterable[str] = (), networks: Iterable[Network] = (),
                 max_answer_bytes: int, saw: Saw | None = None) -> ServiceEgress:  # fmt: skip
    """The guard for a bucket at the client's endpoint: that host, the bucket's own below it, and in Amazon's cloud its others."""
    endpoint = target(client.meta.endpoint_url, ("https", "http"))
    own = replace(endpoint, host=f"{bucket}.{endpoint.host}")
    try:
        configured = [endpoint, Target(own.scheme, plain_host(own.host), own.port)]
    except BadAddress:
        configured = [endpoint]  # An address in numbers has no hosts below it.
    return ServiceEgress(
        service, configured, hosts=hosts, networks=tuple(networks), max_answer_bytes=max_answer_bytes,
        elsewhere=endpoint.host.endswith(_AMAZON), on_certificate=saw,
    )  # fmt: skip


def _sent(http: httpx2.Client, request: Any) -> Any:
    """The store's answer as botocore knows it, or its exception for what went wrong on the way."""
    from botocore.awsrequest import AWSResponse
    from botocore.exceptions import (
        ConnectionClosedError,
        ConnectTimeoutError,
        EndpointConnectionError,
        HTTPClientError,
        ReadTimeoutError,
    )

    headers = {name: _text(value) for name, value in request.headers.items() if name.lower() not in _NOT_OURS}
    body = request.body
    content = body.read() if hasattr(body, "read") else body
    url = request.url
    try:
        answer = http.request(request.method, url, headers=headers, content=content, follow_redirects=False)
    except httpx2.ConnectTimeout as late:
        raise ConnectTimeoutError(endpoint_url=url, error=late) from late
    except httpx2.TimeoutException as late:
        raise ReadTimeoutError(endpoint_url=url, error=late) from late
    except httpx2.ConnectError as failed:
        # The guard's own words where it refused: whoever reads them has to change the estate.
        why = why_refused(failed)
        cause = ConnectionRefusedError(why) if why is not None else failed
        raise EndpointConnectionError(endpoint_url=url, error=cause) from cause
    except (httpx2.RemoteProtocolError, httpx2.ReadError) as broken:
        raise ConnectionClosedError(endpoint_url=url, error=broken) from broken
    except httpx2.HTTPError as broken:
        raise HTTPClientError(error=broken) from broken
    return AWSResponse(url, answer.status_code, dict(answer.headers), _Body(answer.content))


class _Body(BytesIO):
    """An answer's body as botocore reads it: it was read already, within the guard's bound."""

    def stream(self, amt: int = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        while chunk := self.read(amt):
            yield chunk


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
