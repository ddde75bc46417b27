"""The webhook door on a real socket: what is taken, what is refused, and what is kept of it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook

from hilum.transports.http import Served, serve
from hilum.transports.webhook import Accepted, Hook, Refusal, RefusedRequest, webhook_app

SECRET = "whsec_" + base64.b64encode(b"lakeshore-stock-webhook!").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"somebody-else-altogether").decode()
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
REPORT = b'{"type": "consumption", "usage_id": "U-1001", "account": "SYN-A-1001"}'


@dataclass
class Door:
    """A served hook, and what came through it."""

    served: Served
    counts: Mapping[Any, int]
    accepted: list[bytes]
    refused: list[RefusedRequest]
    kept: asyncio.Event

    @property
    def url(self) -> str:
        return f"{self.served.url}/hooks/stock"

    @property
    def port(self) -> int:
        return self.served.port


Accept = Callable[[Hook, bytes, Mapping[str, str], str], Awaitable[Accepted | Refusal]]


@asynccontextmanager
async def door(
    accept: Accept | None = None, *, head_timeout_seconds: float = 5.0, **limits: Any
) -> AsyncIterator[Door]:
    kept = asyncio.Event()
    accepted: list[bytes] = []
    refused: list[RefusedRequest] = []

    async def take(hook: Hook, body: bytes, headers: Mapping[str, str], peer: str) -> Accepted | Refusal:
        accepted.append(body)
        return Accepted("m/1/1", duplicate=accepted.count(body) > 1)

    async def keep(request: RefusedRequest) -> str:
        refused.append(request)
        kept.set()
        return f"m/1/{len(refused)}"

    hook = Hook("stock", SECRET, **limits)
    app = webhook_app({"/hooks/stock": hook}, accept=accept or take, refuse=keep, clock=lambda: NOON)
    served = await serve(app, head_timeout_seconds=head_timeout_seconds)
    try:
        yield Door(served, app.state.counts, accepted, refused, kept)
    finally:
        await served.stop()


def signed(body: bytes, *, secret: str = SECRET, at: datetime = NOON, webhook_id: str = "rpt_1") -> dict[str, str]:
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, at, body.decode()),
    }


async def post(door: Door, body: bytes, headers: Mapping[str, str], path: str = "") -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        return await http.post(door.url + path, content=body, headers=dict(headers))


async def raw(door: Door, *parts: bytes, pause_seconds: float = 0.0) -> bytes:
    """Write bytes as they are and read all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(pause_seconds)
    answer = await asyncio.wait_for(reader.read(), timeout=10)
    writer.close()
    return answer


def test_a_signed_report_is_taken_and_its_repetition_gets_the_same_answer() -> None:
    async def story() -> None:
        async with door() as hook:
            first = await post(hook, REPORT, signed(REPORT))
            again = await post(hook, REPORT, signed(REPORT))

            assert (first.status_code, again.status_code) == (202, 200)
            assert first.json() == again.json() == {"message": "m/1/1"}
            assert hook.accepted == [REPORT, REPORT]
            assert dict(hook.counts) == {("stock", "accepted"): 1, ("stock", "duplicate"): 1}

    asyncio.run(story())


def test_nobody_is_answered_before_the_report_is_durable() -> None:
    async def story() -> None:
        committed = asyncio.Event()

        async def accept(*_: Any) -> Accepted:
            await committed.wait()
            return Accepted("m/1/1")

        async with door(accept) as hook:
            answer = asyncio.create_task(post(hook, REPORT, signed(REPORT)))
            done, _ = await asyncio.wait([answer], timeout=0.3)
            assert not done
            committed.set()
            assert (await answer).status_code == 202

    asyncio.run(story())


def without(name: str) -> dict[str, str]:
    return {header: value for header, value in signed(REPORT).items() if header != name}


@pytest.mark.parametrize(
    ("what", "headers"),
    [
        ("another secret", signed(REPORT, secret=OTHER_SECRET)),
        ("another body", signed(b'{"type": "consumption"}')),
        ("another id", {**signed(REPORT), "webhook-id": "rpt_2"}),
        ("no signature", without("webhook-signature")),
        ("no timestamp", without("webhook-timestamp")),
        ("no id", without("webhook-id")),
        ("six minutes old", signed(REPORT, at=NOON - timedelta(minutes=6))),
        ("six minutes ahead", signed(REPORT, at=NOON + timedelta(minutes=6))),
        ("a timestamp that is no number", {**signed(REPORT), "webhook-timestamp": "nan"}),
        ("a signature that is no base64", {**signed(REPORT), "webhook-signature": "v1,%%%"}),
        ("a signature without a version", {**signed(REPORT), "webhook-signature": "bm90aGluZw=="}),
        ("a version nobody agreed", {**signed(REPORT), "webhook-signature": "v9,bm90aGluZw=="}),
        ("an empty signature", {**signed(REPORT), "webhook-signature": "v1,"}),
    ],
)
def test_a_request_that_is_not_shown_to_come_from_the_platform_is_refused_and_kept(
    what: str, headers: dict[str, str]
) -> None:
    async def story() -> None:
        async with door() as hook:
            answer = await post(hook, REPORT, headers)

            assert answer.status_code == 401, what
            assert answer.headers["content-type"] == "application/problem+json"
            document = answer.json()
            assert document["type"] == "urn:hilum:problem:signature"
            assert document["instance"] == "urn:hilum:message:m/1/1"
            assert hook.accepted == []
            assert [(r.reason, r.body) for r in hook.refused] == [("signature", REPORT)]
            assert hook.counts["stock", "signature"] == 1

    asyncio.run(story())


