"""The feed's own HTTP client against a server that does what servers do, and what they should not."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from hilum.authoring import Refused, Unavailable
from hilum.connectors.http_feed import HttpFeed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nR-77"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


class Endpoint:
    """A real socket that answers each request by a function; it keeps what it was sent."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                request = head + await reader.readexactly(size)
                self.requests.append(request)
                await self._answer(reader, writer, request)
                await writer.drain()
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def endpoint(answer: Answer) -> AsyncIterator[Endpoint]:
    end = Endpoint(answer)
    server = await asyncio.start_server(end.connected, "127.0.0.1", 0)
    end.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/events?from=hilum"
    try:
        yield end
    finally:
        server.close()


def always(data: bytes, *, close: bool = False) -> Answer:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bytes) -> None:
        writer.write(data)
        if close:
            writer.close()

    return answer


def sent(
    answer: Answer, *, body: bytes = b"event", key: str = "feed/1/1", timeout_seconds: float = 2.0
) -> tuple[str, Endpoint]:
    """Send one event and return its receipt."""

    async def story() -> tuple[str, Endpoint]:
        async with endpoint(answer) as end:
            feed = HttpFeed(end.url, connections=1, timeout_seconds=timeout_seconds, token="t0ken")
            try:
                return await feed.send(body, key=key, content_type="application/json"), end
            finally:
                await feed.close()

    return asyncio.run(story())


def test_a_request_carries_its_key_its_type_and_its_token() -> None:
    receipt, end = sent(always(OK))

    assert receipt == "R-77"
    head, _, body = end.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /events?from=hilum HTTP/1.1"
    assert b"Idempotency-Key: feed/1/1" in lines
    assert b"Content-Type: application/json" in lines
    assert b"Authorization: Bearer t0ken" in lines
    assert body == b"event"


@pytest.mark.parametrize(
    ("what", "answer", "receipt"),
    [
        ("chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nR-\r\n2\r\n77\r\n0\r\n\r\n", "R-77"),
        ("no body", b"HTTP/1.1 204 No Content\r\n\r\n", "204"),
        ("an interim answer first", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, "R-77"),
        ("an empty body", b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "202"),
    ],
)
def test_a_receipt_is_read_however_it_is_framed(what: str, answer: bytes, receipt: str) -> None:
    assert sent(always(answer))[0] == receipt, what


def test_a_body_that_ends_with_the_connection_is_a_receipt() -> None:
    assert sent(always(b"HTTP/1.0 200 OK\r\n\r\nR-77", close=True))[0] == "R-77"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_status_that_means_later_is_unavailable(status: int) -> None:
    with pytest.raises(Unavailable) as raised:
        sent(always(b"HTTP/1.1 %d Later\r\nRetry-After: 12\r\nContent-Length: 0\r\n\r\n" % status))

    assert raised.value.retry_after_seconds == 12


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 413, 422])
def test_any_other_status_is_a_refusal_that_quotes_no_body(status: int) -> None:
    with pytest.raises(Refused) as raised:
        sent(always(b"HTTP/1.1 %d No\r\nContent-Length: 6\r\n\r\nZztest" % status))

    assert str(status) in raised.value.cause
    assert "Zztest" not in str(raised.value)


def test_the_title_of_a_problem_document_is_the_reason() -> None:
    document = b'{"title":"Account is closed","detail":"Zztest-Alder"}'
    head = b"HTTP/1.1 422 No\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % len(document)

    with pytest.raises(Refused) as raised:
        sent(always(head + document))

    assert raised.value.detail == "Account is closed"


