"""The webhook door on a real socket, attacked: replays, forgeries, changing secrets, smuggled requests, packed bodies."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from hilum.transports.http import Served, serve
from hilum.transports.webhook import Accepted, Hook, Refusal, RefusedRequest, webhook_app

NEW = "whsec_" + base64.b64encode(b"lakeshore-stock-new-secret").decode()
OLD = "whsec_" + base64.b64encode(b"lakeshore-stock-old-secret").decode()
FORGED = "whsec_" + base64.b64encode(b"somebody-else-altogether").decode()
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
REPORT = b'{"type": "consumption", "usage_id": "U-1001"}'


@dataclass
class Door:
    served: Served
    accepted: list[bytes] = field(default_factory=list)
    refused: list[RefusedRequest] = field(default_factory=list)

    async def raw(self, *parts: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.served.port)
        for part in parts:
            writer.write(part)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer

    async def post(self, body: bytes, headers: Mapping[str, str], *lines: bytes) -> int:
        answer = await self.raw(request(body, headers, *lines))
        return int(answer.split(b" ")[1])


@asynccontextmanager
async def door(previous: str | None = None) -> AsyncIterator[Door]:
    async def take(hook: Hook, body: bytes, headers: Mapping[str, str], peer: str) -> Accepted | Refusal:
        made.accepted.append(body)
        return Accepted("m/1/1", duplicate=made.accepted.count(body) > 1)

    async def keep(refused: RefusedRequest) -> str:
        made.refused.append(refused)
        return "m/1/2"

    hook = Hook("stock", NEW, max_body_bytes=10_000, previous_secret=previous)
    app = webhook_app({"/hooks/stock": hook}, accept=take, refuse=keep, clock=lambda: NOON)
    made = Door(await serve(app))
    try:
        yield made
    finally:
        await made.served.stop()


def signed(body: bytes, *secrets: str, at: datetime = NOON, webhook_id: str = "rpt_1") -> dict[str, str]:
    signatures = " ".join(Webhook(secret).sign(webhook_id, at, body.decode()) for secret in secrets or (NEW,))
    return {"webhook-id": webhook_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signatures}


def request(body: bytes, headers: Mapping[str, str], *lines: bytes, length: bool = True) -> bytes:
    head = [b"POST /hooks/stock HTTP/1.1", b"host: x", b"connection: close"]
    head += [b"content-length: %d" % len(body)] if length else []
    head += [f"{name}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join([*head, *lines]) + b"\r\n\r\n" + body


def play(story: Any) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


def test_the_same_delivery_again_is_answered_again_and_is_one_fact():
    async def story() -> None:
        async with door() as hook:
            assert [await hook.post(REPORT, signed(REPORT)) for _ in range(3)] == [202, 200, 200]

    play(story())


@pytest.mark.parametrize("seconds", [-301, -86_400, 301, 86_400])
def test_a_delivery_of_another_time_is_refused_however_well_it_is_signed(seconds):
    async def story() -> None:
        async with door() as hook:
            assert await hook.post(REPORT, signed(REPORT, at=NOON + timedelta(seconds=seconds))) == 401
            assert hook.accepted == [] and "away from our clock" in hook.refused[0].detail

    play(story())


def tampered(name: str) -> tuple[bytes, dict[str, str]]:
    good = signed(REPORT)
    changes: dict[str, tuple[bytes, dict[str, str]]] = {
        "another secret": (REPORT, signed(REPORT, FORGED)),
        "another body": (REPORT.replace(b"1001", b"9999"), good),
        "another id": (REPORT, {**good, "webhook-id": "rpt_2"}),
        "a fresher timestamp": (REPORT, {**good, "webhook-timestamp": str(int(NOON.timestamp()) + 1)}),
        "a timestamp in other digits": (REPORT, {**good, "webhook-timestamp": "٠١٢"}),
        "a negative timestamp": (REPORT, {**good, "webhook-timestamp": "-1"}),
        "an enormous timestamp": (REPORT, {**good, "webhook-timestamp": "9" * 400}),
        "no signature": (REPORT, {k: v for k, v in good.items() if k != "webhook-signature"}),
        "an empty signature": (REPORT, {**good, "webhook-signature": ""}),
        "only the version": (REPORT, {**good, "webhook-signature": "v1,"}),
        "another version": (REPORT, {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")}),
        "a cut signature": (REPORT, {**good, "webhook-signature": good["webhook-signature"][:-4]}),
        "thousands of signatures": (
            REPORT,
            {**good, "webhook-signature": " ".join(["v1,AAAA"] * 2000 + [good["webhook-signature"]])},
        ),
    }
    return changes[name]


@pytest.mark.parametrize(
    "name",
    [
        "another secret", "another body", "another id", "a fresher timestamp", "a timestamp in other digits", "a negative timestamp",
        "an enormous timestamp", "no signature", "an empty signature", "only the version", "another version", "a cut signature",
        "thousands of signatures",
    ],
)  # fmt: skip
def test_a_forged_delivery_is_refused_and_kept_as_evidence(name):
    async def story() -> None:
        async with door(OLD) as hook:
            body, headers = tampered(name)
            assert await hook.post(body, headers) == 401
            assert hook.accepted == [] and [r.reason for r in hook.refused] == ["signature"]

    play(story())


def test_while_the_secret_changes_both_are_taken_and_afterwards_only_the_new_one():
    async def story() -> None:
        async with door(OLD) as hook:
            assert await hook.post(REPORT, signed(REPORT, OLD)) == 202
            assert await hook.post(REPORT, signed(REPORT, NEW)) == 200
            assert await hook.post(REPORT, signed(REPORT, OLD, NEW)) == 200
            assert await hook.post(REPORT, signed(REPORT, FORGED)) == 401
        async with door() as hook:
            assert await hook.post(REPORT, signed(REPORT, OLD)) == 401
            assert await hook.post(REPORT, signed(REPORT, OLD, NEW)) == 202
        assert OLD not in repr(Hook("stock", NEW, previous_secret=OLD)) and NEW not in repr(Hook("stock", NEW))

    play(story())


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP"])
def test_a_packed_body_is_refused_unread(coding):
    bomb = gzip.compress(b"\0" * 5_000_000)[:9000]

    async def story() -> None:
        async with door() as hook:
            assert await hook.post(bomb, signed(REPORT), f"content-encoding: {coding}".encode()) == 415
            assert hook.accepted == [] and hook.refused[0].body == b""

    play(story())


SMUGGLED = b"POST /hooks/stock HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        (b"content-length: 45", b"transfer-encoding: chunked"),
        (b"transfer-encoding: chunked", b"content-length: 45"),
        (b"content-length: 45", b"content-length: 0"),
        (b"content-length: 45, 0",),
        (b"content-length: +45",),
        (b"content-length: 0x2d",),
        (b"content-length: -1",),
        (b"content-length : 45",),
        (b"transfer-encoding: xchunked",),
        (b"transfer-encoding: chunked, identity",),
        (b"transfer-encoding:\x0bchunked",),
        (b"transfer-encoding: chunked\r\n transfer-encoding: identity",),
        (b"x: a\nwebhook-id: forged",),
        (b"x: a\rwebhook-id: forged",),
        (b"x: a\x00b",),
        (b"x y: a",),
    ],
)
def test_a_request_that_two_readers_could_cut_differently_is_taken_by_nobody(lines):
    async def story() -> None:
        async with door() as hook:
            answer = await hook.raw(request(REPORT + SMUGGLED, signed(REPORT), *lines, length=False))
            assert hook.accepted == []
            # At most one answer, and it is no success: the smuggled request is never another one.
            assert answer.count(b"HTTP/1.1") <= 1 and b" 20" not in answer[:16]

    play(story())


def test_what_follows_a_request_on_its_connection_is_judged_by_itself():
    async def story() -> None:
        async with door() as hook:
            keeping = request(REPORT, signed(REPORT)).replace(b"connection: close\r\n", b"")
            answer = await hook.raw(keeping + request(REPORT, {"webhook-id": "rpt_1"}))
            assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [202, 401]

    play(story())


def test_a_header_with_a_line_break_in_an_answer_cannot_be_provoked():
    async def story() -> None:
        async with door() as hook:
            answer = await hook.raw(
                b"POST /hooks/stock%0d%0aset-cookie:%20a=b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            head = answer.partition(b"\r\n\r\n")[0].lower()
            assert b" 404 " in head and b"set-cookie" not in head

    play(story())