def test_a_sender_that_rotates_its_secret_signs_with_both() -> None:
    async def story() -> None:
        async with door() as hook:
            headers = signed(REPORT)
            old = signed(REPORT, secret=OTHER_SECRET)["webhook-signature"]
            headers["webhook-signature"] = f"{old} {headers['webhook-signature']}"

            assert (await post(hook, REPORT, headers)).status_code == 202

    asyncio.run(story())


def test_a_body_that_is_not_json_is_refused_and_kept() -> None:
    body = b'{"type": "consumption", "account": "SYN-A-'

    async def story() -> None:
        async with door() as hook:
            answer = await post(hook, body, signed(body))

            assert (answer.status_code, answer.json()["type"]) == (400, "urn:hilum:problem:json")
            assert "SYN-A" not in answer.text
            assert [(r.reason, r.body) for r in hook.refused] == [("json", body)]

    asyncio.run(story())


def test_bytes_that_are_no_text_are_refused_not_an_error() -> None:
    body = b'\xff\xfe{"type": 1}'
    headers = {**signed(REPORT)}

    async def story() -> None:
        async with door() as hook:
            assert (await post(hook, body, headers)).status_code == 401
            assert hook.refused[0].body == body

    asyncio.run(story())


def test_an_oversized_body_is_refused_by_its_announcement_without_being_read() -> None:
    async def story() -> None:
        async with door(max_body_bytes=1000) as hook:
            head = b"POST /hooks/stock HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000000\r\n\r\n"
            answer = await raw(hook, head)

            assert answer.startswith(b"HTTP/1.1 413")
            assert hook.refused[0].reason == "size"

    asyncio.run(story())


def test_an_oversized_body_without_announcement_is_cut_off_at_the_limit() -> None:
    async def story() -> None:
        async with door(max_body_bytes=100_000) as hook:
            head = b"POST /hooks/stock HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
            answer = await raw(hook, head, chunk, chunk, chunk, chunk)

            assert answer.startswith(b"HTTP/1.1 413")
            assert hook.refused[0].reason == "size"
            assert len(hook.refused[0].body) == 65_536

    asyncio.run(story())


def test_a_body_that_dawdles_is_refused_and_what_came_is_kept() -> None:
    async def story() -> None:
        async with door(body_timeout_seconds=0.3) as hook:
            head = b"POST /hooks/stock HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
            answer = await raw(hook, head, b'{"ty', pause_seconds=0.1)

            assert answer.startswith(b"HTTP/1.1 408")
            assert [(r.reason, r.body) for r in hook.refused] == [("slow", b'{"ty')]

    asyncio.run(story())


def test_a_head_that_dawdles_does_not_keep_its_connection() -> None:
    async def story() -> None:
        async with door(head_timeout_seconds=0.3) as hook:
            answer = await raw(hook, b"POST /hooks/stock HTTP/1.1\r\n", b"Host: x\r\n", b"X-Slow:", pause_seconds=0.05)

            assert answer.startswith(b"HTTP/1.1 408")
            assert (await post(hook, REPORT, signed(REPORT))).status_code == 202

    asyncio.run(story())


def test_a_connection_that_ends_within_the_body_is_kept_as_refused() -> None:
    async def story() -> None:
        async with door() as hook:
            _, writer = await asyncio.open_connection("127.0.0.1", hook.port)
            writer.write(b"POST /hooks/stock HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + REPORT[:20])
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.transport.abort()
            await asyncio.wait_for(hook.kept.wait(), timeout=5)

            assert hook.refused[0].reason == "cut"

    asyncio.run(story())


def test_content_that_the_contract_refuses_is_told_without_the_value() -> None:
    async def accept(*_: Any) -> Refusal:
        return Refusal("101: quantity: Field required", "m/1/7")

    async def story() -> None:
        async with door(accept) as hook:
            answer = await post(hook, REPORT, signed(REPORT))

            assert answer.status_code == 422
            assert answer.json() == {
                "type": "urn:hilum:problem:content",
                "title": "The content is refused",
                "status": 422,
                "detail": "101: quantity: Field required",
                "instance": "urn:hilum:message:m/1/7",
            }

    asyncio.run(story())


def test_a_store_that_fails_asks_the_sender_to_come_again_and_shows_nothing() -> None:
    async def accept(*_: Any) -> Accepted:
        raise RuntimeError("connection to database hilum at 10.0.0.1 lost while storing SYN-A-1001")

    async def story() -> None:
        async with door(accept) as hook:
            answer = await post(hook, REPORT, signed(REPORT))

            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "database" not in answer.text and "SYN-A" not in answer.text and "Traceback" not in answer.text

    asyncio.run(story())


def test_other_paths_and_methods_are_problems_too() -> None:
    async def story() -> None:
        async with door() as hook, httpx2.AsyncClient(trust_env=False) as http:
            missing = await post(hook, REPORT, signed(REPORT), path="/elsewhere")
            wrong = await http.get(hook.url)

            assert [(a.status_code, json.loads(a.text)["status"]) for a in (missing, wrong)] == [(404, 404), (405, 405)]

    asyncio.run(story())


def test_what_is_not_http_does_not_stop_the_door() -> None:
    async def story() -> None:
        async with door() as hook:
            assert (await raw(hook, b"\x0bMSH|^~\\&|EHR\x1c\r")).startswith(b"HTTP/1.1 400")
            assert (await post(hook, REPORT, signed(REPORT))).status_code == 202

    asyncio.run(story())


def test_a_port_that_is_taken_says_so_before_anything_is_served() -> None:
    async def story() -> None:
        async with door() as hook:
            with pytest.raises(OSError, match="in use"):
                await serve(lambda *_: None, port=hook.port)

    asyncio.run(story())