@pytest.mark.parametrize(
    ("what", "answer", "close"),
    [
        ("cut before the answer", b"", True),
        ("cut within the body", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nR-", True),
        ("no HTTP at all", b"SSH-2.0-OpenSSH_9.2\r\n", False),
    ],
)
def test_an_answer_that_is_none_is_unavailable(what: str, answer: bytes, close: bool) -> None:
    with pytest.raises(Unavailable):
        sent(always(answer, close=close))


def test_silence_ends_within_a_quarter_more_than_the_timeout() -> None:
    begun = time.monotonic()
    with pytest.raises(Unavailable, match=r"no answer within 0\.4 s"):
        sent(always(b""), timeout_seconds=0.4)

    assert time.monotonic() - begun < 1.5


def test_a_kept_connection_that_the_server_closed_is_replaced_without_anyone_noticing() -> None:
    async def story() -> Endpoint:
        answers = 0

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bytes) -> None:
            nonlocal answers
            answers += 1
            if answers == 2:
                writer.close()  # Idle too long, it thinks: the second request is never read.
                return
            writer.write(OK)

        async with endpoint(answer) as end:
            feed = HttpFeed(end.url, connections=1, timeout_seconds=2)
            await feed.send(b"1", key="k1", content_type="")
            await feed.send(b"2", key="k2", content_type="")
            await feed.close()
            return end

    end = asyncio.run(story())

    assert end.connections == 2
    assert [request[-1:] for request in end.requests] == [b"1", b"2", b"2"]


def test_connections_are_kept_and_never_more_than_agreed() -> None:
    async def story() -> Endpoint:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: bytes) -> None:
            await asyncio.sleep(0.001)
            writer.write(OK)

        async with endpoint(answer) as end:
            feed = HttpFeed(end.url, connections=3, timeout_seconds=5)
            await asyncio.gather(*(feed.send(b"x", key=f"k{n}", content_type="") for n in range(100)))
            await feed.close()
            return end

    end = asyncio.run(story())

    assert (end.connections, len(end.requests)) == (3, 100)


def test_a_batch_keeps_order_within_a_group_and_a_refusal_ends_only_its_group() -> None:
    async def story() -> tuple[list[object], list[bytes]]:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
            refused = request.endswith(b"b2")
            writer.write(b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n" if refused else OK)

        async with endpoint(answer) as end:
            feed = HttpFeed(end.url, connections=2, timeout_seconds=2)
            groups = [[(f"{name}{n}".encode(), f"{name}{n}") for n in (1, 2, 3)] for name in "abc"]
            outcomes = await feed.send_many(groups)
            await feed.close()
            return [(len(o.receipts), type(o.failure)) for o in outcomes], [r[-2:] for r in end.requests]

    outcomes, bodies = asyncio.run(story())

    assert outcomes == [(3, type(None)), (1, Refused), (3, type(None))]
    for name in (b"a", b"b", b"c"):
        own = [body for body in bodies if body[:1] == name]
        assert own == sorted(own)
    assert b"b3" not in bodies


def test_a_batch_ends_when_the_system_goes_away_and_says_how_far_it_came() -> None:
    async def story() -> list[tuple[int, bool]]:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
            late = request.endswith(b"b2")
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" if late else OK)

        async with endpoint(answer) as end:
            feed = HttpFeed(end.url, connections=1, timeout_seconds=2)
            groups = [[(f"{name}{n}".encode(), f"{name}{n}") for n in (1, 2, 3)] for name in "abc"]
            outcomes = await feed.send_many(groups)
            await feed.close()
            return [(len(o.receipts), isinstance(o.failure, Unavailable)) for o in outcomes]

    assert asyncio.run(story()) == [(3, False), (1, True), (0, False)]


def test_a_key_cannot_add_a_header() -> None:
    with pytest.raises(ValueError, match="printable"):
        sent(always(OK), key="k\r\nX-Evil: 1")


def test_nobody_listening_is_unavailable_for_all_who_wait() -> None:
    async def story() -> list[object]:
        async with endpoint(always(OK)) as end:
            url = end.url
        feed = HttpFeed(url, connections=2, timeout_seconds=2)
        sends = (feed.send(b"x", key=f"k{n}", content_type="") for n in range(5))
        results = await asyncio.gather(*sends, return_exceptions=True)
        await feed.close()
        return [type(result) for result in results]

    assert asyncio.run(story()) == [Unavailable] * 5
